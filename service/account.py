"""What a published cycle adds to the counters: once for a cycle, never for an event."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import numpy as np

from service.metrics import Metrics
from service.policy import Policy
from service.record import Record
from service.score import Scored
from service.scoring import Failed, Inferred


class Account:
    """Counts acknowledged records under one policy and one bundle's labels."""

    def __init__(self, metrics: Metrics, policy: Policy, labels: Sequence[str]) -> None:
        self._metrics, self._labels = metrics, labels
        self._decision = {"policy": policy.reference, "mode": policy.mode}

    def count(self, results: Sequence[tuple[Record, Scored | Failed]], inferred: Inferred) -> None:
        """Take in a cycle: records with what was acknowledged for them, and the model's answers."""
        scored = [made for _, made in results if isinstance(made, Scored)]
        failed = [made for _, made in results if isinstance(made, Failed)]
        self._metrics.records_scored.inc(len(scored))
        for action, count in Counter(s.decision.action for s in scored).items():
            self._metrics.decisions.labels(action=action, **self._decision).inc(count)
        kept = Counter((f.error.kind, f.error.reason) for f in failed if not f.dropped)
        for (kind, reason), count in kept.items():
            self._metrics.deadletters.labels(kind, reason).inc(count)
        self._metrics.records_dropped.labels("expired").inc(sum(f.dropped for f in failed))
        self._latency([record for record, _ in results])
        self._answers(inferred)

    def _latency(self, records: Sequence[Record]) -> None:
        stamps = np.array([record.timestamp for record in records], dtype=np.float64)
        self._metrics.end_to_end.observe(time.time() - stamps[stamps > 0] / 1e3)  # a record may have none

    def _answers(self, inferred: Inferred) -> None:
        statuses = Counter((i.modality, i.status) for p in inferred.prepared for i in p.inputs)
        for item, count in statuses.items():
            self._metrics.input[item].inc(count)
        if inferred.outputs is not None:
            for k, name in enumerate(self._labels):
                self._metrics.score_probability.observe(inferred.outputs.moderation[:, k], name)
