"""What a redrive remembers, in the offset and the metadata of its group."""

from __future__ import annotations

import pytest

from service.kafka.bookmark import ROOM, Mark, decode, encode


@pytest.mark.parametrize(
    "mark",
    [
        Mark(0, frozenset()),
        Mark(20, frozenset()),
        Mark(20, frozenset({3})),
        Mark(20, frozenset({0, 1, 2, 7, 19})),
        Mark(1 << 40, frozenset({(1 << 40) - 5})),
    ],
)
def test_what_is_written_is_read_back(mark):
    assert decode(*encode(mark)) == mark


def test_the_offset_is_the_first_letter_that_was_never_sent():
    assert encode(Mark(20, frozenset({7, 3})))[0] == 3
    assert encode(Mark(20, frozenset()))[0] == 20


def test_what_does_not_fit_is_sent_again_rather_than_never():
    import random

    unsent = frozenset(random.Random(1).sample(range(1_000_000), 20_000))
    offset, metadata = encode(Mark(1_000_000, unsent))
    read = decode(offset, metadata)
    assert len(metadata) <= ROOM
    assert 0 < read.stop < 1_000_000
    assert not [each for each in unsent if read.sent(each)]
    assert read.unsent == {each for each in unsent if each < read.stop}


@pytest.mark.parametrize("metadata", ["", "by hand", "1:", "1:AAAA", "1:####"])
def test_an_offset_set_by_hand_stands_for_itself(metadata):
    assert decode(17, metadata) == Mark(17, frozenset())
