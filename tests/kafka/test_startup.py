"""A start that cannot work says why within 15 seconds; one that can consumes within seconds, every time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from service.config import Input, Kafka
from service.kafka.checkpoint import Checkpoint
from service.kafka.source import Silent, Source
from tests.cluster import Cluster, until
from tests.harness import World, free_port, posts, tidegate
from tests.kafka.test_client import doors, papers  # noqa: F401 - fixtures: a broker with every door

BAR_SECONDS = 15.0
BLOCKED = 'raise ImportError("no such library here")\n'


@pytest.fixture(scope="module")
def attempts(
    cluster: Cluster,
    tiny: Path,
    doors: Any,  # noqa: F811
    papers: Any,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[tuple[str, str], tuple[int, str, float]]]:
    """Exit code, output and seconds of `run` and `doctor` for each thing that is wrong; a few at a time."""
    folder = tmp_path_factory.mktemp("startup")
    here = World(cluster, folder, tiny)
    cluster.create("compacted", configs={"cleanup.policy": "compact"})
    stub = folder / "stub" / "lz4"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text(BLOCKED)
    ca, other = str(papers.path("ca")), str(papers.path("other-ca"))
    login = {"protocol": "SASL_SSL", "mechanism": "SCRAM-SHA-512", "username": "alice"}
    wrong: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
        "missing topics": ({"input": {"topics": ["nowhere"]}, "output": {"topic": "nothing"}}, {}),
        "wrong password": (
            behind(doors.address("SCRAMLOGIN"), **login, ca_file=ca),
            {"TIDEGATE_KAFKA__SECURITY__PASSWORD": "sesame-closed"},
        ),
        "wrong CA": (behind(doors.address("TLS"), protocol="SSL", ca_file=other), {}),
        "no broker": ({"kafka": {"bootstrap_servers": [f"127.0.0.1:{free_port()}"]}}, {}),
        "compacted dead letters": ({"deadletter": {"topic": "compacted"}}, {}),
        "no codec": ({}, {"PYTHONPATH": str(stub.parent)}),
    }

    def attempt(case: tuple[str, str]) -> tuple[int, str, float]:
        name, verb = case
        changes, env = wrong[name]
        began = time.monotonic()
        done = tidegate(verb, "-c", str(here.config(changes)[0]), env=env)
        return done.returncode, done.stdout + done.stderr, time.monotonic() - began

    cases = [(name, verb) for name in wrong for verb in ("run", "doctor")]
    with ThreadPoolExecutor(3) as pool:
        yield dict(zip(cases, pool.map(attempt, cases), strict=True))
    here.close()


def behind(door: str, **security: str) -> dict[str, Any]:
    return {"kafka": {"bootstrap_servers": [door], "security": security}}


@pytest.mark.parametrize("verb", ["run", "doctor"])
@pytest.mark.parametrize(
    ("wrong", "code", "cause", "remedy"),
    [
        ("missing topics", 69, "nowhere", "tidegate topics create"),
        ("wrong password", 78, "password", "kafka.security"),
        ("wrong CA", 78, "not signed by the given CA", "kafka.security.ca_file"),
        ("no broker", 69, "nothing listens there", "kafka.bootstrap_servers"),
        ("compacted dead letters", 78, "compacted", "cleanup.policy"),
        ("no codec", 78, "lz4", "Install the Python package lz4"),
    ],
)
def test_what_is_wrong_outside_is_said_in_time_with_cause_and_remedy(
    attempts: dict[tuple[str, str], tuple[int, str, float]],
    wrong: str,
    code: int,
    cause: str,
    remedy: str,
    verb: str,
):
    found, said, seconds = attempts[wrong, verb]
    print(f"{verb} with {wrong}: {seconds:.1f} s")
    said = " ".join(said.split())
    assert found == code, said
    assert cause in said, said
    assert remedy in said, said
    assert "Traceback" not in said
    assert "sesame" not in said, "a secret"
    assert seconds < BAR_SECONDS


def test_fifty_starts_in_a_row_each_read_within_seconds(cluster: Cluster, world: Callable[..., World]):
    here = world(partitions=3)
    here.send(posts(30, keys=9))
    kafka = Kafka.model_validate(here.settings["kafka"])
    took = []
    for _ in range(50):
        source = Source(kafka, Input(topics=[here.input]), Checkpoint(), Silent())
        began, count = time.monotonic(), 0
        source.open()
        while count < 30 and time.monotonic() - began < 20:
            count += sum(len(run.records) for run in source.poll())
        took.append(time.monotonic() - began)
        source.close()
        assert count == 30
    print(f"50 starts: median {sorted(took)[25]:.2f} s, slowest {max(took):.2f} s")
    assert max(took) < 8


def test_five_daemons_in_a_row_each_score_within_seconds(world: Callable[..., World]):
    here = world(partitions=2)
    took = []
    for round_ in range(5):
        here.send(posts(20, keys=5, start=20 * round_))
        with here.daemon() as daemon:
            here.wait_answered(30, daemon)
            took.append(time.monotonic() - daemon.started)
            assert daemon.stop() == 0
    print(f"5 daemons: slowest {max(took):.1f} s from start to the last score")
    assert here.verdict().problems(duplicates=0) == []
    assert max(took) < 20


def test_a_daemon_is_not_ready_before_its_first_assignment(world: Callable[..., World]):
    here = world()
    with here.daemon() as daemon:
        seen = []
        until(40, "an answer", lambda: daemon.reasons() is not None)
        while reasons := daemon.reasons():
            seen.append(set(reasons))
        daemon.wait_ready()
        assert "starting" in seen[0]
        assert daemon.ready, "ready stays ready"
        assert here.committed(), "assigned"
