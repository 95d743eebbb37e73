"""`tidegate run`: the daemon."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The configuration (make one with `tidegate create`).",
)
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one setting; repeatable."
)
@click.option(
    "--fuse-accept",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Let N broken records pass before the dead-letter fuse counts again.",
)
def run(path: Path | None, overrides: tuple[str, ...], fuse_accept: int) -> None:
    r"""Consume events, publish scores; until SIGTERM or Ctrl-C.

    \b
      tidegate run -c tidegate.yaml
      tidegate run -c tidegate.yaml --set kafka.group=canary

    The first signal drains: what is under way is finished, published and committed, then the exit code is 0,
    or 75 if `limits.grace_seconds` end first. A second signal stops at once.
    """
    from service import daemon, lint, logs
    from service.load import load

    settings = load(path, overrides)
    logs.setup(settings.log.level, settings.log.format)
    lint.refuse(settings)
    raise SystemExit(daemon.run(settings, fuse_accept=fuse_accept))
