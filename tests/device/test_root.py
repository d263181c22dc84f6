"""Root bodies and their keys: one form each, rules that can be met, keys that count once."""

import tools
from everpin.core import errors, keys, root

_X = bytes(range(32))
_Y = bytes(range(1, 33))
ED = {1: 1, 3: -19, -1: 6, -2: _X}
P256 = {1: 2, 3: -9, -1: 1, -2: _X, -3: _Y}
HSS = {1: 5, 3: -46, -1: bytes(60)}


def _with(value, **changes):
    """Return a COSE_Key with parameters changed, by "p1" for 1 and "n2" for -2; None takes one away."""
    made = dict(value)
    for name, found in changes.items():
        label = int(name[1:]) * (-1 if name[0] == "n" else 1)
        if found is None:
            del made[label]
        else:
            made[label] = found
    return made


def _body(**changes):
    made = {1: 1, 2: [ED, P256, HSS], 3: {1: [[1, [0]]], 2: [[1, [0, 1]], [1, [2]]]}}
    for name, found in changes.items():
        made[int(name[1:])] = found
    return made


def test_a_key_has_one_form_for_each_type():
    for value, alg, length in ((ED, -19, 32), (P256, -9, 65), (HSS, -46, 60)):
        key = keys.parse(value)
        assert key.alg == alg and len(key.raw) == length and key.kid == key.digest[:8]
        assert keys.encode(alg, key.raw) == value
    assert keys.parse(_with(HSS, n1=bytes(52))).alg == -46, "hashes of 24 bytes"


def test_every_other_form_of_a_key_is_refused():
    for value in (
        None,
        [],
        {},
        b"",
        _with(ED, p2=b"kid"),  # a second encoding of the same key would be a second key
        _with(ED, p4=[2]),
        _with(ED, n4=_X),  # the private part
        _with(ED, p3=-8),  # polymorphic
        _with(ED, p3=None),
        _with(ED, n1=4),  # X25519
        _with(ED, n2=_X[:31]),
        _with(ED, n2=_X + b"\x00"),
        _with(ED, n2="x" * 32),
        _with(P256, p3=-7),
        _with(P256, n1=2),
        _with(P256, n3=True),  # a compressed point
        _with(P256, n3=None),
        _with(P256, n2=_X + b"\x00"),
        _with(HSS, n1=bytes(56)),
        _with(HSS, p3=-19),
        _with(ED, p1=3),
        _with(ED, p1=True),
    ):
        tools.raises(errors.STRUCTURE, keys.parse, value)


def test_a_root_body_is_read_as_it_is_written():
    found = root.parse(_body(p4=[1, [_X, _Y]]))
    assert found.version == 1 and len(found.keys) == 3
    kids = [key.kid for key in found.keys]
    assert found.rules[root.ROLE_PINS] == [(1, kids[:2]), (1, kids[2:])]
    assert found.commitment == (1, [_X, _Y])
    assert root.parse(_body(p9="a later release")).commitment is None


def test_a_root_body_that_breaks_a_rule_of_structure_is_refused():
    good = {1: [[1, [0]]], 2: [[1, [0]]]}
    for value in (
        None,
        _body(p1=0),
        _body(p1=1 << 32),
        _body(p1="1"),
        _body(p1=True),
        _body(p2=[]),
        _body(p2=[ED, ED], p3=good),
        _body(p2=[_with(ED, n2=bytes([n]) * 32) for n in range(17)]),
        _body(p3={1: [[1, [0]]]}),  # nobody for pins
        _body(p3={1: good[1], 2: good[2], 3: good[1]}),  # a role of a later release
        _body(p3=[good[1], good[2]]),
        _body(p3={1: [], 2: good[2]}),  # a rule that asks for nothing
        _body(p3={1: good[1] * 5, 2: good[2]}),
        _body(p3={1: [[1, []]], 2: good[2]}),
        _body(p3={1: [[0, [0]]], 2: good[2]}),  # a threshold of none
        _body(p3={1: [[2, [0]]], 2: good[2]}),  # one that cannot be met
        _body(p3={1: [[2, [0, 0]]], 2: good[2]}),
        _body(p3={1: [[1, [3]]], 2: good[2]}),  # a key that is not there
        _body(p3={1: [[1, [-1]]], 2: good[2]}),
        _body(p3={1: [[1, [0], 0]], 2: good[2]}),
        _body(p4=[1, []]),
        _body(p4=[0, [_X]]),
        _body(p4=[2, [_X]]),
        _body(p4=[2, [_X, _X]]),
        _body(p4=[1, [_X[:31]]]),
        _body(p4=[1]),
        _body(p24=1),
    ):
        tools.raises(errors.STRUCTURE, root.parse, value)
    tightened = _body()
    tightened[-1] = 1
    tools.raises(errors.UNSUPPORTED, root.parse, tightened)


def test_a_rule_asks_every_group_for_its_threshold_of_distinct_keys():
    rule = [(2, [b"a", b"b", b"c"]), (1, [b"x", b"y"])]
    for kids, met in (
        ([b"a", b"b", b"x"], True),
        ([b"a", b"b", b"c", b"y"], True),
        ([b"a", b"a", b"x"], False),
        ([b"a", b"b"], False),
        ([b"a", b"x", b"y"], False),
        ([b"x"], False),
        ([], False),
    ):
        assert root.satisfied(rule, kids) is met, kids


def test_rules_are_the_same_in_whatever_order_they_are_written():
    one = [(2, [b"a", b"b", b"c"]), (1, [b"x"])]
    assert root.same_rule(one, [(1, [b"x"]), (2, [b"c", b"a", b"b"])])
    for other in (
        [(2, [b"a", b"b", b"c"])],
        [(1, [b"a", b"b", b"c"]), (1, [b"x"])],
        [(2, [b"a", b"b", b"d"]), (1, [b"x"])],
        [(2, [b"a", b"b"]), (1, [b"x"])],
        one + one[:1],
    ):
        assert not root.same_rule(one, other), other


def test_a_contingency_takes_the_next_multiple_of_65536():
    for version, wanted in ((1, 65536), (65535, 65536), (65536, 131072), (131071, 131072)):
        assert root.next_contingency(version) == wanted
