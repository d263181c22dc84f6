"""The machine's own trust store as anchors, for hosts whose policy falls back to it."""

import os
import ssl

from ...core.x509 import parsed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...core.host import Anchor

_found: "list[Anchor] | None" = None


def anchors() -> "list[Anchor]":
    """Return subject and SPKI of each CA certificate of OpenSSL's default locations; read once."""
    global _found
    if _found is None:
        _found = _unique(_certificates())
    return _found


def _certificates() -> "list[bytes]":
    paths = ssl.get_default_verify_paths()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    files = [paths.cafile] if paths.cafile else []
    if paths.capath:
        # OpenSSL looks into this folder by hash of a name, so what a context has loaded does not tell of it.
        files += [os.path.join(paths.capath, name) for name in sorted(os.listdir(paths.capath))]
    for file in files:
        try:
            context.load_verify_locations(file)
        except (ssl.SSLError, OSError):
            pass  # no file of certificates
    return context.get_ca_certs(binary_form=True)


def _unique(certificates: "list[bytes]") -> "list[Anchor]":
    found = {}
    for raw in certificates:
        item = parsed(raw)
        if item is not None:
            found[(item.subject, item.spki)] = True
    return list(found)
