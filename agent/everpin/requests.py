"""`everpin.requests.Adapter`: requests with a verdict before the first secret. CPython only.

    session = requests.Session()
    session.mount("https://", everpin.requests.Adapter(device.agent))

requests has no place for a TLS context, and sets verification for each request; releases 2.32.0 to 2.32.2 even put a context of their
own in the place of an adapter's. So the adapter gives its context to each pool that urllib3 makes for it, last.
"""

from .ports.cpython.tls import ssl_context

try:
    from requests.adapters import HTTPAdapter
    from requests.exceptions import InvalidSchema
except ImportError as error:
    raise ImportError("everpin.requests needs requests: pip install 'requests>=2.31'") from error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from .ports.cpython.gate import Policy
    from .ports.cpython.tls import PinnedContext


class Adapter(HTTPAdapter):
    """A transport adapter whose every connection has its verdict; `verify=`, and what requests makes of it, change nothing.

    `policy`, `client_cert` and `client_key` are those of `everpin.ssl_context`; `options` are HTTPAdapter's. Of a proxy with
    `https://` the policy is asked as well. Without TLS there is nobody to judge: mounted for `http://` too, it refuses such URLs
    (`InvalidSchema`). A refused peer is `requests.exceptions.SSLError`; `everpin.refusal(error)` has its verdict.
    """

    def __init__(
        self,
        policy: "Policy",
        client_cert: "str | None" = None,
        client_key: "str | bytes | None" = None,
        **options: "Any",
    ) -> None:
        self._policy = policy
        self._identity = (client_cert, client_key)
        super().__init__(**options)

    def _context(self) -> "PinnedContext":
        return ssl_context(self._policy, *self._identity)

    def _judged(self, manager: "Any") -> "Any":
        made = manager.pool_classes_by_scheme["https"]

        def https(host: str, port: "int | None" = None, **how: "Any") -> "Any":
            # A context for each pool: `cert=` of one request is loaded into it, and is not for other hosts.
            return made(host, port, **{**how, "ssl_context": self._context()})

        def http(host: str, port: "int | None" = None, **how: "Any") -> "NoReturn":
            raise InvalidSchema(f"everpin: no TLS, no verdict: http://{host} is refused here")

        manager.pool_classes_by_scheme = {"https": https, "http": http}
        return manager

    def init_poolmanager(self, *args: "Any", **kwargs: "Any") -> None:
        """Make the pools' manager."""
        super().init_poolmanager(*args, **kwargs)
        self._judged(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: "Any") -> "Any":
        """Return the manager of the pools behind a proxy."""
        if proxy not in self.proxy_manager:
            if proxy.lower().startswith("https:"):
                kwargs["proxy_ssl_context"] = self._context()
            self._judged(super().proxy_manager_for(proxy, **kwargs))
        return self.proxy_manager[proxy]

    def __getstate__(self) -> "NoReturn":
        """TypeError: a policy belongs to its process."""
        raise TypeError("everpin: an Adapter is not copied to another process; mount a new one")
