"""Usages 0 to 2: what a path must be for a pin to match on it, and what may stand in when none matches."""

import gc
import os

import making
import tools
from everpin.core import chain as chains
from everpin.core import host, limits, path_rules, verdict
from everpin.core.errors import MisuseError, PeerError

HOST = "api.example"
assert path_rules.Rules  # loaded now: a board has it in flash, and the harness makes room for it
T0 = making.T0
DURING = T0 + 5000
PAST = T0 + 2 * 365 * 86400

# Policy, what is served, time by a clock that may be believed (None: none), whether the runtime's own check passed (None: it did
# not, or was not asked; "own": the runtime has none beside ours), and what must come of it: "ok" for an enforced match, a mode for
# what is accepted without one, else the error.
TABLE = (
    # ---- usage 2: a verified path to a pinned anchor; names, and dates only where that is said ----
    ("ta", "good", None, None, "ok"),
    ("ta", "with-root", None, None, "ok"),
    ("ta", "reordered", None, None, "ok"),
    ("ta", "superfluous", None, None, "ok"),
    ("ta", "two-of-one-name", None, None, "ok"),
    ("ta", "same-key-twice", None, None, "ok"),
    ("ta", "old-middle", None, None, "ok"),  # expired, and still signed
    ("ta", "renewed", None, None, "ok"),
    ("ta", "new-key", None, None, "ok"),
    ("ta", "longer", None, None, "ok"),
    ("ta", "middle-for-example", None, None, "ok"),
    ("ta", "expired", PAST, None, "ok"),
    ("ta", "not-yet", DURING, None, "ok"),
    ("ta", "missing", None, None, "no-path"),
    ("ta", "crossed", None, None, "no-path"),
    ("ta-other", "crossed", None, None, "ok"),
    ("ta-other", "good", None, None, "no-path"),
    ("ta-both-anchors", "good", None, None, "ok"),
    ("ta-both-anchors", "crossed", None, None, "ok"),
    ("ta-unpinned-anchor", "good", None, None, "no-path"),
    # CVE-2016-2402, in several ways.
    ("ta", "forged", None, None, "no-path"),
    ("ta", "forged-with-root", None, None, "no-path"),
    ("ta", "forged-same-key", None, None, "no-path"),
    ("ta", "sub-ca-that-is-none", None, None, "no-path"),
    ("ta", "self-signed", None, None, "no-path"),
    ("ta", "stranger", None, None, "no-path"),
    ("ta", "middle-ca-false", None, None, "no-path"),
    ("ta", "middle-may-not-sign", None, None, "no-path"),
    ("ta", "middle-unknown-critical", None, None, "no-path"),
    ("ta", "middle-for-elsewhere", None, None, "no-path"),
    ("ta", "middle-for-clients", None, None, "no-path"),
    ("ta", "middle-for-anything", None, None, "ok"),
    ("ta", "middle-excludes-junk", None, None, "no-path"),
    ("ta", "middle-excludes-a-wildcard", None, None, "no-path"),
    ("ta", "middle-excludes-half-an-address", None, None, "no-path"),
    ("ta", "path-too-long", None, None, "no-path"),
    ("ta", "wrong-name", None, None, "wrong-name"),
    ("ta", "common-name-only", None, None, "wrong-name"),
    ("ta", "for-clients", None, None, "purpose"),
    ("ta", "leaf-that-signs", None, None, "purpose"),
    ("ta", "leaf-unknown-critical", None, None, "purpose"),
    ("ta", "depth-6", None, None, "ok"),
    ("ta", "depth-7", None, None, "no-path"),
    ("ta", "all-of-one-name", None, None, "no-path"),
    ("ta-dates", "good", DURING, None, "ok"),
    ("ta-dates", "expired", DURING, None, "dates"),
    ("ta-dates", "not-yet", DURING, None, "dates"),
    ("ta-dates", "old-middle", DURING, None, "dates"),
    ("ta-dates", "same-key-twice", DURING, None, "ok"),  # one of the two is still valid
    ("ta-dates", "expired", None, None, "ok"),  # nobody knows the time
    ("ta-forbids-middle", "good", None, None, "forbidden"),
    ("ta-and-leaf", "good", None, None, "ok"),
    ("ta-and-leaf", "new-key", None, None, "pin-mismatch"),
    # A pinned intermediate that is served is an anchor; one that only names itself so is none.
    ("ta-middle", "good", None, None, "ok"),
    ("ta-middle", "old-middle", None, None, "ok"),
    ("ta-middle", "missing", None, None, "no-path"),
    ("ta-middle", "forged", None, None, "no-path"),
    ("ta-middle", "middle-ca-false", None, None, "no-path"),
    ("ta-middle", "middle-for-clients", None, None, "no-path"),
    ("ta-middle", "sub-ca-that-is-none", None, None, "no-path"),
    # ---- usage 1: PKIX, and the leaf's key ----
    ("ee", "good", None, "own", "ok"),
    ("ee", "good", DURING, "own", "ok"),
    ("ee", "good", None, None, "pkix"),
    ("ee", "renewed", None, "own", "ok"),
    ("ee", "new-key", None, "own", "pin-mismatch"),
    ("ee-other", "good", None, "own", "pin-mismatch"),
    ("ee", "self-signed", None, "own", "no-path"),
    ("ee", "forged-same-key", None, "own", "no-path"),
    ("ee", "wrong-name", None, "own", "wrong-name"),
    ("ee", "expired", DURING, "own", "dates"),
    ("ee", "expired", None, "own", "ok"),
    ("ee-and-ca", "good", None, "own", "ok"),
    ("ee-and-ca", "new-key", None, "own", "pin-mismatch"),
    ("ee-and-other-ca", "good", None, "own", "pin-mismatch"),
    # ---- usage 0: PKIX, and a key on the path ----
    ("ca", "good", None, "own", "ok"),
    ("ca", "new-key", None, "own", "ok"),
    ("ca", "longer", None, "own", "ok"),
    ("ca", "good", None, None, "pkix"),
    ("ca", "forged", None, "own", "no-path"),
    ("ca", "expired", DURING, "own", "dates"),
    ("ca", "wrong-name", None, "own", "wrong-name"),
    ("ca-leaf", "good", None, "own", "ok"),
    ("ca-other", "good", None, "own", "pin-mismatch"),
    ("ca-other", "superfluous", None, "own", "pin-mismatch"),  # served, and on no path
    # ---- what may stand in ----
    ("ca-report-only", "good", None, "own", "report-only"),
    (
        "ca-report-only",
        "good",
        None,
        None,
        "pkix",
    ),  # it relaxes the pin, not the runtime's own check
    ("ca-expires-store", "good", DURING, "own", "trust-store"),
    ("ca-expires-store", "good", DURING, None, "pkix"),
    ("ca-report-only", "forged", None, "own", "no-path"),
    ("ca-report-only", "wrong-name", None, "own", "wrong-name"),
    ("ca-report-only", "expired", DURING, "own", "dates"),
    ("dane-report-only", "good", None, None, "report-only"),
    ("dane-report-only", "self-signed", None, None, "pin-mismatch"),
    ("dane-report-only", "forged", None, None, "pin-mismatch"),
    ("dane-report-only", "expired", DURING, None, "pin-mismatch"),
    ("expires-store", "good", T0 + 999, None, "pin-mismatch"),
    ("expires-store", "good", T0 + 1000, None, "trust-store"),
    ("expires-store", "good", None, None, "pin-mismatch"),
    ("expires-store", "self-signed", DURING, None, "pin-mismatch"),
    ("expires-store", "forged", DURING, None, "pin-mismatch"),
    ("expires-store", "wrong-name", DURING, None, "pin-mismatch"),
    ("expires-keep", "self-signed", PAST, None, "ok"),
    ("expires-keep", "new-key", PAST, None, "pin-mismatch"),
    ("expires-closed", "self-signed", T0 + 999, None, "ok"),
    ("expires-closed", "self-signed", T0 + 1000, None, "closed"),
    ("expires-closed", "self-signed", None, None, "ok"),
    ("closed-report-only", "good", T0 + 999, None, "report-only"),
    ("closed-report-only", "good", DURING, None, "closed"),
    ("unlisted-broker", "good", None, "own", "unlisted!"),  # the update channel
    ("unlisted", "good", None, "own", "unlisted"),
    ("unlisted", "good", None, None, "pkix"),
    ("unlisted", "forged", None, "own", "no-path"),
    ("unlisted", "expired", DURING, "own", "dates"),
    ("unlisted-refused", "good", None, "own", "unlisted!"),
    ("dane", "self-signed", PAST, None, "ok"),
    (
        "dane",
        "forged-same-key",
        None,
        None,
        "ok",
    ),  # the handshake proves the leaf's key; no path is asked for
    ("dane", "new-key", None, None, "pin-mismatch"),
    ("dane-managed", "inspected", None, None, "pin-mismatch"),  # an ordinary device
)


def _chain(name):
    found = []
    while True:
        path = "chain-%s-%d.der" % (name, len(found))
        try:
            os.stat(os.getenv("EVERPIN_TEST_DATA") + "/" + path)
        except OSError:
            return found
        found.append(tools.data(path))


def _with(policy, factory="factory.cbor"):
    gc.collect()  # callers have let the last one go: one device at a time fits the heap
    made = making.agent(making.flash(factory))
    became = making.give(made, "policy-%s.cbor" % policy)
    assert became == "accepted", (policy, became)
    return made


def _said(made, chain, when, platform, where=HOST):
    if when is not None:
        made.poll(when, "rtc", 1.0)
    found = made.verdict(where, _chain(chain), None if platform is None else [])
    if not found.accepted:
        return found.name + "!" if found.name in ("unlisted",) else found.name
    return "ok" if found.mode == verdict.ENFORCED else found.mode


def _play(rows):
    made, had = None, ""
    for policy, chain, when, platform, wanted in rows:
        if policy != had or when is not None:
            made = None  # there is room for one
            made, had = _with(policy), policy
        said = _said(made, chain, when, platform)
        assert said == wanted, (policy, chain, when, platform, said)
        if when is not None:
            had = ""


def test_usage_2_takes_verified_paths_to_pinned_anchors_alone():
    _play([row for row in TABLE if row[0][:2] == "ta"])


def test_usage_1_is_pkix_and_the_leafs_key():
    _play([row for row in TABLE if row[0][:2] == "ee"])


def test_usage_0_is_pkix_and_a_key_on_the_path():
    _play([row for row in TABLE if row[0][:2] == "ca"])


def test_what_stands_in_for_a_pin_needs_a_path_and_is_told():
    _play([row for row in TABLE if row[0][:2] not in ("ta", "ee", "ca")])


def test_nothing_relaxes_the_update_channel():
    made = _with("broker")
    made.poll(DURING, "rtc", 1.0)
    for chain in ("broker", "broker-inspected"):
        assert made.verdict("broker.example", _chain(chain), []).name == "pin-mismatch"
    # Its pins go on though they have expired: a broker that nobody may talk to could never be put right.
    made = None
    made = _with("broker", "factory-managed.cbor")
    assert not made.verdict("broker.example", _chain("broker-inspected"), []).accepted


def test_an_inspection_ca_stands_in_on_managed_devices_for_hosts_that_say_so():
    made = _with("dane-managed", "factory-managed.cbor")
    found = made.verdict(HOST, _chain("inspected"))
    assert found.accepted and found.mode == verdict.MANAGED
    made.completed(found)
    assert made.trust.unconfirmed() == [HOST]  # nothing was confirmed
    for policy in ("dane-other", "ca-report-only", "unlisted", "expires-store"):
        made, found, platform = None, None, None
        made = _with(policy, "factory-managed.cbor")
        made.poll(DURING, "rtc", 1.0)
        # Neither by our path nor where the runtime, which knows the CA for other hosts' sake, found one.
        for platform in ([], _chain("inspected") + _chain("inspection-ca")):
            assert not made.verdict(HOST, _chain("inspected"), platform).accepted, policy


def test_what_is_closed_is_closed_for_all_that_would_stand_in_as_well():
    made = _with("managed-closed", "factory-managed.cbor")
    assert made.verdict(HOST, _chain("inspected")).mode == verdict.MANAGED
    made.poll(DURING, "rtc", 1.0)
    for chain in ("inspected", "good"):
        found = made.verdict(HOST, _chain(chain), [])
        assert not found.accepted and found.name == "closed"


def test_only_an_enforced_match_confirms():
    made = _with("ta")
    found = made.verdict(HOST, _chain("good"))
    assert found.path == [tools_pin(0), tools_pin(1), tools_pin(2)]
    assert made.trust.unconfirmed() == [HOST]
    made.completed(found)
    assert made.trust.unconfirmed() == []
    for policy, mode in (("dane-report-only", "report-only"), ("expires-store", "trust-store")):
        made = None
        made = _with(policy)
        made.poll(DURING, "rtc", 1.0)
        found = made.verdict(HOST, _chain("good"))
        assert found.mode == mode
        made.completed(found)
        assert made.trust.unconfirmed() == [HOST]
        kinds = [event[1] for event in made.events.copy()]
        assert {"report-only": 10, "trust-store": 9}[mode] in kinds


def tools_pin(depth):
    from hashlib import sha256

    from everpin.core import x509

    return sha256(x509.Certificate(_chain("with-root")[depth]).spki).digest()


def test_a_base_keeps_the_anchors_of_its_own_document_also_over_a_reboot():
    flash = making.flash()
    made = making.agent(flash)
    assert making.give(made, "policy-ta.cbor") == "accepted"
    made.completed(made.verdict(HOST, _chain("good")))
    assert making.give(made, "policy-ta-then-other.cbor") == "accepted"
    for _ in range(2):
        found = made.verdict(HOST, _chain("good"))
        assert found.accepted and found.by == verdict.BASE
        made = None  # one at a time: the heap is small
        gc.collect()
        made = making.agent(flash)
    assert making.give(made, "policy-ta-then-root.cbor") == "accepted"
    made = None
    gc.collect()
    again = making.agent(flash)
    again.completed(again.verdict(HOST, _chain("good")))
    assert again.verdict(HOST, _chain("good")).by == verdict.NEWEST


def test_a_host_that_closes_is_closed_for_its_base_as_well():
    made = _with("dane")
    made.completed(made.verdict(HOST, _chain("good")))
    assert making.give(made, "policy-dane-then-closed.cbor") == "accepted"
    made.poll(T0 + 999, "rtc", 1.0)
    assert made.verdict(HOST, _chain("good")).by == verdict.BASE
    # Else an entry that nobody ever confirmed would keep the older one open for good.
    made.poll(T0 + 1000, "rtc", 2.0)
    found = made.verdict(HOST, _chain("good"))
    assert not found.accepted and found.name == "closed"


def test_expiry_ends_live_sessions_once_and_is_told():
    made = _with("expires-closed")
    before = made.generation
    made.poll(T0 + 999, "rtc", 1.0)
    assert made.generation == before
    made.poll(T0 + 1000, "ntp", 2.0)  # a clock that nobody named
    assert made.generation == before
    made.poll(T0 + 1000, "rtc", 3.0)
    assert made.generation == before + 1
    made.poll(T0 + 1001, "rtc", 4.0)
    assert made.generation == before + 1
    assert 8 in [event[1] for event in made.events.copy()]


def test_a_path_is_bounded():
    junk = bytes(4000)  # first: a small heap fragments
    leaf, middle = _chain("good")
    made = _with("ta")
    assert made.verdict(HOST, [leaf] + [middle] * 7).accepted
    assert made.verdict(HOST, [leaf] + [middle] * 8).name == "no-certificate"
    assert made.verdict(HOST, [leaf, middle] + [junk] * 3).accepted
    assert made.verdict(HOST, [leaf, middle] + [junk] * 4).name == "no-certificate"
    assert made.verdict(HOST, [leaf, b"junk", middle]).accepted


def test_the_work_for_one_chain_is_bounded():
    made = _with("ta")
    counted = []
    signed_by = chains.signed_by

    def count(child, spki):
        counted.append(1)
        return signed_by(child, spki)

    chains.signed_by = count
    try:
        assert made.verdict(HOST, _chain("all-of-one-name")).name == "no-path"
    finally:
        chains.signed_by = signed_by
    assert len(counted) == limits.LINK_CHECKS_MAX


def test_addresses_and_wildcards_are_names_as_well():
    leaf, middle = _chain("good")
    made = _with("ta")
    entry = made.trust.pins.host(HOST)
    for where, wanted in (
        ("x.w.example", True),
        ("192.0.2.7", True),
        ("2001:db8::7", True),
        ("w.example", False),
        ("a.b.w.example", False),
        ("192.0.2.8", False),
    ):
        entry.name = where
        found = made.verdict(where, [leaf, middle])
        assert found.accepted == wanted, where
        assert wanted or found.name == "wrong-name"


def test_a_refused_verdict_completes_nothing():
    made = _with("ta")
    found = made.verdict(HOST, _chain("forged"))
    try:
        made.completed(found)
    except MisuseError:
        return
    raise AssertionError("a refused peer was taken for a completed handshake")


def test_entries_that_differ_in_the_runtimes_check_take_turns():
    made = _with("ta")
    assert [made.platform(HOST) for _ in range(3)] == [False, False, False]
    made = _with("ca")
    assert [made.platform(HOST) for _ in range(3)] == [True, True, True]
    made.completed(made.verdict(HOST, _chain("good"), []))
    assert making.give(made, "policy-ta-then-other.cbor") == "accepted"
    assert [made.platform(HOST) for _ in range(4)] == [False, True, False, True]
    assert not made.platform("broker.example")
    assert _with("unlisted").platform("anything.example")


def test_entries_that_differ_in_more_than_pins_are_not_the_same():
    plain = host.parse_host({1: HOST, 2: 1, 3: [[b"a" * 32, 1], [b"b" * 32, 1]]})
    for fields in ({-4: True}, {-5: 1}, {2: 0}):
        other = dict(plain.raw)
        other.update(fields)
        assert not host.parse_host(other).same(plain)
    for fields in ({4: True}, {5: True}, {6: [T0, 1]}):
        other = dict(plain.raw)
        other.update(fields)
        assert host.parse_host(other).same(plain)
    tools.raises(PeerError, host.parse_host, {1: HOST})
