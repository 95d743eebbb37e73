"""Events that are too old: scored, dropped or dead-lettered, as the configuration says, and never both."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.checker import History, judge
from tests.cluster import Sent
from tests.harness import World, post

OLD = Sent(post("old", time="2020-01-01T00:00:00Z"), b"key")


@pytest.mark.parametrize(
    ("action", "scored", "dead", "dropped"),
    [("score", 2, 0, 0), ("deadletter", 1, 1, 0), ("drop", 1, 0, 1)],
)
def test_an_event_over_the_age_limit(
    world: Callable[..., World], action: str, scored: int, dead: int, dropped: int
):
    here = world(settings={"limits": {"event_age": 60, "event_age_action": action}})
    old, _ = here.send([OLD, Sent(post("new"), b"key")])
    with here.daemon() as daemon:
        here.wait_committed(40)
        assert f'tidegate_records_dropped_total{{reason="expired"}} {dropped}.0' in daemon.get("/metrics")[1]
        assert daemon.stop() == 0
    expected = frozenset({old.at} if dropped else ())
    verdict = judge(History(here.came, here.answers(), here.committed(), (), expected))
    assert verdict.problems(duplicates=0) == []
    assert (verdict.scored, verdict.dead) == (scored, dead)
    if dead:
        assert dict(here.dead_of(old).headers)["tidegate-dlq-reason"] == b"too_old"
