"""The control: a device as they are built today. It trusts one root file, checks names and dates, and takes no updates.

`python -m everpin_sim.static_device HOST PORT ROOT.pem`; the password comes from the environment. Prints JSON lines.
"""

import json
import os
import ssl
import sys
import time
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion


def _say(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


def main(host: str, port: int, root: str) -> None:
    """Connect, and connect again, for ever."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="static")
    context = ssl.create_default_context(cafile=root)
    # Python 3.13 is stricter about extensions than what is in the field.
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    client.tls_set_context(context)
    client.username_pw_set("static", os.environ["STATIC_PASSWORD"])
    client.on_connect = lambda *unused: _say("connected")
    while True:
        try:
            client.connect(host, port, 10)
            while client.loop(0.2) == mqtt.MQTT_ERR_SUCCESS:
                pass
            _say("lost")
        except ssl.SSLCertVerificationError as error:
            _say("refused", error=error.verify_message)
        except OSError as error:
            _say("unreachable", error=type(error).__name__)
        time.sleep(0.4)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
