"""`tidegate bundle synth`, `train` and `import`: bundles, and events to make them from."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.bundle_options import (
    absent,
    data_argument,
    data_options,
    made,
    needs_training,
    out_argument,
    read_events,
    threads_option,
    watch,
    writable,
)
from service.cli.console import emit, json_option, progress, say, teach
from service.errors import ConfigError, Exit

if TYPE_CHECKING:
    from engines.training.recipe import Recipe
    from engines.training.synth import Sizes

_MODALITIES = ("text", "image", "audio")


@click.command(
    help=teach(
        "Generate labelled events: JSON lines, with the media beside them.",
        ("tidegate bundle synth data --events 6000", "enough to try the way"),
        ("tidegate bundle synth data --events 66000 --seed 2", "what the generated starter is made of"),
    )
)
@out_argument
@click.option("--events", default=6_000, show_default=True, type=click.IntRange(200), help="How many.")
@click.option("--seed", default=1, show_default=True, help="Decides everything that is random.")
@json_option
def synth(out: Path, events: int, seed: int, as_json: bool) -> int:
    """Write a generated data set."""
    absent(out)
    from engines.training.synth import generate

    sizes = _sizes(events)
    total = sizes.texts + sizes.images + sizes.sounds
    with progress("Generating", total) as advance:

        def over(items: Any, _name: str, _count: int) -> Any:
            for item in items:
                yield item
                advance(1)

        data = generate(seed, sizes, over)
    with progress("Writing", None):
        count = data.save(out)
    if as_json:
        emit({"schema": "tidegate.synth/1", "events": count, "folder": str(out), "seed": seed})
    else:
        say(f"{count} events are in {out / 'events.jsonl'}.")
    return Exit.OK


@click.command(
    help=teach(
        "Train a bundle on labelled events: a tower for each modality, then the fusion head; then export, "
        "calibration, measurement, card and seal.\n\n"
        "DATA is events.jsonl, its folder, or a data set in a usual layout. What a stage gave is kept in the "
        "work folder: the same command goes on where it was cut.",
        ("tidegate bundle train events.jsonl mine", "from events to a sealed bundle"),
        ("tidegate bundle train data mine --text ./MiniLM --lora", "someone's encoder as the text tower"),
        ("tidegate bundle train data edge --text bag --distil-from mine", "a small one learns of a big one"),
        (
            "tidegate bundle train data mine --config recipe.yaml --seeds 3",
            "own recipe, three heads averaged",
        ),
    )
)
@data_argument
@out_argument
@data_options
@click.option(
    "--config", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="A recipe (YAML); options here override it.",
)  # fmt: skip
@click.option("--name", help="The bundle's name; else that of OUT.")
@click.option("--version", help="The bundle's version.")
@click.option("--text", metavar="small|bag|none|FOLDER", help="The text tower; a folder is a checkpoint's.")
@click.option("--image", metavar="small|none|FOLDER", help="The image tower.")
@click.option("--audio", metavar="small|none|FOLDER", help="The audio tower.")
@click.option("--freeze", "tuning", flag_value="frozen", help="Checkpoints stay as they are (default).")
@click.option("--finetune", "tuning", flag_value="full", help="Checkpoints learn too.")
@click.option("--lora", "tuning", flag_value="lora", help="Checkpoints learn by low-rank adaptation.")
@click.option(
    "--fusion", type=click.Choice(["bottleneck", "concat", "attention"]), help="How modalities meet."
)
@click.option("--epochs", type=click.IntRange(1), help="Of each tower and the head; else by how many rows.")
@click.option("--seed", type=int, help="Decides everything that is random.")
@click.option("--seeds", type=click.IntRange(1, 16), help="Heads from so many seeds, averaged.")
@click.option("--distil-from", metavar="BUNDLE", help="A bundle whose answers are learnt as well.")
@click.option(
    "--work", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER",
    help="Where stages keep their results; else OUT.work, which is removed at the end.",
)  # fmt: skip
@threads_option
@json_option
def train(
    data: Path, out: Path, labels_file: Path | None, without: tuple[str, ...], form: str, lang: str,
    media: Path | None, skip_broken: bool, config: Path | None, distil_from: str | None, work: Path | None,
    threads: int, as_json: bool, **told: Any,
) -> int:  # fmt: skip
    """Train and seal a bundle."""
    absent(out)
    folder = work or out.absolute().with_name(f"{out.absolute().name}.work")
    writable(folder)
    needs_training()
    recipe = _recipe(config, told)
    from engines.bundle import Bundle
    from engines.training.making import make
    from engines.training.work import Work

    teacher = Bundle.load(distil_from) if distil_from else None
    events = read_events(data, labels_file, without, form, lang, media, skip_broken)
    try:
        bundle = make(events, recipe, out, Work(folder), watch(), teacher, threads, str(data))
    except KeyboardInterrupt:
        say("Stopped; the same command goes on where it was.")
        raise
    if work is None:
        shutil.rmtree(folder, ignore_errors=True)
    made(bundle, out, as_json)
    return Exit.OK


@click.command(
    "import",
    help=teach(
        "Make one bundle of Hugging Face checkpoints, by late fusion with a declared map of their labels.\n\n"
        "MAP is a YAML file that names each checkpoint's folder and what its classes mean. The bundle is not "
        "calibrated: `tidegate bundle calibrate` does that on labelled events.",
        ("tidegate bundle import map.yaml mine", "a toxicity model and an image model in one bundle"),
    ),
)
@click.argument("mapping", metavar="MAP", type=click.Path(dir_okay=False, path_type=Path))
@out_argument
@json_option
def import_(mapping: Path, out: Path, as_json: bool) -> int:
    """Import checkpoints."""
    absent(out)
    needs_training()
    try:
        from engines.training.importing import import_bundle
    except ImportError as error:
        raise ConfigError("This build cannot import checkpoints", why=str(error)) from error

    import_bundle(mapping, out, say)
    from engines.bundle import Bundle

    made(Bundle.load(out), out, as_json)
    return Exit.OK


def _recipe(config: Path | None, told: dict[str, Any]) -> Recipe:
    """The recipe file under the options that were given; raises EngineError."""
    from engines.training.recipe import Recipe, load

    recipe = load(config) if config else Recipe()
    plain = {name: told[name] for name in ("name", "version", "seed", "seeds") if told[name] is not None}
    recipe = replace(recipe, **plain)
    for name in _MODALITIES:
        chosen = {"tower": told[name], "tuning": told["tuning"], "epochs": told["epochs"]}
        given = {key: value for key, value in chosen.items() if value is not None}
        tower: dict[str, Any] = {name: replace(recipe.tower(name), **given)}
        recipe = replace(recipe, **tower)
    chosen = {"fusion": told["fusion"], "epochs": told["epochs"]}
    given = {key: value for key, value in chosen.items() if value is not None}
    return replace(recipe, head=replace(recipe.head, **given))


def _sizes(events: int) -> Sizes:
    """Parts and events in the proportions of the full data set."""
    from engines.training.synth import Sizes

    full = Sizes()
    share = events / (full.events + full.crossed)
    crossed = round(full.crossed * share)
    return Sizes(
        texts=max(2_500, round(full.texts * share)),
        images=max(400, round(full.images * share)),
        sounds=max(150, round(full.sounds * share)),
        events=events - crossed,
        crossed=crossed,
    )
