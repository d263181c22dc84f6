"""everpin over an application's own paho-mqtt client: one connection carries both.

    device = everpin.Device("/var/lib/everpin/gateway")
    link = attach(client, device)          # instead of client.tls_set(ca_certs=…); before client.connect(…)
    client.loop_start()
    while True:
        link.step()                        # every second or so: reports, reconnects to confirm, rescue
        time.sleep(1)

paho's network thread and the caller of `step` share one lock around the agent, which knows no threads.
"""

import contextlib
import socket
import threading
import time

from ...core.errors import PeerError
from .. import fetch
from ..runner import describe
from .tls import ssl_context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import paho.mqtt.client as mqtt

    from ...core.verdict import Verdict
    from ..device import Device

_PREFIX = "everpin/1/"


class Attached:
    """An agent on somebody else's client. Callbacks that the application has set before `attach` are called as ever."""

    def __init__(self, client: "mqtt.Client", device: "Device") -> None:
        self._client = client
        self._device = device
        self._agent = device.agent
        self._lock = threading.RLock()
        self._up = False
        self._why = 0
        self._on_connect = client.on_connect
        self._on_disconnect = client.on_disconnect
        self._on_connect_fail = client.on_connect_fail
        client.tls_set_context(ssl_context(self, device.client_cert, device.client_key))
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_connect_fail = self._failed

    # ---- the policy that the TLS context asks --------------------------------------------------------------------------

    @property
    def generation(self) -> int:
        """Return the agent's."""
        return self._agent.generation

    def verdict(self, host: str, chain: "list[bytes]") -> "Verdict":
        """Return the agent's verdict."""
        with self._lock:
            found = self._agent.verdict(host, chain)
            self._why = found.why
            return found

    def completed(self, verdict: "Verdict") -> None:
        """Tell the agent."""
        with self._lock:
            self._agent.completed(verdict)

    # ---- paho's callbacks ----------------------------------------------------------------------------------------------

    def _connected(
        self,
        client: "mqtt.Client",
        data: "Any",
        flags: "Any",
        reason: "Any",
        properties: "Any" = None,
    ) -> None:
        if not getattr(reason, "is_failure", reason != 0):
            with self._lock:
                self._agent.online(client.host)
                self._up = True
                for topic in self._agent.topics():
                    client.message_callback_add(topic, self._message)
                    client.subscribe(topic, 1)
        if self._on_connect is not None:
            self._on_connect(client, data, flags, reason, properties)  # type: ignore[call-arg]

    def _disconnected(self, client: "mqtt.Client", *args: "Any") -> None:
        with self._lock:
            if self._up:
                self._up = False
                self._agent.offline(self._why)
        if self._on_disconnect is not None:
            self._on_disconnect(client, *args)

    def _failed(self, client: "mqtt.Client", data: "Any") -> None:
        with self._lock:
            self._dialled()
        if self._on_connect_fail is not None:
            self._on_connect_fail(client, data)

    def _dialled(self) -> None:
        if not self._up and self._agent.state == "connecting":
            self._agent.offline(self._why)
        self._why = 0

    def _message(self, client: "mqtt.Client", data: "Any", message: "Any") -> None:
        with self._lock:
            self._agent.receive(message.topic, bytes(message.payload))

    # ---- the application's loop ----------------------------------------------------------------------------------------

    def step(self) -> "list[dict[str, Any]]":
        """Do what is due; return what happened since the last call, as the agent's log has it."""
        with self._lock:
            action = self._agent.poll(int(time.time()), self._device.time_source, time.monotonic())
            if action[0] == "close":
                # paho sees its connection end, and dials again by itself: the new handshake confirms.
                sock: Any = self._client.socket()
                if sock is not None:
                    with contextlib.suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)
            elif action[0] == "rescue":
                self._rescue(action[1], action[2])
            elif self._up:
                for topic, payload in self._agent.outbox():
                    self._client.publish(topic, payload, 1)
            return self._agent.drain()

    def _rescue(self, carrier: str, budget_s: float) -> None:
        result = "nothing"
        try:
            for topic, payload in fetch.ask(carrier, self._agent.topics(True), budget_s):
                if payload is None:
                    self._agent.too_long(topic, carrier)
                elif self._agent.receive(topic, payload, carrier) == "accepted":
                    result = "accepted"
        except (OSError, PeerError) as error:
            result = describe(error)
        self._agent.rescued(carrier, result)


def attach(client: "mqtt.Client", device: "Device") -> Attached:
    """Return the link between a client that has not connected yet and an open device."""
    return Attached(client, device)
