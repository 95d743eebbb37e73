"""The rates of a device, measured on it now: of its matrix units, and of copying within its memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from statistics import median
from typing import Any, Final

import numpy as np

from engines.errors import EngineError

SHAPES: Final = ((8192, 768, 3072), (8192, 3072, 768), (32768, 768, 3072), (8192, 8192, 8192))
"""Products (rows, inner, columns) whose fastest gives the matrix rate of a GPU: of an encoder's shapes, and
one that leaves nothing to be desired."""
SMALL: Final = ((512, 384, 1536), (2048, 768, 3072))
"""The same for a processor."""
_COPIED: Final = 1 << 30
_COPIED_HERE: Final = 1 << 26


@dataclass(frozen=True, slots=True)
class Rates:
    """`matrix` FLOP/s, `copy` bytes read and written a second; `by_shape` the matrix rate of each product."""

    matrix: float
    copy: float
    by_shape: dict[str, float] = field(default_factory=dict)


def timed(run: Callable[[], object], seconds: float, least: int = 5, warm: int = 2) -> list[float]:
    """Seconds of each run, for about so many seconds, after `warm` runs that don't count."""
    for _ in range(warm):
        run()
    found: list[float] = []
    end = time.perf_counter() + seconds
    while len(found) < least or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return found


def processor_rates(
    precision: str = "fp32",
    threads: int = 1,
    seconds: float = 0.3,
    shapes: Sequence[tuple[int, int, int]] = SMALL,
) -> Rates:
    """Of this machine's processor, by the fastest library that is installed; raises EngineError."""
    makers = [
        maker for maker in (_by_numpy, _by_openvino) if maker(precision, shapes[0], threads) is not None
    ]
    if not makers:
        raise EngineError(
            "The rate of the processor cannot be measured",
            why=f"nothing that is installed multiplies at {precision} on it",
            remedy="pip install openvino",
        )
    found = {}
    for shape in shapes:
        runs = [run for maker in makers if (run := maker(precision, shape, threads)) is not None]
        best = min(min(timed(run, seconds)) for run in runs)
        found[_spell(shape)] = _flops(shape) / best
    return Rates(max(found.values()), _copy_rate(threads, seconds), found)


def gpu_rates(
    precision: str, device: int = 0, seconds: float = 0.5, shapes: Sequence[tuple[int, int, int]] = SHAPES
) -> Rates:
    """Of a GPU, through torch; raises EngineError where torch cannot."""
    torch = torch_on_gpu()
    with torch.cuda.device(device):
        found, why = {}, ""
        for shape in shapes:
            try:
                run = _gpu_product(torch, precision, shape)
                found[_spell(shape)] = _flops(shape) / median(gpu_timed(torch, run, seconds))
            except (RuntimeError, AttributeError, ValueError) as error:
                why = str(error).strip().splitlines()[0][:200]
        if not found:
            raise EngineError(f"The matrix rate at {precision} cannot be measured", why=why)
        size = min(_COPIED, torch.cuda.mem_get_info()[0] // 4)
        source = torch.randint(0, 255, (size,), dtype=torch.uint8, device="cuda")
        target = torch.empty_like(source)
        copied = median(gpu_timed(torch, lambda: target.copy_(source), seconds))
    return Rates(max(found.values()), 2 * size / copied, found)


def torch_on_gpu() -> Any:
    """The module, with a GPU that it can use; raises EngineError."""
    why = "torch is not installed"
    if find_spec("torch") is not None:
        torch = import_module("torch")
        if torch.cuda.is_available():
            return torch
        why = "torch sees no GPU here"
    raise EngineError("The GPU's rates cannot be measured", why=why, remedy="pip install torch")


def gpu_timed(torch: Any, run: Callable[[], object], seconds: float, least: int = 10) -> list[float]:
    """Seconds of each run on the GPU's own clock, after a warm-up."""
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    found: list[float] = []
    end = time.perf_counter() + seconds
    while len(found) < least or time.perf_counter() < end:
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        before.record()
        run()
        after.record()
        after.synchronize()
        found.append(before.elapsed_time(after) / 1e3)
    return found


def _gpu_product(torch: Any, precision: str, shape: tuple[int, int, int]) -> Callable[[], object]:
    from engines.torchgraph.library import exact

    rows, inner, columns = shape
    left = torch.randn(rows, inner, device="cuda")
    right = torch.randn(columns, inner, device="cuda")
    if precision == "int8":
        a, b = ((side * 20).to(torch.int8) for side in (left, right))
        return lambda: torch._int_mm(a, b.t())  # noqa: SLF001 - torch has no public name for it
    if precision == "fp8":
        a, b = (side.to(torch.float8_e4m3fn) for side in (left, right))
        one = torch.ones((), device="cuda")
        return lambda: torch._scaled_mm(  # noqa: SLF001
            a, b.t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16, use_fast_accum=True
        )
    kinds = {"fp16": torch.float16, "bf16": torch.bfloat16}
    if precision not in kinds:  # neither GPU engine computes fp32 in TF32
        exact()
    a, b = (side.to(kinds.get(precision, torch.float32)) for side in (left, right))
    return lambda: a @ b.t()


def _by_numpy(precision: str, shape: tuple[int, int, int], threads: int) -> Callable[[], object] | None:
    del threads  # its library takes every core
    if precision != "fp32":
        return None
    left, right = _operands(shape)
    out = np.empty((shape[0], shape[2]), np.float32)
    return lambda: np.matmul(left, right, out=out)


def _by_openvino(precision: str, shape: tuple[int, int, int], threads: int) -> Callable[[], object] | None:
    hint = {"fp32": "f32", "bf16": "bf16"}.get(precision)
    if hint is None or find_spec("openvino") is None:
        return None
    ov, ops = import_module("openvino"), import_module("openvino.opset13")
    left, right = _operands(shape)
    given = ops.parameter(list(left.shape), np.float32)
    model = ov.Model([ops.matmul(given, ops.constant(right), False, False)], [given])
    settings = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": threads}
    request = ov.Core().compile_model(model, "CPU", settings).create_infer_request()
    return lambda: request.infer([left], share_inputs=True, share_outputs=True)


def _operands(shape: tuple[int, int, int]) -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    rows, inner, columns = shape
    left = random.standard_normal((rows, inner), np.float32)
    return left, random.standard_normal((inner, columns), np.float32)


def _copy_rate(threads: int, seconds: float) -> float:
    size = _COPIED_HERE // threads
    pairs = [(np.ones(size, np.uint8), np.zeros(size, np.uint8)) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        run = lambda: list(pool.map(lambda pair: np.copyto(pair[1], pair[0]), pairs))  # noqa: E731
        return 2 * size * threads / min(timed(run, seconds))


def _flops(shape: tuple[int, int, int]) -> float:
    rows, inner, columns = shape
    return 2.0 * rows * inner * columns


def _spell(shape: tuple[int, int, int]) -> str:
    return "×".join(map(str, shape))
