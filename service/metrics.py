"""Every metric family the daemon exports; names and labels are an interface (see the README's table)."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import ArrayLike
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from engines.batch import MODALITIES

if TYPE_CHECKING:
    from engines.engine import EngineInfo

STAGES: Final = ("decode", "prepare", "queue", "infer", "policy", "publish", "commit")
STATUSES: Final = ("scored", "truncated", "failed", "absent")
SECONDS: Final = (
    0.0005,
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    30.0,
    60.0,
)
LONG_SECONDS: Final = (*SECONDS, 300.0, 900.0, 3600.0, 21600.0, 86400.0)
RECORDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
PROBABILITIES: Final = tuple(round(0.05 * k, 2) for k in range(1, 21))


class BulkHistogram(Collector):
    """A histogram fed with whole arrays: one call for a cycle instead of one for each event."""

    def __init__(
        self,
        name: str,
        text: str,
        bounds: Sequence[float],
        label: str = "",
        registry: CollectorRegistry | None = None,
    ) -> None:
        self._name, self._text, self._label = name, text, label
        self._bounds = np.asarray(bounds, dtype=np.float64)
        self._lock = threading.Lock()
        self._series: dict[str, tuple[np.ndarray, float]] = {}
        if registry:
            registry.register(self)

    def observe(self, values: ArrayLike, label: str = "") -> None:
        """Count `values` (NaN is skipped) in the series of `label`."""
        array = np.asarray(values, dtype=np.float64)
        array = array[~np.isnan(array)]
        added = np.bincount(np.searchsorted(self._bounds, array), minlength=len(self._bounds) + 1)
        with self._lock:
            counts, total = self._series.get(label, (np.zeros(len(self._bounds) + 1, dtype=np.int64), 0.0))
            self._series[label] = (counts + added, total + float(array.sum()))

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Yield the family in the client library's own form."""
        names = [self._label] if self._label else []
        family = HistogramMetricFamily(self._name, self._text, labels=names)
        with self._lock:
            series = dict(self._series)
        for label, (counts, total) in series.items():
            running = np.cumsum(counts)
            buckets = [(str(float(b)), float(n)) for b, n in zip(self._bounds, running, strict=False)]
            family.add_metric([label] if names else [], [*buckets, ("+Inf", float(running[-1]))], total)
        yield family


class Metrics:
    """All families, with the children of closed label sets made once."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._records()
        self._decisions()
        self._time()
        self._flow()
        self._clients()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"tidegate_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"tidegate_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, bounds: Sequence[float], *labels: str) -> Histogram:
        return Histogram(f"tidegate_{name}", text, labels, buckets=bounds, registry=self.registry)

    def _records(self) -> None:
        self.records_received = self._counter("records_received_total", "Records polled from Kafka.", "topic")
        self.received_bytes = self._counter(
            "received_bytes_total", "Bytes of key, value and headers of polled records.", "topic"
        )
        self.records_scored = self._counter("records_scored_total", "Records whose score was acknowledged.")
        self.inputs = self._counter(
            "inputs_total", "Items of events, by what became of them.", "modality", "status"
        )
        self.input = {(m, s): self.inputs.labels(m, s) for m in MODALITIES for s in STATUSES}
        self.records_dropped = self._counter("records_dropped_total", "Records dropped on purpose.", "reason")
        for reason in ("expired", "retention"):
            self.records_dropped.labels(reason)
        self.deadletters = self._counter("deadletters_total", "Acknowledged dead letters.", "class", "reason")
        self.fuse_open = self._gauge(
            "deadletter_fuse_open", "1 while the dead-letter fuse has stopped intake."
        )
        self.errors = self._counter("errors_total", "Errors by stage and type.", "stage", "type")

    def _decisions(self) -> None:
        self.decisions = self._counter("decisions_total", "Decisions.", "action", "policy", "mode")
        self.score_probability = BulkHistogram(
            "tidegate_score_probability", "Calibrated probabilities.", PROBABILITIES, "label", self.registry
        )

    def _time(self) -> None:
        self.stage_seconds = self._histogram(
            "stage_seconds", "Seconds a cycle spent in a stage.", SECONDS, "stage"
        )
        self.stage = {stage: self.stage_seconds.labels(stage) for stage in STAGES}
        self.end_to_end = BulkHistogram(
            "tidegate_end_to_end_seconds",
            "Seconds from the record's timestamp to the acknowledgement of its score.",
            LONG_SECONDS,
            registry=self.registry,
        )
        self.cycle_records = self._histogram("cycle_records", "Records in a cycle.", RECORDS)
        self.useful_token_ratio = self._gauge(
            "useful_token_ratio", "Share of text tokens that are not padding."
        )

    def _flow(self) -> None:
        partition = ("topic", "partition")
        self.lag_records = self._gauge("lag_records", "Records behind the end of the partition.", *partition)
        self.lag_seconds = self._gauge(
            "lag_seconds", "Age of the last finished record while behind.", *partition
        )
        self.last_progress = self._gauge(
            "last_progress_timestamp_seconds", "When the partition last made progress.", *partition
        )
        self.inflight_records = self._gauge("inflight_records", "Records polled and not yet finished.")
        self.inflight_bytes = self._gauge("inflight_bytes", "Bytes polled and not yet finished.")
        self.paused_partitions = self._gauge("paused_partitions", "Partitions paused by backpressure.")
        self.backpressure_seconds = self._counter(
            "backpressure_seconds_total", "Seconds intake was paused, by cause.", "cause"
        )
        self.backpressure = {cause: self.backpressure_seconds.labels(cause) for cause in ("records", "bytes")}

    def _clients(self) -> None:
        self.rebalances = self._counter("rebalances_total", "Rebalances.", "reason")
        for reason in ("assigned", "revoked", "lost"):
            self.rebalances.labels(reason)
        self.drain_seconds = self._histogram("drain_seconds", "Seconds a drain took.", SECONDS)
        self.watchdog_recoveries = self._counter(
            "watchdog_recoveries_total", "Stuck consumers set going again."
        )
        self.producer_replacements = self._counter(
            "producer_replacements_total", "Producers replaced.", "reason"
        )
        self.transactions = self._counter("transactions_total", "Kafka transactions.", "outcome")
        self.worker_restarts = self._counter("worker_restarts_total", "Processes replaced.", "kind")
        self.worker_restarts.labels("decode")
        self.engine_fallbacks = self._counter(
            "engine_fallbacks_total", "Engines given up for another.", "from", "to", "reason"
        )
        self.build_info = self._gauge("build_info", "Version of this build.", "version")
        self.bundle_info = self._gauge("bundle_info", "Digest of the bundle that scores.", "digest")
        self.engine_info = self._gauge(
            "engine_info", "What runs the bundle.", "engine", "precision", "backend", "crc"
        )
        self.engine_calibrated = self._gauge(
            "engine_calibrated",
            "1 where sentiment and every label are calibrated for the precision that runs, else 0.",
        )
        self.engine_memory = self._gauge("engine_memory_bytes", "What the engine holds on a GPU.", "device")

    def serves(self, info: EngineInfo, memory: Mapping[int, int]) -> None:
        """Say that this engine serves from now on, and no other; `memory` as `holds` takes it."""
        self.engine_info.clear()
        self.engine_info.labels(info.engine, info.precision, info.backend, "crc32c").set(1)
        self.engine_calibrated.set(info.calibrated)
        self.engine_memory.clear()
        self.holds(memory)

    def holds(self, memory: Mapping[int, int]) -> None:
        """Say what the engine that serves holds by now: bytes by a device's number."""
        for device, held in memory.items():
            self.engine_memory.labels(str(device)).set(held)

    def forget(self, topic: str, partition: int) -> None:
        """Drop the series of a partition that is not ours any more."""
        for gauge in (self.lag_records, self.lag_seconds, self.last_progress):
            try:
                gauge.remove(topic, str(partition))
            except KeyError:  # never had a value
                continue
