"""`tidegate bundle`: make, train, measure, calibrate and inspect model bundles."""

from __future__ import annotations

import click

from service.cli.bundle_inspect import inspect
from service.cli.bundle_make import import_, synth, train
from service.cli.bundle_measure import calibrate, evaluate, export
from service.cli.console import Suggesting, teach


@click.group(
    cls=Suggesting,
    help=teach(
        "Make, train, measure, calibrate and inspect model bundles.",
        ("tidegate bundle inspect starter", "what is in the bundle that ships"),
        ("tidegate bundle train events.jsonl mine", "a bundle from your labelled events"),
        ("tidegate bundle evaluate mine events.jsonl", "measure it on their held-out part"),
        ("tidegate bundle import map.yaml mine", "a bundle of Hugging Face checkpoints"),
    ),
)
def bundle() -> None:
    """The group of all bundle verbs."""


for _verb in (synth, train, evaluate, calibrate, export, inspect, import_):
    bundle.add_command(_verb)
