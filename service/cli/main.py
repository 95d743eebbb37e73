"""The `tidegate` command: finds a verb, runs it, and turns every ending into an exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from textwrap import dedent
from typing import Final, NamedTuple

import click

from engines.errors import DataError as LabelledDataError
from engines.errors import EngineError
from service.cli.console import Suggesting, teach
from service.errors import Exit, InternalError, TidegateError

INTERRUPTED: Final = 130
"""As a shell reports SIGINT; verbs that promise 0 catch it themselves."""


class Verb(NamedTuple):
    """Where a verb lives (attribute of the same name) and what it says in the list."""

    module: str
    help: str


SECTIONS: Final[dict[str, dict[str, Verb]]] = {
    "See it work": {
        "demo": Verb("demo", "Real Kafka, sample events, a live table of scores. Needs no set-up."),
        "score": Verb("score", "Score JSON lines or media files, without Kafka."),
    },
    "Run it": {
        "create": Verb("check", "Write a commented configuration."),
        "lint": Verb("check", "Check a configuration and its policy, offline."),
        "doctor": Verb("check", "Check a configuration against the cluster and this machine."),
        "run": Verb("run", "The daemon: events in, scores and dead letters out."),
        "topics": Verb("topics", "Create the topics of a configuration, or check them."),
    },
    "Operate it": {
        "dlq": Verb("dlq", "List, show and redrive dead letters."),
        "replay": Verb("replay", "Score a range of the input again, under the same event ids."),
        "schema": Verb("check", "JSON Schema of event, score, dead letter and configuration."),
    },
    "Models and speed": {
        "bundle": Verb("bundle", "Make, train, evaluate and inspect model bundles."),
        "engine": Verb("engine", "List, build and verify inference engines."),
        "bench": Verb("bench", "Events per second and latency, against this machine's bound."),
        "fault": Verb("fault", "The fault matrix against this build."),
    },
}


class Verbs(Suggesting):
    """A group that imports a verb's module only when that verb is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Verbs of this build, in the order of `SECTIONS`."""
        return [name for verbs in SECTIONS.values() for name, verb in verbs.items() if _built(verb)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The verb's command, imported now; None when there is no such verb."""
        verb = next((verbs[name] for verbs in SECTIONS.values() if name in verbs), None)
        if verb is None or not _built(verb):
            return None
        command = getattr(import_module(f"service.cli.{verb.module}"), name)
        assert isinstance(command, click.Command), f"{verb.module}.{name} is not a command. This is a bug."
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list by section; it needs no verb's module."""
        for title, verbs in SECTIONS.items():
            rows = [(name, verb.help) for name, verb in verbs.items() if _built(verb)]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def _built(verb: Verb) -> bool:
    return find_spec(f"service.cli.{verb.module}") is not None


def _version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"tidegate {version('tidegate')}")
        ctx.exit()


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help=teach(
        "Scores posts, pictures and sounds from a Kafka topic with one fused model and publishes the scores.",
        ("tidegate demo", "watch it work, nothing to set up"),
        ("tidegate create > tidegate.yaml", "start a configuration"),
        ("tidegate doctor -c tidegate.yaml", "is everything there?"),
        ("tidegate run -c tidegate.yaml", "serve"),
    ),
    epilog="`tidegate VERB --help` explains a verb and shows examples. Exit codes: 0 done, 64 usage, "
    "65 bad data, 69 something outside is not reachable, 70 internal, 75 gave up draining, 78 configuration.",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
def tidegate() -> None:
    """The group of all verbs."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; the exit code. A verb's return value, if it is a number, is its exit code."""
    _open_streams()
    try:
        code = tidegate.main(arguments, prog_name="tidegate", standalone_mode=False)
        sys.stdout.flush()
        return int(code or Exit.OK)
    except BrokenPipeError:
        return _hush()
    except SystemExit as end:  # click's own answer to a closed pipe is exit(1)
        return _hush() if end.code == 1 else int(end.code or 0)
    except Exception as error:  # noqa: BLE001 - the edge of the process: a bug must still end with its exit code
        return _ending(error)


def _open_streams() -> None:
    """Supervisors may start us with standard streams closed; Python then has None in their place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))


def _ending(error: Exception) -> int:
    """Say what went wrong; the exit code for it."""
    match error:
        case TidegateError():
            complain(error)
            code = error.exit_code
        case LabelledDataError():
            complain(error)
            code = Exit.DATA
        case EngineError():
            complain(error)
            code = Exit.CONFIG
        case click.ClickException():
            error.show()
            code = Exit.USAGE
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EIO):
            complain(InternalError("a write failed", why=error.strerror or str(error)))
            code = Exit.INTERNAL
            _hush()
        case click.Abort():
            return INTERRUPTED
        case _:
            traceback.print_exception(error)
            click.echo("tidegate: this is a bug; please report the lines above.", err=True)
            code = Exit.INTERNAL
    return code


def complain(error: TidegateError | EngineError) -> None:
    """Write an error as one block on standard error: what, where, why, what next."""
    click.echo(click.style("error: ", fg="red", bold=True) + str(error.what), err=True)
    for name, text in (("where", error.where), ("why", error.why), ("next", error.remedy)):
        if lines := dedent(str(text)).strip().splitlines():
            head, *rest = lines
            click.echo(
                "".join([click.style(f"  {name:<6}", dim=True), head, *(f"\n        {r}" for r in rest)]),
                err=True,
            )


def _hush() -> int:
    """The reader went away (`tidegate … | head`): not an error, and nothing more can be said there."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return Exit.OK


def main() -> None:
    """The console script."""
    sys.exit(run())


if __name__ == "__main__":
    main()
