"""What the bundle verbs share: options on labelled events, new folders, progress, how a bundle is named."""

from __future__ import annotations

import os
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, Final

import click

from service.cli.console import Command, emit, progress, say
from service.errors import ConfigError

if TYPE_CHECKING:
    from engines.bundle import Bundle
    from engines.training.dataset import Dataset
    from engines.training.watch import Watch


SPLITS: Final = ("train", "calibrate", "test", "ood")
"""`engines.training.dataset.SPLITS`, which would load NumPy for every `--help`."""


def data_options(command: Command) -> Command:
    """How labelled events are read: which labels, which layout, where the media lie, what of broken rows."""
    path = click.Path(exists=True, path_type=Path)
    file = click.Path(exists=True, dir_okay=False, path_type=Path)
    for option in reversed(
        (
            click.option(
                "--labels", "labels_file", type=file, metavar="FILE",
                help="labels.yaml: the labels, and what evidence each needs; else one beside the events, "
                "else what the rows hold.",
            ),
            click.option(
                "--without", multiple=True, metavar="LABEL",
                help="Leave out what rows say of this label, or of `sentiment`.",
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
    data: Path, labels_file: Path | None, without: tuple[str, ...], form: str, lang: str, media: Path | None,
    skip_broken: bool, bundle: Bundle | None = None,
) -> Dataset:  # fmt: skip
    """The labelled events that the options name, for ``bundle`` if they are to be held against one; raises
    DataError with rows and remedy.
    """
    from engines.errors import of_data
    from engines.training.dataset import declared, load
    from engines.training.loaders import Options

    options = Options(lang=lang, media=media, without=without)
    with of_data(), progress("Reading events", None):
        labels = declared(labels_file) if labels_file else None
        known = None if bundle is None else bundle.labels.names
        found = load(data, labels, form, options, skip_broken, known, to_learn=bundle is None)
    for note in found.notes:
        say(f"note: {note}")
    return found


def watch() -> Watch:
    """Lines on standard error, and bars where it is a terminal."""
    from engines.training.watch import Watch

    return Watch(say, progress)


def absent(out: Path) -> None:
    """Refuse a folder that exists, or that cannot be made; raises ConfigError."""
    if os.path.lexists(out):
        raise ConfigError(
            "The output folder exists already", where=str(out), why="nothing is overwritten",
            remedy="Name a new folder, or remove this one",
        )  # fmt: skip
    writable(out)


def writable(out: Path) -> None:
    """Refuse a folder that cannot be made, or not be written to, before hours of work; raises ConfigError.

    It is tried, and taken back: permission bits tell neither a read-only disk nor what root may do.
    """
    missing = [folder for folder in (out, *out.parents) if not os.path.lexists(folder)]
    there = next(folder for folder in (out, *out.parents) if folder not in missing)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass
    except OSError as error:
        why = error.strerror or str(error) if there.is_dir() else f"{there} is no folder"
        raise ConfigError(
            "The output folder cannot be written", where=str(out), why=why,
            remedy="Name a folder that can be made, where you may write",
        ) from error  # fmt: skip
    finally:
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()


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
