"""What doctor finds out about the world around a configuration, and that it always comes to an end."""

from __future__ import annotations

import json
import shutil
import socket
import time
from dataclasses import replace

import pytest

from engines.calibration import Calibration, dump
from service.cli.main import run
from service.diagnosis import Result
from service.doctor import doctor, exit_code, replication
from service.errors import Exit
from service.kafka.admin import Facts, Topic
from service.load import load
from tests.tiny_bundle import LABELS, seal


@pytest.fixture
def silent():
    """The address of something that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(16)
        yield f"127.0.0.1:{server.getsockname()[1]}"


def settings(tiny, address, *more):
    options = [
        f"bundle={tiny}",
        f"kafka.bootstrap_servers={address}",
        "http.port=0",
        "engine.backend=onnxruntime",
    ]
    return load(None, [*options, *more], {})


def by_name(results):
    return {result.name: result for result in results}


def test_a_cluster_that_never_answers_is_a_finding_in_good_time(tiny, silent):
    began = time.monotonic()
    found = by_name(doctor(settings(tiny, silent), seconds=2.0))
    assert time.monotonic() - began < 3
    assert (found["cluster"].state, found["cluster"].exit_code) == ("FAIL", Exit.UNREACHABLE)
    assert found["cluster"].remedy


def test_what_does_not_need_the_cluster_is_checked_all_the_same(tiny, silent):
    found = by_name(doctor(settings(tiny, silent), seconds=2.0))
    assert found["client"].state == "PASS"
    assert found["http"].state == "PASS"
    assert found["cache"].state in ("PASS", "WARN")
    assert "tiny" in found["engine"].detail


def test_a_port_that_is_taken_says_so(tiny, silent):
    port = silent.rpartition(":")[2]
    found = by_name(doctor(settings(tiny, silent, f"http.port={port}"), seconds=2.0))
    assert (found["http"].state, found["http"].exit_code) == ("FAIL", Exit.UNREACHABLE)
    assert "listens there" in found["http"].detail


@pytest.mark.parametrize(("replicas", "brokers", "warned"), [(1, 3, True), (1, 1, False), (2, 3, False)])
def test_one_replica_among_several_brokers_is_a_warning(replicas, brokers, warned):
    made = Topic("posts", 6, 3, 1 << 20, "delete")
    alone = replace(made, name="scores", replicas=replicas)
    found = list(replication(Facts({"posts": made}, alone, made), brokers))
    assert [result.state for result in found] == ["WARN"] * warned
    assert all("scores" in result.detail and "posts" not in result.detail for result in found)


def test_a_tampered_bundle_is_a_configuration_error(tiny, silent, tmp_path):
    copy = shutil.copytree(tiny, tmp_path / "bundle")
    (copy / "labels.yaml").write_text("labels: []")
    found = by_name(doctor(settings(copy, silent), seconds=2.0))
    assert (found["engine"].state, found["engine"].exit_code) == ("FAIL", Exit.CONFIG)
    assert "labels.yaml" in found["engine"].detail


def test_a_bundle_that_was_never_calibrated_is_a_warning(tiny, silent, tmp_path):
    copy = shutil.copytree(tiny, tmp_path / "bundle")
    dump(copy / "calibration.json", {"fp32": Calibration.identity(len(LABELS))})
    seal(copy)
    found = [r for r in doctor(settings(copy, silent), seconds=2.0) if "not calibrated" in r.detail]
    assert [(result.name, result.state) for result in found] == [("engine", "WARN")]
    assert found[0].remedy


def test_labels_that_were_not_calibrated_are_named_in_a_warning(tiny, silent, tmp_path):
    copy = shutil.copytree(tiny, tmp_path / "bundle")
    dump(
        copy / "calibration.json",
        {"fp32": replace(Calibration.identity(len(LABELS)), calibrated=True, uncalibrated=("hate",))},
    )
    seal(copy)
    found = [r for r in doctor(settings(copy, silent), seconds=2.0) if "not calibrated" in r.detail]
    assert [result.state for result in found] == ["WARN"]
    assert "not calibrated for hate:" in found[0].detail


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ([("PASS", Exit.OK), ("WARN", Exit.CONFIG)], Exit.OK),
        ([("FAIL", Exit.UNREACHABLE)], Exit.UNREACHABLE),
        ([("FAIL", Exit.UNREACHABLE), ("FAIL", Exit.CONFIG)], Exit.CONFIG),
    ],
)
def test_what_must_be_mended_first_gives_the_exit_code(states, code):
    assert exit_code([Result("x", state, "", "", each) for state, each in states]) == code


def test_an_unreadable_configuration_is_all_that_is_said(capfdbinary):
    assert run(["doctor", "--json", "--set", "kafka.gruop=x"]) == Exit.CONFIG
    (line,) = capfdbinary.readouterr().out.splitlines()
    assert json.loads(line)["remedy"] == "Did you mean 'kafka.group'?"
