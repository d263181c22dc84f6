"""The device's CBOR beside a second implementation: whatever it accepts, cbor2 reads and writes the same."""

import contextlib
import tracemalloc
from typing import Any

import cbor2
from hypothesis import given, settings
from hypothesis import strategies as st

from everpin.core import cbor, errors

# Keys in -24..23: cbor2's canonical order is by length first (RFC 7049), ours bytewise (RFC 8949); there both agree.
_leaf = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 64), (1 << 64) - 1),
    st.binary(max_size=40),
    st.text(max_size=20),
)
_values = st.recursive(
    _leaf,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.integers(-24, 23) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=12,
)


@given(_values)
@settings(deadline=None)
def test_what_we_write_is_cbor2s_canonical_encoding(value: Any) -> None:
    try:
        data = cbor.dumps(value)
    except errors.MisuseError:
        return  # nested beyond the bound
    assert cbor2.dumps(value, canonical=True) == data
    assert cbor.loads(data) == value


@given(st.binary(max_size=40))
@settings(deadline=None, max_examples=500)
def test_any_bytes_give_a_value_that_is_written_the_same_or_the_one_error(data: bytes) -> None:
    try:
        value = cbor.loads(data)
    except errors.PeerError:
        return
    assert cbor.dumps(value) == data


@given(_values, st.data())
@settings(deadline=None, max_examples=300)
def test_a_changed_byte_is_refused_or_means_what_cbor2_says(
    value: Any, chosen: st.DataObject
) -> None:
    data = bytearray(cbor2.dumps(value, canonical=True))
    at = chosen.draw(st.integers(0, len(data) - 1))
    data[at] ^= 1 << chosen.draw(st.integers(0, 7))
    try:
        found = cbor.loads(bytes(data))
    except errors.PeerError:
        return
    if not isinstance(found, cbor.Tag):
        assert cbor.dumps(found) == bytes(data)


def test_announced_lengths_allocate_nothing() -> None:
    tracemalloc.start()
    try:
        for data in (
            b"\x5a\x10\x00\x00\x00",
            b"\x9a\x10\x00\x00\x00",
            b"\xba\x10\x00\x00\x00",
            b"\x7b" + b"\x7f" * 8,
        ):
            with contextlib.suppress(errors.PeerError):
                cbor.loads(data)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
