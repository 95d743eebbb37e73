"""The parts: each a few minutes of a process of its own, at most `MOST` seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engines.batch import MODALITIES
from engines.bundle import GRAPHS
from tests.gpu.ground import Ground

MOST = 480
"""A build that is cut loses what it had measured: what may take long has a part for each plan."""


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


def _build_shipped(name: str, towers: tuple[str, ...], precision: str) -> Callable[[Ground], None]:
    def run(ground: Ground) -> None:
        from tests.gpu.starter import build

        build(ground, name, towers, precision)

    return run


def _build(name: str, precision: str) -> Callable[[Ground], None]:
    def run(ground: Ground) -> None:
        from tests.gpu.speed import build

        build(ground, name, precision)

    return run


def _torch(precision: str) -> Callable[[Ground], None]:
    def run(ground: Ground) -> None:
        from tests.gpu.starter import on_torch

        on_torch(ground, precision)

    return run


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


def _shipped(precision: str, small: bool) -> list[Part]:
    """Plans of the bundles that come along, tower by tower: one may take minutes, and none is kept halfway.
    Those of the edge bundle come first: that TensorRT builds at all is known after seconds.
    """
    edge = Part(f"build-edge-{precision}", 300, _build_shipped("edge", GRAPHS, precision))
    if small:
        return [edge]
    return [edge] * (precision != "fp8") + [
        Part(f"build-starter-{tower}-{precision}", 470, _build_shipped("starter", (tower,), precision))
        for tower in (GRAPHS if precision == "fp32" else MODALITIES)  # the head is fp32 at every precision
    ]


def _measured(name: str, precision: str) -> list[Part]:
    return [
        Part(f"build-{name}-{precision}", 470, _build(name, precision)),
        Part(f"{name}-{precision}", 460, _model(name, precision)),
    ]


def parts(small: bool) -> dict[str, Part]:
    """All of them by name, in the order in which they tell most soonest; a rehearsal has fp32 too."""
    found = [Part("environment", 90, _environment), *_shipped("fp32", small) * small]
    if small:
        found += [Part("starter-fp32", 60, _starter("fp32")), Part("torch-fp32", 60, _torch("fp32"))]
        for name in ("bert", "vit", "wav2vec2"):
            found += _measured(name, "fp32")
    found += [
        *_shipped("fp16", small),
        Part("starter-fp16", 420, _starter("fp16")),
        Part("torch-fp16", 460, _torch("fp16")),
        Part("prepare-bert", 460, _prepare("bert")),
        *_measured("bert", "fp16"),
        Part("failures", 120, _failures),
        Part("graphs", 200, _graphs),
        *_shipped("bf16", small),
        Part("starter-bf16", 420, _starter("bf16")),
        *_shipped("fp32", small) * (not small),
        Part("decisions", 460, _decisions),
        Part("prepare-starter", 460, _prepare_starter),
        *_shipped("fp8", small) * (not small),
        Part("starter-fp8", 420, _starter("fp8")),
        Part("decisions-fp8", 460, _decisions_fp8),
        *_measured("bert", "bf16"),
        Part("prepare-vit", 460, _prepare("vit")),
        *_measured("vit", "fp16"),
        *_measured("vit", "bf16"),
        Part("prepare-wav2vec2", 460, _prepare("wav2vec2")),
        *_measured("wav2vec2", "fp16"),
        *_measured("wav2vec2", "bf16"),
        *_measured("bert", "fp8"),
        *_measured("vit", "fp8"),
        Part("soak-1", 400, _soak(1)),
        Part("soak-2", 400, _soak(2)),
    ]
    return {part.name: part for part in found}
