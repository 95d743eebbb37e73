"""Towers of the tiny bundle on plans, micro-batches for them, and what their answers must be."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from engines import cuda
from engines.bundle import Bundle
from engines.planner import Budget
from engines.sessions import onnxruntime, tensorrt
from engines.sessions.base import Arrays, Terms
from engines.tensorrt.build import Plans, built
from engines.tensorrt.pool import ROOMS
from engines.tensorrt.session import TensorRTSession
from engines.tensorrt.store import PlanStore
from tests.standin import Machine
from tests.tiny_bundle import SIDE, TOKENS, WIDTH

BUDGET = Budget(tokens=256, image_rows=16, audio_seconds=4.0, head_rows=64)
Opener = Callable[..., TensorRTSession]


@contextmanager
def opening(gpu: Machine, bundle: Bundle, store: PlanStore) -> Iterator[Opener]:
    """Opens towers; at the end each gives everything back."""
    found: list[TensorRTSession] = []

    def open_(tower: str = "text", graphs: bool = True, **terms: object) -> TensorRTSession:
        own = Terms(**{"budget": BUDGET, **terms})
        found.append(tensorrt.opened(bundle, tower, "fp32", own, store=store, graphs=graphs))
        return found[-1]

    yield open_
    for session in found:
        session.close()
    gc.collect()  # errors that tests have caught hold on to frames
    if gpu.sticky is None:
        assert not +gpu.live, gpu.live
        assert gpu.held() == gpu.held("pinned") == 0
        assert all(room.take(1) for room in ROOMS.values())
        for room in ROOMS.values():
            room.give()


def plans(bundle: Bundle, store: PlanStore, tower: str = "text", precision: str = "fp32", **more) -> Plans:
    terms = Terms(budget=BUDGET, progress=more.pop("progress", None), build=more.pop("build", True))
    return built(bundle, tower, precision, terms, cuda.devices()[0], store, **more)


def inputs(tower: str, rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng((seed, rows))
    if tower == "text":
        return {"ids": random.integers(1, 500, (rows, int(random.integers(1, 65))), dtype=np.int32)}
    if tower == "image":
        return {"pixels": random.integers(0, 256, (rows, SIDE, SIDE, 3), dtype=np.uint8)}
    if tower == "audio":
        longest = int(random.integers(500, 32_000))
        samples = random.normal(0, 3000, (rows, longest)).astype(np.float32)
        return {"samples": samples, "lengths": np.full(rows, longest, np.int32)}
    slots = {m: random.normal(size=(rows, k, WIDTH)).astype(np.float32) for m, k in TOKENS.items()}
    return slots | {"presence": random.integers(0, 2, (rows, 3)).astype(np.float32)}


def agree(bundle: Bundle, tower: str, given: Arrays, answer: Arrays) -> None:
    wanted = onnxruntime.OnnxRuntimeSession(bundle, tower, "fp32", Terms()).run(given)
    assert answer.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(answer[name], value, atol=1e-4, rtol=1e-4, err_msg=name)
