"""Signed certificate timestamps: what counts as a promise of a log, and that no list of logs closes a host by itself."""

from hashlib import sha256

import making
import tools
from everpin.core import path_rules, sct, x509

assert path_rules.Rules and sct.count  # loaded now, as on a board
HOST = "api.example"
DURING = making.T0 + 5000
STALE_AT = making.T0 + 70 * 86400
# Each leaf under a policy that asks for one promise by logs a, b and rsa, by a fresh list.
FRESH = (
    ("one", "ok"),
    ("two", "ok"),
    ("list-first", "ok"),
    ("rsa", "ok"),
    ("twice-the-same", "ok"),
    ("with-extensions", "ok"),
    ("by-the-root", "ok"),
    ("in-vain-and-one", "ok"),  # a promise that cannot be read takes no other away
    ("none", "sct"),
    ("stranger", "sct"),
    ("other-issuer", "sct"),
    ("other-certificate", "sct"),
    ("bad-signature", "sct"),
    ("other-time", "sct"),
    ("of-tomorrow", "sct"),  # RFC 6962 section 5.2
    ("version-2", "sct"),
    ("other-algorithm", "sct"),
    ("no-signature", "sct"),
    ("signature-too-long", "sct"),
    ("other-length", "sct"),
    ("cut", "sct"),
    ("a-ninth", "sct"),  # behind what is looked at
    ("list-too-short", "sct"),
    ("list-with-more", "sct"),
    ("list-with-a-byte", "sct"),
    ("list-and-more", "sct"),
    ("list-bare", "sct"),
)
# Policy, leaf, time by a clock that may be believed, outcome.
TABLE = (
    ("fresh-two", "two", DURING, "ok"),
    ("fresh-two", "list-first", DURING, "ok"),
    ("fresh-two", "one", DURING, "sct"),
    ("fresh-two", "twice-the-same", DURING, "sct"),  # two promises of one log
    ("fresh-two", "in-vain-and-one", DURING, "sct"),
    ("fresh-ee", "one", DURING, "ok"),
    ("fresh-ee", "none", DURING, "sct"),
    ("not-asked", "none", DURING, "ok"),
    # What closes nothing: a list that is old, by the second, missing, or that nobody can date.
    ("fresh", "none", STALE_AT - 1, "sct"),
    ("fresh", "none", STALE_AT, "ok"),
    ("fresh", "none", None, "ok"),
    ("stale", "none", DURING, "ok"),
    ("stale", "bad-signature", DURING, "ok"),
    ("missing", "none", DURING, "ok"),
    # A fresh list of others says that these are not wanted.
    ("strangers", "one", DURING, "sct"),
    ("strangers", "stranger", DURING, "ok"),
    ("junk-beside", "one", DURING, "ok"),
    ("junk-beside", "none", DURING, "sct"),
)


def _chain(name):
    found = [tools.data("sct-%s-0.der" % name)]
    if name != "by-the-root":
        found.append(tools.data("sct-%s-1.der" % name))
    return found


def _device(policy, when):
    made = making.agent()
    assert making.give(made, "sct-policy-%s.cbor" % policy) == "accepted"
    if when is not None:
        made.poll(when, "rtc", 1.0)
    return made


def test_a_promise_counts_when_a_listed_log_signed_it_for_this_certificate():
    made = _device("fresh", DURING)
    for name, wanted in FRESH:
        said = made.verdict(HOST, _chain(name), []).name
        assert said == wanted, (name, said)
        made.drain()


def test_how_many_are_asked_and_what_a_list_that_is_old_or_missing_closes():
    made, had = None, None
    for policy, name, when, wanted in TABLE:
        if (policy, when) != had:
            made = None
            made, had = _device(policy, when), (policy, when)
        said = made.verdict(HOST, _chain(name), []).name
        assert said == wanted, (policy, name, when, said)
        made.drain()


def _real():
    logs = {}
    for name in ("icarus", "mammoth"):
        spki = tools.data("sct-real-%s.spki" % name)
        logs[sha256(spki).digest()] = spki
    return tools.data("sct-real.der"), tools.data("sct-real-issuer.spki"), logs


def test_the_promises_of_two_public_logs_are_read():
    raw, issuer, logs = _real()
    leaf = x509.Certificate(raw)
    then = 1538000000  # 2018-09-26T22:13:20Z, an hour after them
    assert sct.count(leaf, issuer, logs, then) == 2
    for log in logs:
        assert sct.count(leaf, issuer, {log: logs[log]}, then) == 1
    assert sct.count(leaf, issuer, {}, then) == 0
    assert sct.count(leaf, logs[log], logs, then) == 0  # not that issuer
    # 20:56:33.769 and .904: to the second that they were made in.
    assert sct.count(leaf, issuer, logs, 1537995393) == 0
    assert sct.count(leaf, issuer, logs, 1537995394) == 2


def test_every_part_of_a_promise_counts():
    raw, issuer, logs = _real()
    leaf = x509.Certificate(raw)
    start, end = leaf.extensions[sct._SCT_LIST]
    then = 1538000000
    for at in range(start, end, 7):
        changed = bytearray(raw)
        changed[at] ^= 1
        found = x509.parsed(bytes(changed))
        # One byte belongs to one promise, or to the list of both.
        assert found is None or sct.count(found, issuer, logs, then) <= 1, at - start
