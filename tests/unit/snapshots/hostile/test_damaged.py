"""Damaged data, and data that never was any: one clear error, and no code is run."""

from __future__ import annotations

import json
import pickle
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqla_safe import (
    dumps,
)
from tests.unit.snapshots.hostile.support import (
    fuzz,
    refused,
)


def test_every_truncation_is_refused(data):
    """After each byte."""
    assert all(refused(data[:size]) for size in range(len(data)))


def test_trailing_bytes_are_refused(data):
    """The data ends where it ends."""
    assert refused(data + b"\x00")


@pytest.mark.parametrize(
    "junk",
    [b"", b"\x00", b"\xc1", b"\xff" * 99, b"{}", b"[]", b"null", b"[" * 100_000, b"\x91" * 100_000],
    ids=["empty", "zero", "unused", "ones", "object", "array", "null", "deep json", "deep msgpack"],
)
def test_junk_is_refused(junk):
    """Whatever it looks like."""
    assert refused(junk)


def test_a_pickle_is_refused(shown):
    """And not run."""
    assert refused(pickle.dumps(shown))


class Bomb:
    """Would raise when it is unpickled."""

    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit",)


def test_a_malicious_pickle_is_refused():
    """No code in it is run."""
    assert refused(pickle.dumps(Bomb()))


@fuzz
@given(st.binary(max_size=300))
def test_random_bytes_are_refused(data):
    """One error, whatever the bytes."""
    assert refused(data)


@fuzz
@given(seed=st.integers(0, 2**32))
def test_flipped_bytes_are_refused_or_harmless(data, seed):
    """Some change only a value."""
    flips = random.Random(seed)
    hostile = bytearray(data)
    for _ in range(flips.randint(1, 4)):
        hostile[flips.randrange(len(hostile))] = flips.randrange(256)
    refused(bytes(hostile))


@fuzz
@given(seed=st.integers(0, 2**32))
def test_moved_parts_are_refused_or_harmless(data, seed):
    """Pieces of good data in the wrong places."""
    cuts = random.Random(seed)
    one, two = sorted((cuts.randrange(len(data)), cuts.randrange(len(data))))
    refused(data[:one] + data[two:])
    refused(data[:one] + data[one:two] * 2 + data[two:])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=3), children)
    ),
    max_leaves=20,
)


@fuzz
@given(JSON)
def test_well_formed_documents_of_other_programs_are_refused(document):
    """Right syntax, wrong content."""
    assert refused(json.dumps(document).encode())


@fuzz
@given(data=st.data())
def test_a_document_with_one_wrong_part_is_refused_or_harmless(shown, data):
    """Any node of the tree is replaced by anything."""
    document = msgspec.msgpack.decode(dumps(shown))
    places = [(document, number) for number in range(len(document))]
    for holder, place in places:
        if isinstance(holder[place], list):
            places += [(holder[place], number) for number in range(len(holder[place]))]
    holder, place = data.draw(st.sampled_from(range(len(places))).map(places.__getitem__))
    wrong = data.draw(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats()
        | st.text(max_size=5)
        | st.binary(max_size=5)
        | st.lists(st.integers(-5, 50), max_size=5)
        | st.dictionaries(st.text(max_size=3), st.integers(-9, 9))
    )
    holder[place] = wrong
    refused(msgspec.msgpack.encode(document))
