"""Sealed secrets: one device's key opens one device's record, and what does not open stops nothing."""

import making
import tools
from everpin.core import cbor, errors, sealing
from everpin.core.agent import Agent
from everpin.core.store import Store
from everpin.crypto import ccm


def _open(data, key=None, fleet="acme", device="meter-1"):
    return sealing.open_sealed(key or tools.data("device.key"), fleet, device, data)


def test_a_record_opens_for_its_own_device_alone():
    data = tools.data("secrets.cbor")
    assert cbor.loads(_open(data)) == {2: "meter-1", 3: "password"}
    for how in (
        (b"x" * 32, "acme", "meter-1"),
        (None, "other", "meter-1"),
        (None, "acme", "meter-2"),
        (tools.data("report.key"), "acme", "meter-1"),  # who collects reports opens no secrets
    ):
        tools.raises(errors.SEALED, _open, data, *how)


def test_every_byte_of_a_record_counts():
    data = bytearray(tools.data("secrets.cbor"))
    for at in range(len(data)):
        data[at] ^= 1 << at % 8
        tools.raises(errors.SEALED, _open, bytes(data))
        data[at] ^= 1 << at % 8
    for length in range(len(data)):
        tools.raises(errors.SEALED, _open, bytes(data[:length]))


def test_a_record_has_one_shape_and_one_algorithm():
    protected, unprotected, sealed = cbor.loads(tools.data("secrets.cbor")).value
    for parts in (
        [protected, unprotected],
        [protected, {}, sealed],
        [protected, {5: b"n" * 12}, sealed],
        [protected, {5: 1}, sealed],
        [protected, [], sealed],
        [cbor.dumps({1: 30}), unprotected, sealed],  # a tag of 8 bytes would be easier to guess
        [b"", unprotected, sealed],
        [protected, unprotected, b""],
        [protected, unprotected, 7],
    ):
        tools.raises(errors.SEALED, _open, cbor.dumps(cbor.Tag(16, parts)))
    # Sealed by the right key, and still of another algorithm.
    key = sealing._key(tools.data("device.key"), "seal", "acme", "meter-1")
    other = cbor.dumps({1: 30})
    made = ccm.seal(key, unprotected[5], sealing._aad(other, "acme", "meter-1"), b"\xa0", 16)
    tools.raises(errors.SEALED, _open, cbor.dumps(cbor.Tag(16, [other, unprotected, made])))
    tools.raises(errors.SEALED, _open, cbor.dumps([protected, unprotected, sealed]))
    tools.raises(errors.SEALED, _open, cbor.dumps(cbor.Tag(96, [protected, unprotected, sealed])))


def test_what_is_sealed_here_opens_here_and_no_two_nonces_say_the_same():
    key = tools.data("device.key")
    one = sealing.seal(key, "acme", "meter-1", b"1" * 13, b"secret")
    other = sealing.seal(key, "acme", "meter-1", b"2" * 13, b"secret")
    assert _open(one) == _open(other) == b"secret"
    assert cbor.loads(one).value[2] != cbor.loads(other).value[2]


def test_a_board_that_was_swapped_or_lost_its_key_keeps_its_trust_and_has_no_identity():
    flash = making.flash()
    making.give(making.agent(flash), "pins-2.cbor")
    for key in (None, b"x" * 32):
        agent = Agent(Store(flash), making.Random(), None, key)
        assert agent.secrets is None and agent.number == (1, 2)
        assert making.shake(agent, "cert-a.der").accepted
        making.give(agent, "bad-unsigned.cbor")
        if key is None:
            assert agent.outbox() == [], "no key, no report: an unauthentic one is worth nothing"
        assert making.give(agent, "pins-2.cbor") == "known"
