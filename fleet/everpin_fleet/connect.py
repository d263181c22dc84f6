"""The operator's own connection to the broker: checked by the policy's pins, like a device's."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from everpin.core.trust import Trust
from everpin.ports.cpython.gate import PinRefused
from everpin.ports.cpython.readonly import ReadOnly
from everpin.ports.cpython.tls import ssl_context

from .errors import OperatorError
from .files import read_secret


class Broker:
    """A connection that is up, with its network loop running; a context manager."""

    def __init__(
        self,
        address: tuple[str, int],
        trusts: list[Trust] | None,
        user: str | None = None,
        password_file: Path | None = None,
        on_message: Callable[[str, bytes], None] | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        self._where = f"{address[0]}:{address[1]}"
        self._timeout_s = timeout_s
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        if trusts:
            # Judged by any number of documents: a mistaken newest one must not keep the operator from publishing what mends it.
            self._client.tls_set_context(ssl_context(ReadOnly(trusts)))
        if user is not None:
            secret = (
                None
                if password_file is None
                else read_secret(password_file).rstrip(b"\r\n").decode()
            )
            self._client.username_pw_set(user, secret)
        self._answers: list[Any] = []
        self._topics: list[str] = []
        self._client.on_connect = self._connected
        self._seen: dict[str, bytes] = {}
        self._taker = on_message
        self._client.on_message = self._message
        try:
            self._client.connect(address[0], address[1])
        except PinRefused as error:
            raise OperatorError(
                f"the policy refuses this peer ({error.verdict.name})",
                self._where,
                "`everpin pin add` what it serves, if it is yours",
            ) from None
        except OSError as error:
            raise OperatorError(
                f"cannot connect ({error.strerror or error})", self._where, "is the broker up?"
            ) from None
        self._client.loop_start()
        until = time.monotonic() + timeout_s
        while not self._answers and time.monotonic() < until:
            time.sleep(0.02)
        if not self._answers or self._answers[0].is_failure:
            self.close()
            raise OperatorError(
                f"the broker says: {self._answers[0] if self._answers else 'nothing'}",
                self._where,
                "check --user and --password-file",
            )

    def _connected(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._answers.append(reason)
        # Also after a broker's restart: a clean session has forgotten them.
        for topic in self._topics:
            client.subscribe(topic, 1)

    def _message(self, client: Any, data: Any, message: mqtt.MQTTMessage) -> None:
        self._seen[message.topic] = bytes(message.payload)
        if self._taker is not None:
            self._taker(message.topic, bytes(message.payload))

    def publish(self, messages: dict[str, bytes], retain: bool = True) -> None:
        """Publish with QoS 1 and wait for every acknowledgement."""
        waiting = [
            self._client.publish(topic, data, 1, retain) for topic, data in messages.items()
        ]
        until = time.monotonic() + self._timeout_s
        for item in waiting:
            with contextlib.suppress(ValueError, RuntimeError):
                item.wait_for_publish(max(0.1, until - time.monotonic()))
            if not item.is_published():
                raise OperatorError(
                    "not every message was acknowledged",
                    self._where,
                    "publish again: it does no harm",
                )

    def read_back(self, messages: dict[str, bytes]) -> None:
        """Return when the broker gives every topic with that very content: an acknowledgement alone does not say that it retains."""
        self._seen.clear()
        topics = list(messages)
        # At most eight topics in one SUBSCRIBE: AWS IoT takes no more.
        for at in range(0, len(topics), 8):
            self._client.subscribe([(topic, 1) for topic in topics[at : at + 8]])
        until = time.monotonic() + self._timeout_s
        while time.monotonic() < until:
            missing = [topic for topic in topics if self._seen.get(topic) != messages[topic]]
            if not missing:
                return
            time.sleep(0.02)
        raise OperatorError(
            f"{len(missing)} of {len(topics)} topics are not what was published, {missing[0]} among them",
            self._where,
            "may this user read and write them, and does the broker retain messages? --no-read-back skips this check",
        )

    def subscribe(self, topic: str) -> None:
        """Subscribe with QoS 1, and again after each reconnect."""
        self._topics.append(topic)
        self._client.subscribe(topic, 1)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> "Broker":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()
