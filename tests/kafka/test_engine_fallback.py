"""An engine that dies mid-stream: another takes over, or the daemon waits for the device; nothing is lost.

All of it is the real daemon with TensorRT; only what NVIDIA's libraries would do is a stand-in's work.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests import narrow_bundle
from tests.cluster import until
from tests.harness import Daemon, World, posts
from tests.standin import environment, heard, order

PATIENT = 120.0  # verifying takes a while on a machine that does much else
GPU = {"backend": "tensorrt", "precision": "fp32", "threads": 1}
GPU |= {"tokens": 4096, "image_rows": 2, "audio_seconds": 2.0}
NARROW = GPU | {"precision": "auto"}
SMALL_NOISE = {"fp16": 0.003}
"""Within the bound of golden vectors; it turns more decisions than may turn."""
LITTLE = 160_000
"""Bytes that hold the weights, and what runs a few texts at a time."""
LOST = "cudaErrorLaunchFailure"

Env = Mapping[str, str]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for most of these daemons: what the first one built and measured the others find."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bundle with several precisions."""
    return narrow_bundle.build(tmp_path_factory.mktemp("narrow") / "narrow")


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    """The file that says what becomes of the GPU."""
    return tmp_path / "orders"


@pytest.fixture
def env(cache: Path, orders: Path) -> Env:
    """The variables of a daemon on a machine with a GPU."""
    return environment(orders=str(orders)) | {"XDG_CACHE_HOME": str(cache)}


def turned(orders: Path, **knobs: object) -> None:
    """Let something become of the GPU, and wait until it has."""
    order(orders, **knobs)
    until(PATIENT, "an order is heard", lambda: heard(orders))


def models(world: World) -> Counter[str]:
    """How many scores name which engine."""
    found = (json.loads(a.fact.value or b"")["model"] for a in world.answers() if a.kind == "score")
    return Counter(f"{model['engine']} {model['precision']}" for model in found)


def degraded(daemon: Daemon) -> dict[str, str]:
    return json.loads(daemon.get("/readyz")[1]).get("degraded", {})


def memory(daemon: Daemon) -> int:
    """What the engine holds, by the metric."""
    (value,) = re.findall(r'engine_memory_bytes{device="0"} (\S+)', daemon.get("/metrics")[1])
    return int(float(value))


def tries(daemon: Daemon) -> float:
    """How often the engine failed, by the metric."""
    found = re.findall(r'errors_total{stage="infer",type="DeviceLost"} (\S+)', daemon.get("/metrics")[1])
    return sum(map(float, found))


def finished(world: World, daemon: Daemon) -> None:
    """All is committed, the daemon ends, and each event was answered once."""
    world.wait_committed(PATIENT)
    assert daemon.stop(PATIENT) == 0
    assert world.verdict().problems(duplicates=0) == []


def test_a_device_that_is_lost_mid_stream_costs_tensorrt_and_no_event(
    world: Callable[..., World], env: Env, orders: Path
):
    here = world(partitions=2, settings={"engine": GPU | {"cpu_fallback": True}})
    with here.daemon(env=env) as daemon:
        daemon.wait_ready(PATIENT)
        here.send(posts(200, keys=7))
        here.wait_answered(PATIENT, daemon)
        assert set(models(here)) == {"tensorrt fp32"}
        assert degraded(daemon) == {}
        assert memory(daemon) > 0
        turned(orders, sticky=LOST)
        here.send(posts(200, keys=7, start=200))
        here.wait_answered(PATIENT, daemon)
        found = models(here)
        assert found.pop("tensorrt fp32") == 200
        ((name, count),) = found.items()
        assert (name.split()[0] in ("onnxruntime", "openvino"), count) == (True, 200)
        assert daemon.ready
        assert name in degraded(daemon)["engine"]
        metrics = daemon.get("/metrics")[1]
        assert (
            f'engine_fallbacks_total{{from="tensorrt fp32",reason="device_lost",to="{name}"}} 1.0' in metrics
        )
        assert 'engine="tensorrt"' not in metrics, "engine_info names what serves"
        assert "engine_memory_bytes{" not in metrics
        finished(here, daemon)


def test_without_leave_for_that_it_waits_unready_and_alive_and_a_restart_goes_on_with_the_device(
    world: Callable[..., World], env: Env, orders: Path
):
    here = world(partitions=2, settings={"engine": GPU})
    with here.daemon(env=env) as daemon:
        daemon.wait_ready(PATIENT)
        here.send(posts(100, keys=7))
        here.wait_answered(PATIENT, daemon)
        here.wait_committed(PATIENT)
        before = here.committed()
        turned(orders, sticky=LOST)
        here.send(posts(100, keys=7, start=100))
        until(PATIENT, "not ready", lambda: "engine" in (daemon.reasons() or {}))
        until(PATIENT, "another try", lambda: tries(daemon) > 1)
        assert daemon.live
        assert "A GPU failed" in (daemon.reasons() or {})["engine"]
        assert here.committed() == before
        assert sum(models(here).values()) == 100
        orders.unlink()  # other processes find the device again
        assert daemon.wait(PATIENT) == 70
        assert "not in this process" in daemon.log
    assert here.committed() == before
    with here.daemon(env=env) as daemon:
        here.wait_answered(PATIENT, daemon)
        assert models(here) == {"tensorrt fp32": 200}
        assert degraded(daemon) == {}
        finished(here, daemon)


def test_a_stop_while_nothing_serves_commits_nothing(world: Callable[..., World], env: Env, orders: Path):
    here = world(settings={"engine": GPU, "limits": {"grace_seconds": 8}})
    with here.daemon(env=env) as daemon:
        daemon.wait_ready(PATIENT)
        turned(orders, sticky=LOST)
        here.send(posts(50))
        until(PATIENT, "not ready", lambda: "engine" in (daemon.reasons() or {}))
        assert daemon.stop(PATIENT) == 75
    assert here.answers() == []
    assert not any(here.committed().values())


def test_a_precision_that_decides_otherwise_is_passed_over_and_the_next_one_serves(
    world: Callable[..., World], narrow: Path, cache: Path, orders: Path
):
    here = world(settings={"bundle": str(narrow), "engine": NARROW})
    env = environment(orders=str(orders), noise=SMALL_NOISE) | {"XDG_CACHE_HOME": str(cache)}
    with here.daemon(env=env) as daemon:
        daemon.wait_ready(PATIENT)
        here.send(posts(100))
        here.wait_answered(PATIENT, daemon)
        assert models(here) == {"tensorrt bf16": 100}
        said = degraded(daemon)["engine"]
        assert said.startswith("tensorrt bf16 serves in place of tensorrt fp16: ")
        assert "decisions differ" in said
        step = 'engine_fallbacks_total{from="tensorrt fp16",reason="unverified",to="tensorrt bf16"} 1.0'
        assert step in daemon.get("/metrics")[1]
        finished(here, daemon)


def test_a_stop_while_what_replaces_an_engine_is_built_ends_at_once(
    world: Callable[..., World], narrow: Path, tmp_path: Path, orders: Path
):
    here = world(settings={"bundle": str(narrow), "engine": NARROW, "limits": {"grace_seconds": 100}})
    env = environment(orders=str(orders)) | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    with here.daemon(env=env) as daemon:
        daemon.wait_ready(PATIENT)
        turned(orders, fail={"cudaGraphLaunch": "cudaErrorInvalidValue"}, build_seconds=600.0)
        here.send(posts(50))
        until(PATIENT, "a build", lambda: re.search("building a plan: text bf16", daemon.log))
        assert daemon.live
        assert not daemon.ready
        assert daemon.stop(30) == 75
        assert '"message":"stopped"' in daemon.log
    assert here.answers() == []
    assert not any(here.committed().values())


def test_where_memory_runs_out_micro_batches_are_smaller_and_every_event_is_scored(
    world: Callable[..., World], env: Env, orders: Path
):
    here = world(settings={"engine": GPU})
    with here.daemon(env=env) as daemon:
        daemon.wait_ready(PATIENT)
        assert degraded(daemon) == {}
        assert memory(daemon) > LITTLE
        turned(
            orders, gpus=[{"memory": LITTLE}], run_seconds=0.2
        )  # slow: many events wait for the next batch
        here.send(posts(300))
        here.wait_answered(PATIENT, daemon)
        assert models(here) == {"tensorrt fp32": 300}
        assert "smaller" in degraded(daemon)["gpu_memory"]
        assert "smaller micro-batches from now on" in daemon.log
        assert 0 < memory(daemon) < LITTLE
        assert "engine_fallbacks_total{" not in daemon.get("/metrics")[1]
        finished(here, daemon)


def test_a_stop_while_plans_are_being_built_ends_at_once_and_nothing_was_read(
    world: Callable[..., World], tmp_path: Path
):
    here = world(settings={"engine": GPU})
    here.send(posts(20))
    env = environment(build_seconds=600.0) | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    with here.daemon(env=env) as daemon:
        until(PATIENT, "a build", lambda: "fp32" in (daemon.reasons("startupz") or {}).get("starting", ""))
        assert not daemon.ready
        assert daemon.live
        assert daemon.stop(20) == 0
        assert "nothing was read" in daemon.log
        assert '"message":"serving"' not in daemon.log, "it never joined the group"
    assert here.answers() == []
