"""Whatever makes a plan valid is in its key: any change changes the digest, and is told in words."""

from __future__ import annotations

import pickle
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from engines.device import Device
from engines.errors import EngineError
from engines.tensorrt.buckets import Bucket
from engines.tensorrt.key import PlanKey, differences, flavour, release_of
from engines.tensorrt.profiles import Profile

H200 = Device("NVIDIA H200", (9, 0), 580, 150 << 30, index=1, uuid="GPU-1")
LENGTH = Profile(Bucket(1, (("length", 16),)), Bucket(64, (("length", 16),)), Bucket(64, (("length", 16),)))
WIDER = replace(LENGTH, highest=Bucket(128, (("length", 16),)))
KEY = PlanKey.of(b"graph", "text", "fp16", "10.15.1", H200, {"level": 3, "workspace": 1 << 30}, [LENGTH])

CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"graph": "0" * 64}, "graph 000000000000 instead of"),
    ({"tower": "image"}, "tower image instead of text"),
    ({"precision": "bf16"}, "precision bf16 instead of fp16"),
    ({"tensorrt": "10.15.2"}, "TensorRT 10.15.2 instead of 10.15.1"),
    ({"capability": (8, 9)}, "compute capability 8.9 instead of 9.0"),
    ({"capability": (90, 0)}, "compute capability 90.0 instead of 9.0"),
    ({"device": "NVIDIA H100"}, "GPU NVIDIA H100 instead of NVIDIA H200"),
    ({"driver_major": 570}, "driver 570 instead of 580"),
    ({"system": "linux-aarch64"}, "system linux-aarch64 instead of"),
    ({"options": {"level": 4, "workspace": 1 << 30}}, "option level 4 instead of 3"),
    ({"options": {"level": "3", "workspace": 1 << 30}}, "option level '3' instead of 3"),
    ({"options": {"level": 3.0, "workspace": 1 << 30}}, "option level 3.0 instead of 3"),
    ({"options": {"level": 3}}, "option workspace 'unset' instead of 1073741824"),
    ({"options": {"level": 3, "workspace": 1 << 30, "tf32": True}}, "option tf32 True instead of 'unset'"),
    ({"profiles": (WIDER,)}, "shapes 1–128×16 instead of 1–64×16"),
    ({"profiles": (LENGTH, WIDER)}, "shapes 1–64×16; 1–128×16 instead of 1–64×16"),
    ({"profiles": ()}, "shapes none instead of 1–64×16"),
    ({"profiles": (replace(LENGTH, typical=LENGTH.lowest),)}, "shapes tuned for other sizes"),
    (
        {"profiles": (Profile(*[replace(LENGTH.highest, axes=(("chars", 16),))] * 3),)},
        "shapes 64×16 instead of 1–64×16",
    ),
]


@pytest.mark.parametrize(("change", "words"), CHANGES, ids=[words for _, words in CHANGES])
def test_any_change_changes_the_digest_and_is_told(change: dict[str, Any], words: str):
    other = replace(KEY, **change)
    assert other.digest != KEY.digest
    assert other != KEY
    (told,) = differences(other, KEY)
    assert told.startswith(words)


def test_every_field_is_among_the_changes():
    assert {name for change, _ in CHANGES for name in change} == {own.name for own in fields(PlanKey)}


def test_no_two_changes_share_a_digest():
    digests = {replace(KEY, **change).digest for change, _ in CHANGES}
    assert len(digests) == len(CHANGES)


def test_several_changes_are_all_told():
    assert differences(replace(KEY, driver_major=570, device="NVIDIA L4"), KEY) == (
        "GPU NVIDIA L4 instead of NVIDIA H200",
        "driver 570 instead of 580",
    )


def test_equal_keys_have_one_digest_whatever_the_order_of_their_options():
    again = PlanKey.of(
        b"graph", "text", "fp16", "10.15.1", H200, {"workspace": 1 << 30, "level": 3}, [LENGTH]
    )
    assert again == KEY
    assert again.digest == KEY.digest
    assert hash(again) == hash(KEY)
    assert differences(again, KEY) == ()


def test_another_gpu_of_the_same_model_shares_the_plan():
    other = replace(H200, index=3, uuid="GPU-3", memory=1)
    assert PlanKey.of(b"graph", "text", "fp16", "10.15.1", other, KEY.options, [LENGTH]) == KEY


def test_a_key_comes_back_from_json_and_from_another_process():
    assert PlanKey.from_dict(KEY.to_dict()) == KEY
    assert pickle.loads(pickle.dumps(KEY)) == KEY


def test_a_key_is_frozen():
    with pytest.raises(TypeError):
        KEY.options["level"] = 5  # type: ignore[index]
    options = {"level": 3}
    key = replace(KEY, options=options)
    digest = key.digest
    options["level"] = 5
    assert key.digest == digest


def test_a_key_describes_itself_in_a_line():
    text = KEY.describe()
    assert "text fp16 (1–64×16)" in text
    assert "TensorRT 10.15.1, NVIDIA H200, driver 580" in text


def test_a_timing_cache_is_for_a_builder_whatever_the_graph():
    assert replace(KEY, graph="1" * 64, tower="image", precision="fp32").builder == KEY.builder
    for change in (
        {"driver_major": 570},
        {"tensorrt": "11.0"},
        {"device": "NVIDIA L4"},
        {"capability": (8, 9)},
    ):
        assert replace(KEY, **change).builder != KEY.builder


def installed(folder: Path, *packages: str) -> None:
    for package in packages:
        (folder / f"{package}-10.15.1.dist-info").mkdir()
        (folder / f"{package}-10.15.1.dist-info" / "METADATA").write_text(
            f"Name: {package}\nVersion: 10.15.1\n"
        )


@pytest.mark.parametrize(
    ("packages", "expected"),
    [
        ((), "none"),
        (("tensorrt_cu12_libs", "tensorrt"), "cu12"),
        (("tensorrt_cu13_libs",), "cu13"),
        (("tensorrt_cu13_libs", "tensorrt_cu12_libs"), "cu12+cu13"),
    ],
)
def test_one_release_of_tensorrt_for_another_cuda_is_another(
    packages: tuple[str, ...], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    installed(tmp_path, *packages)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert flavour() == expected


def test_the_version_of_a_package_that_is_missing_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    installed(tmp_path, "nvidia_modelopt")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert release_of("nvidia-modelopt") == "10.15.1"
    assert release_of("nvidia-nothing") == "none"


@pytest.mark.parametrize(
    "wrong",
    [{"capability": [9]}, {"profiles": [{}]}, {"driver_major": "x"}, {"options": None}, {"profiles": 3}],
)
def test_a_strange_key_is_refused(wrong: dict[str, Any]):
    with pytest.raises(EngineError, match="cannot be read"):
        PlanKey.from_dict(KEY.to_dict() | wrong)
    with pytest.raises(EngineError, match="cannot be read"):
        PlanKey.from_dict({})
