"""The same program with everpin: pins instead of a root file, updates on the same connection. `paho_after.py HOST PORT DEVICE-FOLDER`."""

import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

import everpin
from everpin.ports.cpython.paho import attach

client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="gateway")
client.on_connect = lambda *unused: print("connected", flush=True)
link = attach(client, everpin.Device(sys.argv[3]))
client.reconnect_delay_set(1, 30)
client.connect_async(sys.argv[1], int(sys.argv[2]))
client.loop_start()
while True:
    client.publish("telemetry/gateway", b"21.5")
    for event in link.step():
        print(event["event"], flush=True)
    time.sleep(1)
