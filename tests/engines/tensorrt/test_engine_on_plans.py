"""The whole engine on TensorRT's stand-in answers as on ONNX Runtime: in any batch, order and mix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.batch import Batch, Example, Outputs
from engines.bundle import Bundle
from engines.engine import EngineChoice, FusedEngine
from engines.errors import DeviceLost
from engines.planner import Budget
from engines.preprocess.text import text_encoder
from tests.standin import Gpu, Machine
from tests.tiny_bundle import examples, image, sound

FIELDS = ("sentiment", "unimodal", "moderation", "severity", "patterns")
SMALL = Budget(tokens=64, image_rows=4, audio_seconds=1.0, head_rows=16)


@pytest.fixture(autouse=True)
def own_cache(cache: Path) -> None:
    """Plans are kept where no other test looks."""


@pytest.fixture
def engine(gpu: Machine, bundle: Bundle) -> Iterator[FusedEngine]:
    found = opened(bundle)
    yield found
    found.close()
    assert not +gpu.live


@pytest.fixture(scope="module")
def reference(bundle: Bundle) -> Iterator[FusedEngine]:
    found = FusedEngine(bundle, EngineChoice("onnxruntime", "fp32"), threads=1, budget=SMALL)
    yield found
    found.close()


def opened(bundle: Bundle, **more: object) -> FusedEngine:
    return FusedEngine(bundle, EngineChoice("tensorrt", "fp32"), threads=1, budget=SMALL, **more)


def close(one: Outputs, other: Outputs, rows: list[int] | None = None) -> None:
    for name in FIELDS:
        wanted = getattr(other, name)
        wanted = wanted if rows is None else wanted[rows]
        np.testing.assert_allclose(getattr(one, name), wanted, atol=1e-4, rtol=1e-4, err_msg=name)


def mixed(count: int) -> list[Example]:
    """Every mix of modalities, some with several images and sounds."""
    random = np.random.default_rng(count)
    text = (np.arange(1, 9, dtype=np.int32),)
    several = Example(text, [image(random) for _ in range(3)], [sound(random) for _ in range(2)])
    return [*examples(count, seed=count), several, Example(None, [image(random)] * 2), Example(text)]


@pytest.mark.parametrize("count", [1, 2, 7, 40, 100])
def test_any_batch_is_answered_as_on_onnx_runtime(engine: FusedEngine, reference: FusedEngine, count: int):
    events = Batch.of(mixed(count))
    close(engine.infer(events), reference.infer(events))


def test_order_and_company_do_not_matter(engine: FusedEngine, reference: FusedEngine):
    events = mixed(30)
    together = engine.infer(Batch.of(events))
    order = np.random.default_rng(3).permutation(len(events))
    close(engine.infer(Batch.of([events[k] for k in order])), together, order.tolist())
    for k in range(0, len(events), 5):
        close(engine.infer(Batch.of([events[k]])), together, [k])


def test_it_warms_up_and_gives_the_golden_answers(engine: FusedEngine):
    engine.warm_up()
    error = engine.golden_error()
    assert error is not None
    assert error < 1e-4
    assert engine.info.engine == "tensorrt"
    assert "NVIDIA H100" in engine.info.backend
    assert "threads" not in engine.info.backend


def test_rows_with_no_such_modality_launch_nothing(engine: FusedEngine):
    text = Batch.of([Example((np.arange(1, 5, dtype=np.int32),)) for _ in range(9)])
    engine.infer(text)
    words, images, audio, head = (timed._session.slots for timed in engine._sessions)
    assert words > 0
    assert head > 0
    assert (images, audio) == (0, 0)


def test_towers_compute_side_by_side(engine: FusedEngine, gpu: Machine):
    events = Batch.of(mixed(40))
    engine.infer(events)  # every slot is made
    gpu.run_seconds, gpu.most_at_once = 0.01, 0
    engine.infer(events)
    assert gpu.most_at_once > 3


def test_memory_of_all_towers_is_reported(engine: FusedEngine, gpu: Machine):
    engine.infer(Batch.of(mixed(7)))
    assert engine.memory == {0: gpu.held()}


def test_two_gpus_share_the_work(gpu: Machine, bundle: Bundle, reference: FusedEngine):
    gpu.gpus = [Gpu(), Gpu(uuid=bytes(16))]
    engine = opened(bundle, devices=(0, 1))
    events = Batch.of(mixed(40))
    close(engine.infer(events), reference.infer(events))
    assert set(engine.memory) == {0, 1}
    assert all(engine.memory.values())
    engine.close()


def test_a_second_start_builds_nothing(gpu: Machine, bundle: Bundle):
    heard: list[str] = []
    for _ in range(2):
        engine = opened(bundle, progress=lambda what, share: heard.append(what.split()[0]))
        engine.close()
    assert len(gpu.built) == 4
    assert list(dict.fromkeys(heard)) == ["text", "image", "audio", "head"]


def test_a_lost_gpu_is_nobodys_fault(gpu: Machine, bundle: Bundle):
    engine = opened(bundle)
    engine.infer(Batch.of(mixed(7)))
    gpu.lose()
    with pytest.raises(DeviceLost) as caught:
        engine.infer(Batch.of(mixed(7)))
    assert caught.value.events == ()
    engine.close()


def test_nothing_leaks_over_hundreds_of_batches(engine: FusedEngine, gpu: Machine):
    batches = [Batch.of(examples(1 + k % 3, seed=k)) for k in range(25)]
    for _ in range(10):
        for batch in batches:
            engine.infer(batch)
    slots = sum(timed._session.slots for timed in engine._sessions)
    assert +gpu.live == {"engines": 4, "streams": slots, "events": slots, "graphs": slots}
    assert engine.memory == {0: gpu.held()}


def test_the_shipped_starter_is_answered_as_on_onnx_runtime(gpu: Machine):
    bundle = Bundle.load("starter")
    encode = text_encoder(bundle.preprocess.text).encode
    random = np.random.default_rng(0)
    spec = bundle.preprocess
    picture = random.integers(0, 256, (spec.image.height, spec.image.width, 3), dtype=np.uint8)
    voice = random.integers(-3000, 3000, spec.audio.rate, dtype=np.int16)
    posts = ["I hate you", "What a lovely day!", "今天天气真好", "buy now, cheap pills http://x.y"]
    texts = [encode(post).channels for post in posts]
    events = [Example(text) for text in texts]
    events += [Example(texts[0], [picture]), Example(None, [picture]), Example(texts[1], [], [voice])]
    budget = Budget(tokens=256, image_rows=4, audio_seconds=8.0, rate=spec.audio.rate, head_rows=32)
    answers = []
    for backend in ("onnxruntime", "tensorrt"):
        engine = FusedEngine(bundle, EngineChoice(backend, "fp32"), budget=budget)
        answers.append(engine.infer(Batch.of(events)))
        error = engine.golden_error()
        assert error is not None
        assert error < 2e-3
        engine.close()
    close(answers[1], answers[0])
