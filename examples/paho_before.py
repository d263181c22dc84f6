"""A program as there are many: telemetry over paho-mqtt, trusting one root file. `paho_before.py HOST PORT ROOT.pem`."""

import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="gateway")
client.on_connect = lambda *unused: print("connected", flush=True)
client.tls_set(ca_certs=sys.argv[3])
client.reconnect_delay_set(1, 30)
client.connect_async(sys.argv[1], int(sys.argv[2]))
client.loop_start()
while True:
    client.publish("telemetry/gateway", b"21.5")
    time.sleep(1)
