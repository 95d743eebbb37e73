"""Where a setting comes from, which one wins, and that mistakes and secrets are caught at the door."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path

import pytest

from service.config import Settings
from service.errors import ConfigError, Exit
from service.findings import Refused
from service.layers import LEAVES, variable
from service.load import load, read
from service.policy_file import read_policy

SECRET = "hunter2-öß"


def write(tmp_path, text, name="tidegate.yaml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def refusal(*arguments, **more):
    with pytest.raises(Refused) as caught:
        load(*arguments, **({"environ": {}} | more))
    assert caught.value.exit_code == Exit.CONFIG
    return caught.value


def test_without_anything_the_defaults_hold():
    assert load(None, environ={}) == Settings()


@pytest.mark.parametrize(
    ("layers", "group"),
    [
        ((), "tidegate"),
        (("file",), "file"),
        (("file", "env"), "env"),
        (("file", "env", "set"), "set"),
        (("set",), "set"),
    ],
)
def test_command_line_over_environment_over_file_over_default(tmp_path, layers, group):
    path = write(tmp_path, "kafka: {group: file}") if "file" in layers else None
    environ = {"TIDEGATE_KAFKA__GROUP": "env"} if "env" in layers else {}
    overrides = ["kafka.group=set"] if "set" in layers else []
    assert load(path, overrides, environ).kafka.group == group


def test_layers_are_merged_key_by_key(tmp_path):
    path = write(tmp_path, "kafka: {client_id: file, consumer: {fetch_max_bytes: 1, check_crcs: true}}")
    settings = load(path, ["kafka.consumer.fetch_max_bytes=3"], {"TIDEGATE_KAFKA__GROUP": "env"})
    assert (settings.kafka.client_id, settings.kafka.group) == ("file", "env")
    assert settings.kafka.consumer == {"fetch_max_bytes": 3, "check_crcs": True}


@pytest.mark.parametrize("path", LEAVES, ids=".".join)
def test_every_setting_has_its_variable(path):
    value = Settings()
    for name in path:
        value = getattr(value, name)
    raw = "" if value is None else json.dumps(value) if not isinstance(value, str) else value
    assert load(None, environ={variable(path): raw}) == Settings()


@pytest.mark.parametrize("raw", ["a:1,b:2", " a:1 , b:2,", '["a:1", "b:2"]'])
def test_lists_are_json_or_comma_separated(raw):
    assert load(None, environ={"TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": raw}).kafka.bootstrap_servers == [
        "a:1",
        "b:2",
    ]


def test_a_list_may_be_comma_separated_in_the_file_too(tmp_path):
    path = write(tmp_path, "kafka:\n  bootstrap_servers: a:1, b:2\n")
    assert load(path, environ={}).kafka.bootstrap_servers == ["a:1", "b:2"]


def test_what_an_option_said_is_found_there_and_not_in_the_file(tmp_path):
    path = write(tmp_path, "kafka:\n  bootstrap_servers: [a:1]\n")
    source = read(path, ["kafka.bootstrap_servers=b"], {}).source
    assert source.where("kafka", "bootstrap_servers", 0) == "--set kafka.bootstrap_servers"


def test_topics_may_be_a_pattern():
    name = "TIDEGATE_INPUT__TOPICS"
    assert load(None, environ={name: "a"}).input.topics == ["a"]
    assert load(None, environ={name: "^posts-.*$"}).input.topics == "^posts-.*$"
    assert load(None, ["input.topics=[a, b]"], {}).input.topics == ["a", "b"]


@pytest.mark.parametrize("raw", ["123", "true", "null-ish", "1e3", "0x10", "a: b", "[x"])
def test_text_stays_text_whatever_it_looks_like(raw):
    assert load(None, environ={"TIDEGATE_KAFKA__GROUP": raw}).kafka.group == raw
    assert load(None, [f"kafka.group={raw}"], {}).kafka.group == raw


def test_options_are_yaml():
    settings = load(None, ["limits.event_age=null", "engine.contributions=no", 'kafka.group="q=1"'], {})
    assert (settings.limits.event_age, settings.engine.contributions) == (None, False)
    assert settings.kafka.group == "q=1"


def test_relative_paths_count_from_the_file(tmp_path):
    path = write(tmp_path, "policy: my/policy.yaml\nbundle: ./mine\nkafka: {security: {ca_file: ca.pem}}\n")
    settings = load(path, environ={})
    assert settings.policy == tmp_path / "my/policy.yaml"
    assert settings.bundle == str(tmp_path / "mine")
    assert settings.kafka.security.ca_file == tmp_path / "ca.pem"
    assert load(path, environ={"TIDEGATE_POLICY": "other.yaml"}).policy == Path("other.yaml")


def test_a_bundles_name_is_no_path(tmp_path):
    assert load(write(tmp_path, "bundle: starter"), environ={}).bundle == "starter"


def test_an_empty_section_is_the_default_one(tmp_path):
    assert load(write(tmp_path, "kafka:\n  # group: x\nlimits:\n"), environ={}) == Settings()
    assert load(write(tmp_path, ""), environ={}) == Settings()


def test_every_mistake_is_listed_at_once_with_its_place(tmp_path):
    path = write(tmp_path, "kafka:\n  grup: x\nengine: {tokens: 1}\nhttp:\n  port: abc\n")
    error = refusal(path, ["nope.x=1"], environ={"TIDEGATE_LIMITS__DRAIN": "5"})
    places = [finding.where.removeprefix(f"{tmp_path}/") for finding in error.findings]
    assert sorted(places) == [
        "--set nope.x",
        "environment TIDEGATE_LIMITS__DRAIN",
        "tidegate.yaml:2:3",
        "tidegate.yaml:3:10",
        "tidegate.yaml:5:3",
    ]


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ("kafka: {grup: x}", "1:9", "Did you mean 'group'?"),
        ("kafak: {}", "1:1", "Did you mean 'kafka'?"),
        ("kafka: {group: 12}", "1:9", "Put it in quotes"),
        ("delivery: atleastonce", "1:1", "Did you mean 'at_least_once'"),
        ("kafka:\n  group: a\n  group: b", "3:3", "first on line 2"),
        ("kafka:\n\tgroup: a", "2:1", "not valid YAML"),
        ("kafka: [", "1:9", "not valid YAML"),
        ("- a", "1:1", "must be a mapping"),
        ("input: {topics: [ok, 'not ok']}", "1:22", "letters, digits"),
        ("input: {topics: []}", "1:9", "at least 1"),
        ("kafka: 5", "1:1", "a section: its keys"),
        ("limits: {record_bytes: 5MB}", "1:10", "a whole number, for example 5000000"),
        ("limits: {decode_seconds: soon}", "1:10", "a number, for example 5.0"),
        ("limits: {event_age: 0}", "1:10", "more than 0"),
        ("input: {topics: 5}", "1:9", "a list, or a text"),
        ("policy: 5", "1:1", "a path"),
        ("http: {port: 99999}", "1:8", "at most 65535"),
        ("a: !!python/object/apply:os.system [x]", "1:4", "not known"),
        ("a: !secret x", "1:4", "not valid YAML"),
        ("a: &a [*a]", "1:", "nested"),
        ("output: {topic: 'a/b'}", "1:10", "letters, digits"),
    ],
)
def test_a_mistake_says_where_why_and_what_next(tmp_path, text, where, says):
    error = refusal(write(tmp_path, text))
    assert f"tidegate.yaml:{where}" in str(error)
    assert says in str(error)


@pytest.mark.parametrize("leaf", LEAVES, ids=".".join)
@pytest.mark.parametrize("value", ["[]", "{}", "-1", "1.5", "{a: [b]}", "true", "''"])
def test_no_message_speaks_of_the_library_that_checks(tmp_path, leaf, value):
    text = "".join(f"{'  ' * depth}{name}:\n" for depth, name in enumerate(leaf))
    with suppress(Refused):
        load(write(tmp_path, f"{text[:-1]} {value}\n"), environ={})
        return
    said = str(refusal(tmp_path / "tidegate.yaml"))
    assert not re.search(
        r"Input|valid (dict|list|string|integer|number|bool)|instance|unable|parse|pattern '", said
    )


def test_aliases_that_multiply_are_refused(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, 9)]
    assert "without bound" in str(refusal(write(tmp_path, "\n".join(lines))))


def test_deep_nesting_is_refused(tmp_path):
    assert "nested" in str(refusal(write(tmp_path, "a: " + "[" * 5000)))


@pytest.mark.parametrize("content", [b"\xff\xfe", b"#" * (2 << 20)])
def test_files_that_are_no_configuration_are_refused(tmp_path, content):
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(path, environ={})


def test_a_file_that_is_not_there_names_its_neighbour(tmp_path):
    write(tmp_path, "")
    with pytest.raises(ConfigError, match=r"Did you mean .*tidegate\.yaml"):
        load(tmp_path / "tidegat.yaml", environ={})


def test_only_a_close_name_of_the_same_kind_is_suggested(tmp_path):
    write(tmp_path, "", "tidegate.yaml")
    write(tmp_path, "", "tidegate.log")
    with pytest.raises(ConfigError, match="Check the path"):
        load(tmp_path / "staging.yaml", environ={})
    with pytest.raises(ConfigError, match="Check the path"):
        read_policy(tmp_path / "tidegat.yaml", tmp_path / "tidegate.yaml")


def test_a_single_underscore_is_a_likely_mistake():
    assert "TIDEGATE_KAFKA__GROUP" in str(refusal(None, environ={"TIDEGATE_KAFKA_GROUP": "x"}))


def test_variables_that_kubernetes_makes_for_a_service_are_no_settings():
    environ = {
        "TIDEGATE_HTTP_PORT": "tcp://10.0.0.1:9464",
        "TIDEGATE_HTTP_SERVICE_HOST": "10.0.0.1",
        "TIDEGATE_PORT_9464_TCP_ADDR": "10.0.0.1",
        "TIDEGATE_FAIL": "",
    }
    assert load(None, environ=environ) == Settings()


def test_an_option_without_a_value_is_refused():
    assert "section.key=value" in str(refusal(None, ["kafka.group"]))


@pytest.mark.parametrize(
    "text",
    [
        f"kafka: {{security: {{password: '{SECRET}'}}}}",
        f"kafka: {{security: {{key_password: '{SECRET}'}}}}",
        f"kafka: {{consumer: {{sasl_plain_password: '{SECRET}'}}}}",
        f"kafka: {{producer: {{ssl_password: '{SECRET}'}}}}",
        f"kafka: {{security: {{pasword: '{SECRET}'}}}}",
        f"kafka: {{security: {{password: ['{SECRET}']}}}}",
        f"kafka:\n  security:\n    password: '{SECRET}'\n   bad: indent",
        f'kafka:\n  security:\n    password: "{SECRET}',
        f"kafka:\n  security:\n    password: {SECRET}: x",
        f"kafka:\n  security:\n    password: a\n    password: '{SECRET}'",
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path, text):
    error = refusal(write(tmp_path, text))
    assert SECRET not in str(error) + repr(error) + repr(error.findings)


@pytest.mark.parametrize("name", ["kafka.security.password", "kafka.consumer.sasl_plain_password"])
def test_a_secret_on_the_command_line_is_refused_and_not_repeated(name):
    error = refusal(None, [f"{name}={SECRET}"])
    assert SECRET not in str(error)
    assert "TIDEGATE_KAFKA__SECURITY__PASSWORD" in str(error)


def test_a_secret_from_the_environment_never_shows():
    environ = {"TIDEGATE_KAFKA__SECURITY__PASSWORD": SECRET, "TIDEGATE_KAFKA__SECURITY__USERNAME": "u"}
    loaded = read(None, environ=environ)
    settings = loaded.settings
    assert settings.kafka.security.password is not None
    assert settings.kafka.security.password.get_secret_value() == SECRET
    shown = [str(settings), repr(loaded), settings.model_dump_json(), str(settings.model_dump())]
    assert not [text for text in shown if SECRET in text]


def test_a_secret_does_not_show_beside_another_mistake():
    environ = {"TIDEGATE_KAFKA__SECURITY__PASSWORD": SECRET, "TIDEGATE_HTTP__PORT": "x"}
    assert SECRET not in str(refusal(None, environ=environ))


def test_a_password_that_looks_like_a_number_stays_text():
    settings = load(None, environ={"TIDEGATE_KAFKA__SECURITY__PASSWORD": "0123"})
    assert settings.kafka.security.password.get_secret_value() == "0123"


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        load(None, environ={}).kafka.group = "x"


@pytest.mark.parametrize(
    ("raw", "meant"), [("all", "all"), ("[all]", "all"), ("0,2", [0, 2]), ("[1]", [1]), ("3", [3])]
)
def test_devices_are_numbers_or_all(raw, meant):
    assert load(None, [f"engine.devices={raw}"], {}).engine.devices == meant
    assert load(None, environ={"TIDEGATE_ENGINE__DEVICES": raw}).engine.devices == meant


def test_micro_batches_are_what_suits_the_backend_unless_set(tmp_path):
    engine = load(write(tmp_path, "engine: {tokens: 512, plans: my/plans}"), environ={}).engine
    assert (engine.tokens, engine.image_rows, engine.audio_seconds) == (512, None, None)
    assert engine.plans == tmp_path / "my/plans"
