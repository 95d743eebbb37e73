"""The published schemas, and that the printed configuration cannot drift from the settings."""

from __future__ import annotations

import orjson
import pytest
import yaml
from jsonschema import Draft202012Validator

from service.cli.main import run
from service.config import Settings
from service.deadletter import PREFIX, dead_letter
from service.errors import RecordError
from service.layers import LEAVES, SECRETS
from service.load import load
from service.policy import Policy
from service.record import Stored
from service.schema import KINDS, schema_of
from service.template import template


def test_the_comment_on_the_policy_says_how_to_get_one():
    lines = template().splitlines()
    assert "tidegate create policy" in lines[lines.index("policy: null") - 1]


def test_the_event_says_that_media_are_not_fetched():
    assert "not fetched" in str(schema_of("event")["$defs"]["MediaModel"]["properties"]["url"])


@pytest.mark.parametrize("kind", KINDS)
def test_each_schema_is_sound_and_printed_by_the_command(kind, capfdbinary):
    Draft202012Validator.check_schema(schema_of(kind))
    assert run(["schema", kind]) == 0
    assert orjson.loads(capfdbinary.readouterr().out) == schema_of(kind)


@pytest.mark.parametrize(("name", "kind"), [("dead-letter", "deadletter"), ("configuration", "config")])
def test_schemas_have_long_names_too(name, kind, capfdbinary):
    assert run(["schema", name]) == 0
    assert orjson.loads(capfdbinary.readouterr().out) == schema_of(kind)


@pytest.mark.parametrize(
    ("event", "valid"),
    [
        ({"text": "hi"}, True),
        ({"text": "hi", "unknown": 1}, True),
        ({"image": {"bytes": "aa", "media_type": "image/png"}}, True),
        ({"image": [{"bytes": "aa"}, {"url": "https://x/y"}]}, True),
        ({"text": 5}, False),
        ({"id": "x" * 257, "text": "hi"}, False),
        ({"image": {}}, False),
        ({"image": {"bytes": None}}, False),
        ({"image": {"bytes": None, "url": "https://x/y"}}, True),
        ({"text": "hi", "topics": ["t"] * 17}, False),
        ({"text": "hi", "reach": -1}, False),
        ([], False),
    ],
)
def test_events_are_told_apart(event, valid):
    assert Draft202012Validator(schema_of("event")).is_valid(event) is valid


def test_a_dead_letters_headers_fit_their_schema():
    record = Stored("posts", 0, 1, 2, None, None)
    letter = dead_letter(record, RecordError("media", "bomb"), event_id="e", group="g")
    texts = {n.removeprefix(PREFIX): (v or b"").decode() for n, v in letter.headers if n.startswith(PREFIX)}
    headers = {name: int(text) if text.isdigit() else text for name, text in texts.items()}
    validator = Draft202012Validator(schema_of("deadletter"))
    assert not list(validator.iter_errors(headers))
    assert not validator.is_valid(headers | {"class": "sad"})
    assert not validator.is_valid(headers | {"offset": 1.5})
    assert not validator.is_valid({k: v for k, v in headers.items() if k != "stage"})


def test_the_printed_configuration_is_the_default_one(tmp_path):
    path = tmp_path / "tidegate.yaml"
    path.write_text(template(), encoding="utf-8")
    assert load(path, environ={}) == Settings()
    Draft202012Validator(schema_of("config")).validate(yaml.safe_load(template()))


def test_the_printed_configuration_names_every_setting_but_secrets():
    tree = yaml.safe_load(template())
    for path in LEAVES:
        node = tree
        for name in path[:-1]:
            node = node[name]
        assert (path[-1] in node) is (path not in SECRETS), path


def test_every_setting_is_explained():
    lines = template().splitlines()
    for number, line in enumerate(lines):
        if line.strip() and not line.lstrip().startswith("#"):
            assert lines[number - 1].lstrip().startswith("#"), line


@pytest.mark.parametrize(
    ("words", "check"),
    [([], lambda path: load(path, environ={})), (["policy"], lambda path: Policy.load(path))],
)
def test_what_create_prints_can_be_used(words, check, tmp_path, capfdbinary):
    assert run(["create", *words]) == 0
    path = tmp_path / "created.yaml"
    path.write_bytes(capfdbinary.readouterr().out)
    check(path)


def test_the_created_policy_has_no_errors_with_a_bundle_of_other_labels(tiny, tmp_path, capfdbinary):
    run(["create", "policy"])
    path = tmp_path / "policy.yaml"
    path.write_bytes(capfdbinary.readouterr().out)
    assert run(["lint", "--set", f"bundle={tiny}", "--set", f"policy={path}"]) == 0
    assert b"self_harm" in capfdbinary.readouterr().out, "and says which rules have nothing to do"


def test_the_created_policy_is_the_built_in_one(tmp_path, capfdbinary):
    run(["create", "policy"])
    path = tmp_path / "policy.yaml"
    path.write_bytes(capfdbinary.readouterr().out)
    assert Policy.load(path).reference == Policy.load(None).reference


def test_a_secret_in_a_file_does_not_fit_the_schema():
    validator = Draft202012Validator(schema_of("config"))
    assert validator.is_valid({"kafka": {"security": {"username": "u"}}})
    assert not validator.is_valid({"kafka": {"security": {"password": "p"}}})
