"""One flipped byte in configuration, policy or bundle: refused before anything is consumed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness import World, posts, tidegate


def flipped(path: Path, at: int) -> None:
    """The lowest bit of one byte."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def a_graph(world: World) -> Path:
    bundle = copied(world)
    flipped(bundle / "text.onnx", 500)
    return world.config({"bundle": str(bundle)})[0]


def a_manifest(world: World) -> Path:
    bundle = copied(world)
    manifest = bundle / "bundle.json"
    flipped(manifest, manifest.read_bytes().index(b'"version"') + 13)
    return world.config({"bundle": str(bundle)})[0]


def a_policy(world: World) -> Path:
    policy = world.folder / "policy.yaml"
    shutil.copy(Path(__file__).parents[2] / "service/policies/default.yaml", policy)
    flipped(policy, policy.read_bytes().index(b"\nmode:") + 2)
    return world.config({"policy": str(policy)})[0]


def a_configuration(world: World) -> Path:
    path, _ = world.config()
    flipped(path, path.read_bytes().index(b"deadletter:"))
    return path


def copied(world: World) -> Path:
    bundle = world.folder / "bundle"
    shutil.copytree(world.settings["bundle"], bundle)
    return bundle


@pytest.mark.parametrize(
    ("tampered", "named"),
    [
        (a_graph, "text.onnx"),
        (a_manifest, "bundle.json"),
        (a_policy, "policy.yaml:"),
        (a_configuration, ".yaml:"),
    ],
    ids=["graph", "manifest", "policy", "configuration"],
)
def test_one_flipped_byte_is_refused_before_consuming(
    world: Callable[..., World], tampered: Callable[[World], Path], named: str
):
    here = world()
    here.send(posts(5))
    done: Any = tidegate("run", "-c", str(tampered(here)))
    said = " ".join(done.stderr.split())
    print(said)
    assert done.returncode == 78, said
    assert named in said, "where"
    assert "Traceback" not in said
    assert here.committed() == {}, "nothing was consumed"
    assert here.answers() == []
