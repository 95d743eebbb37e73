"""Three probes, three meanings: started, ready, live."""

from __future__ import annotations

from service.health import Health


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_until_it_has_started_it_is_neither_started_nor_ready_but_live():
    health = Health()
    assert health.reasons("startupz")
    assert health.reasons("readyz")
    assert not health.reasons("livez")
    health.started()
    assert not health.reasons("startupz")
    assert not health.reasons("readyz")


def test_trouble_outside_costs_readiness_and_not_life():
    health = Health()
    health.started()
    health.trouble("output", "broker_unreachable")
    assert health.reasons("readyz") == {"output": "broker_unreachable"}
    assert not health.reasons("livez")
    assert not health.reasons("startupz")
    health.clear("output")
    assert not health.reasons("readyz")


def test_only_the_first_trouble_of_a_name_is_news():
    health = Health()
    assert health.trouble("output", "a")
    assert not health.trouble("output", "b")
    assert health.reasons("readyz")["output"] == "b"
    assert health.clear("output")
    assert not health.clear("output")


def test_a_heartbeat_that_stops_costs_life():
    clock = Clock()
    health = Health(clock)
    health.beat("poll", 60)
    clock.now = 60
    assert not health.reasons("livez")
    clock.now = 61
    assert health.reasons("livez") == {"poll": "no sign of life for 61 s"}
    health.beat("poll", 60)
    assert not health.reasons("livez")


def test_what_ended_in_good_order_is_not_waited_for():
    clock = Clock()
    health = Health(clock)
    health.beat("poll", 60)
    health.rest("poll")
    clock.now = 1000
    assert not health.reasons("livez")


def test_what_is_degraded_is_told_and_costs_nothing():
    health = Health()
    health.started()
    health.note("engine", "the processor serves in place of a GPU")
    assert health.notes() == {"engine": "the processor serves in place of a GPU"}
    assert not health.reasons("readyz")
    health.note("engine", None)
    assert health.notes() == {}


def test_what_the_start_waits_for_is_said_until_it_is_over():
    health = Health()
    health.starting("building text fp16, 40%")
    assert health.reasons("startupz") == health.reasons("readyz") == {"starting": "building text fp16, 40%"}
    health.started()
    health.starting("too late")
    assert not health.reasons("startupz")
