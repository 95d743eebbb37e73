"""The command itself: what it lists, how it ends, what it costs to start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from service.cli import main
from service.errors import Exit
from tests.harness import ROOT, environment, tidegate


def test_help_lists_the_verbs_by_what_they_are_for():
    done = tidegate("--help")
    assert done.returncode == 0
    assert done.stdout.index("See it work:") < done.stdout.index("\n  demo") < done.stdout.index("Run it:")


def test_the_list_holds_only_verbs_that_are_built():
    listed = main.tidegate.list_commands(main.tidegate.make_context("tidegate", [], resilient_parsing=True))
    for name in listed:
        assert main.tidegate.get_command(None, name) is not None, name
    known = {name for verbs in main.SECTIONS.values() for name in verbs}
    for name in known - set(listed):
        assert tidegate(name, "--help").returncode == Exit.USAGE, name


def test_every_verb_explains_itself_with_examples():
    context = main.tidegate.make_context("tidegate", [], resilient_parsing=True)
    for name in main.tidegate.list_commands(context):
        command = main.tidegate.get_command(context, name)
        assert command is not None
        assert f"tidegate {name}" in (command.help or ""), name


@pytest.mark.parametrize("group", ["dlq", "topics"])
def test_every_part_of_a_verb_shows_examples_too(group):
    context = main.tidegate.make_context("tidegate", [], resilient_parsing=True)
    command = main.tidegate.get_command(context, group)
    for name in command.list_commands(context):
        assert f"tidegate {group} {name}" in command.get_command(context, name).help, name


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from service.cli.main import run; code = run(['--help']);"
        "heavy = {'numpy', 'kafka', 'pydantic', 'rich.table', 'yaml', 'onnxruntime'} & set(sys.modules);"
        "assert code == 0 and not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "wrong", [["nope"], ["score", "--nope"], ["topics"], ["score", "there-is-no-such-file"]]
)
def test_a_wrong_command_line_exits_64_and_says_so_on_standard_error(wrong):
    done = tidegate(*wrong)
    assert done.returncode == Exit.USAGE
    assert done.stdout == ""
    assert done.stderr


@pytest.mark.parametrize(
    ("wrong", "meant"), [(["lnt"], "'lint'"), (["dlq", "lst"], "'list'"), (["topics", "chek"], "'check'")]
)
def test_a_misspelt_verb_is_answered_with_the_one_that_was_meant(wrong, meant):
    done = tidegate(*wrong)
    assert done.returncode == Exit.USAGE
    assert f"Did you mean {meant}?" in done.stderr


def test_a_full_disk_is_said_so_and_no_bug():
    command = [sys.executable, "-m", "service.cli.main", "lint", "--set", "a.b=1", "--json"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command, cwd=ROOT, env=environment(), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == Exit.INTERNAL
    assert "No space left" in done.stderr
    assert "bug" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_standard_streams_may_be_closed(closed):
    command = f"{sys.executable} -m service.cli.main lint --set a.b=1 {closed}"
    done = subprocess.run(
        ["sh", "-c", command], cwd=ROOT, env=environment(), capture_output=True, check=False
    )
    assert done.returncode == Exit.CONFIG, done.stderr
    assert b"Traceback" not in done.stderr


def test_version():
    done = tidegate("--version")
    assert done.returncode == 0
    assert done.stdout.split()[0] == "tidegate"


def test_a_configuration_that_cannot_be_read_exits_78_with_place_and_remedy(tmp_path):
    done = tidegate("topics", "check", "-c", str(tmp_path / "missing.yaml"))
    assert done.returncode == Exit.CONFIG
    assert "missing.yaml" in done.stderr
    assert "next" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bundle_that_is_not_there_exits_78(tmp_path):
    done = tidegate(
        "score", "--bundle", str(tmp_path / "nothing"), str(ROOT / "service/samples/events.jsonl")
    )
    assert done.returncode == Exit.CONFIG
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_is_no_error():
    command = f"{sys.executable} -m service.cli.main schema event | head -c 10; echo ${{PIPESTATUS[0]}} >&2"
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == "0"


def test_a_bug_exits_70_with_its_traceback(monkeypatch, capsys):
    def broken(*_: object, **__: object) -> None:
        raise ValueError("that should not be")

    monkeypatch.setattr(main.tidegate, "main", broken)
    assert main.run([]) == Exit.INTERNAL
    said = capsys.readouterr().err
    assert "that should not be" in said
    assert "bug" in said
