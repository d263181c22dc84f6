"""everpin: keeps devices that pin TLS keys from ever being locked out.

Names load when they are first used, so that a board pays for what it uses:

- `Device(folder)`: an open device folder; its `agent` is the policy of what follows
- `Reader(folder)`: CPython, the same policy in a program beside the one that has the `Device`
- `ssl_context(policy, client_cert=None, client_key=None)`: an `ssl.SSLContext` whose every connection has its verdict before the
  first secret; on MicroPython what libraries take in its place, with the client's certificate and key in DER
- `requests.Adapter(policy, client_cert=None, client_key=None)`, `aiohttp.Connector(...)`: CPython, the same for these libraries
- `refusal(error)`: CPython, the verdict behind an error of a client library, None when there is none
- `connect(policy, host, port, ...)`, `open_connection(policy, host, port, ...)`: MicroPython, blocking and asyncio
- `attach(device)`: MicroPython, the agent on an application's own MQTT connection (CPython: ports/cpython/paho.py)
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def __getattr__(name: str) -> "Any":
    if name == "Device":
        from .ports.device import Device

        return Device
    if name == "ssl_context":
        if sys.implementation.name == "micropython":
            from .ports.micropython.tls import PinnedContext

            return PinnedContext
        from .ports.cpython.tls import ssl_context

        return ssl_context
    if name in ("attach", "connect", "open_connection", "wrap"):
        from .ports.micropython import tls

        return getattr(tls, name)
    if name == "Reader":
        from .ports.cpython.reader import Reader

        return Reader
    if name == "refusal":
        from .ports.cpython.refusal import refusal

        return refusal
    if name in ("core", "crypto", "ports", "requests", "aiohttp", "ucryptolib"):
        # `from everpin import crypto`: MicroPython asks here before it looks for a submodule.
        __import__("everpin." + name)
        return sys.modules["everpin." + name]
    raise AttributeError(name)
