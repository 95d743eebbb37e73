"""The bundles that ship: built, loaded, verified and run at each precision; and what they decide."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engines.batch import MODALITIES, Batch, Example, Outputs
from engines.bundle import Bundle
from engines.calibration import equivalent
from engines.engine import EngineChoice, FusedEngine
from engines.evaluation import events_of
from engines.precision.cast import QUANTISED, missing
from engines.sessions.choose import BACKENDS
from engines.verdicts import REFERENCE, reference_answers
from engines.verify import BOUND, Answers, verify
from tests.gpu.answers import numberless
from tests.gpu.ground import Ground
from tests.gpu.results import Check, at_most, holds, not_measured


def measure(ground: Ground, precision: str, backend: str = "tensorrt") -> None:
    """The part `starter-PRECISION`: as an operator's daemon opens it, in the store of these checks."""
    for name in ground.shipped():
        check = f"{named(name, precision, backend)}: build, load, verify, run"
        with ground.checking(check):
            bundle = ready(ground, Bundle.load(name), precision, check, backend=backend)
            if bundle is None:
                continue
            begun = time.monotonic()
            engine = opened(ground, bundle, precision, backend)
            try:
                took = time.monotonic() - begun
                engine.warm_up()
                events = mixed(bundle, 16)
                wrong = numberless(engine.infer(events), reference(bundle, events))
                held = sum(engine.memory.values()) / 1e6
            finally:
                engine.close()
            told = f"{took:.0f} s to build or find; {held:.0f} MB on the GPU"
            lost = f"not numbers where they should be, or the reverse: {', '.join(wrong)}; " if wrong else ""
            ground.tell(holds(check, not wrong, lost + told))


def prepare(ground: Ground) -> None:
    """The part `prepare-starter`: graphs at fp8, its ranges from the evaluation set."""
    for name in ground.shipped():
        with ground.checking(f"{name} fp8: graphs"):
            ready(ground, Bundle.load(name), "fp8", f"{name} fp8: graphs")


def build(ground: Ground, name: str, towers: Sequence[str], precision: str) -> None:
    """The parts `build-NAME…`: plans as `measure` and `decide` open them."""
    check = f"{name} {precision}: plans of {', '.join(towers)}"
    with ground.checking(check):
        bundle = ready(ground, Bundle.load(name), precision, check)
        if bundle is not None:
            ground.build(bundle, towers, precision, ground.serving, check)


def on_torch(ground: Ground, precision: str) -> None:
    """The part `torch-PRECISION`: the engine for GPUs where TensorRT is not installed."""
    measure(ground, precision, "torch")
    decide(ground, (precision,), "torch")


def decide(ground: Ground, precisions: Sequence[str], backend: str = "tensorrt") -> None:
    """The parts `decisions…`: what share of decisions differs from fp32 on ONNX Runtime."""
    for name in ground.shipped():
        with ground.checking(f"{name}: flipped decisions"):
            bundle = Bundle.load(name)
            found = events_of(bundle)
            if found is None:
                ground.tell(not_measured(f"{name}: flipped decisions", "the bundle brings no events"))
                continue
            want = reference_answers(bundle, found[0])
            for precision in precisions:
                check = f"{named(name, precision, backend)}: flipped decisions"
                with ground.checking(check, f"≤ {BOUND:.1%}"):
                    _decided(ground, bundle, precision, want, found, check, backend)


def _decided(
    ground: Ground, bundle: Bundle, precision: str, want: Answers, found: tuple[Batch, bool], check: str,
    backend: str,
) -> None:  # fmt: skip
    events, whole = found
    own = ready(ground, bundle, precision, check, f"≤ {BOUND:.1%}", backend)
    if own is None:
        return
    engine = opened(ground, own, precision, backend)
    try:
        verdict = verify(want, engine, events)
    finally:
        engine.close()
    if not (verdict.enough or verdict.nan):
        ground.tell(not_measured(check, str(verdict), f"≤ {BOUND:.1%}"))
        return
    told = f"{verdict}, on {'the evaluation set' if whole else 'the golden vectors'}"
    share = float("inf") if verdict.nan else verdict.share
    ground.tell(at_most(check, share, BOUND, told, "{:.3%}"))
    worst = sorted(verdict.by_label.items(), key=lambda each: -each[1].flipped)[:5]
    labels = "; ".join(f"{label} {each.flipped}/{each.decisions}" for label, each in worst)
    ground.tell(Check(f"{named(bundle.name, precision, backend)}: most flipped", labels))


def ready(
    ground: Ground, bundle: Bundle, precision: str, check: str, bar: str = "", backend: str = "tensorrt"
) -> Bundle | None:
    """The bundle with what a precision needs; None where that cannot be had, which is told."""
    found: Bundle | None = bundle
    lost = ground.lacks(precision)
    if backend != "tensorrt":
        lost = lost or (BACKENDS[backend].missing() if ground.cuda else None)
    elif lost is None and precision not in QUANTISED:
        lost = lacking(bundle, precision)
    elif lost is None and not attentive(bundle):
        lost = f"no tower has attention, which {precision} is for"
    elif lost is None:
        found = ground.at(bundle, precision)
        lost = None if found is not None else "there are no graphs of it: see that check"
    if lost is not None:
        ground.tell(not_measured(check, lost, bar))
        return None
    return found


def attentive(bundle: Bundle) -> bool:
    """Whether a tower has attention."""
    import onnx

    from engines.precision.policy import attends

    graphs = (bundle.read(bundle.graph_name(tower)) for tower in MODALITIES)
    return any(attends(onnx.load_model_from_string(graph)) for graph in graphs)


def lacking(bundle: Bundle, precision: str) -> str | None:
    """Why a precision cannot be had here, None where it can."""
    if precision == "fp32" or any(precision in own for own in bundle.manifest["graphs"].values()):
        return None
    return missing()


def opened(ground: Ground, bundle: Bundle, precision: str, backend: str = "tensorrt") -> FusedEngine:
    """The engine with fp32's calibration, as the ladder opens it before it verifies; raises EngineError."""
    fits = equivalent(bundle.calibration, precision)
    processor = backend != "tensorrt" and not ground.cuda  # the stand-in is for TensorRT alone
    return FusedEngine(
        replace(bundle, calibration=fits), EngineChoice(backend, precision), budget=ground.serving,
        uncalibrated="warn", devices=() if processor else (0,),
    )  # fmt: skip


def reference(bundle: Bundle, events: Batch) -> Outputs:
    """What fp32 on ONNX Runtime answers; raises EngineError."""
    engine = FusedEngine(bundle, REFERENCE, uncalibrated="warn")
    try:
        return engine.infer(events)
    finally:
        engine.close()


def named(bundle: str, precision: str, backend: str = "tensorrt") -> str:
    """A bundle at a precision, as checks name it."""
    return f"{bundle} {precision}" + (f" on {backend}" if backend != "tensorrt" else "")


def mixed(bundle: Bundle, count: int, seed: int = 0) -> Batch:
    """Events of every mix of modalities and of all lengths."""
    random, spec = np.random.default_rng(seed), bundle.preprocess
    examples = []
    for k in range(count):
        presence = k % 7 + 1
        length = int(random.integers(1, spec.text.max_tokens + 1))
        samples = int(random.integers(400, spec.audio.samples + 1))
        pixels = random.integers(0, 256, (spec.image.height, spec.image.width, 3), np.uint8)
        sound = random.integers(-9000, 9000, samples, np.int16)
        text = tuple(random.integers(1, size, length, np.int32) for size in spec.text.sizes)
        examples.append(
            Example(
                text if presence & 1 else None,
                [pixels] if presence & 2 else [],
                [sound] if presence & 4 else [],
            )
        )
    return Batch.of(examples)
