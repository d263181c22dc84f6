"""A real MQTT broker over TLS, started and restarted with a certificate: embedded amqtt, or mosquitto."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from .child import Child
from .pki import Identity


def mosquitto_path() -> str | None:
    """Return where mosquitto is, None when it is not installed. Debian keeps it off everybody's PATH."""
    found = shutil.which("mosquitto")
    return found or ("/usr/sbin/mosquitto" if os.access("/usr/sbin/mosquitto", os.X_OK) else None)


class Broker:
    """Three listeners on loopback: `main` (TLS), `rescue` (TLS, anonymous), `operator` (plain, for the operator's own machine)."""

    def __init__(
        self,
        kind: str,
        folder: Path,
        ports: tuple[int, int, int],
        users: dict[str, str],
        client_ca: Path,
        crowd: bool = False,
    ) -> None:
        """`crowd`: for thousands of clients; who connects is not told then, and anybody may."""
        self._kind = kind
        self._folder = folder
        self.main, self.rescue, self.operator = ports
        self._users = users
        self._client_ca = client_ca
        self._crowd = crowd
        self._process: Child | None = None
        self._ids: list[tuple[str, str | None]] = []
        self._log_at = 0

    def start(self, identity: Identity) -> None:
        """Start serving a certificate; raise RuntimeError when the broker does not come up."""
        cert, key = identity.save(self._folder, "broker")
        env = {**os.environ, "PYTHONUNBUFFERED": "1"}
        log = self._folder / "broker.log"
        if self._kind == "mosquitto":
            self._log_at = len(log.read_text()) if log.exists() else 0
            program = mosquitto_path()
            if program is None:
                raise RuntimeError("mosquitto is not installed: apt-get install mosquitto")
            self._process = Child([program, "-c", str(self._mosquitto(cert, key))], env, log)
            up = self._mosquitto_up()
        else:
            config = self._folder / "broker.json"
            config.touch(mode=0o600)
            config.write_text(
                json.dumps(
                    {
                        "main": self.main,
                        "rescue": self.rescue,
                        "operator": self.operator,
                        "cert": str(cert),
                        "key": str(key),
                        "client_ca": str(self._client_ca),
                        "users": {} if self._crowd else self._users,
                        "connections": 1_000_000 if self._crowd else 100,
                        "retained": str(self._folder / "retained.json"),
                    }
                )
            )
            self._process = Child(
                [sys.executable, "-m", "everpin_sim.amqtt_main", str(config)], env, log
            )
            up = self._process.wait(lambda event: event["event"] == "up") is not None
        if not up:
            tail = log.read_text()[-300:]
            self.stop()
            raise RuntimeError(f"the broker does not start: {tail}")

    def _mosquitto(self, cert: Path, key: Path) -> Path:
        passwords = self._folder / "passwords"
        passwords.touch(mode=0o600)
        passwords.write_text("".join(f"{user}:{secret}\n" for user, secret in self._users.items()))
        tool = shutil.which("mosquitto_passwd") or "/usr/bin/mosquitto_passwd"
        subprocess.run([tool, "-U", str(passwords)], check=True, capture_output=True)
        config = self._folder / "mosquitto.conf"
        owner = "user root\n" if os.geteuid() == 0 else ""
        log = "log_type all\n"
        if self._crowd:
            log = "log_type error\nlog_type information\nconnection_messages false\nmax_queued_messages 0\n"
        config.write_text(
            f"{owner}per_listener_settings true\npersistence true\npersistence_location {self._folder}/\n"
            f"log_dest stderr\n{log}"
            f"listener {self.main} 127.0.0.1\ncertfile {cert}\nkeyfile {key}\npassword_file {passwords}\n"
            f"listener {self.rescue} 127.0.0.1\ncertfile {cert}\nkeyfile {key}\nallow_anonymous true\n"
            f"listener {self.operator} 127.0.0.1\nallow_anonymous true\n"
        )
        return config

    def _mosquitto_up(self) -> bool:
        log = self._folder / "broker.log"
        until = time.monotonic() + 10
        while time.monotonic() < until:
            if log.exists() and re.search(
                r"mosquitto version \S+ running", log.read_text()[self._log_at :]
            ):
                return True
            time.sleep(0.05)
        return False

    def clients(self) -> list[tuple[str, str | None]]:
        """Return (client id, user) of every client that connected, by the broker's own word."""
        if self._kind == "mosquitto":
            text = (self._folder / "broker.log").read_text()
            found = re.findall(
                r"New client connected from \S+ as (\S+) \([^)u]*(?:u'([^']*)')?", text
            )
            return [(name, user or None) for name, user in found]
        now = self._process.events if self._process is not None else []
        return self._ids + [
            (event["id"], event["user"]) for event in now if event["event"] == "client"
        ]

    def stop(self) -> None:
        """Stop; retained messages are kept."""
        if self._process is not None:
            self._ids = self.clients() if self._kind != "mosquitto" else []
            self._process.stop()
            self._process = None

    def restart(self, identity: Identity) -> None:
        """Go down and come up with another certificate."""
        self.stop()
        self.start(identity)
