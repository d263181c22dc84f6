"""A MicroPython program as there are many: telemetry over chumicro-mqtt, trusting one root. `chumicro_before.py HOST PORT ROOT.pem`."""

import sys
import time

from chumicro_mqtt import MQTTClient
from chumicro_sockets import ssl_context_with_ca
from chumicro_sockets.sockets_factory import fixed_connector_factory
from chumicro_timing import ticks_ms

host, port = sys.argv[1], int(sys.argv[2])
with open(sys.argv[3]) as file:
    context = ssl_context_with_ca(file.read())
dial = fixed_connector_factory(host, port, ssl_context=context)
client = MQTTClient(transport_factory=dial, client_id="lamp")
client.on_connect = lambda *unused: print("connected")
client.connect()
while True:
    client.publish("telemetry/lamp", b"21.5")
    for _ in range(20):
        now = ticks_ms()
        if client.check(now):
            client.handle(now)
        time.sleep(0.05)
