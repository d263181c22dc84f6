"""Erases over a device's life: two at most for an accepted document, one at most for a confirmation."""

import hashlib
import random
from typing import Any

import pytest
from cutflash import CutFlash
from lives import Random

from everpin.core.agent import Agent
from everpin.core.store import REGION_BYTES, Store, provision
from everpin_sim import documents

DOCUMENTS = 1000
OPS = documents.Signer("ops")
CERT, PIN = documents.certificate("a")


def digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def names(count: int) -> list[str]:
    return [documents.SERVER, *(f"host-{number}.example" for number in range(1, count))]


def pins(s: int, hosts: list[str], padding: int = 0) -> bytes:
    """Return pins with two new backups for each host: nothing is confirmed by itself."""
    body: dict[int, Any] = {
        1: 1,
        2: s,
        3: [
            {1: host, 2: 3, 3: [[PIN, 1], [digest(f"x{s}"), 2], [digest(f"y{s}"), 2]]}
            for host in hosts
        ],
        5: [[documents.SERVER, 8883]],
        6: ["http://mirror.example/pins"],
    }
    if padding:
        body[20] = b"\x5a" * padding
    return documents.signed(documents.PINS, documents.CHANNEL, body, [OPS], documents.T0 + s)


class Field:
    """A device in the field, and what its documents and confirmations cost."""

    def __init__(self, hosts: list[str]) -> None:
        root = documents.root(1, [OPS], ([1, [0]], [1, [0]]), [OPS])
        self.flash = CutFlash(REGION_BYTES)
        self.flash.log = None
        provision(self.flash, documents.factory(root, pins(1, hosts)), b"sealed")
        self.accepted: list[int] = []
        self.confirmed: list[int] = []
        self.boot()

    def boot(self) -> None:
        self.agent = Agent(Store(self.flash), Random())

    def take(self, document: bytes) -> None:
        before = self.flash.erases
        assert self.agent.receive(documents.pins_topic(), document) == "accepted"
        self.accepted.append(self.flash.erases - before)

    def shake(self, host: str) -> None:
        before = self.flash.erases
        self.agent.completed(self.agent.verdict(host, [CERT]))
        assert self.agent.trust.confirmed(host)
        self.confirmed.append(self.flash.erases - before)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 8])
def test_a_thousand_documents_cost_two_erases_each_at_most_and_a_confirmation_one(
    count: int,
) -> None:
    hosts = names(count)
    field = Field(hosts)
    for s in range(2, DOCUMENTS + 2):
        field.take(pins(s, hosts))
        for host in hosts:
            field.shake(host)
    assert (max(field.accepted), max(field.confirmed)) == (2, 1)
    assert sum(field.accepted) <= 2 * DOCUMENTS
    # One host: a commit of 300 bytes enters a sector of either ring only now and then.
    if count == 1:
        assert sum(field.accepted) + sum(field.confirmed) < 1.4 * DOCUMENTS


@pytest.mark.parametrize("seed", range(2))
def test_no_mixture_of_documents_confirmations_and_boots_costs_more(seed: int) -> None:
    mixed = random.Random(seed)
    every = names(12)
    field = Field(every[:1])
    for s in range(2, DOCUMENTS + 2):
        hosts = every[: mixed.randint(1, len(every))]
        field.take(pins(s, hosts))
        for host in hosts:
            if mixed.random() < 0.3:
                field.shake(host)
        if mixed.random() < 0.1:
            field.boot()
    assert (max(field.accepted), max(field.confirmed)) == (2, 1)


@pytest.mark.parametrize(("bytes_", "erases"), [(4052, 2), (4053, 3), (8148, 3)])
def test_a_document_of_a_sector_less_its_header_costs_two_and_a_longer_one_more(
    bytes_: int, erases: int
) -> None:
    hosts = names(1)
    field = Field(hosts)
    for s in range(2, 42):
        bare = len(pins(s, hosts, 1000))
        document = pins(s, hosts, 1000 + bytes_ - bare)
        assert len(document) == bytes_
        field.take(document)
        field.shake(hosts[0])
    assert max(field.accepted) == erases
