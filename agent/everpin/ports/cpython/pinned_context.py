# mypy: disable-error-code="attr-defined,override,has-type,assignment,unused-ignore"
# What is built here stands on the parts of `ssl` that typeshed leaves out; the tests hold them for each Python.
"""`ssl.SSLContext` that asks its policy, whatever a library sets on it."""

import ssl

from .pinned_object import PinnedObject
from .pinned_socket import PinnedSocket
from .strict import Strict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .gate import Policy

_TLS12_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


def _prepare(context: ssl.SSLContext) -> None:
    """Give a context the settings that nobody may loosen."""
    ssl.SSLContext.minimum_version.__set__(context, ssl.TLSVersion.TLSv1_2)
    ssl.SSLContext.options.__set__(
        context,
        ssl.SSLContext.options.__get__(context)
        | ssl.OP_NO_RENEGOTIATION
        | ssl.OP_NO_COMPRESSION
        | ssl.OP_NO_TICKET,
    )
    ssl.SSLContext.set_ciphers(context, _TLS12_CIPHERS)


class PinnedContext(ssl.SSLContext):
    """A client context that asks its policy. Settings of verification read as strict, and setting them changes nothing."""

    sslsocket_class = PinnedSocket
    sslobject_class = PinnedObject
    policy: "Policy"
    strict: Strict

    def __new__(cls, *args: "Any", **kwargs: "Any") -> "PinnedContext":
        """Return a context with everpin's fixed settings."""
        self: PinnedContext = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        super(ssl.SSLContext, ssl.SSLContext).check_hostname.__set__(self, False)
        super(ssl.SSLContext, ssl.SSLContext).verify_mode.__set__(self, ssl.CERT_NONE)
        _prepare(self)
        self.strict = Strict(_prepare)
        return self

    @property
    def verify_mode(self) -> ssl.VerifyMode:  # type: ignore[override]
        """Reads as CERT_REQUIRED; the policy decides whatever is set."""
        return ssl.CERT_REQUIRED

    @verify_mode.setter
    def verify_mode(self, value: "Any") -> None:
        pass

    @property
    def check_hostname(self) -> bool:  # type: ignore[override]
        """Reads as True: libraries then leave the host to this context."""
        return True

    @check_hostname.setter
    def check_hostname(self, value: "Any") -> None:
        pass

    @property
    def minimum_version(self) -> ssl.TLSVersion:  # type: ignore[override]
        """May be raised, never lowered below TLS 1.2."""
        return ssl.SSLContext.minimum_version.__get__(self)  # type: ignore[no-any-return]

    @minimum_version.setter
    def minimum_version(self, value: "Any") -> None:
        if value >= ssl.TLSVersion.TLSv1_2:
            for context in (self, self.strict.context):
                ssl.SSLContext.minimum_version.__set__(context, value)

    @property
    def options(self) -> ssl.Options:  # type: ignore[override]
        """Bits may be added, never taken away."""
        return ssl.SSLContext.options.__get__(self)  # type: ignore[no-any-return]

    @options.setter
    def options(self, value: "Any") -> None:
        for context in (self, self.strict.context):
            had = ssl.SSLContext.options.__get__(context)
            ssl.SSLContext.options.__set__(context, had | value)

    @property
    def maximum_version(self) -> ssl.TLSVersion:  # type: ignore[override]
        """May be set; TLS 1.2 is the least."""
        return ssl.SSLContext.maximum_version.__get__(self)  # type: ignore[no-any-return]

    @maximum_version.setter
    def maximum_version(self, value: "Any") -> None:
        for context in (self, self.strict.context):
            ssl.SSLContext.maximum_version.__set__(context, value)

    def load_cert_chain(
        self, certfile: "Any", keyfile: "Any" = None, password: "Any" = None
    ) -> None:
        """Load the client's certificate and key."""
        super().load_cert_chain(certfile, keyfile, password)
        self.strict.context.load_cert_chain(certfile, keyfile, password)

    def set_alpn_protocols(self, alpn_protocols: "Any") -> None:
        """Set the protocols to offer."""
        super().set_alpn_protocols(alpn_protocols)
        self.strict.context.set_alpn_protocols(alpn_protocols)

    def set_ciphers(self, cipherlist: str) -> None:
        """Keep everpin's suites: with a static key exchange the peer would not have proved its key yet."""

    def load_default_certs(self, purpose: "Any" = None) -> None:
        """Load nothing: what is trusted is the policy's."""

    def load_verify_locations(
        self, cafile: "Any" = None, capath: "Any" = None, cadata: "Any" = None
    ) -> None:
        """Load nothing: what is trusted is the policy's."""

    def set_default_verify_paths(self) -> None:
        """Load nothing: what is trusted is the policy's."""

    @property
    def verify_flags(self) -> ssl.VerifyFlags:
        """Reads as it was made; a partial chain or a date is for the policy to accept (RFC 5280 section 6)."""
        return ssl.SSLContext.verify_flags.__get__(self)  # type: ignore[attr-defined,no-any-return]

    @verify_flags.setter
    def verify_flags(self, value: "Any") -> None:
        pass
