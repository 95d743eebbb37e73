"""Every finding of lint, the exit codes of the command, and that a sound configuration has none."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from engines.calibration import Calibration, dump
from service.cli.check import findings_of
from service.cli.main import run
from service.findings import Refused, refuse_errors
from service.lint import is_loopback, lint
from service.load import read
from tests.harness import ROOT, environment
from tests.tiny_bundle import LABELS, seal

POLICY = "name: x\nmode: enforce\ndefault: {review: 0.5, block: 0.9}\nlabels:\n"


@pytest.fixture
def findings(tiny):
    def of(*overrides, environ=None, bundle=tiny, file=None):
        loaded = read(file, [f"bundle={bundle}", *overrides], environ or {})
        return lint(loaded.settings, loaded.source)

    return of


def test_the_defaults_have_no_findings(findings):
    assert findings() == []


SSL = "kafka.security.protocol=SSL"
SASL = ["kafka.security.protocol=SASL_SSL", "kafka.security.mechanism=PLAIN", "kafka.security.username=u"]
PASSWORD = {"TIDEGATE_KAFKA__SECURITY__PASSWORD": "p"}
ERRORS = {
    "exactly once": (["delivery=exactly_once"], "not built yet"),
    "output is input": (["output.topic=tidegate.events"], "output.topic 'tidegate.events' is also an input"),
    "dead letters are input": (["deadletter.topic=tidegate.events"], "would be read for ever"),
    "output matches the pattern": (
        ["input.topics=^tidegate"],
        "'tidegate.scores' is also an input",
    ),
    "output matches by its beginning": (["input.topics=^tidegate\\.(events|sc)"], "is also an input"),
    "output is dead letters": (["output.topic=tidegate.deadletters"], "are both 'tidegate.deadletters'"),
    "pattern is none": (["input.topics=^("], "not a regular expression"),
    "address without port": (["kafka.bootstrap_servers=broker-1"], "'broker-1' is not an address"),
    "a web address": (["kafka.bootstrap_servers=http://b:9092"], "not an address"),
    "no host": (["http.host=nohost!"], "http.host 'nohost!' is neither"),
    "host and port in one": (["http.host=here:9464"], "http.host 'here:9464' is neither"),
    "port out of range": (["kafka.bootstrap_servers=b:99999"], "not an address"),
    "owned setting of the consumer": (["kafka.consumer.enable_auto_commit=true"], "may not be changed"),
    "owned setting of the producer": (["kafka.producer.acks=1"], "may not be changed"),
    "group as client setting": (["kafka.consumer.group_id=x"], "Set kafka.group"),
    "unknown setting": (["kafka.producer.lingr_ms=1"], "Did you mean 'linger_ms'?"),
    "drain over session": (
        ["limits.drain_seconds=15", "limits.grace_seconds=60"],
        "session_timeout_ms (15 s)",
    ),
    "drain over shorter session": (["kafka.consumer.session_timeout_ms=9000"], "session_timeout_ms (9 s)"),
    "unknown codec": (["kafka.producer.compression_type=klingon"], "compression_type cannot be 'klingon'"),
    "text for a number": (["kafka.producer.linger_ms=abc"], "linger_ms cannot be 'abc'"),
    "below zero": (["kafka.consumer.fetch_max_bytes=-1"], "fetch_max_bytes cannot be -1"),
    "number for a switch": (["kafka.consumer.metrics_enabled=1"], "metrics_enabled cannot be 1"),
    "number for a text": (["kafka.consumer.client_rack=1"], "client_rack cannot be 1"),
    "too many in flight": (["kafka.producer.max_in_flight_requests_per_connection=9"], "cannot be 9"),
    "slow heartbeat": (["kafka.consumer.heartbeat_interval_ms=60000"], "not under session_timeout_ms"),
    "quick request": (["kafka.consumer.request_timeout_ms=100"], "is not under request_timeout_ms 100"),
    "no mechanism": (["kafka.security.protocol=SASL_SSL"], "needs kafka.security.mechanism"),
    "no username": (["kafka.security.protocol=SASL_SSL"], "needs kafka.security.username"),
    "no password": (SASL, "TIDEGATE_KAFKA__SECURITY__PASSWORD"),
    "no such authority": ([SSL, "kafka.security.ca_file=/no/ca.pem"], "/no/ca.pem"),
    "no such certificate": (
        [SSL, "kafka.security.cert_file=/no/c.pem"],
        "cert_file",
    ),
    "key without certificate": (
        [SSL, "kafka.security.key_file=/etc/hosts"],
        "without",
    ),
    "no such password file": ([*SASL, "kafka.security.password_file=/no/p"], "password_file: /no/p"),
    "policy missing": (["policy=/no/policy.yaml"], "policy cannot be read"),
    "bundle missing": (["bundle=/no/bundle"], "There is no bundle"),
    "precision not calibrated": (["engine.precision=bf16"], "calibrated for fp32"),
    "precision not calibrated, refused": (
        ["engine.precision=bf16", "engine.uncalibrated=refuse"],
        "calibrated for fp32",
    ),
}
REMOTE = "kafka.bootstrap_servers=b:1"
WARNINGS = {
    "clear text": (
        [*SASL[1:], "kafka.security.protocol=SASL_PLAINTEXT", "kafka.bootstrap_servers=b:1"],
        "SASL_SSL",
    ),
    "username without a protocol for it": (["kafka.security.username=u"], "username has no effect"),
    "authority without TLS": (["kafka.security.ca_file=/etc/hosts"], "ca_file has no effect"),
    "open to others": (["http.host=0.0.0.0"], "can be reached from other machines"),
    "image over record": (["limits.image_bytes=20000000"], "image_bytes is more than limits.record_bytes"),
    "audio over record": (["limits.audio_bytes=20000000"], "audio_bytes is more than limits.record_bytes"),
    "cycle over buffer": (["limits.cycle_records=30000"], "cycle_records is more than limits.buffer_records"),
    "bytes over buffer": (["limits.cycle_bytes=200000000"], "cycle_bytes is more than limits.buffer_bytes"),
    "drain over grace": (["limits.drain_seconds=30"], "drain_seconds is more than limits.grace_seconds"),
    "short grace": (["limits.grace_seconds=12", "limits.cycle_seconds=5"], "short for cycles of 5"),
    "precision not calibrated, tolerated": (
        ["engine.precision=bf16", "engine.uncalibrated=warn"],
        "calibrated for fp32",
    ),
    "age without action": (["limits.event_age_action=drop"], "event_age is not set"),
}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]", "localhost", "tidegate-0.tidegate", "0.0.0.0"])
def test_hosts_that_may_be_listened_on(findings, host):
    assert not [finding for finding in findings(f"http.host={host}") if finding.level == "error"]


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL", "SASL_SSL"])
def test_an_address_may_name_its_protocol_as_javas_clients_do(findings, protocol):
    assert not [
        each for each in findings(f"kafka.bootstrap_servers={protocol}://b:9092") if each.level == "error"
    ]


@pytest.mark.parametrize(("overrides", "says"), ERRORS.values(), ids=ERRORS)
def test_errors(findings, overrides, says):
    found = [finding for finding in findings(*overrides) if says in str(finding)]
    assert [finding.level for finding in found] == ["error"] * len(found) != []
    assert all(finding.remedy for finding in found)
    assert all(finding.where for finding in found)
    with pytest.raises(Refused):
        refuse_errors(found)


@pytest.mark.parametrize(("overrides", "says"), WARNINGS.values(), ids=WARNINGS)
def test_warnings(findings, overrides, says):
    found = [finding for finding in findings(*overrides, environ=PASSWORD) if says in str(finding)]
    assert [finding.level for finding in found] == ["warning"]
    assert found[0].remedy
    refuse_errors(found)


def test_a_password_twice_is_refused(findings, tmp_path):
    file = tmp_path / "p"
    file.write_text("p")
    found = findings(*SASL, f"kafka.security.password_file={file}", environ=PASSWORD)
    assert ["both set" in finding.what for finding in found] == [True]


def test_client_settings_that_fit_have_no_findings(findings):
    fit = ["producer.compression_type=zstd", "producer.linger_ms=0.5", "consumer.metrics_enabled=false"]
    fit += ["producer.compression_type=null", "consumer.session_timeout_ms=30000", "consumer.client_rack=a"]
    assert findings(*(f"kafka.{setting}" for setting in fit)) == []


def test_a_complete_login_has_no_findings(findings):
    assert findings(*SASL, environ=PASSWORD) == []


def test_an_empty_secret_file_is_refused(findings, tmp_path):
    file = tmp_path / "p"
    file.write_text("")
    assert "it is empty" in str(findings(*SASL, f"kafka.security.password_file={file}")[0])


def test_findings_point_into_the_file(findings, tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("kafka:\n  producer:\n    acks: 1\noutput:\n  topic: tidegate.events\n")
    places = [finding.where.rpartition("/")[2] for finding in findings(file=file)]
    assert places == ["c.yaml:5:3", "c.yaml:3:5"]


def test_a_bad_policy_is_reported_with_its_own_lines(findings, tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY + "  hate: {review: 3}\n  spam: {blok: 1}\n")
    places = [finding.where.rpartition("/")[2] for finding in findings(f"policy={file}")]
    assert places == ["policy.yaml:5:10", "policy.yaml:6:10"]


def test_rules_for_labels_that_the_bundle_lacks_are_found(findings, tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY + "  hat: {review: 0.3}\n  civic/*: {review: 0.3}\n  spam/*: {review: 0.4}\n")
    found = findings(f"policy={file}")
    assert [finding.level for finding in found] == ["error", "warning"]
    assert "'hat'" in found[0].what
    assert "'hate'" in found[0].remedy


@pytest.fixture
def raw(tiny, tmp_path):
    """A bundle that was never calibrated."""
    folder = shutil.copytree(tiny, tmp_path / "raw")
    dump(folder / "calibration.json", {"fp32": Calibration.identity(len(LABELS))})
    seal(folder)
    return folder


@pytest.mark.parametrize(("uncalibrated", "level"), [("auto", "warning"), ("refuse", "error")])
def test_a_bundle_that_was_never_calibrated_is_found(findings, raw, uncalibrated, level):
    found = findings(f"engine.uncalibrated={uncalibrated}", bundle=raw)
    assert [finding.level for finding in found] == [level]
    assert "bundle calibrate" in found[0].remedy


def test_thresholds_that_the_policy_wants_and_the_bundle_lacks_are_found(findings, tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY + "  hate: {review: calibrated}\n  spam/*: {block: calibrated}\n")
    found = findings(f"policy={file}")
    assert [finding.level for finding in found] == ["error", "warning"]
    assert "hate" in found[0].what
    assert found[0].where.endswith("policy.yaml:5:3")
    assert "spam/ads" in found[1].what


def test_one_flipped_byte_in_the_bundle_is_found(findings, tiny, tmp_path):
    copy = shutil.copytree(tiny, tmp_path / "bundle")
    graph = copy / "text.onnx"
    data = bytearray(graph.read_bytes())
    data[len(data) // 2] ^= 1
    graph.write_bytes(data)
    found = findings(bundle=copy)
    assert [finding.level for finding in found] == ["error"]
    assert "text.onnx" in str(found[0])
    assert found[0].remedy


@pytest.mark.parametrize(
    "text",
    [
        "zzzzzzzzzzzzz: 1",
        "kafka: {zzzzzzzzzzzzzzzz: 1}",
        "kafka: {bootstrap_servers: localhost}",
        "kafka: {bootstrap_servers: []}",
        "kafka: {bootstrap_servers: [1]}",
        "kafka: {consumer: 5}",
        "kafka: 5",
        "kafka: {group: ''}",
        "kafka: {group: [a]}",
        "http: {port: abc}",
        "http: {port: 70000}",
        "http: {port: null}",
        "limits: {record_bytes: 1e9}",
        "limits: {record_bytes: -1}",
        "limits: {decode_seconds: .nan}",
        "deadletter: {fuse: maybe}",
        "deadletter: {topic: 'bad topic!'}",
        "input: {topics: []}",
        "log: {level: null}",
        "policy: 5",
        "a: [1",
        "a: 'x",
        "*",
        "a: !!python/name:os.system 1",
        "- 1",
        "\0",
        "a: &a [*a]",
    ],
)
def test_whatever_is_wrong_with_a_file_each_finding_says_its_remedy(tiny, tmp_path, text):
    path = tmp_path / "wrong.yaml"
    path.write_text(text, encoding="utf-8")
    found = findings_of(path, (f"bundle={tiny}",))
    assert any(finding.level == "error" for finding in found)
    assert [finding for finding in found if not finding.remedy] == []


@pytest.mark.parametrize(
    "text",
    ["zzzzzzzz: 1", "name: ''", "name: 5", "mode: null", "default: 5", "default: {review: 7}", "labels: [a]"],
)
def test_whatever_is_wrong_with_a_policy_each_finding_says_its_remedy(tiny, tmp_path, text):
    path = tmp_path / "wrong.yaml"
    path.write_text(text, encoding="utf-8")
    found = findings_of(None, (f"bundle={tiny}", f"policy={path}"))
    assert any(finding.level == "error" for finding in found)
    assert [finding for finding in found if not finding.remedy] == []


def test_a_configuration_may_come_from_a_pipe(tiny):
    command = [sys.executable, "-m", "service.cli.main"]
    created = subprocess.run([*command, "create"], cwd=ROOT, capture_output=True, check=True, timeout=60)
    linted = subprocess.run(
        [*command, "lint", "-c", "-", "--set", f"bundle={tiny}"],
        cwd=ROOT,
        env=environment(),
        input=created.stdout,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (linted.returncode, linted.stdout) == (0, b""), linted.stderr


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
    ],
)
def test_what_is_loopback(host, local):
    assert is_loopback(host) is local


@pytest.mark.parametrize(
    ("setting", "code"),
    [("log.level=info", 0), ("http.host=0.0.0.0", 0), ("delivery=exactly_once", 78), ("a.b=1", 78)],
)
def test_the_command_exits_78_on_errors_and_0_on_warnings(tiny, capfdbinary, setting, code):
    assert run(["lint", "--set", f"bundle={tiny}", "--set", setting]) == code


def test_json_output_is_one_finding_a_line(tiny, capfdbinary):
    assert run(["lint", "--json", "--set", f"bundle={tiny}", "--set", "http.host=0.0.0.0"]) == 0
    lines = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [line["level"] for line in lines] == ["warning"]
    assert set(lines[0]) == {"schema", "level", "where", "what", "why", "remedy"}


def test_the_command_never_prints_a_secret(tiny, capfdbinary, monkeypatch):
    monkeypatch.setenv("TIDEGATE_KAFKA__SECURITY__PASSWORD", "hunter2")
    for verb in (["lint"], ["lint", "--json"], ["lint", "--set", "kafka.security.protocol=SASL_SSL"]):
        run([*verb, "--set", f"bundle={tiny}"])
    written = capfdbinary.readouterr()
    assert b"password has no effect" in written.out
    assert b"hunter2" not in written.out + written.err
