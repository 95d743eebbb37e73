"""`tidegate run`: the daemon."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Final, Literal, get_args

import click

from engines.errors import EngineError
from service.cli.console import bars, settings_options, teach
from service.errors import Exit, TidegateError

log = logging.getLogger(__name__)
Form = Literal["auto", "human", "json"]
FORMAT: Final = "log.format="


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
    from service import logs

    logs.setup("info", _format(overrides))  # until the configuration is read
    try:
        code = _serve(config, overrides, fuse_accept)
    except (TidegateError, EngineError) as error:
        if not isinstance(logging.getLogger().handlers[0].formatter, logs.JsonLines):
            raise
        code = error.exit_code if isinstance(error, TidegateError) else Exit.CONFIG
        told = {"where": error.where, "why": error.why, "remedy": error.remedy, "exit_code": int(code)}
        log.critical("%s", error.what, extra={"fields": {name: held for name, held in told.items() if held}})
    raise SystemExit(code)


def _serve(config: Path | None, overrides: tuple[str, ...], fuse_accept: int) -> Exit:
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
        log.warning("%s", finding)
    return daemon.run(settings, fuse_accept=fuse_accept, bars=bars if sys.stderr.isatty() else None)


def _format(overrides: tuple[str, ...]) -> Form:
    """How to tell that the configuration cannot be read: as options and environment say."""
    said = [option.removeprefix(FORMAT) for option in overrides if option.startswith(FORMAT)]
    wanted = said[-1] if said else os.environ.get("TIDEGATE_LOG__FORMAT", "auto")
    return next((form for form in get_args(Form) if form == wanted), "auto")
