"""The ladder: which engines may serve, best first, and what comes next when one fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from engines.bundle import Bundle
from engines.errors import DeviceLost, EngineError, OutOfMemory
from engines.ladder import Ladder, Wanted
from engines.sessions import tensorrt, torch
from engines.sessions.base import Backend
from engines.sessions.choose import BACKENDS, GPU, on_gpu
from tests.engines.cards import (
    Card,
    names,
    opened,
    quantised,
    replacement,
    steps,
)


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


def test_a_gpu_that_is_there_and_cannot_be_used_is_replaced_only_where_that_is_allowed(
    bundle: Bundle, cards: dict[str, Card]
):
    for card in cards.values():
        card.why_not = "the driver is too old"
    cards["tensorrt"].broken = True
    ladder = Ladder(bundle, Wanted(threads=1))
    assert names(ladder) == []
    with pytest.raises(EngineError, match=r"tensorrt: the driver is too old.*cpu_fallback: true"):
        ladder.open()
    assert names(Ladder(bundle, Wanted(cpu_fallback=True))) == ["auto auto"]
    assert names(Ladder(bundle, Wanted("onnxruntime", "fp32"))) == ["onnxruntime fp32"]


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
