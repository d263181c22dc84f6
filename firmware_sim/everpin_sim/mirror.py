"""A plain HTTP mirror: a static folder, and a log of every byte that was asked."""

import http.server
import sys
import threading
from pathlib import Path
from typing import Any


class Mirror:
    """Serves `folder` on loopback; `requests` holds each request line and its headers."""

    def __init__(self, folder: Path, port: int) -> None:
        self.requests: list[str] = []
        seen = self.requests

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, directory=str(folder), **kwargs)

            def do_GET(self) -> None:
                seen.append(f"{self.requestline}\n{self.headers}")
                super().do_GET()

            def log_message(self, *unused: Any) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                if not isinstance(sys.exception(), OSError):  # else: a client that went away
                    super().handle_error(request, client_address)

        self._server = Server(("127.0.0.1", port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
