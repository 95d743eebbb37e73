"""`tidegate bundle evaluate`, `calibrate` and `export`: what a bundle is worth, and at which precision."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from service.cli.bundle_options import (
    SPLITS,
    absent,
    bundle_argument,
    data_argument,
    data_options,
    made,
    out_argument,
    read_events,
    threads_option,
    watch,
    writable,
)
from service.cli.console import emit, json_option, progress, say, table, teach
from service.errors import ConfigError, Exit

_precision = click.option(
    "--precision", default="fp32", show_default=True, metavar="NAME", help="The precision to measure at."
)
_engine = click.option(
    "--engine", default="onnxruntime", show_default=True, metavar="NAME", help="The backend to measure on."
)


@click.command(
    help=teach(
        "Measure a bundle on held-out labelled events: in the terminal, and as a card.",
        ("tidegate bundle evaluate mine events.jsonl", "on the rows of the splits test and ood"),
        ("tidegate bundle evaluate starter reviews.csv --split all", "every row: the bundle saw none of it"),
        ("tidegate bundle evaluate mine data --out card", "MODEL_CARD.md and .html with all charts"),
    )
)
@bundle_argument
@data_argument
@data_options
@click.option(
    "--split", "splits", multiple=True, type=click.Choice([*SPLITS, "all"]),
    help="Splits to measure on; `all` takes every row as held out. [default: test, ood]",
)  # fmt: skip
@_engine
@_precision
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER", help="Write the card here."
)
@threads_option
@json_option
def evaluate(
    source: str, data: Path, splits: tuple[str, ...], engine: str, precision: str, out: Path | None,
    threads: int, as_json: bool, **reading: Any,
) -> int:  # fmt: skip
    """Print the figures of the card."""
    from engines.bundle import Bundle
    from engines.engine import open_engine
    from engines.errors import EngineError, of_data
    from engines.training.card import About, tables, write_card
    from engines.training.evaluate import evaluate as measure
    from engines.training.leaks import only

    if out is not None:
        writable(out)
    bundle = Bundle.load(source)
    events = read_events(data, **reading, bundle=bundle)
    if "all" in splits:
        events, splits = only(events, "test"), ("test",)
    try:
        opened = open_engine(bundle, engine, precision, threads, contributions=False, uncalibrated="warn")
    except EngineError as error:  # its remedy speaks of a daemon's settings
        raise ConfigError(
            error.what, where=error.where, why=error.why, remedy="Choose another --engine or --precision"
        ) from error
    try:
        with of_data(), progress("Measuring", None):
            report = measure(opened, events, splits or ("test", "ood"))
    finally:
        opened.close()
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_card(
            out, report, About(facts={"measured on": str(data)}, licence=str(bundle.manifest["licence"]))
        )
        say(f"The card is {out / 'MODEL_CARD.md'}, and a page beside it.")
    if as_json:
        emit({"schema": "tidegate.evaluation/1", **report.to_dict()})
    else:
        click.echo("\n".join(tables(report)))
    return Exit.OK


@click.command(
    help=teach(
        "Fit a bundle's probabilities and thresholds on labelled events, and seal it in a new folder.\n\n"
        "The rows of the split `calibrate` count; each precision that runs here is fitted with its own "
        "answers.",
        ("tidegate bundle calibrate mine events.jsonl calibrated", "at every precision that runs here"),
        ("tidegate bundle calibrate starter mine.csv tuned --split all", "every row is for this"),
    )
)
@bundle_argument
@data_argument
@out_argument
@data_options
@click.option("--precision", "precisions", multiple=True, metavar="NAME", help="Only these. [default: all]")
@click.option(
    "--split", default="calibrate", show_default=True, type=click.Choice([*SPLITS, "all"]),
    help="The rows to fit on; `all` takes every one.",
)  # fmt: skip
@click.option("--lenient", is_flag=True, help="Leave labels with too few events as they are, with a note.")
@click.option(
    "--target-precision", type=click.FloatRange(0, 1), help="Of what `block` takes. [default: 0.95]"
)
@click.option("--target-recall", type=click.FloatRange(0, 1), help="Of what `review` finds. [default: 0.9]")
@threads_option
@json_option
def calibrate(
    source: str, data: Path, out: Path, precisions: tuple[str, ...], split: str, lenient: bool,
    target_precision: float | None, target_recall: float | None, threads: int, as_json: bool, **reading: Any,
) -> int:  # fmt: skip
    """Calibrate on the engines that serve."""
    absent(out)
    from engines.bundle import Bundle
    from engines.errors import of_data
    from engines.sessions.choose import HOST_PRECISIONS
    from engines.training.figures import number
    from engines.training.leaks import only
    from engines.training.recalibrate import recalibrate
    from engines.training.thresholds import Goals

    events = read_events(data, **reading, bundle=Bundle.load(source))
    if split not in ("calibrate", "all"):
        events = events.pick(events.events.split == SPLITS.index(split))
    if split != "calibrate":
        events = only(events, "calibrate")
    own = Goals()
    goals = Goals(
        own.precision if target_precision is None else target_precision,
        own.recall if target_recall is None else target_recall,
    )
    with of_data(), progress("Calibrating", None):
        bundle, outcome = recalibrate(
            source, events, out, goals=goals, strict=not lenient, precisions=precisions or HOST_PRECISIONS,
            threads=threads,
        )  # fmt: skip
    for note in outcome.notes:
        say(f"note: {note}")
    if not as_json:
        names = list(outcome.errors)
        rows = {label for each in outcome.errors.values() for label in each}
        table(
            ("calibration error", *names),
            [(x, *(number(outcome.errors[p][x]) for p in names)) for x in sorted(rows)],
        )
    made(bundle, out, as_json, errors=outcome.errors)
    return Exit.OK


@click.command(
    help=teach(
        "Write a bundle's graphs at another precision too, and compare their answers with those at fp32.",
        ("tidegate bundle export mine half --precision bf16", "for GPUs: half the bytes, the range of fp32"),
        (
            "tidegate bundle export mine eighth --precision fp8",
            "attention and layers in 8 bits, measured once",
        ),
    )
)
@bundle_argument
@out_argument
@click.option(
    "--precision", type=click.Choice(["fp32", "bf16", "fp16", "fp8", "int8"]), required=True,
    help="Of the graphs.",
)  # fmt: skip
@json_option
def export(source: str, out: Path, precision: str, as_json: bool) -> int:
    """Cast the graphs of a bundle."""
    absent(out)
    _needs_quantise()
    from engines.training.casting import recast

    bundle, compared = recast(source, precision, out, watch())
    if not as_json:
        table(("graph", "bytes at fp32", f"at {precision}"), compared.sizes)
        table(
            ("tower", "largest error of a token", "root mean square", "run as it is"),
            [
                (name, f"{x.largest:.2g}", f"{x.typical:.2g}", "yes" if x.as_it_is else "no, in fp32 rounded")
                for name, x in compared.towers.items()
            ],
        )
        if compared.error is not None:
            say(f"Largest difference on the golden vectors: {compared.error:.2g} of a logit.")
        if precision not in bundle.precisions:
            say(f"It is not calibrated for {precision}: `tidegate bundle calibrate` does that.")
    towers = {name: asdict(each) for name, each in compared.towers.items()}
    made(bundle, out, as_json, error=compared.error, towers=towers)
    return Exit.OK


def _needs_quantise() -> None:
    from engines.precision.cast import missing

    lost = missing()
    if lost is not None:
        raise ConfigError(
            "This needs packages that are not installed", why=lost, remedy="pip install 'tidegate[quantise]'"
        )
