"""Few shapes, each within the budget, and whatever the planner makes runs in them with bounded padding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.errors import EngineError
from engines.planner import Budget, plan_audio, plan_rows, plan_text
from engines.preprocess.spec import Preprocess, TextSpec
from engines.preprocess.text import text_encoder
from engines.tensorrt.buckets import Bucket, Input, Signature, buckets_of, pieces, smallest
from tests.engines.tensorrt.shapes import AUDIO, IMAGE, spec, text

STARTER = Path(__file__).parents[3] / "engines/bundles/starter"
BAG = ("words", "chars")
CASES = [(seed, most, tokens) for seed in range(3) for most, tokens in ((256, 4096), (512, 16384), (20, 100))]


def ladder(most: int = 256, tokens: int = 4096) -> tuple[Bucket, ...]:
    return buckets_of("text", text("ids"), spec(most), Budget(tokens=tokens))


def lengths(random: np.random.Generator, most: int) -> np.ndarray:
    return random.integers(1, random.integers(1, most + 1) + 1, random.integers(1, 900))


def check(found, rows: int, axes: dict[str, int]) -> int:
    """The pieces are all rows in order, each in a bucket that holds it; gives the cells that run."""
    assert [piece.start for piece in found] == list(np.cumsum([0, *(piece.rows for piece in found)])[:-1])
    assert sum(piece.rows for piece in found) == rows
    assert all(piece.bucket.fits(piece.rows, axes) for piece in found)
    return sum(piece.bucket.cells for piece in found)


@pytest.mark.parametrize(("seed", "most", "tokens"), CASES)
def test_every_micro_batch_of_texts_runs_with_bounded_padding(seed: int, most: int, tokens: int):
    own, random = ladder(most, tokens), np.random.default_rng(seed)
    shortest = dict(own[0].axes)["ids-axis"]
    for sizes in (lengths(random, most) for _ in range(5)):
        for rows in plan_text(sizes, tokens):
            longest = int(sizes[rows].max())
            axes = {"ids-axis": longest}
            cells = check(pieces(own, len(rows), axes), len(rows), axes)
            assert cells <= 5 * max(len(rows) * max(longest, shortest), tokens / 16)


@pytest.mark.parametrize("seed", range(3))
def test_every_micro_batch_of_sounds_runs(seed: int):
    random, budget = np.random.default_rng(seed), Budget()
    own = buckets_of("audio", AUDIO, spec(seconds=10), budget)
    for sizes in (lengths(random, 160_000) for _ in range(5)):
        for rows in plan_audio(sizes, budget.audio_seconds, budget.rate):
            axes = {"samples": int(sizes[rows].max())}
            check(pieces(own, len(rows), axes), len(rows), axes)


@pytest.mark.parametrize("count", [1, 2, 3, 31, 32, 33, 1000])
def test_every_micro_batch_of_images_and_of_the_head_runs(count: int):
    for tower, most in (("image", 32), ("head", 512)):
        own = buckets_of(tower, IMAGE, spec(), Budget())
        for rows in plan_rows(count, most):
            check(pieces(own, len(rows), {}), len(rows), {})
            assert smallest(own, len(rows), {}) is not None


@pytest.mark.parametrize(("seed", "kind"), [(s, k) for s in range(2) for k in ("bag", "bilingual")])
def test_several_channels_of_any_proportion_run(seed: int, kind: str):
    own_spec, random = spec(256, kind), np.random.default_rng(seed)
    graph = text(*own_spec.text.channels)
    own = buckets_of("text", graph, own_spec, Budget())
    assert {axis for axis, _ in own[0].axes} == set(graph.axes)
    for _ in range(200):
        axes = {axis: int(random.integers(1, 257)) for axis in graph.axes} | {
            "chars-axis": int(random.integers(1, 1539))
        }
        rows = int(random.integers(1, 4096 // axes[graph.axes[0]] + 1))
        check(pieces(own, rows, axes), rows, axes)


def test_no_bucket_of_several_rows_is_over_the_budget():
    for most in (1, 8, 20, 64, 200, 256, 300, 512):
        for tokens in (64, 1000, 4096, 20_000):
            own = ladder(most, tokens)
            assert all(bucket.rows == 1 or bucket.cells <= tokens for bucket in own)
            assert max(dict(bucket.axes)["ids-axis"] for bucket in own) == most


def test_what_fits_the_budget_at_a_buckets_length_runs_whole():
    own = ladder()
    for length in (16, 32, 64, 128, 256):
        for rows in range(1, 4096 // length + 1):
            assert smallest(own, rows, {"ids-axis": length}) is not None


def test_the_cheapest_is_one_row_of_the_shortest():
    assert ladder()[0] == Bucket(1, (("ids-axis", 16),))
    assert buckets_of("audio", AUDIO, spec(), Budget())[0] == Bucket(1, (("samples", 40_000),))
    assert buckets_of("image", IMAGE, spec(), Budget())[0] == Bucket(1)


def test_a_micro_batch_gets_the_cheapest_bucket_that_fits():
    own = ladder()
    assert smallest(own, 1, {"ids-axis": 3}) == own[0]
    assert smallest(own, 30, {"ids-axis": 100}) == Bucket(32, (("ids-axis", 128),))
    assert smallest(own, 1, {"ids-axis": 257}) is None


def test_rows_just_over_a_bucket_are_cut_instead_of_padded_to_the_next():
    found = pieces(ladder(), 40, {"ids-axis": 128})
    assert [(piece.start, piece.rows, piece.bucket.rows) for piece in found] == [(0, 32, 32), (32, 8, 8)]


def test_where_large_buckets_were_given_up_the_small_ones_serve():
    left = [bucket for bucket in ladder() if bucket.cells <= 256]
    axes = {"ids-axis": 100}
    found = pieces(left, 7, axes)
    check(found, 7, axes)
    assert {piece.bucket for piece in found} == {Bucket(1, (("ids-axis", 256),))}
    assert pieces(left, 7, {"ids-axis": 300}) == ()


def test_there_are_few():
    own = Preprocess.load(STARTER / "preprocess.json")
    count = {
        tower: len(buckets_of(tower, Signature.of((STARTER / f"{tower}.onnx").read_bytes()), own, Budget()))
        for tower in ("image", "audio", "head")
    }
    assert count == {"image": 4, "audio": 7, "head": 4}
    for kind, most in (("bag", 16), ("bilingual", 29)):
        graph = text(*spec(256, kind).text.channels)
        assert len(buckets_of("text", graph, spec(256, kind), Budget())) == most
    assert (len(ladder(128)), len(ladder(512))) == (14, 18)  # a BERT-base of so many tokens


def test_other_channels_follow_the_first_in_proportion():
    own = buckets_of("text", text(*BAG), spec(256, "bag"), Budget())
    assert own[0].axes == (("words-axis", 16), ("chars-axis", 97))
    assert max(own, key=lambda b: b.axes).axes == (("words-axis", 256), ("chars-axis", 1538))


def test_of_two_encoders_a_text_runs_in_one_alone():
    own_spec = spec(128, "bilingual")
    own = buckets_of("text", text(*own_spec.text.channels), own_spec, Budget())
    full = {"ids-axis": 100, "ids_zh-axis": 1, "words-axis": 90, "chars-axis": 500}
    alone = smallest(own, 32, full)
    assert alone is not None
    assert alone.axes[:2] == (("ids-axis", 128), ("ids_zh-axis", 1))
    mixed = smallest(own, 16, full | {"ids_zh-axis": 100})
    assert mixed is not None
    assert mixed.axes[:2] == (("ids-axis", 128), ("ids_zh-axis", 128))
    assert len(own) == 27


@pytest.mark.parametrize("most", [1, 7, 64])
@pytest.mark.parametrize("kind", ["hash-words", "bag"])
def test_no_text_is_longer_than_what_is_planned_for(kind: str, most: int):
    encoder = text_encoder(TextSpec(1000, most, kind))
    own = buckets_of("text", text(*TextSpec(1000, most, kind).channels), spec(most, kind), Budget())
    for nasty in (
        "",
        "a " * 9999,
        "a" * 9999,
        "好" * 9999,
        "😀" * 9999,
        "ﷺ" * 9999,
        "\ud800" * 99,
        "İ" * 9999,
        "! " * 999,
    ):
        found = encoder.encode(nasty).channels
        axes = {axis: max(1, len(ids)) for (axis, _), ids in zip(own[0].axes, found, strict=True)}
        assert smallest(own, 1, axes) is not None, (nasty[:9], axes)


def test_a_signature_tells_the_types_and_names_of_a_graph():
    found = Signature.of((STARTER / "text.onnx").read_bytes())
    channels = Preprocess.load(STARTER / "preprocess.json").text.channels
    assert tuple(one.name for one in found.inputs) == channels
    assert found.inputs[0] == Input("ids", "int32", ("rows", "length"))
    assert len(found.axes) == len(channels)
    assert [(one.name, one.dtype, one.dims[0]) for one in found.outputs] == [("tokens", "float32", "rows")]
    assert Signature.from_dict(found.to_dict()) == found


def test_shapes_are_the_buckets_sizes_under_the_graphs_names():
    bucket = Bucket(4, (("samples", 40_000),))
    assert [bucket.shape(one) for one in AUDIO.inputs] == [(4, 40_000), (4,)]
    assert bucket.shape(AUDIO.outputs[0]) == (4, 2, 64)


@pytest.mark.parametrize("graph", [b"", b"nonsense", b"\x08\x08"])
def test_what_is_no_graph_is_refused(graph: bytes):
    with pytest.raises(EngineError, match="cannot be planned for"):
        Signature.of(graph)


def test_a_graph_that_varies_without_bound_is_refused():
    with pytest.raises(EngineError, match="nothing bounds its width"):
        buckets_of(
            "image", Signature((Input("pixels", "uint8", ("rows", "width", 3)),), ()), spec(), Budget()
        )


def test_a_signature_from_a_strange_file_is_refused():
    with pytest.raises(EngineError, match="cannot be read"):
        Signature.from_dict({"inputs": [{"name": "x"}], "outputs": []})
