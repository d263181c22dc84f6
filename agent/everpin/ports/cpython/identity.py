"""A device's TLS identity on a context: its client certificate with the key, or none where they cannot be had.

A key that does not open or a file that is lost costs the device its identity, never its connections: it is for the peer to say what an
unknown client is worth (DESIGN section 8).
"""

from ..fetch import describe
from . import tls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..device import Device
    from .gate import Policy


def context(policy: "Policy", device: "Device") -> "tuple[tls.PinnedContext, str]":
    """Return a context for a device's connections, and what is wrong with its identity, "" when nothing is."""
    problem = ""
    if device.client_cert is not None and device.client_key is None:
        problem = "no-client-key"
    elif device.client_cert is not None:
        try:
            return tls.ssl_context(policy, device.client_cert, device.client_key), ""
        except OSError as error:  # ssl.SSLError is one
            problem = describe(error)
    return tls.ssl_context(policy), problem
