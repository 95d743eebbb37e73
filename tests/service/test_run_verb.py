"""How `run` tells that it cannot start: for machines, one JSON line as any other log line."""

from __future__ import annotations

import json

import pytest

from service.errors import Exit
from tests.harness import tidegate


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--set", "delivery=exactly_once"], "not built yet"),
        (["--set", "http.port=abc"], "'http.port' cannot be"),
        (["-c", "/nowhere/tidegate.yaml"], "cannot be read"),
    ],
)
@pytest.mark.parametrize("form", [[], ["--set", "log.format=json"]])
def test_without_a_terminal_a_fatal_error_is_one_json_line(options, says, form, tiny):
    done = tidegate("run", "--set", f"bundle={tiny}", *options, *form)
    assert done.returncode == Exit.CONFIG
    (line,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert line["level"] == "critical"
    assert line["exit_code"] == Exit.CONFIG
    assert says in line["message"]
    assert line["remedy"]


def test_for_a_person_it_is_a_block_with_what_comes_next(tiny):
    options = ["--set", "log.format=human", "--set", f"bundle={tiny}", "--set", "delivery=exactly_once"]
    done = tidegate("run", *options)
    assert done.returncode == Exit.CONFIG
    assert done.stderr.startswith("error: ")
    assert "  next  " in done.stderr
