"""An engine that dies mid-stream: another takes over, or the daemon waits for the device; nothing is lost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster import until
from tests.harness import ROOT, Daemon, World, posts
from tests.standin import environment

SITE = """
import sys
if "run" in sys.orig_argv:  # the daemon, and neither its decode workers nor its probes
    from pathlib import Path
    from engines.sessions.choose import BACKENDS
    from tests.graphics import Written, backend
    trouble = Written(Path({trouble!r}))
    BACKENDS |= {{name: backend(name, trouble) for name in ("tensorrt", "torch")}}
"""
DEAF = """
    import time
    from dataclasses import replace
    BACKENDS["torch"] = replace(BACKENDS["torch"], open=lambda *_: time.sleep(600))
"""
PATIENT = 120.0  # verifying takes a while on a machine that does much else
GPU = {"backend": "auto", "precision": "auto", "uncalibrated": "warn", "threads": 1}


@pytest.fixture
def trouble(tmp_path: Path) -> Path:
    """The file that says which engine fails, and how."""
    return tmp_path / "trouble"


@pytest.fixture
def env(tmp_path: Path, trouble: Path) -> dict[str, str]:
    """The variables of a daemon on a machine with a GPU, as it were, and a cache of its own."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE.format(trouble=str(trouble)))
    return {"PYTHONPATH": f"{site}:{ROOT}", "XDG_CACHE_HOME": str(tmp_path / "cache")}


def models(world: World) -> Counter[str]:
    """How many scores name which engine."""
    found = (json.loads(a.fact.value or b"")["model"] for a in world.answers() if a.kind == "score")
    return Counter(f"{model['engine']} {model['precision']}" for model in found)


def body(daemon: Daemon) -> dict:
    return json.loads(daemon.get("/readyz")[1])


def test_an_engine_that_dies_mid_stream_fails_over_to_the_processor(
    world: Callable[..., World], env: dict[str, str], trouble: Path
):
    here = world(partitions=2, settings={"engine": GPU | {"cpu_fallback": True}})
    with here.daemon(env=env) as daemon:
        daemon.wait_ready(PATIENT)
        here.send(posts(200, keys=7))
        here.wait_answered(PATIENT, daemon)
        assert set(models(here)) == {"tensorrt fp16"}
        assert "degraded" not in body(daemon)
        trouble.write_text("gpu:device_lost")
        here.send(posts(200, keys=7, start=200))
        here.wait_answered(PATIENT, daemon)
        found = models(here)
        assert found.pop("tensorrt fp16") == 200
        ((name, count),) = found.items()
        assert (name.split()[0] in ("onnxruntime", "openvino"), count) == (True, 200)
        assert daemon.ready
        assert name in body(daemon)["degraded"]["engine"]
        metrics = daemon.get("/metrics")[1]
        assert (
            f'engine_fallbacks_total{{from="tensorrt fp16",reason="device_lost",to="{name}"}} 1.0' in metrics
        )
        assert 'engine="tensorrt"' not in metrics, "engine_info names what serves"
        here.wait_committed(PATIENT)
        assert daemon.stop(PATIENT) == 0
    assert here.verdict().problems(duplicates=0) == []


def test_without_leave_for_that_it_waits_unready_and_alive_and_goes_on_with_the_device(
    world: Callable[..., World], env: dict[str, str], trouble: Path
):
    here = world(partitions=2, settings={"engine": GPU})
    with here.daemon(env=env) as daemon:
        daemon.wait_ready(PATIENT)
        here.send(posts(100, keys=7))
        here.wait_answered(PATIENT, daemon)
        here.wait_committed(PATIENT)
        before = here.committed()
        trouble.write_text("gpu:device_lost")
        here.send(posts(100, keys=7, start=100))
        until(PATIENT, "not ready", lambda: "engine" in (daemon.reasons() or {}))
        until(PATIENT, "another try", lambda: daemon.log.count("no engine can be opened") >= 1)
        assert daemon.live
        assert "stumbled" in (daemon.reasons() or {})["engine"]
        assert here.committed() == before
        assert sum(models(here).values()) == 100
        trouble.unlink()
        here.wait_answered(PATIENT, daemon)
        daemon.wait_ready(PATIENT)
        assert set(models(here)) == {"tensorrt fp16"}
        assert "degraded" not in body(daemon)
        here.wait_committed(PATIENT)
        assert daemon.stop(PATIENT) == 0
    assert here.verdict().problems(duplicates=0) == []


def test_a_stop_while_nothing_serves_commits_nothing_and_the_next_daemon_scores_it_all(
    world: Callable[..., World], env: dict[str, str], trouble: Path
):
    here = world(settings={"engine": GPU, "limits": {"grace_seconds": 8}})
    with here.daemon(env=env) as daemon:
        daemon.wait_ready(PATIENT)
        trouble.write_text("gpu:device_lost")
        here.send(posts(50))
        until(PATIENT, "not ready", lambda: "engine" in (daemon.reasons() or {}))
        assert daemon.stop(PATIENT) == 75
    assert here.answers() == []
    trouble.unlink()
    with here.daemon(env=env) as daemon:
        here.wait_answered(PATIENT, daemon)
        here.wait_committed(PATIENT)
        assert daemon.stop(PATIENT) == 0
    assert here.verdict().problems(duplicates=0) == []


def test_a_stop_while_what_replaces_an_engine_is_built_ends_at_once(
    world: Callable[..., World], env: dict[str, str], trouble: Path, tmp_path: Path
):
    with (tmp_path / "site/sitecustomize.py").open("a") as site:
        site.write(DEAF)
    here = world(settings={"engine": GPU, "limits": {"grace_seconds": 100}})
    with here.daemon(env=env) as daemon:
        daemon.wait_ready(PATIENT)
        trouble.write_text("tensorrt:out_of_memory")
        here.send(posts(50))
        until(PATIENT, "not ready", lambda: "engine" in (daemon.reasons() or {}))
        assert daemon.stop(30) == 75
        assert '"message":"stopped"' in daemon.log
    assert here.answers() == []
    assert not any(here.committed().values())


def test_a_stop_while_plans_are_being_built_ends_at_once_and_nothing_was_read(
    world: Callable[..., World], tmp_path: Path
):
    here = world(settings={"engine": {"backend": "tensorrt", "precision": "fp32"}})
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
