# mypy: disable-error-code="attr-defined,override,has-type,assignment,unused-ignore"
# What is built here stands on the parts of `ssl` that typeshed leaves out; the tests hold them for each Python.
"""`ssl.SSLObject` behind the gate."""

import ssl

from .pinned_gate import checked_host, open_gate, refuse_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .gate import Gate


class PinnedObject(ssl.SSLObject):
    """`ssl.SSLObject` behind the gate: asyncio's transports use it through `wrap_bio`."""

    _everpin: "Gate"

    @classmethod
    def _create(
        cls,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: "str | None" = None,
        session: "Any" = None,
        context: "Any" = None,
    ) -> "PinnedObject":
        host = checked_host(server_side, server_hostname, session)
        self: PinnedObject = cls.__new__(cls)
        self._everpin = open_gate(context, incoming, outgoing, host, self)
        self._sslobj = self._everpin.sslobj
        return self

    @property
    def session(self) -> "Any":
        """None: there is nothing to resume."""
        return None

    @session.setter
    def session(self, value: "Any") -> None:
        refuse_session(value)

    @property
    def session_reused(self) -> bool:
        """Never."""
        return False

    def do_handshake(self) -> None:
        """Go on with the handshake; `PinRefused` when the policy refuses."""
        self._everpin.handshake()
        self._everpin.completed()

    def read(self, len: int = 1024, buffer: "Any" = None) -> "Any":
        """Return data of an accepted peer."""
        gate = self._everpin
        gate.check()
        try:
            found = self._sslobj.read(len) if buffer is None else self._sslobj.read(len, buffer)
        finally:
            gate.release()
        gate.check()
        return found

    def write(self, data: "Any") -> int:
        """Write to an accepted peer."""
        gate = self._everpin
        gate.check()
        try:
            return self._sslobj.write(data)  # type: ignore[no-any-return]
        finally:
            gate.release()

    def unwrap(self) -> None:
        """Say close_notify."""
        try:
            self._sslobj.shutdown()
        finally:
            self._everpin.release()
