"""`tidegate engine`: what runs a model here, its plans, how fast it is, and whether it decides alike."""

from __future__ import annotations

import click

from service.cli.console import Suggesting, teach
from service.cli.engine_bench import bench
from service.cli.engine_build import build
from service.cli.engine_plans import list_, prune
from service.cli.engine_verify import verify


@click.group(
    cls=Suggesting,
    help=teach(
        "List, build, verify and measure the engines that run a bundle.",
        ("tidegate engine list", "what can run here, and the TensorRT plans that there are"),
        ("tidegate engine build starter", "build and verify plans before `run` needs them"),
        ("tidegate engine verify starter --precision bf16", "does it decide as fp32 does?"),
        ("tidegate engine bench starter", "rows a second, beside what the device could do"),
        ("tidegate engine prune", "remove plans that nothing here can use"),
    ),
)
def engine() -> None:
    """The group of all engine verbs."""


for _verb in (list_, build, verify, bench, prune):
    engine.add_command(_verb)
