"""The platform's own certificate check: a context that OpenSSL verifies by, for hosts of usages 0 and 1 (DESIGN section 5).

Its trust is the machine's store and the signed anchors. Dates are not its business: they are judged by a clock that signed policy
names, on the path that the verdict rests on.
"""

import ssl

from ...core import anchor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...core.host import Anchor

# X509_V_FLAG_PARTIAL_CHAIN: an anchor need not be self-signed. X509_V_FLAG_NO_CHECK_TIME.
_PARTIAL_CHAIN = 0x80000
_NO_CHECK_TIME = 0x200000


class Strict:
    """A verifying twin of a pinned context."""

    def __init__(self, prepare: "Any") -> None:
        """`prepare(context)` gives it the settings that both have."""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.verify_flags |= ssl.VerifyFlags(_PARTIAL_CHAIN | _NO_CHECK_TIME)
        prepare(self.context)
        self._loaded: "dict[Anchor, bytes]" = {}
        self._store = False

    def ready(self, anchors: "list[Anchor]") -> ssl.SSLContext:
        """Return the context with the machine's store and these anchors."""
        if not self._store:
            self._store = True
            self.context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        for item in anchors:
            if item not in self._loaded:
                made = anchor.certificate(*item)
                self._loaded[item] = made or b""
                if made is not None:
                    self.context.load_verify_locations(cadata=made)
        return self.context

    def gone(self, root: bytes, anchors: "list[Anchor]") -> bool:
        """Return whether a path ends in a signed anchor of an earlier document: a context cannot forget one."""
        for item, made in self._loaded.items():
            if made == root and item not in anchors:
                return True
        return False
