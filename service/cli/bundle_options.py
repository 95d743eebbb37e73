"""What the bundle verbs share: options on labelled events, new folders, progress, how a bundle is named."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.console import Command, emit, progress, say
from service.errors import ConfigError

if TYPE_CHECKING:
    from engines.bundle import Bundle
    from engines.training.dataset import Dataset
    from engines.training.watch import Watch


def data_options(command: Command) -> Command:
    """How labelled events are read: `--labels`, `--format`, `--lang`, `--media`, `--skip-broken`."""
    path = click.Path(exists=True, path_type=Path)
    for option in reversed(
        (
            click.option(
                "--labels", "labels_file", type=path, metavar="FILE",
                help="labels.yaml: the labels, and what evidence each needs; else one beside the events, "
                "else what the rows hold.",
            ),
            click.option(
                "--format", "form", default="", metavar="NAME",
                help="The layout of the events where it is not recognised: jsonl, reviews, toxicity, memes, "
                "mvsa, clips, sentences.",
            ),
            click.option("--lang", default="", metavar="CODE", help="The language of rows that name none."),
            click.option("--media", type=path, metavar="FOLDER", help="Where the media lie, if not beside."),
            click.option("--skip-broken", is_flag=True, help="Leave rows out that cannot be read."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def data_argument(command: Command) -> Command:
    """`DATA`: a file or folder of labelled events."""
    return click.argument("data", metavar="DATA", type=click.Path(path_type=Path))(command)


def out_argument(command: Command) -> Command:
    """`OUT`: a new folder."""
    return click.argument("out", metavar="OUT", type=click.Path(path_type=Path))(command)


def bundle_argument(command: Command) -> Command:
    """`BUNDLE`: a shipped one's name, or a folder."""
    return click.argument("source", metavar="BUNDLE")(command)


def threads_option(command: Command) -> Command:
    """`--threads`."""
    option = click.option("--threads", default=0, metavar="N", help="Processor threads; 0: all there are.")
    return option(command)


def read_events(
    data: Path, labels_file: Path | None, form: str, lang: str, media: Path | None, skip_broken: bool
) -> Dataset:
    """The labelled events that the options name; raises DataError with rows and remedy."""
    from engines.errors import of_data
    from engines.labels import Labels
    from engines.training.dataset import load
    from engines.training.loaders import Options

    labels = Labels.load(labels_file) if labels_file else None
    with of_data(), progress("Reading events", None):
        found = load(data, labels, form, Options(lang=lang, media=media), skip_broken)
    for note in found.notes:
        say(f"note: {note}")
    return found


def watch() -> Watch:
    """Lines on standard error, and bars where it is a terminal."""
    from engines.training.watch import Watch

    return Watch(say, progress)


def absent(out: Path) -> None:
    """Refuse a folder that exists; raises ConfigError."""
    if out.exists():
        raise ConfigError(
            "The output folder exists already", where=str(out), why="nothing is overwritten",
            remedy="Name a new folder, or remove this one",
        )  # fmt: skip


def needs_training() -> None:
    """Refuse where the training extra is not installed; raises ConfigError."""
    missing = [name for name in ("torch", "onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            "This needs packages that are not installed", why=f"missing: {', '.join(missing)}",
            remedy="pip install 'tidegate[train]'",
        )  # fmt: skip


def made(bundle: Bundle, out: Path, as_json: bool, **more: Any) -> None:
    """Say what was written."""
    if as_json:
        told = {"name": bundle.name, "version": bundle.version, "digest": bundle.digest}
        emit({"schema": "tidegate.bundle-made/1", "folder": str(out), **told, **more})
    else:
        say(f"Bundle {bundle.name} {bundle.version}@{bundle.digest[:12]} is in {out}.")
