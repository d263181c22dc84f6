"""The way out of an emulated Pi: some ports of loopback, and nothing else.

The emulator's own network is closed but for these ports. For each connection it starts a program that joins it to a switchboard of
the bench, where a network can be plugged out: connections break then, and new ones find nobody.
"""

import shlex
import sys
from collections.abc import Collection
from pathlib import Path

from ..switchboard import Switchboard

_JOIN = Path(__file__).resolve().parent / "join.py"


class Gates:
    """The ports of loopback that one device reaches."""

    def __init__(self, ports: Collection[int]) -> None:
        self._boards = {port: Switchboard(0) for port in sorted(set(ports))}
        self.switch(True)

    def switch(self, on: bool) -> None:
        """Plug the network in or out."""
        for port, board in self._boards.items():
            board.switch(port if on else None)

    def network(self) -> str:
        """Return the emulator's option for the network: its net is that of loopback, so that addresses are the host's."""
        option = "user,id=net,net=127.0.0.0/8,host=127.0.0.2,dns=127.0.0.3,dhcpstart=127.0.0.16,restrict=on,ipv6=off"
        for port, board in self._boards.items():
            program = shlex.join([sys.executable, "-I", "-S", str(_JOIN), str(board.port)])
            # A comma of the option's own is written twice.
            option += f",guestfwd=tcp:127.0.0.1:{port}-cmd:{program.replace(',', ',,')}"
        return option

    def close(self) -> None:
        """Close every port."""
        for board in self._boards.values():
            board.close()
