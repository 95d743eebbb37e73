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
        "More than 0.1 % of decisions that differ, or an answer that is no number, is refused: exit code 78.",
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
        verdict, why = _judged(bundle, settings, name, precision, want, events, as_json)
        good = verdict is not None and verdict.good
        refused |= not good
        if as_json:
            told = {} if verdict is None else verdict.to_dict() | {"share": verdict.share}
            emit({"schema": "tidegate.engine-verdict/1", "engine": name, "precision": precision,
                  "good": good, "why": why, "on": of_what, **told})  # fmt: skip
        else:
            _show(name, precision, verdict, why, of_what)
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
    bundle: Bundle, settings: Any, backend: str, precision: str, want: Any, events: Batch, quiet: bool
) -> tuple[Verdict | None, str]:
    from engines.errors import DeviceLost, EngineError, NoDevice
    from engines.verify import verify as judge

    try:
        with reaching():
            engine = _engine(bundle, settings, backend, precision, quiet)
            try:
                with progress(f"Asking {backend} {precision}", None, quiet=quiet):
                    verdict = judge(want, engine, events)
            finally:
                engine.close()
    except (NoDevice, DeviceLost):
        raise
    except EngineError as error:
        return None, str(error)
    return verdict, str(verdict)


def _show(backend: str, precision: str, verdict: Verdict | None, why: str, of_what: str) -> None:
    good = verdict is not None and verdict.good
    say(f"{backend} {precision}, on {of_what}: {'decides as fp32 does' if good else 'refused'}; {why}")
    if verdict is not None and verdict.by_label:
        table(
            ("label", "decisions", "differ", "share", "largest error of a probability"),
            [
                (name, own.decisions, own.flipped,
                 f"{own.flipped / own.decisions:.3%}" if own.decisions else "–", f"{own.largest:.2g}")
                for name, own in verdict.by_label.items()
            ],
        )  # fmt: skip
