"""What the agent costs on this board: everpin_sim/mcu_figures.py calls a function at the prompt, and the line here is its answer.

"ticks" are of the board's clock without what was spent waiting; "said" is what the agent said to it.
"""

import gc
import json
import os

import board
import onboard

from everpin.core.agent import Agent
from everpin.core.store import Store, provision
from everpin.ports.dial import dial
from everpin.ports.micropython import tls

_TIMEOUT_S = 60

_agent = None


def _window(name):
    return bytes(dict(onboard.files())[name])


def _timed(what, *args):
    gc.collect()
    start = board.busy_ticks()
    said = what(*args)
    ticks = board.busy_ticks() - start
    gc.collect()
    print("\n" + json.dumps({"said": said, "ticks": ticks}))


def start():
    """Make the device and start its agent."""
    global _agent
    onboard.make()
    flash = onboard.flash()
    provision(flash, _window("factory.cbor"), b"")
    _agent = Agent(Store(flash), os.urandom)
    _timed(_agent.trust_digest().hex)


def document(topic, name):
    """Give the agent a document."""
    _timed(_agent.receive, topic, _window(name))


def pin(host, name):
    """Ask for the verdict on a certificate."""
    _timed(_verdict, host, _window(name))


def _verdict(host, der):
    return _agent.verdict(host, [der]).name


def handshake(host, port):
    """Do a TLS handshake, with the verdict inside it, and exchange some bytes when it is done."""
    sock = dial(host, port, _TIMEOUT_S)
    held = []
    _timed(_wrap, sock, host, held)
    for stream in held:
        stream.write(b"hello")
        print("\n" + json.dumps({"read": stream.read(4).hex()}))
        stream.close()


def _wrap(sock, host, held):
    try:
        held.append(tls.wrap(sock, _agent, host))
    except tls.PinRefused as refused:
        return refused.verdict.name
    return "ok"


def digest():
    """Say which trust is in force."""
    _timed(_agent.trust_digest().hex)
