"""main.py of a board: Wi-Fi from the sealed secrets, then everpin's agent. `device/` is the folder that `everpin provision` made."""

import time

import network

import everpin
from everpin.ports.micropython.main import main

device = everpin.Device("device")
wifi = network.WLAN(network.STA_IF)
wifi.active(True)
wifi.connect(*device.agent.secrets.wifi)
while not wifi.isconnected():
    time.sleep(1)
main(device)
