"""What a scraper gets from the running daemon: well-formed, by the published names, true to the topics."""

from __future__ import annotations

import shutil
import subprocess

from prometheus_client.parser import text_string_to_metric_families

from tests.cluster import Sent, until
from tests.harness import Daemon, World, media, picture, post
from tests.service.test_metrics import SNAPSHOT


def samples(daemon: Daemon) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(daemon.get("/metrics")[1])
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples}


def test_promtool_passes_and_the_names_are_the_published_ones(serving: tuple[World, Daemon]):
    world, daemon = serving
    world.send([Sent(post("all kinds", image=media(picture(), "image/png"))), Sent(b"broken")])
    world.wait_answered(20, daemon)
    text = daemon.get("/metrics")[1]
    tool = shutil.which("promtool")
    assert tool, "promtool is missing: install the Debian package prometheus"
    done = subprocess.run([tool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    published = {"tidegate_" + line.split()[1] for line in SNAPSHOT.strip().splitlines()}
    said = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert said == published


def test_the_counters_agree_with_the_topics(serving: tuple[World, Daemon]):
    world, daemon = serving
    world.send([*(f"post {k}" for k in range(20)), Sent(b"broken")])
    world.wait_answered(20, daemon)
    verdict = world.verdict()
    assert verdict.duplicates == 0

    def scored() -> float:
        return samples(daemon)["tidegate_records_scored_total", ()]

    until(5, "the last cycle is accounted for", lambda: scored() == verdict.scored)
    found = samples(daemon)
    dead = sum(v for (name, _), v in found.items() if name == "tidegate_deadletters_total")
    assert dead == verdict.dead
    received = found["tidegate_records_received_total", (("topic", world.input),)]
    assert received == len(world.came)
    assert found["tidegate_end_to_end_seconds_count", ()] == len(world.came)


def test_lag_falls_to_zero_once_all_is_answered(serving: tuple[World, Daemon]):
    world, daemon = serving
    world.send(["one more"])
    world.wait_answered(20, daemon)
    place = (("partition", "0"), ("topic", world.input))
    until(10, "no lag", lambda: samples(daemon).get(("tidegate_lag_records", place)) == 0)
    assert samples(daemon)["tidegate_lag_seconds", place] == 0
    until(5, "nothing in flight", lambda: samples(daemon)["tidegate_inflight_records", ()] == 0)
