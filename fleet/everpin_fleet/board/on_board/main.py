"""main.py of a board: Wi-Fi from the sealed secrets where they name one, then everpin's agent for ever."""

import time

import everpin
from everpin.ports.micropython.main import main


def join(name: str, password: str) -> None:
    """Return when the board is in the network; MicroPython comes back to it by itself from then on."""
    import network

    wifi = network.WLAN(network.STA_IF)
    wifi.active(True)
    wifi.connect(name, password)
    while not wifi.isconnected():
        time.sleep(1)


device = everpin.Device("device")
secrets = device.agent.secrets
if secrets is not None and secrets.wifi is not None:
    join(*secrets.wifi)
main(device)
