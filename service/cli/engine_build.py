"""`tidegate engine build`: plans before they are needed, verified like those that `run` builds."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.bundle_options import bundle_argument
from service.cli.console import bars, emit, json_option, say, settings_options, table, teach
from service.cli.engine_options import (
    device_option,
    needs_gpu,
    precision_option,
    reaching,
    settings_of,
    size,
    store_of,
)
from service.errors import Exit

if TYPE_CHECKING:
    from engines.bundle import Bundle
    from engines.errors import EngineError
    from engines.planner import Budget
    from service.config import EngineSettings


@click.command(
    help=teach(
        "Build the TensorRT plans of a bundle, verify them, and keep them for `run`.\n\n"
        "Without --precision it builds what `run` would serve: the first precision that decides as fp32 on "
        "the processor does. Give the configuration that will serve: micro-batches are planned by it.",
        ("tidegate engine build starter", "what `run` would serve"),
        ("tidegate engine build mine --precision fp16 --precision bf16", "these, side by side"),
        ("tidegate engine build mine -c tidegate.yaml --device 1", "for another GPU"),
    )
)
@bundle_argument
@precision_option
@device_option
@settings_options
@json_option
def build(
    source: str, precisions: tuple[str, ...], devices: tuple[int, ...], config: Path | None,
    overrides: tuple[str, ...], as_json: bool,
) -> int:  # fmt: skip
    """Build, verify and report."""
    from engines.bundle import Bundle

    bundle = Bundle.load(source)
    needs_gpu()
    rows, worst = [], int(Exit.OK)
    for precision in precisions or ("auto",):
        settings = settings_of(
            config,
            overrides,
            devices,
            backend="tensorrt",
            precision=precision,
            cpu_fallback=False,
            build=True,
        )
        row, failed = _built(bundle, settings, precision, as_json)
        rows.append(row)
        if as_json:
            emit(row)
        if failed is not None:
            worst = worst or int(Exit.CONFIG)
            if not as_json:
                say(f"{precision}: {failed}")
    if not as_json:
        table(
            ("precision", "built", "seconds", "plans", "size", "what verifying found, or why not"),
            [(r["precision"], "yes" if r["good"] else "no", f"{r['seconds']:.1f}", r["plans"],
              size(r["bytes"]), r["why"]) for r in rows],
        )  # fmt: skip
    return worst


def _built(
    bundle: Bundle, settings: EngineSettings, precision: str, quiet: bool
) -> tuple[dict[str, Any], EngineError | None]:
    from engines.errors import DeviceLost, EngineError, NoDevice
    from service.assembly import ladder_of

    begun, failed, why = time.monotonic(), None, ""
    with ExitStack() as stack:
        show = None if quiet else stack.enter_context(bars())
        ladder = ladder_of(bundle, settings, show)
        try:
            with reaching():
                engine = ladder.open()
            precision, why = engine.info.precision, engine.info.why
            engine.close()
        except (NoDevice, DeviceLost):
            raise
        except EngineError as error:
            failed, why = error, error.why or error.what
    verdict = _verdict(bundle, precision, ladder.wanted.gpu) if failed is None else f"refused: {why}"
    plans, total = _noted(bundle, settings, precision, verdict)
    row = {
        "schema": "tidegate.engine-build/1", "bundle": bundle.name, "digest": bundle.digest,
        "precision": precision, "good": failed is None, "seconds": round(time.monotonic() - begun, 1),
        "plans": plans, "bytes": total, "why": why,
        "steps": [{"engine": step.backend, "precision": step.precision, "why": step.reason}
                  for step in ladder.steps],
    }  # fmt: skip
    return row, failed


def _verdict(bundle: Bundle, precision: str, budget: Budget | None) -> str:
    """What verifying found, in short; it was kept when the engine was opened."""
    from engines.verdicts import Verdicts, facts_of

    found = Verdicts().recall(facts_of(bundle, "tensorrt", precision, budget))
    return "nothing to verify it by" if found is None else str(found).split(";")[0]


def _noted(bundle: Bundle, settings: EngineSettings, precision: str, verdict: str) -> tuple[int, int]:
    """Write into the plans of a bundle whose they are and what was found; how many, and their bytes."""
    import hashlib

    from engines.tensorrt.store import StoreError

    graphs = {
        hashlib.sha256(bundle.read(bundle.graph_name(tower, p))).hexdigest()
        for tower in ("text", "image", "audio", "head")
        for p in ("fp32", precision)
    }
    count = total = 0
    store = store_of(settings)
    try:
        for entry in store.list():
            if entry.key is not None and entry.key.graph in graphs and entry.key.precision == precision:
                store.note(entry.key, {"bundle": bundle.name, "verified": verdict})
                count, total = count + 1, total + entry.bytes
    except StoreError as error:
        say(f"note: {error}")
    return count, total
