"""Joins a connection of an emulated Pi to a port of loopback: standard input and output are the connection. `join.py PORT`."""

import os
import socket
import sys
import threading


def main(port: int) -> None:
    """Carry bytes both ways until one side ends."""
    far = socket.create_connection(("127.0.0.1", port), 5)
    far.settimeout(None)
    near = socket.socket(fileno=os.dup(0))

    def carry(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        os._exit(0)

    threading.Thread(target=carry, args=(far, near), daemon=True).start()
    carry(near, far)


if __name__ == "__main__":
    main(int(sys.argv[1]))
