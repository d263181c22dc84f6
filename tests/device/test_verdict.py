"""Usage 3: the leaf's key is pinned, and nothing else is looked at."""

import making
import tools
from everpin.core import host as hosts_of
from everpin.core import verdict


def _decide(host, chain):
    return verdict.decide(making.agent().trust, host, chain)


def test_a_pinned_leaf_is_accepted_though_its_certificate_expired_and_names_someone_else():
    found = _decide("broker.example", [tools.data("cert-a.der")])
    assert found.accepted and found.why == 0 and found.pin == tools.data("pin-a.bin")
    assert found.usage == 3 and found.by == "newest"


def test_a_key_that_is_not_pinned_is_refused():
    found = _decide("broker.example", [tools.data("cert-b.der")])
    assert not found.accepted and found.name == "pin-mismatch"


def test_a_pinned_certificate_that_is_not_the_leaf_is_no_match():
    found = _decide("broker.example", [tools.data("cert-b.der"), tools.data("cert-a.der")])
    assert not found.accepted and found.name == "pin-mismatch"


def test_no_certificate_and_an_unreadable_one_are_refused():
    for chain in (
        [],
        [b""],
        [b"junk"],
        [tools.data("cert-a.der")[:-1]],
        [tools.data("cert-a.der") + b"\x00"],
    ):
        found = _decide("broker.example", chain)
        assert not found.accepted and found.name == "no-certificate"


def test_a_host_that_is_not_listed_is_refused():
    for host in ("other.example", "sub.broker.example", "127.0.0.1", ""):
        assert _decide(host, [tools.data("cert-a.der")]).name == "unlisted"


def test_names_are_matched_without_case_and_without_the_roots_dot():
    for host in ("BROKER.example", "broker.example."):
        assert _decide(host, [tools.data("cert-a.der")]).accepted


def test_subdomains_match_whole_labels_only_and_never_addresses():
    agent = making.agent()
    making.give(agent, "pins-9-api.cbor")
    for host, listed in (
        ("api.example", True),
        ("x.api.example", True),
        ("x.y.api.example", True),
        ("xapi.example", False),
        ("example", False),
        ("x.broker.example", False),
    ):
        found = verdict.decide(agent.trust, host, [tools.data("cert-a.der")])
        assert (found.name != "unlisted") == listed, host


def test_a_longer_match_wins_over_its_parent():
    agent = making.agent()
    making.give(agent, "pins-10-narrowed.cbor")
    found = verdict.decide(agent.trust, "x.api.example", [tools.data("cert-c.der")])
    assert found.accepted and found.entry == "x.api.example"
    assert not verdict.decide(agent.trust, "y.api.example", [tools.data("cert-c.der")]).accepted


def _parent(name):
    return hosts_of.parse_host({1: name, 2: 3, 3: [[b"a" * 32, 1], [b"b" * 32, 2]], 4: True})


def test_the_end_of_an_address_is_no_parent_of_it():
    assert hosts_of.match([_parent("0.0.1"), _parent("1")], "127.0.0.1") is None
    assert hosts_of.match([_parent("1")], "x.1") is not None


def test_the_longest_of_two_parents_wins_in_whatever_order_they_stand():
    short, long = _parent("example"), _parent("api.example")
    for hosts in ([short, long], [long, short]):
        assert hosts_of.match(hosts, "x.api.example") is long
        assert hosts_of.match(hosts, "x.example") is short
