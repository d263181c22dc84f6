"""The same program with everpin: pins instead of a root, updates on the same connection. `chumicro_after.py HOST PORT DEVICE-FOLDER`."""

import sys
import time

from chumicro_mqtt import MQTTClient
from chumicro_sockets.sockets_factory import fixed_connector_factory
from chumicro_timing import ticks_ms

import everpin

host, port = sys.argv[1], int(sys.argv[2])
link = everpin.attach(everpin.Device(sys.argv[3]))
dial = fixed_connector_factory(host, port, ssl_context=link.context)
client = link.client = MQTTClient(transport_factory=dial, client_id="lamp", rx_buffer_size=8704)
client.on_connect = lambda *unused: (link.connected(), print("connected"))
client.on_message = link.message
client.on_disconnect = link.disconnected
client.connect()
while True:
    client.publish("telemetry/lamp", b"21.5")
    for event in link.step():
        print(event["event"])
    for _ in range(20):
        now = ticks_ms()
        if client.check(now):
            client.handle(now)
        time.sleep(0.05)
