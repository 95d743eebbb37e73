"""The infer stage on real media: what is slow holds up itself, and what follows it, but nothing before it."""

from __future__ import annotations

import threading
import time

import pytest

from service.assembly import open_scoring
from service.buffer import Pace
from service.config import Settings
from service.cycle import Cycle
from service.failpoint import FailPoints
from service.health import Health
from service.inference import PATIENCE_SECONDS, Inference
from service.kafka.checkpoint import Checkpoint
from service.metrics import Metrics
from service.record import Partition, Run, Stored
from tests import tiny_bundle

P = Partition("in", 0)


@pytest.fixture
def scoring(tmp_path, monkeypatch):
    monkeypatch.setenv("TIDEGATE_FAIL_DECODE", "hang")
    bundle = tiny_bundle.build(tmp_path / "bundle")
    settings = Settings.model_validate(
        {
            "bundle": str(bundle),
            "engine": {"backend": "onnxruntime", "precision": "fp32", "threads": 1},
            "limits": {"decode_seconds": PATIENCE_SECONDS + 1, "decode_workers": 1},
        }
    )
    with open_scoring(settings) as opened:
        yield opened


def sound(offset: int, body: bytes) -> Stored:
    return Stored("in", 0, offset, 1, None, body, (("content-type", b"audio/wav"),))


def text(offset: int) -> Stored:
    return Stored("in", 0, offset, 1, None, b'{"text": "hello"}')


def test_slow_media_leaves_its_cycle_in_parts_that_are_acknowledged_in_order(scoring):
    hanging = sound(2, b"RIFF\0\0\0\0WAVE fail-decode-hang")
    records = [text(0), text(1), hanging, text(3), text(4)]
    checkpoint = Checkpoint()
    checkpoint.opened({P: 0})
    cycle = Cycle(1, [Run(P, checkpoint.epoch(P), records)], 100, time.monotonic())
    checkpoint.begin(cycle.positions)
    cycle.preparation = scoring.prepare(records)
    stage = Inference(scoring, checkpoint, Pace(), Metrics(), Health(), FailPoints())
    parts = list(stage.answer(cycle, threading.Event()))
    assert [[r.offset for r in part.records] for part in parts] == [[0, 1, 2], [3, 4]]
    reasons = [p.failure.reason if p.failure else None for part in parts for p in part.inferred.prepared]
    assert reasons == [None, None, "decode_timeout", None, None]
    for part, end in zip(parts, (3, 5), strict=True):
        checkpoint.acked(part.positions)
        assert checkpoint.to_commit()[P].offset == end
    assert not checkpoint.busy([P])
