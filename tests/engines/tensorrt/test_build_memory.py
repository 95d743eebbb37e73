"""Where a GPU's memory does not suffice to build plans, those for half the work are built, once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engines.bundle import Bundle
from engines.errors import OutOfMemory
from engines.planner import Budget
from engines.preprocess.spec import TextSpec
from engines.tensorrt.buckets import Bucket, buckets_of, pieces
from engines.tensorrt.build import _halved
from engines.tensorrt.store import PlanStore
from tests.engines.tensorrt.shapes import spec, text
from tests.engines.tensorrt.towers import BUDGET, plans
from tests.standin import Machine


@pytest.fixture
def tried(gpu: Machine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The cells that each build was asked for; more than half the budget's are too many."""
    import tests.standin.tensorrt as standin

    whole = standin._unbuildable
    asked: list[int] = []

    def small(network: object, config: object) -> str | None:
        shapes = [shapes[2] for p in config._profiles for shapes in p._shapes.values()]
        cells = max(shape[0] * (shape[1] if len(shape) == 2 else 1) for shape in shapes)
        most = BUDGET.tokens if len(shapes[0]) == 2 else BUDGET.image_rows
        asked.append(cells)
        return "Error Code 2: OutOfMemory (too many)" if cells * 2 > most else whole(network, config)

    monkeypatch.setattr(standin, "_unbuildable", small)
    return asked


SHORT = TextSpec(1000, 64, "hash-words")
"""Texts of which four fill the budget, so that fewer are to be had."""


@pytest.mark.parametrize("version", ["10.6.0", "10.15.1.29"])
@pytest.mark.parametrize("tower", ["text", "image"])
def test_out_of_memory_while_building_plans_for_half_the_work_once(
    gpu: Machine, bundle: Bundle, store: PlanStore, tried: list[int], tower: str, version: str
):
    gpu.tensorrt = version
    bundle = replace(bundle, preprocess=replace(bundle.preprocess, text=SHORT))
    found = plans(bundle, store, tower)
    whole = buckets_of(tower, found.signature, bundle.preprocess, BUDGET)
    most, less = (max(bucket.cells for bucket in each) for each in (whole, found.buckets))
    assert less * 2 <= most
    assert max(tried) == most
    assert tried[-1] <= less
    assert set(found.buckets) < set(whole)
    assert {bucket.axes for bucket in found.buckets} == {bucket.axes for bucket in whole}
    count = len(tried)
    for stored in found.stored[1:]:  # as if these had been built before memory ran out
        store.put(stored.key, stored.plan, dict(stored.facts) | {"halvings": 0})
    for build in (True, False):
        assert plans(bundle, store, tower, build=build).buckets == found.buckets
    assert len(tried) == count


def test_reduced_plans_that_were_built_for_a_smaller_budget_are_known_as_reduced(
    gpu: Machine, bundle: Bundle, store: PlanStore, tried: list[int]
):
    found = plans(bundle, store, "image")
    for stored in found.stored:
        store.put(stored.key, stored.plan, dict(stored.facts) | {"halvings": 0})
    count = len(tried)
    plans(bundle, store, "image")
    plans(bundle, store, "image")
    assert len(tried) == count + 1, "the larger ones were tried once"


def test_a_shipped_bundles_texts_are_halved_in_what_they_cost():
    found = buckets_of("text", text("ids"), spec(256), Budget(tokens=115_712))
    less = _halved(found)
    assert max(bucket.cells for bucket in less) * 2 <= max(bucket.cells for bucket in found)
    assert pieces(less, 400, {"ids-axis": 256})


def test_single_rows_cannot_be_halved():
    assert _halved([Bucket(1, (("length", 16),)), Bucket(1, (("length", 256),))]) == ()
    assert _halved([Bucket(1)]) == ()


def test_out_of_memory_for_half_the_work_too_is_an_error(gpu: Machine, bundle: Bundle, store: PlanStore):
    gpu.build_error = "Error Code 2: OutOfMemory (no further information)"
    with pytest.raises(OutOfMemory) as caught:
        plans(bundle, store)
    assert "engine.tokens" in caught.value.remedy
    assert "engine.gpu_memory" not in caught.value.remedy
