"""What goes wrong on the real thing: plans that are spoilt, memory that is gone, another version's plan."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from engines import cuda
from engines.bundle import Bundle
from engines.errors import EngineError, OutOfMemory
from engines.sessions.tensorrt import opened
from engines.tensorrt.buckets import Bucket
from engines.tensorrt.build import built
from engines.tensorrt.signature import Signature
from engines.tensorrt.store import PlanStore
from engines.throughput import inputs_of
from tests.gpu.ground import Ground
from tests.gpu.results import Check, holds

GIB = 1 << 30


def measure(ground: Ground) -> None:
    """The part `failures`, on the image tower of the edge bundle at fp32, which builds fast."""
    bundle = Bundle.load("edge")
    folder = ground.work / "failures"
    shutil.rmtree(folder, ignore_errors=True)
    said: list[str] = []
    store = PlanStore(folder, say=said.append)
    inputs = _inputs(bundle)
    with ground.checking("a plan is built"):
        session = opened(bundle, "image", "fp32", ground.terms(1), store=store)
        want = session.run(inputs)["tokens"]
        session.close()
        ground.tell(holds("a plan is built and runs", bool(np.isfinite(want).all())))
        _spoilt(ground, bundle, store, folder, inputs, want, said)
        _other_version(ground, bundle, store)
        _memory(ground, bundle, store, inputs, want)
        _signed_rubbish(ground, bundle, store, inputs, want)  # these two last: they may take the process down
        _memory(ground, bundle, store, inputs, want, beyond=True)


def _spoilt(ground, bundle, store, folder: Path, inputs, want, said: list[str]) -> None:
    check = "a plan with a changed byte is put aside, and built anew"
    with ground.checking(check):
        biggest = max(folder.rglob("*.plan"), key=lambda p: p.stat().st_size)
        data = bytearray(biggest.read_bytes())
        data[len(data) // 2] ^= 0xFF
        biggest.write_bytes(data)
        before = len(said)
        session = opened(bundle, "image", "fp32", ground.terms(1), store=store)
        got = session.run(inputs)["tokens"]
        session.close()
        told = "; ".join(said[before:])[:300] or "it said nothing"
        ground.tell(holds(check, len(said) > before and bool(np.allclose(got, want, atol=1e-3)), told))


def _signed_rubbish(ground, bundle, store, inputs, want) -> None:
    check = "a signed plan that TensorRT does not take is built anew"
    with ground.checking(check):
        plans = built(bundle, "image", "fp32", ground.terms(1), cuda.devices()[0], store)
        kept = plans.stored[0]
        store.put(kept.key, kept.plan[: len(kept.plan) // 2], kept.facts)
        session = opened(bundle, "image", "fp32", ground.terms(1), store=store)
        got = session.run(inputs)["tokens"]
        session.close()
        ground.tell(holds(check, bool(np.allclose(got, want, atol=1e-3))))


def _other_version(ground, bundle, store) -> None:
    check = "a plan of another TensorRT is not taken, and why is said"
    with ground.checking(check):
        plans = built(bundle, "image", "fp32", ground.terms(1), cuda.devices()[0], store)
        other = replace(plans.stored[0].key, tensorrt="9.9.9")
        why = store.why_not(other)
        ground.tell(holds(check, store.get(other) is None and "9.9.9" in why, why[:300]))


def _memory(ground, bundle, store, inputs, want, beyond: bool = False) -> None:
    """`beyond` lets go of the share that the engine keeps to: then CUDA and TensorRT say what is lacking."""
    terms, own = ground.terms(1), ", by CUDA or TensorRT themselves" if beyond else ""
    if beyond:
        terms = replace(terms, gpu_memory=2.0)
    check = f"with the device's memory taken by another: out of memory is said{own}"
    with ground.checking(check), ExitStack() as hog:
        if not ground.cuda:  # the stand-in's memory is this machine's own: most of it is said to be taken
            hog.enter_context(_crowded())
        size = 4 * GIB
        while size >= 1 << 20:
            try:
                hog.enter_context(cuda.DeviceBuffer(size))
            except OutOfMemory:
                size //= 2
        try:
            session = opened(bundle, "image", "fp32", terms, store=store)
            session.run(inputs)
            session.close()
            ground.tell(Check(check, "it still ran", reason="less than 1 MiB was left, and it was enough"))
        except OutOfMemory as error:
            ground.tell(holds(check, True, str(error)[:300]))
        except EngineError as error:
            ground.tell(holds(check, False, f"as another error: {error}"[:300]))
    check = f"once the memory is given back it serves again{own and ', after that too'}"
    with ground.checking(check):
        session = opened(bundle, "image", "fp32", ground.terms(1), store=store)
        got = session.run(inputs)["tokens"]
        session.close()
        ground.tell(holds(check, bool(np.allclose(got, want, atol=1e-3))))


@contextmanager
def _crowded(left: int = 64 << 20) -> Iterator[None]:
    """All but a little of the stand-in's memory is another's. How much the card has in all stays as it is:
    the builder's workspace follows from that, and with it which plan is asked for.
    """
    from tests.standin.machine import Piece, machine

    with machine.lock:
        nowhere = -1 << 62
        size = machine.free(0) - left
        machine.pieces[nowhere] = Piece(nowhere, size, "device", 0, np.empty(0, np.uint8))
    try:
        yield
    finally:
        del machine.pieces[nowhere]


def _inputs(bundle: Bundle):
    signature = Signature.of(bundle.read(bundle.graph_name("image")))
    return inputs_of(signature, Bucket(2), bundle.preprocess)
