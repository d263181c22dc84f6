"""Log lines of programs that run for long: an event for people, or one JSON object, on standard output; each is flushed."""

import json
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _plain(value: "Any") -> "Any":
    return value.hex() if isinstance(value, bytes) else value


def emit(event: "dict[str, Any]", as_json: bool) -> None:
    """Print one event: a map with "event"."""
    if as_json:
        line = json.dumps(event, default=_plain, sort_keys=True)
    else:
        said = " ".join(
            f"{key}={_plain(value)}"
            for key, value in sorted(event.items())
            if key not in ("event", "trust_digest")
        )
        line = f"{time.strftime('%H:%M:%S')} {event['event']} {said}"
    print(line, flush=True)
