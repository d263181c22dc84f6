"""`everpin.aiohttp.Connector`: aiohttp with a verdict that no request can switch off. CPython only.

    async with aiohttp.ClientSession(connector=everpin.aiohttp.Connector(device.agent)) as session:

`aiohttp.TCPConnector(ssl=everpin.ssl_context(...))` gives the same verdicts, but a request's own `ssl=False` takes the context's place.
"""

from .ports.cpython.tls import ssl_context

try:
    from aiohttp import InvalidUrlClientError, TCPConnector
except ImportError as error:
    raise ImportError("everpin.aiohttp needs aiohttp: pip install 'aiohttp>=3.10'") from error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .ports.cpython.gate import Policy


class Connector(TCPConnector):
    """A connector whose every connection has its verdict; `options` are TCPConnector's, but for `ssl`.

    `policy`, `client_cert` and `client_key` are those of `everpin.ssl_context`. A request with an `ssl=` of its own is a ValueError,
    one without TLS `InvalidUrlClientError` (where a redirect leads to `http://`, too). A refused peer is
    `ClientConnectorCertificateError`; `everpin.refusal(error)` has its verdict.
    """

    def __init__(
        self,
        policy: "Policy",
        client_cert: "str | None" = None,
        client_key: "str | bytes | None" = None,
        **options: "Any",
    ) -> None:
        super().__init__(ssl=ssl_context(policy, client_cert, client_key), **options)

    async def connect(self, req: "Any", traces: "Any", timeout: "Any") -> "Any":
        """Return a connection for a request."""
        if not req.is_ssl():
            raise InvalidUrlClientError(req.url, "everpin: no TLS, no verdict")
        if req.ssl is not True:
            raise ValueError("everpin: ssl= of a request would take the place of the connector's")
        return await super().connect(req, traces, timeout)
