"""`tidegate run`: the daemon."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from service.cli.console import settings_options, teach


@click.command(
    help=teach(
        "Consume events, publish scores and dead letters, until SIGTERM or Ctrl-C."
        "\n\nThe first signal drains: what is under way is finished, published and committed, and the exit "
        "code is 0, or 75 where `limits.grace_seconds` end first. A second signal stops at once (75).",
        ("tidegate run -c tidegate.yaml", "serve"),
        (
            "tidegate run -c tidegate.yaml --set kafka.group=canary",
            "beside the others, as a group of its own",
        ),
    )
)
@settings_options
@click.option(
    "--fuse-accept",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Let N broken records pass before the dead-letter fuse counts again.",
)
def run(config: Path | None, overrides: tuple[str, ...], fuse_accept: int) -> None:
    """Serve, and exit with the code that says how it ended."""
    from service import daemon, logs
    from service.findings import refuse_errors
    from service.lint import lint
    from service.load import read

    loaded = read(config, overrides)
    settings = loaded.settings
    logs.setup(settings.log.level, settings.log.format)
    findings = lint(settings, loaded.source)
    refuse_errors(findings)
    for finding in findings:
        logging.getLogger(__name__).warning("%s", finding)
    raise SystemExit(daemon.run(settings, fuse_accept=fuse_accept))
