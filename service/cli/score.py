"""`tidegate score`: the daemon's scoring on files and standard input, without Kafka."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from service.cli.console import count, json_option, progress, say, settings_options, teach
from service.errors import Exit


@click.command(
    help=teach(
        "Score events without Kafka: JSON lines from FILEs or standard input, media, .txt files.\n\n"
        "Scores come out in input order. What cannot be scored becomes an error line in its place, and the "
        "exit code is 65.",
        ("""echo '{"text": "what a lovely day"}' | tidegate score""", "one event from a pipe"),
        ("tidegate score events.jsonl > scores.jsonl", "a file of events"),
        ("tidegate score photo.jpg voice.ogg", "media files, one event each"),
        ("tidegate score --policy mine.yaml events.jsonl", "try a policy"),
    )
)
@click.argument(
    "files", nargs=-1, type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
)
@click.option("--bundle", metavar="NAME|FOLDER", help="The model bundle, instead of the configured one.")
@click.option(
    "--policy", type=click.Path(), metavar="FILE", help="The policy, instead of the configured one."
)
@settings_options
@json_option
def score(
    files: tuple[Path, ...],
    bundle: str | None,
    policy: str | None,
    config: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> int:
    """Score files or standard input; 65 where any event failed."""
    if not files and sys.stdin.isatty():
        raise click.UsageError("Nothing to score: name files, or pipe JSON lines in.")
    from service.assembly import open_scoring
    from service.cli.results import JsonLines, Rows
    from service.cli.sources import records
    from service.findings import refuse_errors
    from service.lint import lint_model
    from service.load import read
    from service.scoring import Failed

    own = {name: value for name, value in (("bundle", bundle), ("policy", policy)) if value}
    loaded = read(config, [*overrides, *(f"{name}={value}" for name, value in own.items())])
    loaded.source.said.update({(name,): f"--{name}" for name in own})
    settings = loaded.settings
    refuse_errors(findings := lint_model(settings, loaded.source))
    for finding in findings:
        say(f"warning: {finding}")
    writer = JsonLines() if as_json or not sys.stdout.isatty() else Rows()
    failures = 0
    # A bar would tear the rows apart; where rows go to the terminal, they are the progress.
    with open_scoring(settings) as scoring, progress("Scoring", _size(files), sys.stdout.isatty()) as advance:
        for result in scoring.score(records(files or (Path("-"),), settings.limits.record_bytes, advance)):
            failures += isinstance(result, Failed)
            writer.write(result)
    if failures:
        say(f"{count(failures, 'event')} could not be scored.")
    return Exit.DATA if failures else Exit.OK


def _size(files: tuple[Path, ...]) -> int | None:
    """Bytes to read in all, None where standard input is among them."""
    if not files or any(str(path) == "-" for path in files):
        return None
    return sum(path.stat().st_size for path in files)
