"""`tidegate bundle`: make, train, measure, calibrate and inspect model bundles."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.console import emit, json_option, say, table, teach
from service.errors import ConfigError, Exit

if TYPE_CHECKING:
    from engines.training.dataset import Dataset


@click.group(
    help=teach(
        "Make, train, measure, calibrate and inspect model bundles.",
        ("tidegate bundle inspect starter", "what is in the bundle that ships"),
        ("tidegate bundle train --seed 1 --out my-starter", "make the starter anew, about ten minutes"),
        ("tidegate bundle evaluate my-starter", "measure it on generated events"),
    )
)
def bundle() -> None:
    """The group of all bundle verbs."""


_seed = click.option("--seed", default=1, show_default=True, help="Decides everything that is random.")
_size = click.option(
    "--size", type=click.Choice(["full", "tiny"]), default="full", show_default=True,
    help="How much to generate; tiny is for trying the way.",
)  # fmt: skip
_data = click.option(
    "--data", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="FOLDER",
    help="Labelled events as `synth` writes them, instead of generating them now.",
)  # fmt: skip
_out = click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where to write; a new folder.",
)


@bundle.command(
    help=teach(
        "Generate labelled events: JSON lines, with the media beside them.",
        ("tidegate bundle synth --size tiny --out data", "a few thousand events to look at"),
    )
)
@_seed
@_size
@_out
@json_option
def synth(seed: int, size: str, out: Path, as_json: bool) -> int:
    """Write a generated data set."""
    _absent(out)
    count = _generated(seed, size).save(out)
    if as_json:
        emit({"schema": "tidegate.synth/1", "events": count, "folder": str(out), "seed": seed})
    else:
        say(f"{count} events are in {out / 'events.jsonl'}.")
    return Exit.OK


@bundle.command(
    help=teach(
        "Train a starter bundle: towers, then the fusion head, then calibration and card.",
        ("tidegate bundle train --seed 1 --out my-starter", "from nothing to a sealed bundle"),
        ("tidegate bundle train --data data --fusion concat --out other", "own data set, another fusion"),
    )
)
@_seed
@_size
@_data
@click.option(
    "--fusion", type=click.Choice(["bottleneck", "concat", "attention"]), default="bottleneck",
    show_default=True, help="How the modalities are put together.",
)  # fmt: skip
@click.option("--threads", default=2, show_default=True, help="Processor threads to train with.")
@_out
@json_option
def train(
    seed: int, size: str, data: Path | None, fusion: str, threads: int, out: Path, as_json: bool
) -> int:
    """Train and seal a bundle."""
    _absent(out)
    _needs_torch()
    from engines.training import starter

    recipe = starter.recipe(seed, fusion, quick=size == "tiny")
    made = starter.train(_load(data) or _generated(seed, size), recipe, out, say, threads=threads)
    if as_json:
        emit({"schema": "tidegate.bundle-made/1", "folder": str(out), "digest": made.digest})
    else:
        say(
            f"Bundle {made.name} {made.version}@{made.digest[:12]} is in {out}; read {out / 'MODEL_CARD.md'}."
        )
    return Exit.OK


@bundle.command(
    help=teach(
        "Fit a bundle's probabilities anew on the calibration split, and seal it in a new folder.",
        ("tidegate bundle calibrate my-starter --data data --out mine", "on labelled events in a folder"),
    )
)
@click.argument("source", metavar="NAME|FOLDER")
@_seed
@_size
@_data
@_out
@json_option
def calibrate(source: str, seed: int, size: str, data: Path | None, out: Path, as_json: bool) -> int:
    """Calibrate on the engine that serves."""
    _absent(out)
    from engines.training.recalibrate import recalibrate

    made = recalibrate(source, _load(data) or _generated(seed, size), out)
    if as_json:
        emit({"schema": "tidegate.bundle-made/1", "folder": str(out), "digest": made.digest})
    else:
        say(f"Bundle {made.name} {made.version}@{made.digest[:12]} is in {out}.")
    return Exit.OK


@bundle.command(
    help=teach(
        "Measure a bundle on held-out labelled events, in and out of distribution.",
        ("tidegate bundle evaluate starter --seed 2", "on events that a new seed generates"),
    )
)
@click.argument("source", metavar="NAME|FOLDER")
@click.option(
    "--seed", default=2, show_default=True, help="Of the generated events; 1 is what the starter saw."
)
@_size
@_data
@json_option
def evaluate(source: str, seed: int, size: str, data: Path | None, as_json: bool) -> int:
    """Print the figures of the card."""
    from engines.engine import open_engine
    from engines.training.card import tables
    from engines.training.evaluate import evaluate as measure

    engine = open_engine(source, "onnxruntime", "fp32", contributions=False)
    measured = measure(engine, _load(data) or _generated(seed, size))
    engine.close()
    if as_json:
        emit({"schema": "tidegate.evaluation/1", "bundle": engine.info.bundle, "splits": measured})
    else:
        click.echo("\n".join(tables(measured)))
    return Exit.OK


@bundle.command(
    help=teach(
        "Show what a bundle is: labels and their evidence, precisions, files, and what it was trained on.",
        ("tidegate bundle inspect starter", "the bundle that ships"),
    )
)
@click.argument("source", metavar="NAME|FOLDER")
@json_option
def inspect(source: str, as_json: bool) -> int:
    """Verify a bundle and print its contents."""
    from engines.bundle import Bundle

    found = Bundle.load(source)
    if as_json:
        labels = [{"name": x.name, "evidence": [sorted(s) for s in x.evidence]} for x in found.labels.labels]
        emit({"schema": "tidegate.bundle-report/1", "manifest": dict(found.manifest), "labels": labels})
        return Exit.OK
    click.echo(f"{found.name} {found.version}  {found.digest}")
    click.echo(f"width {found.width}, tokens {found.tokens}, calibrated for {', '.join(found.precisions)}")
    if found.synthetic:
        click.echo(
            f"SYNTHETIC: {', '.join(found.synthetic)} trained on generated data only; not valid on real posts"
        )
    rows = [
        (x.name, " or ".join("+".join(sorted(s)) for s in x.evidence), x.description)
        for x in found.labels.labels
    ]
    table(("label", "needs", "what"), rows)
    table(("made", ""), found.manifest["provenance"].items())
    table(
        ("file", "bytes", "SHA-256"),
        [(n, f["bytes"], f["sha256"][:16]) for n, f in found.manifest["files"].items()],
    )
    return Exit.OK


def _generated(seed: int, size: str) -> Dataset:
    from engines.training import synth as generator

    say(f"Generating events from seed {seed}.")
    return generator.generate(seed, generator.TINY if size == "tiny" else generator.Sizes())


def _load(folder: Path | None) -> Dataset | None:
    from engines.training.dataset import load

    return load(folder) if folder else None


def _absent(out: Path) -> None:
    if out.exists():
        raise ConfigError(
            "The output folder exists already", where=str(out), why="nothing is overwritten",
            remedy="Name a new folder, or remove this one",
        )  # fmt: skip


def _needs_torch() -> None:
    missing = [name for name in ("torch", "onnxscript", "librosa") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            "Training needs packages that are not installed", why=f"missing: {', '.join(missing)}",
            remedy="pip install 'tidegate[train]'",
        )  # fmt: skip
