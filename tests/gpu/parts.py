"""The parts: each a few minutes of a process of its own, at most `MOST` seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.gpu.ground import Ground

MOST = 480


@dataclass(frozen=True)
class Part:
    """`seconds` is what it needs with some room: it is not begun where less is left."""

    name: str
    seconds: int
    run: Callable[[Ground], None]


def _environment(ground: Ground) -> None:
    from tests.gpu.environment import measure

    measure(ground)


def _starter(precision: str) -> Callable[[Ground], None]:
    def run(ground: Ground) -> None:
        from tests.gpu.starter import measure

        measure(ground, precision)

    return run


def _prepare_starter(ground: Ground) -> None:
    from tests.gpu.starter import prepare

    prepare(ground)


def _decisions(ground: Ground) -> None:
    from tests.gpu.starter import decide

    decide(ground, ("fp32",) if ground.small else ("fp32", *ground.precisions))


def _decisions_fp8(ground: Ground) -> None:
    from tests.gpu.starter import decide

    decide(ground, ("fp8",))


def _model(name: str, precision: str) -> Callable[[Ground], None]:
    def run(ground: Ground) -> None:
        from tests.gpu.speed import measure

        measure(ground, name, precision)

    return run


def _prepare(name: str) -> Callable[[Ground], None]:
    def run(ground: Ground) -> None:
        from tests.gpu.speed import prepare

        prepare(ground, name)

    return run


def _graphs(ground: Ground) -> None:
    from tests.gpu.graphs import measure

    measure(ground, "fp32" if ground.small else "fp16")


def _soak(seed: int) -> Callable[[Ground], None]:
    def run(ground: Ground) -> None:
        from tests.gpu.soak import measure

        measure(ground, "fp32" if ground.small else "fp16", seed)

    return run


def _failures(ground: Ground) -> None:
    from tests.gpu.failures import measure

    measure(ground)


def parts(small: bool) -> dict[str, Part]:
    """All of them by name, in the order in which they tell most soonest; a rehearsal has fp32 too."""
    found = [Part("environment", 90, _environment)]
    if small:
        found += [Part("starter-fp32", 60, _starter("fp32"))]
        found += [Part(f"{name}-fp32", 60, _model(name, "fp32")) for name in ("bert", "vit", "wav2vec2")]
    found += [
        Part("starter-fp16", 420, _starter("fp16")),
        Part("prepare-bert", 460, _prepare("bert")),
        Part("bert-fp16", 460, _model("bert", "fp16")),
        Part("failures", 120, _failures),
        Part("graphs", 200, _graphs),
        Part("starter-bf16", 420, _starter("bf16")),
        Part("decisions", 460, _decisions),
        Part("prepare-starter", 460, _prepare_starter),
        Part("starter-fp8", 420, _starter("fp8")),
        Part("decisions-fp8", 460, _decisions_fp8),
        Part("bert-bf16", 460, _model("bert", "bf16")),
        Part("prepare-vit", 460, _prepare("vit")),
        Part("vit-fp16", 460, _model("vit", "fp16")),
        Part("vit-bf16", 460, _model("vit", "bf16")),
        Part("prepare-wav2vec2", 460, _prepare("wav2vec2")),
        Part("wav2vec2-fp16", 460, _model("wav2vec2", "fp16")),
        Part("wav2vec2-bf16", 460, _model("wav2vec2", "bf16")),
        Part("bert-fp8", 470, _model("bert", "fp8")),
        Part("vit-fp8", 470, _model("vit", "fp8")),
        Part("soak-1", 400, _soak(1)),
        Part("soak-2", 400, _soak(2)),
    ]
    return {part.name: part for part in found}
