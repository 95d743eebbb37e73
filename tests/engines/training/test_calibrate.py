"""Calibration on the deployed engine: found where it is, thin data left alone, bad data refused by name."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from engines import calibration
from engines.bundle import Bundle
from engines.calibration import Calibration
from engines.engine import EngineChoice, FusedEngine
from engines.errors import EngineError
from engines.training.align import aligned
from engines.training.calibrate import calibrate, folds, held_out, run
from engines.training.dataset import gather
from engines.training.fingerprint import fingerprint
from engines.training.fits import PULL, platt, pull
from tests.engines.training.labelled import BIAS, SCALE, made
from tests.tiny_bundle import LABELS, seal


@pytest.fixture(scope="module")
def raw(tiny, tmp_path_factory):
    """The tiny bundle as it is before calibration."""
    folder = shutil.copytree(tiny, tmp_path_factory.mktemp("raw") / "bundle")
    calibration.dump(folder / "calibration.json", {"fp32": Calibration.identity(len(LABELS))})
    return seal(folder)


@pytest.fixture(scope="module")
def engine(raw):
    opened = FusedEngine(raw, EngineChoice("onnxruntime", "fp32"), threads=1, contributions=False)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def labelled(engine):
    return made(engine, 4_200)


@pytest.fixture(scope="module")
def outcome(raw, labelled, tmp_path_factory):
    data, inputs = labelled
    folder = tmp_path_factory.mktemp("fitted")
    made = calibrate(raw, data, inputs, folder, threads=1)
    return made, calibration.parse((folder / "calibration.json").read_bytes(), len(LABELS))


def test_the_scale_and_bias_that_made_the_labels_are_found(outcome):
    fit = outcome[0].fits["fp32"]
    can = LABELS.evaluable(np.arange(8, dtype=np.uint8))
    assert fit.scale[can].mean() == pytest.approx(SCALE, rel=0.15)
    assert fit.bias[can].mean() == pytest.approx(BIAS, abs=0.15)
    assert fit.temperature[1:].mean() == pytest.approx(2, rel=0.2)


def test_the_calibration_error_of_unseen_groups_is_small(outcome):
    assert max(outcome[0].errors["fp32"].values()) <= 0.05


def test_every_precision_of_this_machine_has_an_entry_that_names_its_engine(raw, outcome):
    from engines.sessions.choose import able

    written = outcome[1]
    assert set(written) == {precision for _, precision in able(raw)}
    assert written["fp32"].fitted.engine == "onnxruntime"
    assert all(fit.calibrated and len(fit.fitted.dataset) == 64 for fit in written.values())


def test_other_backends_of_the_precision_are_compared(outcome):
    agrees = outcome[1]["fp32"].fitted.agrees
    assert all(gap <= 1e-4 for gap in agrees.values())


def test_thresholds_are_written_for_each_label(outcome):
    found = outcome[1]["fp32"].thresholds
    assert tuple(found) == LABELS.names
    assert all(each.block is not None or each.why for each in found.values())


def test_one_engine_can_be_asked_for_alone(raw, labelled, tmp_path):
    assert list(calibrate(raw, *labelled, tmp_path, precisions=("fp32",), threads=1).fits) == ["fp32"]


def test_a_precision_that_nothing_computes_at_is_refused(raw, labelled, tmp_path):
    with pytest.raises(EngineError, match="precision int4: nothing on this machine"):
        calibrate(raw, *labelled, tmp_path, precisions=("int4",), threads=1)


def test_a_precision_that_was_not_asked_for_keeps_its_fit(tiny, labelled, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "two")
    old = Bundle.load(tiny).calibration["fp32"]
    calibration.dump(folder / "calibration.json", {"fp32": old, "fp64": old})
    calibrate(seal(folder), *labelled, tmp_path, precisions=("fp32",), threads=1)
    written = calibration.parse((tmp_path / "calibration.json").read_bytes(), len(LABELS))
    np.testing.assert_array_equal(written["fp64"].scale, old.scale)
    assert not np.array_equal(written["fp32"].scale, old.scale)


def test_near_duplicates_share_a_fold(labelled):
    events = labelled[0].events
    own = folds(events)
    assert all(len(set(own[events.group == name])) == 1 for name in np.unique(events.group)[:50])
    assert set(own.tolist()) == {0, 1, 2, 3, 4}


def test_what_measures_a_row_has_not_seen_it(engine, labelled):
    data, inputs = labelled
    events = data.events.where(np.arange(len(data.events)) < 140)
    logits, says = run(engine, inputs, events), np.full((140, 3), -1)
    before = held_out(LABELS, logits, events, says)[1][0]
    flipped = events.labels.copy()
    flipped[folds(events) == folds(events)[0]] ^= 1  # only rows of its own fold change
    flipped[events.labels < 0] = -1
    after = held_out(LABELS, logits, replace(events, labels=flipped), says)[1][0]
    np.testing.assert_array_equal(before, after)


def test_a_pattern_with_few_rows_stays_near_the_fit_over_all():
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 2, 40).astype(np.float32)
    truth = (rng.random(40) < 1 / (1 + np.exp(-3 * scores))).astype(np.int8)
    start = (1.0, 0.0)
    thin = platt(scores, truth, start, pull(40, 4))
    rich = platt(scores, truth, start, PULL)
    assert abs(thin[0] - 1) < abs(rich[0] - 1)


@pytest.mark.parametrize(
    ("rows", "fewest", "strength"), [(200, 30, PULL), (100, 30, 2 * PULL), (400, 15, 2 * PULL)]
)
def test_the_pull_grows_below_200_rows_and_30_positives(rows, fewest, strength):
    assert pull(rows, fewest) == strength


def few(positive: int, rows: int = 60):
    """Text events of which so many are spam."""
    marks = [[-1, -1, -1, int(k < positive)] for k in range(rows)]
    return gather(
        [[k, -1, -1] for k in range(rows)], [k % 3 for k in range(rows)], marks, [1] * rows, [False] * rows
    )


@pytest.mark.parametrize(
    ("positive", "why"),
    [
        (0, "spam/ads: one class only, all 60 events are negative"),
        (4, "spam/ads: 4 of 60 events are positive"),
    ],
)
def test_too_little_is_refused_with_the_label_and_its_rows(raw, labelled, tmp_path, positive, why):
    data, inputs = labelled
    thin = replace(data, events=few(positive))
    with pytest.raises(EngineError, match=why) as caught:
        calibrate(raw, thin, inputs, tmp_path, strict=True, threads=1)
    assert "Label more events" in caught.value.remedy
    assert "harassment" not in str(caught.value)  # a label that no event speaks of is no mistake


def test_too_little_is_noted_where_that_is_allowed_and_changes_nothing(raw, labelled, tmp_path):
    data, inputs = labelled
    made = calibrate(raw, replace(data, events=few(0)), inputs, tmp_path, precisions=("fp32",), threads=1)
    assert any("spam/ads" in note for note in made.notes)
    np.testing.assert_array_equal(made.fits["fp32"].scale, 1)


def test_a_label_that_the_file_is_silent_about_keeps_its_calibration(outcome, raw, labelled, tmp_path):
    data, inputs = labelled
    folder = shutil.copytree(raw.folder, tmp_path / "old")
    old = replace(outcome[1]["fp32"], bend=np.full((len(LABELS), 3), 1.25, np.float32))
    calibration.dump(folder / "calibration.json", {"fp32": old})
    spam = LABELS.names.index("spam/ads")
    silent = replace(
        data.events,
        labels=np.where(np.arange(len(LABELS)) == spam, data.events.labels, -1),
        sentiment=np.full_like(data.events.sentiment, -1),
    )
    made = calibrate(
        seal(folder),
        replace(data, events=silent),
        inputs,
        tmp_path,
        precisions=("fp32",),
        threads=1,
        strict=True,
    )
    fit = calibration.parse((tmp_path / "calibration.json").read_bytes(), len(LABELS))["fp32"]
    others = np.arange(len(LABELS)) != spam
    for name in ("scale", "bias"):
        np.testing.assert_array_equal(getattr(fit, name)[:, others], getattr(old, name)[:, others])
    np.testing.assert_array_equal(fit.bend[others], old.bend[others])
    np.testing.assert_array_equal(fit.temperature, old.temperature)
    assert {name: fit.thresholds[name] for name in LABELS.names[:spam]} == {
        name: old.thresholds[name] for name in LABELS.names[:spam]
    }
    assert not np.array_equal(fit.bend[spam], old.bend[spam])
    assert fit.calibrated
    assert fit.uncalibrated == ()
    assert "hate: no event is annotated; its calibration stays as it was" in made.notes
    assert "sentiment: no event is annotated; its calibration stays as it was" in made.notes


def test_a_label_with_too_few_rows_keeps_its_calibration_and_thresholds(outcome, raw, labelled, tmp_path):
    data, inputs = labelled
    folder = shutil.copytree(raw.folder, tmp_path / "old")
    old = outcome[1]["fp32"]
    calibration.dump(folder / "calibration.json", {"fp32": old})
    thin = replace(data, events=few(9))
    made = calibrate(seal(folder), thin, inputs, tmp_path, precisions=("fp32",), threads=1).fits["fp32"]
    np.testing.assert_array_equal(made.scale, old.scale)
    assert made.thresholds == old.thresholds
    assert made.uncalibrated == ()


def texts_only(data):
    """The same events, those without text alone left out."""
    return replace(data, events=data.events.where(data.events.presence == 1))


@pytest.fixture(scope="module")
def shifted(outcome, raw, labelled, tmp_path_factory):
    """A calibrated bundle of another bend, what text alone makes of it, and its logits."""
    old = replace(outcome[1]["fp32"], bend=np.tile(np.array([1.4, 0.8, 0.3], np.float32), (len(LABELS), 1)))
    folder = shutil.copytree(raw.folder, tmp_path_factory.mktemp("shifted") / "bundle")
    calibration.dump(folder / "calibration.json", {"fp32": old})
    data, inputs = labelled
    out = tmp_path_factory.mktemp("again")
    return old, calibrate(seal(folder), texts_only(data), inputs, out, precisions=("fp32",), threads=1)


def test_patterns_without_rows_keep_their_probabilities_when_text_alone_is_calibrated(
    shifted, engine, labelled
):
    old, made = shifted
    fit = made.fits["fp32"]
    logits = run(engine, labelled[1], labelled[0].events)
    presence = labelled[0].events.presence
    other, can = presence != 1, LABELS.evaluable(presence)
    for name, rows in (("sentiment", logits.sentiment), ("moderation", logits.moderation)):
        before, after = (getattr(each, name)(rows, presence) for each in (old, fit))
        if name == "moderation":
            before[~can], after[~can] = 0, 0  # never told
        np.testing.assert_array_equal(before[other], after[other])
        assert not np.array_equal(before[~other], after[~other])
    (note,) = [note for note in made.notes if note.startswith("sentiment")]
    assert ": too few events of image, text+image, audio, " in note
    assert note.endswith("; calibration stays as it was")


def test_text_is_calibrated_as_well_when_the_bend_stays(shifted, engine, raw, labelled, tmp_path):
    """The bend was found on other events, so that scale and bias are sought beneath it."""
    made = shifted[1].errors["fp32"]
    free = calibrate(
        raw, texts_only(labelled[0]), labelled[1], tmp_path, precisions=("fp32",), threads=1
    ).errors["fp32"]
    names = [label.name for label in LABELS.labels if frozenset({"text"}) in label.evidence]
    assert names
    assert all(made[name] <= free[name] + 0.02 for name in names)


def test_a_precision_without_a_fit_is_left_out_where_labels_would_be_raw_there(
    outcome, raw, labelled, tmp_path
):
    folder = shutil.copytree(raw.folder, tmp_path / "one")
    calibration.dump(folder / "calibration.json", {"bf16": outcome[1]["fp32"]})
    of_spam = replace(labelled[0], events=few(12))
    with pytest.raises(EngineError, match="precision fp32: nothing is calibrated there, and too few events"):
        calibrate(seal(folder), of_spam, labelled[1], tmp_path, precisions=("fp32",), threads=1)


def test_labels_that_were_never_calibrated_are_named_and_have_no_thresholds(raw, labelled, tmp_path):
    data, inputs = labelled
    made = calibrate(raw, replace(data, events=few(4)), inputs, tmp_path, precisions=("fp32",), threads=1)
    fit = calibration.parse((tmp_path / "calibration.json").read_bytes(), len(LABELS))["fp32"]
    assert fit.calibrated, "sentiment was"
    assert fit.uncalibrated == LABELS.names
    assert fit.thresholds["spam/ads"].block is None
    assert "4 of 60 events are positive" in fit.thresholds["spam/ads"].why
    assert "hate: no event is annotated; it is not calibrated" in made.notes


def test_scores_are_calibrated_only_where_every_probability_is(raw, labelled, tmp_path):
    folder = shutil.copytree(raw.folder, tmp_path / "new")
    thin = replace(labelled[0], events=few(12))
    calibrate(raw, thin, labelled[1], folder, precisions=("fp32",), threads=1)
    opened = FusedEngine(seal(folder), EngineChoice("onnxruntime", "fp32"), threads=1)
    opened.close()
    assert not opened.info.calibrated
    assert opened.info.uncalibrated == LABELS.names[:3]
    assert set(opened.thresholds) == set(LABELS.names), "what was found still serves"


def test_where_nothing_is_calibrated_the_bundle_says_so(raw, labelled, tmp_path):
    silent = replace(few(0), sentiment=np.full(60, -1, np.int8))
    made = calibrate(
        raw, replace(labelled[0], events=silent), labelled[1], tmp_path, precisions=("fp32",), threads=1
    )
    assert not made.fits["fp32"].calibrated
    assert made.fits["fp32"].fitted is None


def test_sentiment_of_which_hardly_any_is_another_is_left_alone(raw, labelled, tmp_path):
    sad = replace(few(12), sentiment=(np.arange(60) < 4).astype(np.int8))
    made = calibrate(
        raw, replace(labelled[0], events=sad), labelled[1], tmp_path, precisions=("fp32",), threads=1
    )
    assert any(note.startswith("sentiment: 4 of 60 events are not of the commonest") for note in made.notes)
    np.testing.assert_array_equal(made.fits["fp32"].temperature, 1)


def test_an_empty_split_is_refused(raw, labelled, tmp_path):
    data, inputs = labelled
    with pytest.raises(EngineError, match="no event is in the split `calibrate`") as caught:
        calibrate(raw, replace(data, events=data.events.of("test")), inputs, tmp_path)
    assert "2100 in test" in caught.value.why
    assert "--split all" in caught.value.remedy


def test_sentiment_of_one_class_is_refused(raw, labelled, tmp_path):
    data, inputs = labelled
    sad = replace(data, events=replace(data.events, sentiment=np.zeros_like(data.events.sentiment)))
    with pytest.raises(EngineError, match="sentiment: all 2100 events are of one class"):
        calibrate(raw, sad, inputs, tmp_path, strict=True)


def test_labels_are_matched_by_name_and_strangers_are_noted(labelled):
    data = labelled[0]
    turned = replace(
        data,
        labels=replace(LABELS, labels=(*LABELS.labels[::-1][:3], replace(LABELS.labels[0], name="gossip"))),
        events=replace(data.events, labels=data.events.labels[:, ::-1]),
    )
    found = aligned(turned, LABELS)
    np.testing.assert_array_equal(found.events.labels[:, 1:], data.events.labels[:, 1:])
    assert (found.events.labels[:, 0] == -1).all()
    assert "gossip" in found.notes[0]


def test_events_that_say_nothing_about_the_bundle_are_refused(labelled):
    data = labelled[0]
    other = replace(
        data,
        labels=replace(LABELS, labels=(replace(LABELS.labels[0], name="gossip"),)),
        events=replace(
            data.events, labels=data.events.labels[:, :1], sentiment=np.full_like(data.events.sentiment, -1)
        ),
    )
    with pytest.raises(EngineError, match="gossip"):
        aligned(other, LABELS)


def test_the_digest_of_events_changes_with_an_annotation_and_a_text(labelled):
    data = labelled[0]
    other = data.events.labels.copy()
    other[0, 3] ^= 1
    texts = [replace(data.parts[0][0], content="another"), *data.parts[0][1:]]
    found = {
        fingerprint(data),
        fingerprint(replace(data, events=replace(data.events, labels=other))),
        fingerprint(replace(data, parts=(texts, *data.parts[1:]))),
    }
    assert len(found) == 3
    assert fingerprint(data) in found
