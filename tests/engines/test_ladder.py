"""The ladder: on a GPU the first engine that decides as fp32 does, each refusal told, and what comes next."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines import calibration
from engines import ladder as ladders
from engines.batch import Batch
from engines.bundle import EVALUATION, Bundle
from engines.engine import FusedEngine, open_engine
from engines.errors import DeviceLost, EngineError, OutOfMemory
from engines.evaluation import write_evaluation
from engines.ladder import Ladder, Wanted
from engines.planner import Budget
from engines.sessions import onnxruntime, tensorrt, torch
from engines.sessions.base import Backend, Terms
from engines.sessions.choose import BACKENDS, GPU, on_gpu
from engines.thresholds import Thresholds
from engines.verify import Unverified
from tests.standin import Machine, installed
from tests.tiny_bundle import LABELS, examples, seal

EVENTS = 420
Change = Callable[[dict[str, Any], int], dict[str, Any]]


def flips(outputs: dict[str, Any], rows: int) -> dict[str, Any]:
    """Wrong where rows are many: on the evaluation set, and not on the golden vectors."""
    return outputs | {"moderation": outputs["moderation"] + (3 if rows > 100 else 0)}


def breaks(outputs: dict[str, Any], rows: int) -> dict[str, Any]:
    return outputs | {"sentiment": outputs["sentiment"] * (np.nan if rows > 100 else 1)}


def shifts(outputs: dict[str, Any], rows: int) -> dict[str, Any]:
    return outputs | {"sentiment": outputs["sentiment"] + np.float32([1, 0, 0])}


@dataclass
class Card:
    """A GPU backend that computes on the processor, and errs as it is told."""

    name: str
    version: str = "1"
    why_not: str | None = None
    native: Sequence[str] = ("fp32", "bf16", "fp16")
    heads: dict[str, Change] = field(default_factory=dict)
    errors: dict[str, EngineError] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    terms: Terms | None = None

    def backend(self) -> Backend:
        return Backend(
            self.name,
            missing=lambda: self.why_not,
            native=lambda: tuple(self.native),
            describe=lambda: f"{self.name} {self.version}",
            open=self.open,
            on_gpu=lambda: True,
        )

    def open(self, bundle: Bundle, tower: str, precision: str, terms: Terms) -> Any:
        if tower == "text":
            self.opened.append(precision)
        if precision in self.errors:
            raise self.errors[precision]
        if terms.progress is not None:
            terms.progress(f"building {tower}", 0.5)
        self.terms = terms
        session = onnxruntime.BACKEND.open(bundle, tower, "fp32", Terms())
        change = self.heads.get(precision) if tower == "head" else None
        return session if change is None else Changed(session, change)


class Changed:
    def __init__(self, session: Any, change: Change) -> None:
        self._session, self._change = session, change

    def run(self, inputs: Any) -> dict[str, Any]:
        return self._change(self._session.run(inputs), len(inputs["presence"]))

    def close(self) -> None:
        self._session.close()


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch, cache: Path) -> dict[str, Card]:
    made = {name: Card(name) for name in GPU}
    for name, card in made.items():
        monkeypatch.setitem(BACKENDS, name, card.backend())
    return made


@pytest.fixture(scope="module")
def judged(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle with an evaluation set, and thresholds at fp32."""
    folder = Path(shutil.copytree(built, tmp_path_factory.mktemp("judged") / "tiny"))
    blank = np.full((EVENTS, len(LABELS)), -1, np.int8)
    write_evaluation(folder / EVALUATION, examples(EVENTS, 3), blank[:, 0], blank, ("ids",))
    fits = dict(seal(folder).calibration)
    levels = {LABELS.names[0]: Thresholds(review=0.3, block=0.7)}
    calibration.dump(folder / "calibration.json", fits | {"fp32": replace(fits["fp32"], thresholds=levels)})
    seal(folder)
    return folder


@pytest.fixture
def evaluated(judged: Path) -> Bundle:
    return Bundle.load(judged)


def opened(ladder: Ladder) -> FusedEngine:
    engine = ladder.open()
    engine.close()
    return engine


def names(ladder: Ladder) -> list[str]:
    return [rung.name for rung in ladder.rungs()]


def steps(ladder: Ladder) -> list[tuple[str, str]]:
    return [(step.name, step.code) for step in ladder.steps]


def test_without_a_gpu_the_processor_serves_as_ever(bundle: Bundle, cards: dict[str, Card]):
    for card in cards.values():
        card.why_not = "no driver"
    ladder = Ladder(bundle, Wanted(threads=1))
    assert names(ladder) == ["auto auto"]
    assert set(ladder.absent) == set(GPU)
    engine = opened(ladder)
    assert engine.info.engine in ("onnxruntime", "openvino")
    assert ladder.steps == []
    assert ladder.below(engine.info, EngineError("broken")) == []


def test_a_pinned_processor_backend_is_the_only_rung(bundle: Bundle, cards: dict[str, Card]):
    ladder = Ladder(bundle, Wanted("onnxruntime", "fp32", 1))
    assert names(ladder) == ["onnxruntime fp32"]
    assert opened(ladder).info.why == "pinned"


def test_a_backend_that_there_is_not_is_refused(bundle: Bundle):
    with pytest.raises(EngineError, match="no backend abacus"):
        Ladder(bundle, Wanted("abacus"))


def test_on_a_gpu_the_order_is_by_backend_and_falling_speed(bundle: Bundle, cards: dict[str, Card]):
    assert names(Ladder(bundle)) == [f"{name} {p}" for name in GPU for p in ("fp16", "bf16", "fp32")]
    assert names(Ladder(bundle, Wanted("torch"))) == ["torch fp16", "torch bf16", "torch fp32"]
    assert names(Ladder(bundle, Wanted(precision="bf16"))) == ["tensorrt bf16", "torch bf16"]
    assert names(Ladder(bundle, Wanted("tensorrt", cpu_fallback=True)))[-1] == "auto auto"


def test_what_the_device_cannot_compute_is_no_rung(bundle: Bundle, cards: dict[str, Card]):
    cards["tensorrt"].native = ("fp32", "fp16")
    assert names(Ladder(bundle, Wanted("tensorrt"))) == ["tensorrt fp16", "tensorrt fp32"]


def test_fp8_is_tried_where_the_bundle_has_graphs_of_it(bundle: Bundle, cards: dict[str, Card]):
    assert on_gpu(quantised(bundle), "tensorrt")[0][0] == ("tensorrt", "fp8")
    assert on_gpu(bundle, "tensorrt", "fp8")[0] == []
    assert "fp8" in on_gpu(bundle, "tensorrt", "fp8")[1]["tensorrt"]


def test_fp8_is_asked_only_of_those_that_read_graphs_of_it(
    bundle: Bundle, cards: dict[str, Card], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(BACKENDS, "torch", replace(cards["torch"].backend(), reads=torch.BACKEND.reads))
    pairs, _ = on_gpu(quantised(bundle))
    assert ("tensorrt", "fp8") in pairs
    assert [precision for name, precision in pairs if name == "torch"] == ["fp16", "bf16", "fp32"]


def old(precision: str, devices: Sequence[int] | None) -> str | None:
    """Why a GPU of its day cannot compute at 8 bits."""
    return f"not supported on device {devices}" if precision == "fp8" else None


def test_what_the_devices_do_not_support_is_left_out_and_told_and_is_no_step(
    evaluated: Bundle, cards: dict[str, Card], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(BACKENDS, "tensorrt", replace(cards["tensorrt"].backend(), lacks=old))
    ladder = Ladder(quantised(evaluated), Wanted("tensorrt", threads=1, devices=(1,)))
    engine = opened(ladder)
    assert engine.info.precision == "fp16"
    assert "tensorrt fp8 is left out: not supported on device (1,)" in engine.info.why
    assert ladder.absent == {"tensorrt fp8": "not supported on device (1,)"}
    assert ladder.steps == []
    pinned = Ladder(quantised(evaluated), Wanted("tensorrt", "fp8", 1))
    with pytest.raises(EngineError, match=r"fp8: not supported on device \(0,\).*engine.precision to auto"):
        pinned.open()
    assert cards["tensorrt"].opened == ["fp16"]


@pytest.mark.parametrize("backend", [tensorrt.BACKEND, torch.BACKEND])
def test_what_a_backend_reads_is_known_before_it_is_imported(backend: Backend):
    assert BACKENDS[backend.name].reads == backend.reads


def test_the_first_that_verifies_serves_with_the_calibration_of_fp32(
    evaluated: Bundle, cards: dict[str, Card]
):
    ladder = Ladder(evaluated, Wanted(threads=1))
    engine = opened(ladder)
    assert (engine.info.engine, engine.info.precision) == ("tensorrt", "fp16")
    assert engine.info.calibrated
    assert engine.thresholds == evaluated.calibration["fp32"].thresholds
    assert "0 of" in engine.info.why
    assert "decisions differ" in engine.info.why
    assert "calibration of fp32" in engine.info.why
    assert ladder.steps == []


def test_a_precision_that_decides_otherwise_is_passed_over_and_told(
    evaluated: Bundle, cards: dict[str, Card]
):
    cards["tensorrt"].heads["fp16"] = flips
    ladder = Ladder(evaluated, Wanted(threads=1))
    engine = opened(ladder)
    assert engine.info.precision == "bf16"
    assert steps(ladder) == [("tensorrt fp16", "unverified")]
    assert "decisions differ" in ladder.steps[0].reason
    assert "before it tensorrt fp16" in engine.info.why


@pytest.mark.parametrize(("change", "code"), [(breaks, "unverified"), (shifts, "failed")])
def test_no_numbers_and_wrong_golden_answers_are_refused(
    evaluated: Bundle, cards: dict[str, Card], change: Change, code: str
):
    cards["tensorrt"].heads["fp16"] = change
    ladder = Ladder(evaluated, Wanted(threads=1))
    assert opened(ladder).info.precision == "bf16"
    assert steps(ladder) == [("tensorrt fp16", code)]


def by(size: float) -> Change:
    """Logits that are off, by so much, and decide alike."""
    return lambda outputs, rows: outputs | {"sentiment": outputs["sentiment"] + np.float32(size)}


@pytest.mark.parametrize(
    ("change", "code"),
    [(by(0.2), None), (by(20), "failed"), (flips, "unverified"), (breaks, "unverified")],
)
def test_of_8_bits_golden_vectors_catch_nonsense_and_decisions_the_rest(
    evaluated: Bundle, cards: dict[str, Card], change: Change, code: str | None
):
    eight = quantised(evaluated)
    cards["tensorrt"].heads |= {"fp8": change, "fp16": by(0.2)}
    ladder = Ladder(eight, Wanted("tensorrt", threads=1))
    assert opened(ladder).info.precision == ("fp8" if code is None else "bf16")
    told = [("tensorrt fp8", code), ("tensorrt fp16", "failed")]
    assert steps(ladder) == (told if code else [])


def test_8_bits_take_more_decisions_than_golden_vectors_hold(bundle: Bundle, cards: dict[str, Card]):
    ladder = Ladder(quantised(bundle), Wanted("tensorrt", threads=1))
    assert opened(ladder).info.precision == "fp16"
    assert steps(ladder) == [("tensorrt fp8", "unverified")]
    assert "proves little" in ladder.steps[0].reason


def quantised(bundle: Bundle) -> Bundle:
    graphs = bundle.manifest["graphs"] | {"text": {"fp32": "text.onnx", "fp8": "text.onnx"}}
    return replace(bundle, manifest={**bundle.manifest, "graphs": graphs})


def test_where_the_first_backend_fails_the_second_serves(evaluated: Bundle, cards: dict[str, Card]):
    for precision in ("fp16", "bf16", "fp32"):
        cards["tensorrt"].errors[precision] = OutOfMemory("too large")
    ladder = Ladder(evaluated, Wanted(threads=1))
    assert opened(ladder).info.engine == "torch"
    assert [code for _, code in steps(ladder)] == ["out_of_memory"] * 3


def test_a_backend_that_is_missing_is_absent_and_no_step(evaluated: Bundle, cards: dict[str, Card]):
    cards["tensorrt"].why_not = "not installed"
    ladder = Ladder(evaluated, Wanted(threads=1))
    assert opened(ladder).info.engine == "torch"
    assert ladder.absent == {"tensorrt": "not installed"}
    assert ladder.steps == []


def test_the_processor_does_not_replace_a_gpu_that_fails(evaluated: Bundle, cards: dict[str, Card]):
    for card in cards.values():
        card.errors = dict.fromkeys(("fp16", "bf16", "fp32"), DeviceLost("fell off the bus"))
    with pytest.raises(EngineError, match="cpu_fallback") as caught:
        Ladder(evaluated, Wanted(threads=1)).open()
    assert caught.value.why.count("fell off the bus") == 6


def test_the_processor_replaces_a_gpu_where_it_is_allowed(evaluated: Bundle, cards: dict[str, Card]):
    for card in cards.values():
        card.errors = dict.fromkeys(("fp16", "bf16", "fp32"), DeviceLost("fell off the bus"))
    engine = opened(Ladder(evaluated, Wanted(precision="fp16", threads=1, cpu_fallback=True)))
    assert engine.info.engine in ("onnxruntime", "openvino")


def test_a_pinned_gpu_that_is_missing_is_an_error_with_the_reason(evaluated: Bundle, cards: dict[str, Card]):
    cards["tensorrt"].why_not = "no driver"
    with pytest.raises(EngineError, match="tensorrt: no driver"):
        Ladder(evaluated, Wanted("tensorrt", threads=1)).open()
    fallen = opened(Ladder(evaluated, Wanted("tensorrt", threads=1, cpu_fallback=True)))
    assert fallen.info.engine in ("onnxruntime", "openvino")


def test_once_a_gpu_was_there_its_absence_is_not_the_processors_turn(
    evaluated: Bundle, cards: dict[str, Card]
):
    ladder = Ladder(evaluated, Wanted(threads=1))
    assert opened(ladder).info.engine == "tensorrt"
    for card in cards.values():
        card.why_not = "no driver"
    assert ladder.rungs() == []


def test_a_pinned_pair_that_is_refused_says_why_itself(evaluated: Bundle, cards: dict[str, Card]):
    cards["tensorrt"].heads["fp16"] = flips
    with pytest.raises(Unverified, match="does not decide as the reference"):
        Ladder(evaluated, Wanted("tensorrt", "fp16", 1)).open()


def test_a_verdict_is_kept_across_restarts(
    evaluated: Bundle, cards: dict[str, Card], monkeypatch: pytest.MonkeyPatch
):
    cards["tensorrt"].heads["fp16"] = flips
    first = opened(Ladder(evaluated, Wanted(threads=1)))
    cards["tensorrt"].opened.clear()

    def never(*_: object) -> None:
        raise AssertionError("verified again")

    monkeypatch.setattr(ladders, "verify", never)
    again = Ladder(evaluated, Wanted(threads=1))
    assert opened(again).info == first.info
    assert steps(again) == [("tensorrt fp16", "unverified")]
    assert cards["tensorrt"].opened == ["bf16"]


def test_another_version_is_verified_anew(evaluated: Bundle, cards: dict[str, Card]):
    cards["tensorrt"].heads["fp16"] = flips
    opened(Ladder(evaluated, Wanted(threads=1)))
    cards["tensorrt"].heads.clear()
    cards["tensorrt"].version = "2"
    assert opened(Ladder(evaluated, Wanted(threads=1))).info.precision == "fp16"


def test_another_budget_means_other_plans_which_are_verified_anew(evaluated: Bundle, cards: dict[str, Card]):
    cards["tensorrt"].heads["fp16"] = flips
    opened(Ladder(evaluated, Wanted(threads=1)))
    cards["tensorrt"].heads.clear()
    assert opened(Ladder(evaluated, Wanted(threads=1))).info.precision == "bf16"
    assert opened(Ladder(evaluated, Wanted(threads=1, gpu=Budget(tokens=512)))).info.precision == "fp16"


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b'{"events": 1}'])
def test_spoiled_keepsakes_are_made_anew(evaluated: Bundle, cards: dict[str, Card], cache: Path, junk: bytes):
    first = opened(Ladder(evaluated, Wanted(threads=1)))
    kept = list((cache / "tidegate" / "verdicts").iterdir())
    assert {path.suffix for path in kept} == {".json", ".safetensors"}
    for path in kept:
        path.write_bytes(junk)
    assert opened(Ladder(evaluated, Wanted(threads=1))).info == first.info


def test_where_nothing_can_be_kept_it_is_still_served(
    evaluated: Bundle, cards: dict[str, Card], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    assert opened(Ladder(evaluated, Wanted(threads=1))).info.precision == "fp16"


def test_golden_vectors_alone_verify_and_say_that_they_are_few(bundle: Bundle, cards: dict[str, Card]):
    assert "proves little" in opened(Ladder(bundle, Wanted(threads=1))).info.why


def test_a_bundle_that_brings_nothing_to_judge_by_is_served_at_fp32(folder: Path, cards: dict[str, Card]):
    (folder / "golden.safetensors").unlink()
    ladder = Ladder(seal(folder), Wanted("tensorrt", threads=1))
    engine = opened(ladder)
    assert engine.info.precision == "fp32"
    assert "nothing to verify" in engine.info.why
    assert [code for _, code in steps(ladder)] == ["unverified"] * 2


def test_below_a_failed_engine_are_those_that_may_help(evaluated: Bundle, cards: dict[str, Card]):
    ladder = Ladder(evaluated, Wanted(threads=1, cpu_fallback=True))
    info = opened(ladder).info

    def below(error: EngineError) -> list[str]:
        return [rung.name for rung in ladder.below(info, error)]

    torch = ["torch fp16", "torch bf16", "torch fp32"]
    assert below(EngineError("broken")) == ["tensorrt bf16", "tensorrt fp32", *torch, "auto auto"]
    assert below(OutOfMemory("full")) == [*torch, "auto auto"]
    lost = EngineError("a tower failed")
    lost.__cause__ = DeviceLost("gone")
    assert below(lost) == ["auto auto"]
    assert steps(ladder) == [("tensorrt fp16", "device_lost")]


def replacement(ladder: Ladder, failed: FusedEngine, error: EngineError) -> FusedEngine | None:
    """The first below a failed engine that opens, as the daemon takes it."""
    for rung in ladder.below(failed.info, error):
        with suppress(EngineError):
            return rung.open()
    return None


def test_the_next_engine_serves_in_place_of_one_that_failed(evaluated: Bundle, cards: dict[str, Card]):
    ladder = Ladder(evaluated, Wanted(threads=1))
    first = opened(ladder)
    cards["tensorrt"].errors["bf16"] = EngineError("no kernel")
    replaced = replacement(ladder, first, EngineError("broken"))
    assert replaced is not None
    replaced.close()
    assert (replaced.info.engine, replaced.info.precision) == ("tensorrt", "fp32")
    assert steps(ladder) == [("tensorrt fp16", "failed"), ("tensorrt bf16", "failed")]
    assert replacement(ladder, replaced, DeviceLost("gone")) is None


def test_steps_do_not_pile_up(evaluated: Bundle, cards: dict[str, Card]):
    ladder = Ladder(evaluated, Wanted(threads=1))
    info = opened(ladder).info
    for _ in range(5):
        ladder.below(info, EngineError("broken"))
    assert len(ladder.steps) == 1
    ladder.rungs()
    assert ladder.steps == []


def test_building_and_verifying_show_that_they_are_alive(evaluated: Bundle, cards: dict[str, Card]):
    heard: list[str] = []
    alive: list[int] = []
    wanted = Wanted(
        threads=1, devices=(1, 2), gpu_memory=0.5, progress=lambda what, share: heard.append(what)
    )
    Ladder(evaluated, wanted).open(lambda: alive.append(1)).close()
    assert heard == [
        *(f"building {name}" for name in ("text", "image", "audio", "head")),
        "verifying tensorrt fp16",
    ]
    assert len(alive) > 4
    terms = cards["tensorrt"].terms
    assert terms is not None
    assert (terms.devices, terms.gpu_memory) == ((1, 2), 0.5)


def test_an_engine_that_is_refused_is_closed(
    evaluated: Bundle, cards: dict[str, Card], monkeypatch: pytest.MonkeyPatch
):
    cards["tensorrt"].heads["fp16"] = flips
    closed: list[str] = []
    close = FusedEngine.close

    def closing(engine: FusedEngine) -> None:
        closed.append(engine.info.engine + " " + engine.info.precision)
        close(engine)

    monkeypatch.setattr(FusedEngine, "close", closing)
    engine = Ladder(evaluated, Wanted(threads=1)).open()
    assert closed == ["onnxruntime fp32", "tensorrt fp16"]
    engine.close()


def test_a_gpu_backend_is_verified_wherever_it_is_opened(evaluated: Bundle, cards: dict[str, Card]):
    cards["tensorrt"].heads["fp16"] = flips
    engine = open_engine(evaluated, "tensorrt", threads=1)
    engine.close()
    assert engine.info.precision == "bf16"


SMALL = Budget(tokens=256, image_rows=16, audio_seconds=4.0, head_rows=64)


@pytest.fixture
def gpu(cache: Path) -> Iterator[Machine]:
    """A GPU host, of which only TensorRT and CUDA are stood in for."""
    with installed() as machine:
        yield machine


def test_tensorrt_serves_what_verifies(evaluated: Bundle, gpu: Machine):
    ladder = Ladder(evaluated, Wanted("tensorrt", "fp32", 1, gpu=SMALL))
    engine = ladder.open()
    assert (engine.info.engine, engine.info.precision) == ("tensorrt", "fp32")
    assert "0 of" in engine.info.why
    assert engine.memory[0] > 0
    engine.close()


def test_what_is_not_built_is_passed_over_where_nothing_may_be_built(evaluated: Bundle, gpu: Machine):
    wanted = Wanted("tensorrt", "fp32", 1, gpu=SMALL, build=False)
    with pytest.raises(EngineError, match="tidegate engine build tiny"):
        Ladder(evaluated, wanted).open()
    ladder = Ladder(evaluated, replace(wanted, precision="auto"))
    with pytest.raises(EngineError, match="No GPU engine") as caught:
        ladder.open()
    assert caught.value.remedy == "Build what it lacks: tidegate engine build tiny"
    assert {code for _, code in steps(ladder)} == {"not_built"}
    assert gpu.built == []
    Ladder(evaluated, replace(wanted, build=True)).open().close()
    built = len(gpu.built)
    engine = Ladder(evaluated, replace(wanted, precision="auto")).open()
    assert engine.info.precision == "fp32"
    assert "before it tensorrt fp16: A plan is not built" in engine.info.why
    assert len(gpu.built) == built
    engine.close()
    cpu = replace(wanted, precision="fp16", cpu_fallback=True)
    assert opened(Ladder(evaluated, cpu)).info.engine not in GPU


def test_a_plan_that_computes_no_numbers_is_refused(evaluated: Bundle, gpu: Machine):
    gpu.nan = frozenset({"fp32"})
    ladder = Ladder(evaluated, Wanted("tensorrt", "fp32", 1, gpu=SMALL))
    with pytest.raises(EngineError, match="not finite"):
        ladder.open()
    assert steps(ladder) == [("tensorrt fp32", "unverified")]


def test_a_plan_that_is_off_is_refused(evaluated: Bundle, gpu: Machine):
    gpu.noise = {"fp32": 0.5}
    ladder = Ladder(evaluated, Wanted("tensorrt", "fp32", 1, gpu=SMALL))
    with pytest.raises(EngineError, match="golden"):
        ladder.open()
    assert steps(ladder) == [("tensorrt fp32", "failed")]


def test_when_the_device_is_lost_nothing_on_it_is_next(evaluated: Bundle, gpu: Machine):
    ladder = Ladder(evaluated, Wanted("tensorrt", "fp32", 1, gpu=SMALL))
    engine = ladder.open()
    gpu.lose()
    with pytest.raises(EngineError) as caught:
        engine.infer(Batch.of(examples(20)))
    engine.close()
    assert replacement(ladder, engine, caught.value) is None
    assert steps(ladder) == [("tensorrt fp32", "device_lost")]
    assert not caught.value.events


def test_the_processor_takes_over_from_a_lost_device_where_it_may(evaluated: Bundle, gpu: Machine):
    ladder = Ladder(evaluated, Wanted("tensorrt", "fp32", 1, gpu=SMALL, cpu_fallback=True))
    engine = ladder.open()
    gpu.lose()
    engine.close()
    replaced = replacement(ladder, engine, DeviceLost("gone"))
    assert replaced is not None
    assert len(replaced.infer(Batch.of(examples(20))).sentiment) == 20
    assert replaced.info.engine in ("onnxruntime", "openvino")
    replaced.close()
