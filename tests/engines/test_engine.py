"""One event gets one answer: alone, in any batch, in any order; and only where it has the evidence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.batch import Batch, Example, Outputs
from engines.bundle import Bundle
from engines.calibration import sigmoid, softmax
from engines.combine import combinations
from engines.engine import EngineChoice, FusedEngine, open_engine
from engines.errors import EngineError
from engines.planner import Budget
from engines.shapley import values
from tests.tiny_bundle import LABELS, build, examples, image, seal, sound

FIELDS = ("sentiment", "unimodal", "moderation", "severity", "patterns")
SMALL = Budget(tokens=64, image_rows=2, audio_seconds=1.0, head_rows=5)


def opened(
    bundle: Bundle, backend: str = "onnxruntime", budget: Budget | None = None, **more: bool
) -> FusedEngine:
    return FusedEngine(bundle, EngineChoice(backend, "fp32"), threads=1, budget=budget, **more)


@pytest.fixture(scope="module", params=["onnxruntime", "openvino", "fake"])
def engine(request: pytest.FixtureRequest, bundle: Bundle) -> Iterator[FusedEngine]:
    found = opened(bundle, request.param, SMALL)
    yield found
    found.close()


@pytest.fixture
def exact(bundle: Bundle) -> FusedEngine:
    """An engine on ONNX Runtime, for what does not differ by backend."""
    return opened(bundle)


def close(one: Outputs, other: Outputs, rows: list[int] | None = None, tolerance: float = 1e-5) -> None:
    """`one` equals the rows (None: all) of `other`."""
    rows = list(range(len(other.sentiment))) if rows is None else rows
    for name in FIELDS:
        np.testing.assert_allclose(
            getattr(one, name), getattr(other, name)[rows], atol=tolerance, rtol=tolerance, err_msg=name
        )


def several(seed: int = 5) -> list[Example]:
    """Events with several images and sounds."""
    random = np.random.default_rng(seed)
    text = (np.arange(1, 9, dtype=np.int32),)
    return [
        Example(text, [image(random) for _ in range(3)]),
        Example(None, [image(random) for _ in range(2)], [sound(random) for _ in range(2)]),
        Example(text, [image(random) for _ in range(2)], [sound(random) for _ in range(3)]),
        Example(text),
    ]


def test_an_event_alone_and_in_a_batch_gets_the_same_answer(engine: FusedEngine):
    events = examples(21) + several()
    together = engine.infer(Batch.of(events))
    for k, event in enumerate(events):
        close(engine.infer(Batch.of([event])), together, [k])


def test_the_order_of_a_batch_does_not_matter(engine: FusedEngine):
    events = examples(21) + several()
    order = np.random.default_rng(1).permutation(len(events))
    forward = engine.infer(Batch.of(events))
    close(engine.infer(Batch.of([events[k] for k in order])), forward, order.tolist())


def test_micro_batches_do_not_change_answers(bundle: Bundle):
    events = Batch.of(examples(40) + several())
    close(opened(bundle, budget=SMALL).infer(events), opened(bundle).infer(events))


def test_the_backends_agree(bundle: Bundle):
    events = Batch.of(examples(21) + several())
    close(opened(bundle, "openvino").infer(events), opened(bundle).infer(events), tolerance=1e-4)


def test_an_empty_batch_gives_empty_answers(engine: FusedEngine):
    answer = engine.infer(Batch.of([]))
    assert answer.sentiment.shape == (0, 3)
    assert answer.patterns.shape == (0, 8, 1 + len(engine.labels))


def test_a_tower_without_rows_is_not_run(exact: FusedEngine):
    exact.infer(Batch.of([Example(text=(np.array([3], np.int32),))]))
    text, images, audio, head = (session.seconds > 0 for session in exact._sessions)
    assert (text, images, audio, head) == (True, False, False, True)


def test_without_evidence_there_is_no_number(exact: FusedEngine):
    answer = exact.infer(Batch.of(examples(7)))
    presence = np.arange(1, 8, dtype=np.uint8)
    np.testing.assert_array_equal(np.isfinite(answer.moderation), LABELS.evaluable(presence))
    np.testing.assert_array_equal(
        np.isfinite(answer.unimodal[:, :, 0]), (presence[:, None] >> np.arange(3) & 1) > 0
    )
    assert np.isfinite(answer.sentiment).all()
    assert np.isnan(answer.severity).all()


def test_an_event_with_nothing_in_it_has_no_answer_and_disturbs_nobody(exact: FusedEngine):
    events = examples(3)
    answer = exact.infer(Batch.of([*events[:2], Example(), events[2]]))
    assert np.isnan(answer.sentiment[2]).all()
    assert np.isnan(answer.moderation[2]).all()
    close(exact.infer(Batch.of(events)), answer, [0, 1, 3])


def test_probabilities_are_the_calibrated_logits_of_the_presence_pattern(exact: FusedEngine, bundle: Bundle):
    events = Batch.of(examples(7))
    answer, (_, logits) = exact.infer(events), exact.logits(events)
    fit = bundle.calibration["fp32"]
    for k, presence in enumerate(range(1, 8)):
        np.testing.assert_allclose(
            answer.sentiment[k], softmax(logits.sentiment[k] / fit.temperature[presence]), atol=1e-6
        )
        want = sigmoid(fit.scale[presence] * logits.moderation[k] + fit.bias[presence])
        shown = np.isfinite(answer.moderation[k])
        np.testing.assert_allclose(answer.moderation[k][shown], want[shown], atol=1e-6)


def test_of_several_images_a_label_takes_the_maximum_and_sentiment_the_mean(exact: FusedEngine):
    event = several()[0]
    whole = exact.infer(Batch.of([event]))
    each = exact.infer(Batch.of([Example(event.text, [picture]) for picture in event.images]))
    np.testing.assert_allclose(whole.moderation[0], each.moderation.max(axis=0), atol=1e-6)
    np.testing.assert_allclose(whole.sentiment[0], each.sentiment.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(whole.patterns[0, 3, 1:], each.patterns[:, 3, 1:].max(axis=0), atol=1e-5)
    np.testing.assert_allclose(whole.patterns[0, 3, 0], each.patterns[:, 3, 0].mean(), atol=1e-5)


def test_several_images_and_sounds_are_all_combined(exact: FusedEngine):
    event = several()[2]
    rows = combinations(Batch.of([event]))
    assert len(rows) == 2 * 3
    assert len({tuple(slots) for slots in rows.slots.T}) == 6
    pairs = [Example(event.text, [i], [s]) for i in event.images for s in event.audio]
    each = exact.infer(Batch.of(pairs))
    whole = exact.infer(Batch.of([event]))
    np.testing.assert_allclose(whole.moderation[0], each.moderation.max(axis=0), atol=1e-6)


def test_patterns_are_the_logits_of_the_event_with_less_in_it(exact: FusedEngine):
    event = examples(7)[6]
    whole = exact.infer(Batch.of([event])).patterns[0]
    for p in range(1, 8):
        part = Example(
            event.text if p & 1 else None, event.images if p & 2 else [], event.audio if p & 4 else []
        )
        np.testing.assert_allclose(whole[p], exact.infer(Batch.of([part])).patterns[0, p], atol=1e-4)


def test_patterns_hold_every_part_of_what_is_there_and_nothing_else(exact: FusedEngine):
    answer = exact.infer(Batch.of(examples(7)))
    for k, presence in enumerate(range(1, 8)):
        run = np.isfinite(answer.patterns[k]).all(axis=1)
        assert run.tolist() == [p & ~presence == 0 for p in range(8)]


def test_contributions_sum_to_the_difference_from_an_empty_event(exact: FusedEngine):
    patterns = exact.infer(Batch.of(examples(7))).patterns[6, :, 0]
    assert sum(value for _, value in values(patterns, 7)) == pytest.approx(
        patterns[7] - patterns[0], abs=1e-4
    )


def test_without_contributions_only_the_whole_and_nothing_are_run(bundle: Bundle):
    answer = opened(bundle, contributions=False).infer(Batch.of(examples(7)))
    run = np.isfinite(answer.patterns).all(axis=2)
    assert [np.flatnonzero(row).tolist() for row in run] == [[0, p] for p in range(1, 8)]


def test_numbers_that_are_not_finite_name_the_events(exact: FusedEngine, monkeypatch: pytest.MonkeyPatch):
    events = examples(14)
    session, run = exact._sessions[1], exact._sessions[1].run

    def poisoned(inputs: dict) -> dict:
        answer = run(inputs)
        answer["tokens"][1] = np.nan  # the second image of the batch: that of event 2
        return answer

    monkeypatch.setattr(session, "run", poisoned)
    with pytest.raises(EngineError, match="not finite") as caught:
        exact.infer(Batch.of(events))
    assert caught.value.events == (2,)


def test_a_graph_that_fails_names_the_events_that_it_ran(bundle: Bundle):
    engine = opened(bundle, budget=Budget(tokens=8))
    events = [Example(text=(np.full(5, 3, np.int32),)) for _ in range(4)]
    events[2].text = (np.full(5, 10**6, np.int32),)  # no such id
    with pytest.raises(EngineError, match="A graph failed") as caught:
        engine.infer(Batch.of(events))
    assert caught.value.events == (2,)


def test_warm_up_accepts_a_sound_engine_and_refuses_one_that_computes_wrongly(folder: Path):
    opened(Bundle.load(folder)).warm_up()
    data = bytearray((folder / "golden.safetensors").read_bytes())
    data[-4:] = np.float32(99).tobytes()
    (folder / "golden.safetensors").write_bytes(data)
    with pytest.raises(EngineError, match="golden") as caught:
        opened(seal(folder)).warm_up()
    assert caught.value.remedy


def test_a_bundle_without_golden_vectors_still_warms_up(folder: Path):
    (folder / "golden.safetensors").unlink()
    engine = opened(seal(folder))
    engine.warm_up()
    assert engine.golden_error() is None


def test_an_engine_says_exactly_what_scores(exact: FusedEngine, bundle: Bundle):
    info = exact.info
    assert (info.bundle, info.version, info.digest) == ("tiny", "1", bundle.digest)
    assert (info.engine, info.precision, info.synthetic) == (
        "onnxruntime",
        "fp32",
        ("text", "image", "audio"),
    )
    assert "1 threads" in info.backend


def test_a_precision_without_calibration_is_refused(tmp_path: Path):
    bundle = Bundle.load(build(tmp_path / "b"))
    with pytest.raises(EngineError, match="no calibration"):
        FusedEngine(bundle, EngineChoice("openvino", "bf16"))


def test_opening_by_path_measures_once_and_keeps_the_choice(built: Path, cache: Path):
    first = open_engine(built, precision="fp32")
    again = open_engine(built, precision="fp32")
    assert first.info == again.info
    assert "fastest on this machine" in first.info.why
    assert len(list((cache / "tidegate" / "engines").iterdir())) == 1


def test_the_useful_share_of_the_last_batch_is_known(bundle: Bundle):
    engine = opened(bundle, budget=Budget(tokens=1000))
    engine.infer(Batch.of([Example(text=(np.ones(n, np.int32),)) for n in (10, 20)]))
    assert engine.useful_token_ratio == pytest.approx(30 / 40)
