"""The embedded broker: amqtt in a process of its own, for the demo. `python -m everpin_sim.amqtt_main CONFIG.json`.

Prints a JSON line for each client that connects. Retained messages survive a restart in a file, as with any real broker.
"""

import asyncio
import importlib
import json
import logging
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amqtt.broker import Broker
from amqtt.plugins.base import BaseAuthPlugin, BasePlugin

_MODULE = "everpin_sim.amqtt_main"
_USERS: dict[str, str] = {}


def _say(event: dict[str, Any]) -> None:
    print(json.dumps(event), flush=True)


class Guard(BaseAuthPlugin):  # type: ignore[misc]
    """A named user needs its password, where there are users; anonymous clients come in, as rescue needs."""

    async def authenticate(self, *, session: Any) -> bool:
        """Return whether a client may connect."""
        if session.username is None or not _USERS:
            session.is_anonymous = session.username is None
            return True
        return bool(_USERS.get(session.username) == session.password)


class Watch(BasePlugin):  # type: ignore[misc]
    """Tells who connects."""

    async def on_broker_client_connected(
        self, *, client_id: str, client_session: Any = None
    ) -> None:
        """Print the client's id and user."""
        _say(
            {"event": "client", "id": client_id, "user": getattr(client_session, "username", None)}
        )


class _Subscriptions(dict[str, list[tuple[Any, int]]]):
    """Topic filters and their subscribers; whoever goes over them goes over them as they stood at the start."""

    def __iter__(self) -> Iterator[str]:
        return iter(list(super().keys()))

    def items(self) -> Any:
        """Return a copy, lists and all."""
        return [(topic, list(found)) for topic, found in super().items()]


class SteadyBroker(Broker):  # type: ignore[misc]
    """amqtt without two of its faults (seen in 0.12.1).

    Its monitor of old sessions ends a client that is back already, and forgets its topics; without the monitor a client's
    old session goes when it connects anew, and the demo lives a minute. And it awaits while it iterates over its
    subscriptions: a client that subscribes meanwhile ends another's connection with a RuntimeError, unanswered.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self._subscriptions = _Subscriptions()

    async def _session_monitor(self) -> None:
        pass


async def _main(config: dict[str, Any]) -> None:
    tls = {
        "type": "tcp",
        "ssl": True,
        "max_connections": config["connections"],
        "certfile": config["cert"],
        "keyfile": config["key"],
    }
    # The others inherit what "default" says, so that one is the plain one.
    listeners = {
        "default": {
            "type": "tcp",
            "max_connections": config["connections"],
            "bind": f"127.0.0.1:{config['operator']}",
        },
        "main": {**tls, "bind": f"127.0.0.1:{config['main']}", "cafile": config["client_ca"]},
        "rescue": {**tls, "bind": f"127.0.0.1:{config['rescue']}"},
    }
    plugins: dict[str, Any] = {f"{_MODULE}.Guard": {}, f"{_MODULE}.Watch": {}}
    # amqtt imports the plugins by name: that module is another one than `__main__`.
    importlib.import_module(_MODULE)._USERS.update(config["users"])
    broker = SteadyBroker({"listeners": listeners, "plugins": plugins})
    await broker.start()
    kept = Path(config["retained"])
    if kept.exists():
        for topic, data in json.loads(kept.read_text()).items():
            await broker.retain_message(None, topic, bytes.fromhex(data), 1)
    _say({"event": "up"})
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    held = {
        topic: bytes(item.data).hex()
        for topic, item in broker._retained_messages.items()
        if item.data
    }
    kept.write_text(json.dumps(held))


if __name__ == "__main__":
    logging.basicConfig(level=logging.CRITICAL)
    asyncio.run(_main(json.loads(Path(sys.argv[1]).read_text())))
