"""`tidegate engine verify`: whether an engine decides as fp32 on the processor does, label by label."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.bundle_options import bundle_argument, data_options, read_events
from service.cli.console import bars, emit, json_option, progress, say, settings_options, table, teach
from service.cli.engine_options import (
    backend_option,
    device_option,
    pairs_of,
    precision_option,
    reaching,
    settings_of,
)
from service.errors import DataError, Exit

if TYPE_CHECKING:
    from engines.batch import Batch
    from engines.bundle import Bundle
    from engines.verify import Verdict


@click.command(
    help=teach(
        "Compare an engine's decisions with those of fp32 on the processor, on the bundle's evaluation set "
        "or on events of your own.\n\n"
        "More than 0.1 % of decisions that differ, an answer that is no number, golden vectors that come out "
        "wrong, or at 8 bits fewer than 1000 decisions are refused, as `run` does: exit code 78. Of the "
        "bundle's own events `run` keeps to what is found here.",
        ("tidegate engine verify starter", "every precision of the engine that `auto` takes"),
        ("tidegate engine verify mine --precision fp16", "one of them"),
        ("tidegate engine verify mine --data events.jsonl", "on your events"),
        ("tidegate engine verify mine --backend openvino", "another engine"),
    )
)
@bundle_argument
@backend_option
@precision_option
@device_option
@click.option("--data", type=click.Path(path_type=Path), metavar="DATA", help="Labelled events to judge by.")
@data_options
@settings_options
@json_option
def verify(
    source: str, backend: str, precisions: tuple[str, ...], devices: tuple[int, ...], data: Path | None,
    config: Path | None, overrides: tuple[str, ...], as_json: bool, **reading: Any,
) -> int:  # fmt: skip
    """Verify and report; 65 where there is nothing to judge by, 78 where an engine is refused."""
    from engines.bundle import Bundle
    from engines.verdicts import reference_answers
    from engines.verify import answers

    bundle = Bundle.load(source)
    settings = settings_of(config, overrides, devices)
    pairs = pairs_of(bundle, backend, precisions, settings)
    events, of_what = _events(bundle, data, reading)
    with progress("Asking fp32", None, quiet=as_json):
        if data is None:
            want = reference_answers(bundle, events, settings.threads)
        else:
            reference = _engine(bundle, settings, "onnxruntime", "fp32", as_json)
            want = answers(reference, events)
            reference.close()
    refused = False
    for name, precision in pairs:
        verdict, good, why = _judged(
            bundle, settings, name, precision, want, events, as_json, keep=data is None
        )
        refused |= not good
        if as_json:
            told = {} if verdict is None else verdict.to_dict() | {"share": verdict.share}
            emit({"schema": "tidegate.engine-verdict/1", "engine": name, "precision": precision,
                  "good": good, "why": why, "on": of_what, **told})  # fmt: skip
        else:
            say(f"{name} {precision}, on {of_what}: {'decides as fp32 does' if good else 'refused'}; {why}")
            _show(verdict)
    return Exit.CONFIG if refused else Exit.OK


def _events(bundle: Bundle, data: Path | None, reading: dict[str, Any]) -> tuple[Batch, str]:
    from engines.evaluation import events_of

    if data is not None:
        from engines.batch import Batch
        from engines.errors import of_data
        from engines.training.inputs import decode, example

        found = read_events(data, **reading)
        with of_data():
            inputs = decode(found, bundle.preprocess)
            return Batch.of([example(inputs, row) for row in found.events.rows]), str(data)
    own = events_of(bundle)
    if own is None:
        raise DataError(
            "There is nothing to judge by", where=bundle.name,
            why="the bundle brings neither an evaluation set nor golden vectors",
            remedy="Give labelled events: --data events.jsonl",
        )  # fmt: skip
    return own[0], "its evaluation set" if own[1] else "its golden vectors, which are few"


def _engine(bundle: Bundle, settings: Any, backend: str, precision: str, quiet: bool) -> Any:
    from dataclasses import replace

    from engines.calibration import equivalent
    from engines.engine import FusedEngine
    from engines.sessions.choose import BACKENDS, EngineChoice
    from service.assembly import ladder_of

    wanted = ladder_of(bundle, settings).wanted
    budget = wanted.gpu if BACKENDS[backend].on_gpu() else wanted.host
    with bars() as show:
        return FusedEngine(
            replace(bundle, calibration=equivalent(bundle.calibration, precision)),
            EngineChoice(backend, precision), threads=settings.threads, budget=budget, contributions=False,
            uncalibrated="warn", devices=wanted.devices, progress=None if quiet else show,
            gpu_memory=wanted.gpu_memory, plans=wanted.plans,
        )  # fmt: skip


def _judged(
    bundle: Bundle, settings: Any, backend: str, precision: str, want: Any, events: Batch, quiet: bool,
    keep: bool,
) -> tuple[Verdict | None, bool, str]:  # fmt: skip
    """The verdict, whether `run` would serve such an engine, and why; `run` is told of it where `keep`."""
    from engines.errors import DeviceLost, EngineError, NoDevice
    from engines.sessions.choose import GPU
    from engines.verify import verify as judge
    from service.assembly import ladder_of

    try:
        with reaching():
            engine = _engine(bundle, settings, backend, precision, quiet)
            try:
                with progress(f"Asking {backend} {precision}", None, quiet=quiet):
                    wrong = _wrong(engine)
                    verdict = judge(want, engine, events)
                if keep and backend in GPU:
                    ladder_of(bundle, settings).judged(backend, precision, verdict, engine.plans)
            finally:
                engine.close()
    except (NoDevice, DeviceLost):
        raise
    except EngineError as error:
        return None, False, str(error)
    return verdict, not wrong and verdict.serves(precision), wrong or str(verdict)


def _wrong(engine: Any) -> str:
    """What warming up finds wrong, which `run` does first: golden vectors, and every profile of plans."""
    from engines.errors import DeviceLost, EngineError, NoDevice, OutOfMemory

    try:
        engine.warm_up()
    except (NoDevice, DeviceLost, OutOfMemory):
        raise
    except EngineError as error:
        return str(error)
    return ""


def _show(verdict: Verdict | None) -> None:
    if verdict is not None and verdict.by_label:
        table(
            ("label", "decisions", "differ", "share", "largest error of a probability"),
            [
                (name, own.decisions, own.flipped,
                 f"{own.flipped / own.decisions:.3%}" if own.decisions else "–", f"{own.largest:.2g}")
                for name, own in verdict.by_label.items()
            ],
        )  # fmt: skip
