"""A provisioned device in memory, for the device tests."""

import gc

import tools
from everpin.core.agent import Agent
from everpin.core.store import Store, provision
from memflash import MemFlash

T0 = 1_790_000_000


class Random:
    """Counts up: what needs unpredictable bytes gets different ones, the same in each run."""

    def __init__(self):
        self.count = 0

    def __call__(self, length):
        self.count += 1
        return (self.count.to_bytes(4, "big") * (length // 4 + 1))[:length]


def flash(factory="factory.cbor"):
    gc.collect()  # of the devices before this one: a small heap fragments
    made = MemFlash()
    provision(made, tools.data(factory), tools.data("secrets.cbor"))
    return made


def agent(on=None, timing=None):
    store = Store(on if on is not None else flash())
    return Agent(store, Random(), timing, tools.data("device.key"))


def bucket_topic(made):
    return made.topics()[2]


def give(made, name, via=""):
    """Hand a document to the agent on its bucket's topic; return what became of it."""
    gc.collect()  # as the runner does after each message
    return made.receive(bucket_topic(made), tools.data(name), via)


def shake(made, cert, host="broker.example"):
    """Do what a TLS port does in a handshake with a peer that serves one certificate; return the verdict."""
    found = made.verdict(host, [tools.data(cert)])
    if found.accepted:
        made.completed(found)
    return found
