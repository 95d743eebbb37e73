"""Metric names, types and labels are an interface: dashboards and alerts break when they change."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
from prometheus_client.exposition import generate_latest

from service.metrics import BulkHistogram, Metrics

SNAPSHOT = """
counter   backpressure_seconds_total           cause
gauge     build_info                           version
gauge     bundle_info                          digest
histogram cycle_records
gauge     deadletter_fuse_open
counter   deadletters_total                    class reason
counter   decisions_total                      action policy mode
histogram drain_seconds
histogram end_to_end_seconds
gauge     engine_calibrated
counter   engine_fallbacks_total               from to reason
gauge     engine_info                          engine precision backend crc
gauge     engine_memory_bytes                  device
counter   errors_total                         stage type
gauge     inflight_bytes
gauge     inflight_records
counter   inputs_total                         modality status
gauge     lag_records                          topic partition
gauge     lag_seconds                          topic partition
gauge     last_progress_timestamp_seconds      topic partition
gauge     paused_partitions
counter   producer_replacements_total          reason
counter   rebalances_total                     reason
counter   received_bytes_total                 topic
counter   records_dropped_total                reason
counter   records_received_total               topic
counter   records_scored_total
histogram score_probability                    label
histogram stage_seconds                        stage
counter   transactions_total                   outcome
gauge     useful_token_ratio
counter   watchdog_recoveries_total
counter   worker_restarts_total                kind
"""


def families(metrics: Metrics) -> dict[str, str]:
    """Name → type of every family, with or without samples."""
    return {
        family.name + ("_total" if family.type == "counter" else ""): family.type
        for family in metrics.registry.collect()
    }


def labels(metrics: Metrics, name: str) -> list[str]:
    for member in vars(metrics).values():
        if isinstance(member, BulkHistogram) and member._name == name:
            return [member._label] if member._label else []
        if getattr(member, "_name", "") in (name, name.removesuffix("_total")) and hasattr(
            member, "_labelnames"
        ):
            return list(member._labelnames)
    raise AssertionError(f"no member for {name}")


def test_calibrated_is_said_of_every_label():
    assert "where sentiment and every label are" in generate_latest(Metrics().registry).decode()


def test_names_types_and_labels_are_as_published():
    metrics = Metrics()
    found = [
        f"{kind:9} {name.removeprefix('tidegate_'):36} {' '.join(labels(metrics, name))}".rstrip()
        for name, kind in sorted(families(metrics).items())
    ]
    assert all(name.startswith("tidegate_") for name in families(metrics))
    assert found == SNAPSHOT.strip().splitlines()


def test_closed_label_sets_are_there_before_anything_happens():
    text = generate_latest(Metrics().registry).decode()
    stages = ("decode", "prepare", "queue", "infer", "policy", "publish", "commit")
    assert set(re.findall(r'stage_seconds_count{stage="(\w+)"}', text)) == set(stages)
    assert set(re.findall(r'rebalances_total{reason="(\w+)"}', text)) == {"assigned", "revoked", "lost"}
    assert set(re.findall(r'records_dropped_total{reason="(\w+)"}', text)) == {"expired", "retention"}
    assert 'inputs_total{modality="image",status="failed"} 0.0' in text


def test_a_partition_that_goes_takes_its_series_along():
    metrics = Metrics()
    metrics.lag_records.labels("in", "0").set(5)
    metrics.lag_records.labels("in", "1").set(7)
    metrics.forget("in", 0)
    metrics.forget("in", 9)
    text = generate_latest(metrics.registry).decode()
    assert 'lag_records{partition="0"' not in text
    assert 'lag_records{partition="1",topic="in"} 7.0' in text


def test_whole_arrays_are_counted_as_one_by_one():
    found = BulkHistogram("h", "Text.", [1.0, 2.0], "label")
    found.observe(np.array([0.5, 1.0, 1.5, 99.0, np.nan]), "a")
    found.observe([2.0], "a")
    (family,) = found.collect()
    values = {(s.name, s.labels.get("le")): s.value for s in family.samples}
    assert [values["h_bucket", le] for le in ("1.0", "2.0", "+Inf")] == [2, 4, 5]
    assert values["h_count", None] == 5
    assert values["h_sum", None] == 104.0


def test_promtool_finds_nothing_to_object_to():
    tool = shutil.which("promtool")
    assert tool, "promtool is missing: install the Debian package prometheus"
    metrics = Metrics()
    metrics.end_to_end.observe([0.1])
    metrics.score_probability.observe([0.1], "hate")
    done = subprocess.run(
        [tool, "check", "metrics"], input=generate_latest(metrics.registry), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
