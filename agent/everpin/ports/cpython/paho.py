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

from ..attached import Attached
from .tls import ssl_context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import paho.mqtt.client as mqtt

    from ..device import Device


class AttachedPaho(Attached):
    """An agent on a paho client. Callbacks that the application has set before `attach` are called as ever."""

    threads = True  # its lock is held while paho's thread and `step` call each other's: a second one would be taken the other way round

    def __init__(self, client: "mqtt.Client", device: "Device") -> None:
        super().__init__(device, self._break, client, threading.RLock(), self._still)
        self._on_connect = client.on_connect
        self._on_disconnect = client.on_disconnect
        self._on_connect_fail = client.on_connect_fail
        client.tls_set_context(ssl_context(self, device.client_cert, device.client_key))
        client.on_connect = self._paho_connected
        client.on_disconnect = self._paho_disconnected
        client.on_connect_fail = self._paho_failed

    def _break(self) -> None:
        sock: Any = self.client.socket()
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _still(self) -> None:
        sock: Any = self.client.socket()
        if hasattr(sock, "check"):  # paho's web socket has none: its next ping meets the verdict
            sock.check()

    def _pull(self) -> None:
        super()._pull()
        for topic in self._topics:
            self.client.message_callback_add(
                topic, lambda client, data, item: self._paho_message(item)
            )

    def _paho_message(self, item: "mqtt.MQTTMessage") -> None:
        self.message(item.topic, bytes(item.payload))

    def _paho_connected(
        self,
        client: "mqtt.Client",
        data: "Any",
        flags: "Any",
        reason: "Any",
        properties: "Any" = None,
    ) -> None:
        if not getattr(reason, "is_failure", reason != 0):
            self.connected()
        if self._on_connect is not None:
            self._on_connect(client, data, flags, reason, properties)  # type: ignore[call-arg]

    def _paho_disconnected(self, client: "mqtt.Client", *args: "Any") -> None:
        self.disconnected()
        if self._on_disconnect is not None:
            self._on_disconnect(client, *args)

    def _paho_failed(self, client: "mqtt.Client", data: "Any") -> None:
        self.failed()
        if self._on_connect_fail is not None:
            self._on_connect_fail(client, data)


def attach(client: "mqtt.Client", device: "Device") -> AttachedPaho:
    """Return the link between a client that has not connected yet and an open device."""
    return AttachedPaho(client, device)
