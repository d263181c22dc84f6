"""Rotations as tables (tests/rotations.py): each document meets its error, and a refused one changes not a byte."""

import gc
import json
import os

import making
import tools
from everpin.core import accept, errors, limits
from everpin.core.agent import Agent
from everpin.core.store import REGION_BYTES, Store, provision
from everpin.crypto import _lms  # noqa: F401 (its code is code: a board has it in flash, not in the heap that is measured)
from everpin.ports.fileflash import FileFlash, create


def _play(case):
    gc.collect()
    said = json.loads(tools.data("rotation-%d.json" % case))
    steps = said["steps"]
    root, pins = tools.data(steps[0][0]), tools.data(steps[1][0])
    assert steps[0][1] == "ok" and steps[1][1] == "ok", said["name"]
    trust = accept.first("acme", "meters", root, pins, making.T0)
    version, number = steps[0][2], steps[1][3]
    del root, pins
    for file, want, newer, moved in steps[2:]:
        gc.collect()  # a rotating root with two HSS-LMS signatures takes 5 kB in one piece, several times over
        before = trust.digest()
        try:
            trust, became = accept.document(trust, tools.data(file))
            found = "known" if became == accept.KNOWN else "ok"
        except errors.PeerError as refusal:
            found = refusal.name
        assert found == want, (said["name"], file, found, want)
        assert (trust.digest() == before) == (want != "ok"), (said["name"], file)
        version = newer or version
        number = moved or number
        assert trust.root.version == version, (said["name"], file)
        assert list(trust.pins.number) == number, (said["name"], file)
        assert trust.marks.root_version == version, (said["name"], file)


def _counts():
    return json.loads(tools.data("rotations.json"))


def test_the_rotations_of_root_end_as_their_table_says():
    assert _counts()["root"] == 15
    for case in range(15):
        _play(case)


def test_the_rotations_of_the_rule_for_pins_end_as_their_table_says():
    count = _counts()["pins"]
    assert count >= 10
    for case in range(15, 15 + count):
        _play(case)


def test_contingencies_groups_counts_and_orders_end_as_their_table_says():
    counts = _counts()
    assert counts["all"] - 15 - counts["pins"] >= 30
    for case in range(15 + counts["pins"], counts["all"]):
        _play(case)


def _device(name):
    """Return an agent whose flash is a file: what a long chain writes would not fit the heap of a board."""
    path = os.getenv("EVERPIN_TEST_DATA") + "/" + name
    create(path, REGION_BYTES)
    flash = FileFlash(path, REGION_BYTES)
    provision(flash, tools.data("factory-chain.cbor"), tools.data("secrets.cbor"))
    return flash, Agent(Store(flash), making.Random(), {}, tools.data("device.key"))


def _give(agent, version):
    gc.collect()
    topic = "everpin/1/acme/root/%d" % version
    assert topic in agent.topics()
    return agent.receive(topic, tools.data("chain-%d.cbor" % version))


def test_a_chain_of_64_roots_is_walked_on_one_connection_and_the_65th_on_the_next():
    assert limits.ROOT_WALK_MAX == 64
    flash, agent = _device("chain.img")
    agent.poll(None, "", 0.0)
    agent.online("broker.example")
    for version in range(2, 66):
        assert _give(agent, version) == "root", version
    assert agent.trust.root.version == 65
    before = agent.trust_digest()
    assert _give(agent, 66) == "ignored" and agent.trust_digest() == before
    agent.offline()
    agent.poll(None, "", 1000.0)
    agent.online("broker.example")
    assert _give(agent, 66) == "root"
    # Each step was persisted before the next.
    assert Store(flash).load().root.version == 66
    flash.close()


def test_each_root_is_on_flash_before_the_next_is_asked_for():
    flash, agent = _device("chain-steps.img")
    for version in range(2, 6):
        assert _give(agent, version) == "root"
        assert Store(flash).load().root.version == version
    # A chain that the power interrupts goes on where it was, in another life.
    agent = Agent(Store(flash), making.Random(), {}, tools.data("device.key"))
    assert _give(agent, 6) == "root"
    flash.close()
