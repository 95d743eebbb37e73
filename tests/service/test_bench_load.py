"""What the bench sends."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time

import pytest
import soundfile
from PIL import Image

from service.bench.cpu import machine_seconds, tree_seconds
from service.bench.load import DISTINCT, KINDS, Kind, distinct, stream


@pytest.mark.parametrize("kind", KINDS)
def test_events_are_distinct_and_keys_unique_even_when_events_come_round_again(kind: Kind) -> None:
    events = list(stream(kind, DISTINCT[kind] + 10))
    assert len({event.key for event in events}) == len(events)
    assert len({event.value for event in events}) == DISTINCT[kind]


def test_a_later_part_of_the_stream_continues_the_earlier_one() -> None:
    whole, parts = list(stream("text", 50)), [*stream("text", 30), *stream("text", 20, first=30)]
    assert whole == parts


def test_pictures_are_jpegs_of_about_30_kb() -> None:
    raw = [event.value for event in distinct("image") if event.headers]
    assert 20_000 < sum(map(len, raw)) / len(raw) < 40_000
    assert {Image.open(io.BytesIO(data)).format for data in raw} == {"JPEG"}


def test_sounds_last_about_three_seconds() -> None:
    raw = [event.value for event in distinct("audio") if event.headers]
    lengths = [soundfile.info(io.BytesIO(data)).duration for data in raw]
    assert all(2.3 < seconds < 3.7 for seconds in lengths)


def test_a_mix_is_mostly_text_with_every_combination_in_it() -> None:
    seen = [frozenset({"text", "image", "audio"} & set(json.loads(e.value))) for e in distinct("mix")]
    assert 0.7 < seen.count(frozenset({"text"})) / len(seen) < 0.9
    assert len(set(seen)) == 6


def test_the_machines_seconds_include_ours() -> None:
    machine, ours = machine_seconds(), time.process_time()
    while time.process_time() - ours < 0.2:
        pass
    assert machine_seconds() - machine >= 0.15


def test_cpu_seconds_include_children_that_have_ended() -> None:
    before = tree_seconds(os.getpid())
    burn = "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass"
    subprocess.run([sys.executable, "-c", burn], check=True)
    time.sleep(0.02)
    assert tree_seconds(os.getpid()) - before >= 0.2
