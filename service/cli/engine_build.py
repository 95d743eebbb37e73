"""`tidegate engine build`: plans before they are needed, verified like those that `run` builds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.bundle_options import bundle_argument
from service.cli.console import bars, emit, json_option, say, settings_options, table, teach
from service.cli.engine_options import (
    TOWERS,
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
    from engines.ladder import Wanted
    from engines.planner import Budget
    from engines.tensorrt.key import PlanKey
    from engines.tensorrt.store import PlanStore
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
        ladder = ladder_of(bundle, settings, show, anew=True)
        try:
            with reaching():
                engine = ladder.open()
            precision, why = engine.info.precision, engine.info.why
            engine.close()
        except (NoDevice, DeviceLost):
            raise
        except EngineError as error:
            failed, why = error, error.why or error.what
    found = {s.precision: f"refused: {s.reason}" for s in ladder.steps if s.code in ("unverified", "failed")}
    if failed is None:
        found[precision] = _verdict(bundle, precision, ladder.wanted.gpu)
    plans, total = _noted(bundle, ladder.wanted, precision, found, store_of(settings))
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


def _noted(
    bundle: Bundle, wanted: Wanted, precision: str, found: Mapping[str, str], store: PlanStore
) -> tuple[int, int]:
    """Write into the plans of engines whose they are, and what was found of them by precision; how many the
    one of `precision` has, and their bytes.

    Those at another precision, the head's for one, serve other engines too: the finding is none of theirs,
    nor of any where a tower could not be built.
    """
    from engines.errors import EngineError

    count = total = 0
    try:
        for each in dict.fromkeys((*found, precision)):
            plans = _kept(bundle, wanted, each, store)
            whole = {key.tower for key in plans} == set(TOWERS)
            for key in plans:
                told = whole and each in found and key.precision == each
                store.note(key, {"bundle": bundle.name, **({"verified": found[each]} if told else {})})
            if each == precision:
                count, total = len(plans), sum(plans.values())
    except EngineError as error:
        say(f"note: {error}")
    return count, total


def _kept(bundle: Bundle, wanted: Wanted, precision: str, store: PlanStore) -> dict[PlanKey, int]:
    """The plans that an engine opens, and their bytes; without those of a tower that lacks some."""
    from engines import cuda
    from engines.errors import NotBuilt
    from engines.planner import Budget
    from engines.sessions.base import Terms
    from engines.tensorrt.build import built

    if precision == "auto":  # none was served
        return {}
    budget = wanted.gpu or Budget(rate=bundle.preprocess.audio.rate)
    terms = Terms(budget=budget, plans=wanted.plans, build=False)
    found: dict[str, tuple[PlanKey, int]] = {}
    for device in cuda.devices():
        for tower in TOWERS if device.index in wanted.devices else ():
            with suppress(NotBuilt):
                for stored in built(bundle, tower, precision, terms, device, store).stored:
                    found[stored.key.digest] = stored.key, len(stored.plan)
    return dict(found.values())
