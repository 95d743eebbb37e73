"""What the cluster does to us: not ready with a reason, still live, and afterwards everything is there."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.kafka.broker import EmbeddedBroker
from tests.cluster import Cluster, until
from tests.harness import Daemon, World, posts

DELIVERY = {"short": 8_000, "long": 120_000}
BACKLOG = 8_000  # enough that a part is under way at any moment
DOWN_SECONDS = 15.0  # more than the short delivery timeout and what is added to it, less than the long one


def settings(delivery: int, grace: float = 25.0) -> dict:
    producer = {"delivery_timeout_ms": delivery, "request_timeout_ms": min(delivery - 1000, 10_000)}
    return {"kafka": {"producer": producer}, "limits": {"cycle_records": 100, "grace_seconds": grace}}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Our own clients need not tell of the outages that we make."""
    logger = logging.getLogger("kafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


@pytest.fixture
def own_world(own_broker: EmbeddedBroker, tiny: Path, tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Makes worlds on a broker that may be killed."""
    cluster, made = Cluster(own_broker.bootstrap), []

    def make(**settings: Any) -> World:
        made.append(World(cluster, tmp_path, tiny, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()
    cluster.close()


def not_ready_but_live(daemon: Daemon) -> dict[str, str]:
    until(15, "not ready", lambda: daemon.reasons())
    assert daemon.live
    return daemon.reasons() or {}


def test_a_broker_killed_for_less_and_for_more_than_the_delivery_timeout(
    own_broker: EmbeddedBroker, own_world: Callable[..., World]
):
    worlds = {
        name: own_world(partitions=2, settings=settings(delivery)) for name, delivery in DELIVERY.items()
    }
    daemons = {name: world.daemon() for name, world in worlds.items()}
    for world in worlds.values():
        world.send(posts(BACKLOG, keys=9))
    with daemons["short"], daemons["long"]:
        for world in worlds.values():
            until(40, "first scores", lambda world=world: sum(world.cluster.ends([world.output]).values()))
        own_broker.kill()
        killed = time.monotonic()
        for daemon in daemons.values():
            reasons = not_ready_but_live(daemon)
            print(reasons, f"after {time.monotonic() - killed:.1f} s")
        time.sleep(max(0.0, killed + DOWN_SECONDS - time.monotonic()))
        assert all(daemon.live and not daemon.ready for daemon in daemons.values())
        replaced = {
            name: 'replacements_total{reason="timeout"}' in daemon.get("/metrics")[1]
            for name, daemon in daemons.items()
        }
        assert replaced == {"short": True, "long": False}
        own_broker.start()
        back = time.monotonic()
        for name, world in worlds.items():
            world.send(posts(200, keys=9, start=BACKLOG))
            world.wait_answered(90, daemons[name])
            daemons[name].wait_ready(20)
            verdict = world.verdict()
            seconds = time.monotonic() - back
            print(f"{name}: answered {seconds:.1f} s after the restart, {verdict.duplicates} twice")
            assert verdict.problems() == []
            assert verdict.dead == 0
            assert daemons[name].stop() == 0
            assert world.verdict().problems() == []


def test_sigterm_while_the_broker_is_down_ends_within_grace_and_a_second_one_at_once(
    own_broker: EmbeddedBroker, own_world: Callable[..., World]
):
    patient = own_world(settings=settings(60_000, grace=7.0))
    urged = own_world(settings=settings(60_000, grace=60.0))
    for world in (patient, urged):
        world.send(posts(BACKLOG))
    with patient.daemon() as first, urged.daemon() as second:
        for world in (patient, urged):
            until(40, "first scores", lambda world=world: sum(world.cluster.ends([world.output]).values()))
        own_broker.kill()
        not_ready_but_live(first)
        began = time.monotonic()
        first.terminate()
        second.terminate()
        time.sleep(1)
        assert second.process.poll() is None, "it drains"
        second.terminate()
        assert second.wait(2) == 75
        assert first.wait(10) == 75, first.log[-4000:]
        took = time.monotonic() - began
        print(f"gave up after {took:.1f} s of 7")
        assert took < 8.0
    own_broker.start()
    with patient.daemon() as daemon:
        patient.wait_answered(60, daemon)
        assert daemon.stop() == 0
    assert patient.verdict().problems() == []
    assert patient.verdict().dead == 0


def test_an_output_topic_deleted_while_running_and_made_again(world: Callable[..., World]):
    here = world(settings=settings(8_000))
    with here.daemon() as daemon:
        here.send(posts(50))
        here.wait_answered(40, daemon)
        here.wait_committed()
        daemon.wait_ready()
        here.forget_reader()
        here.cluster.delete(here.output)
        here.send(posts(50, start=50))
        reasons = not_ready_but_live(daemon)
        print(reasons)
        assert "output" in reasons
        time.sleep(3)
        here.cluster.create(here.output)
        here.wait_answered(60, daemon)
        daemon.wait_ready(20)
        assert daemon.stop() == 0
    verdict = here.verdict()
    assert verdict.problems() == []
    assert (verdict.dead, verdict.scored) == (0, 100)


def test_stopping_while_the_output_is_gone_is_no_crash_of_the_record_in_flight(world: Callable[..., World]):
    """Else a few restarts during an outage would condemn an innocent record."""
    here = world(settings=settings(8_000, grace=6.0))
    with here.daemon() as daemon:
        daemon.wait_ready()
        here.cluster.delete(here.output)
        here.send(posts(1))
        until(20, "not ready", lambda: "output" in (daemon.reasons() or {}))
        assert {metadata for _, metadata in here.cluster.committed(here.group).values()} == {'{"a":1}'}
        assert daemon.stop() == 75
    assert {metadata for _, metadata in here.cluster.committed(here.group).values()} == {""}
