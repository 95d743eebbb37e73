"""`lint`, `doctor`, `create`, `schema`: everything about a configuration but running it."""

from __future__ import annotations

import logging
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from service.cli.console import count, emit, json_option, say, settings_options, teach
from service.errors import ConfigError, Exit
from service.findings import Finding, Refused

if TYPE_CHECKING:
    from service.diagnosis import Result

COLOURS_OF: Final = {"PASS": "green", "WARN": "yellow", "FAIL": "red"}


@click.command(
    help=teach(
        "Check a configuration, its policy and its bundle without touching the network. "
        "Errors exit 78, warnings 0.",
        ("tidegate lint -c tidegate.yaml", "every finding with its line and remedy"),
        ("tidegate lint -c tidegate.yaml --json", "one JSON object a finding"),
        ("tidegate lint --set engine.threads=2", "the defaults, and one setting"),
    )
)
@settings_options
@json_option
def lint(config: Path | None, overrides: tuple[str, ...], as_json: bool) -> int:
    """Print findings; the exit code."""
    findings = findings_of(config, overrides)
    if as_json:
        for finding in findings:
            emit({"schema": "tidegate.finding/1", **asdict(finding)})
    else:
        for finding in findings:
            _show(finding)
        _sum_up(findings, str(config or "the defaults"))
    return Exit.CONFIG if any(finding.level == "error" for finding in findings) else Exit.OK


@click.command(
    help=teach(
        "Check a configuration against the outside world: client, cluster, topics, model, cache, port. "
        "Takes at most 20 s. Exit codes: 78 mend the configuration, 69 something is missing or taken.",
        ("tidegate doctor -c tidegate.yaml", "PASS, WARN or FAIL for each, with its remedy"),
        ("tidegate doctor -c tidegate.yaml --json", "for a readiness script"),
    )
)
@settings_options
@json_option
def doctor(config: Path | None, overrides: tuple[str, ...], as_json: bool) -> int:
    """Print results; the exit code."""
    from service import doctor as checks
    from service.kafka.quiet import quiet_client
    from service.lint import lint as lint_settings
    from service.load import read

    quiet_client()
    logging.getLogger("service.kafka.client").setLevel(logging.CRITICAL)  # the check says it better
    loaded = None
    try:
        loaded = read(config, overrides)
        results = checks.from_lint(lint_settings(loaded.settings, loaded.source))
    except ConfigError as error:
        results = checks.from_lint(_as_findings(error))
    for result in results:
        _report(result, as_json)
    for result in checks.doctor(loaded.settings) if loaded else ():
        _report(result, as_json)
        results.append(result)
    return checks.exit_code(results)


@click.command(
    help=teach(
        "Print a configuration, or a policy, with every setting explained.",
        ("tidegate create > tidegate.yaml", "then edit, lint, doctor, run"),
        ("tidegate create policy > policy.yaml", "the built-in policy, to start from"),
    )
)
@click.argument("what", type=click.Choice(["config", "policy"]), default="config")
def create(what: str) -> None:
    """Print a template."""
    from service.template import template

    policy = files("service").joinpath("policies/default.yaml")
    click.echo(template() if what == "config" else policy.read_text(encoding="utf-8"), nl=False)


class _Kind(click.Choice[str]):
    """Also takes the longer names that people try."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The short name of a kind."""
        names = {"dead-letter": "deadletter", "dead_letter": "deadletter", "configuration": "config"}
        return super().convert(names.get(value, value), param, ctx)


@click.command(
    help=teach(
        "Print the JSON Schema (Draft 2020-12) of an event, a score, a dead letter's headers "
        "or a configuration.",
        ("tidegate schema score > score.schema.json", "validate what you read"),
        ("tidegate schema config > config.schema.json", "completion in an editor"),
    )
)
@click.argument("kind", type=_Kind(["event", "score", "deadletter", "config"]))
def schema(kind: str) -> None:
    """Print a schema."""
    import orjson

    from service.schema import KINDS, schema_of

    chosen = next(known for known in KINDS if known == kind)
    click.echo(orjson.dumps(schema_of(chosen), option=orjson.OPT_INDENT_2).decode())


def findings_of(config: Path | None, overrides: tuple[str, ...] = ()) -> list[Finding]:
    """What is wrong with a configuration: what cannot be read, else what lint says of it."""
    from service.lint import lint as lint_settings
    from service.load import read

    try:
        loaded = read(config, overrides)
    except ConfigError as error:
        return _as_findings(error)
    return lint_settings(loaded.settings, loaded.source)


def _as_findings(error: ConfigError) -> list[Finding]:
    if isinstance(error, Refused):
        return list(error.findings)
    return [Finding("error", error.where, error.what, error.why, error.remedy)]


def _show(finding: Finding) -> None:
    colour = "red" if finding.level == "error" else "yellow"
    click.echo(f"{click.style(finding.level, fg=colour, bold=True)}: {finding.what}")
    for name, text in (("where", finding.where), ("why", finding.why), ("next", finding.remedy)):
        if text:
            click.echo(f"  {click.style(f'{name:<6}', dim=True)}{text}")


def _report(result: Result, as_json: bool) -> None:
    if as_json:
        row = {name: getattr(result, name) for name in ("name", "state", "detail", "remedy")}
        emit({"schema": "tidegate.check/1", **row})
        return
    state = click.style(result.state, fg=COLOURS_OF[result.state], bold=True)
    click.echo(f"{state}  {result.name:<14}{result.detail}")
    if result.remedy:
        click.echo(f"{'':20}{click.style('next', dim=True)}  {result.remedy}")


def _sum_up(findings: list[Finding], where: str) -> None:
    errors = sum(finding.level == "error" for finding in findings)
    rest = len(findings) - errors
    say(
        f"{where}: {count(errors, 'error')}, {count(rest, 'warning')}"
        if findings
        else f"{where}: nothing to mend"
    )
