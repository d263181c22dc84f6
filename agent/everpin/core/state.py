"""The agent's states and transitions, as one table.

Rules: pinned is normal; rescue is a visit to every carrier, one at a time; a device holds one connection at most, so a live
session ends before a rescue starts. The table knows nothing of time or trust: `agent` decides when an event happens, this
file what it means. An event that a state does not list is the caller's mistake.

    IDLE        nothing is open; the next dial or rescue has its time
    CONNECTING  a pinned connection is being made: TCP, TLS with its verdict, MQTT
    ONLINE      a pinned session is up
    CLOSING     the session shall end: reconnect to confirm, or rescue is due
    RESCUING    one carrier is being asked, unverified and without identity
"""

from .errors import MisuseError

IDLE = "idle"
CONNECTING = "connecting"
ONLINE = "online"
CLOSING = "closing"
RESCUING = "rescuing"

DIAL = "dial"  # a pinned connection is due
UP = "up"  # the session is up (an application's own connection comes up from IDLE)
DOWN = "down"  # refused, failed or ended
CLOSE = "close"  # the session shall end
ASK = "ask"  # a carrier's turn
DONE = "done"  # the carrier was asked

TRANSITIONS = {
    IDLE: {DIAL: CONNECTING, UP: ONLINE, DOWN: IDLE, ASK: RESCUING},
    CONNECTING: {UP: ONLINE, DOWN: IDLE},
    ONLINE: {DOWN: IDLE, CLOSE: CLOSING},
    CLOSING: {DOWN: IDLE},
    RESCUING: {DONE: IDLE},
}


def after(state: str, event: str) -> str:
    """Return the state that an event leads to; raise `MisuseError` where the table has none."""
    target = TRANSITIONS[state].get(event)
    if target is None:
        raise MisuseError
    return target
