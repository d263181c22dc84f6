"""The simulator's embedded broker answers every client, however many connect and subscribe at a time."""

import asyncio
import datetime
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from everpin.core import mqtt
from everpin_sim import pki
from everpin_sim.broker import Broker
from everpin_sim.ports import free

_CLIENTS = 12
_TOPICS = 64


async def _answered(port: int, number: int) -> bool:
    """Connect and subscribe to topics of one's own: True when both are answered within seconds."""
    # One after the other, each while the broker is still busy with the ones before.
    await asyncio.sleep(number / 100)
    name = f"client{number}"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    client = mqtt.Client(name, 60)
    writer.write(client.connect())
    try:
        while True:
            data = await asyncio.wait_for(reader.read(1024), 5)
            if not data:
                return False
            for event in client.receive(data, 0):
                if event[0] == "connected":
                    writer.write(client.subscribe([f"{name}/{topic}" for topic in range(8)]))
                elif event[0] == "suback":
                    return True
    except TimeoutError:
        return False
    finally:
        writer.close()


async def _unanswered(port: int) -> list[int]:
    found = await asyncio.gather(*(_answered(port, number) for number in range(_CLIENTS)))
    return [number for number, answered in enumerate(found) if not answered]


def test_nobody_goes_unanswered_while_others_subscribe(tmp_path: Path) -> None:
    """amqtt 0.12.1 goes over its subscriptions while others add to them: `SteadyBroker` is without that."""
    issuer = pki.root(
        "Some Root", datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=9)
    )
    (tmp_path / "ca.pem").write_bytes(issuer.pem())
    main, rescue, operator = free(3)
    broker = Broker("amqtt", tmp_path, (main, rescue, operator), {}, tmp_path / "ca.pem")
    broker.start(pki.leaf(issuer, "broker"))
    first = paho.Client(CallbackAPIVersion.VERSION2, client_id="operator")
    try:
        first.connect("127.0.0.1", operator)
        first.loop_start()
        # The broker goes over the subscribed topics for each client that comes: the more of them, the longer it takes.
        for topic in range(_TOPICS):
            first.publish(f"kept/{topic}", b"x", 1, retain=True).wait_for_publish(10)
            first.subscribe(f"kept/{topic}", 1)
        assert asyncio.run(_unanswered(operator)) == []
    finally:
        first.disconnect()
        first.loop_stop()
        broker.stop()
