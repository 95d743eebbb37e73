"""What is used of the two foreign modules, and what the stand-in offers, exists in every release."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from engines.cuda import runtime as statuses
from engines.tensorrt import api, protocols
from tests.engines.tensorrt.snapshot import CUDA, FOLDER, TENSORRT
from tests.standin import cudart, tensorrt

ENGINES = Path(protocols.__file__).parents[1]

CLASSES = {
    protocols.Builder: "Builder",
    protocols.BuilderConfig: "IBuilderConfig",
    protocols.CudaEngine: "ICudaEngine",
    protocols.ExecutionContext: "IExecutionContext",
    protocols.HostMemory: "IHostMemory",
    protocols.Network: "INetworkDefinition",
    protocols.OnnxParser: "OnnxParser",
    protocols.OptimizationProfile: "IOptimizationProfile",
    protocols.ParserError: "ParserError",
    protocols.Runtime: "Runtime",
    protocols.Tensor: "ITensor",
    protocols.TimingCache: "ITimingCache",
}
ENUMERATIONS = {
    protocols.Compatibility: "HardwareCompatibilityLevel",
    protocols.Flags: "BuilderFlag",
    protocols.Modes: "TensorIOMode",
    protocols.NetworkFlags: "NetworkDefinitionCreationFlag",
    protocols.Pools: "MemoryPoolType",
    protocols.Severities: "ILogger.Severity",
    protocols.Strategies: "ExecutionContextAllocationStrategy",
    protocols.Verbosity: "ProfilingVerbosity",
}
GENERAL = (protocols.Member, protocols.Trt)


@cache
def snapshots(what: str) -> tuple[Mapping[str, Any], ...]:
    return tuple(json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob(f"{what}-*.json")))


def named(snapshot: Mapping[str, Any]) -> str:
    return f"{snapshot['package']}=={snapshot['version']}"


each_tensorrt = pytest.mark.parametrize("snapshot", snapshots("tensorrt"), ids=named)
each_cuda = pytest.mark.parametrize("snapshot", snapshots("cuda"), ids=named)


def parameters(signature: str) -> list[tuple[str, bool]]:
    """Names of a signature's parameters but self, and whether they can be left out."""
    inner = signature[signature.index("(") + 1 : signature.rindex(")")]
    parts = re.split(r", (?![^\[<]*[\]>])", inner)
    found = [
        (part.partition(":")[0].partition("=")[0].split()[-1], "=" in part) for part in parts if part.strip()
    ]
    return [each for each in found if each[0] not in ("self", "arg0")]


def takes(signature: str, names: list[str]) -> bool:
    """Whether a signature can be called with parameters of these names, in this order."""
    own = parameters(signature)
    return [name for name, _ in own[: len(names)]] == names and all(free for _, free in own[len(names) :])


def arguments(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


def offered(kind: type) -> Iterator[tuple[str, Any, bool]]:
    """What a class of ours has: each public member, and whether it can be set."""
    for name, value in vars(kind).items():
        if not name.startswith("_"):
            yield name, value, False
    for name in inspect.get_annotations(kind):
        yield name, None, True


def problems(kind: type, theirs: Mapping[str, list[str]]) -> Iterator[str]:
    """What a class of ours has and theirs lacks."""
    for name, value, settable in offered(kind):
        if isinstance(value, type):
            continue
        found = theirs.get(name)
        if found is None:
            yield f"{name} does not exist"
        elif settable or isinstance(value, property):
            if not found[0].startswith("property"):
                yield f"{name} is no property"
            if settable and "set" not in found:
                yield f"{name} cannot be set"
        elif not any(takes(signature, arguments(value)) for signature in found):
            yield f"{name}{tuple(arguments(value))} is not {found}"


def test_the_releases_that_the_script_names_are_written_down() -> None:
    assert sorted(map(named, (*snapshots("tensorrt"), *snapshots("cuda")))) == sorted((*TENSORRT, *CUDA))
    releases = [api.release(snapshot["version"]) for snapshot in snapshots("tensorrt")]
    assert min(releases)[:2] == api.OLDEST
    assert max(releases)[0] == api.NEWEST


def test_every_protocol_is_one_of_theirs() -> None:
    ours = {each for each in vars(protocols).values() if getattr(each, "_is_protocol", False)}
    assert {each for each in ours if each.__module__ == protocols.__name__} == {
        *CLASSES,
        *ENUMERATIONS,
        *GENERAL,
    }


@each_tensorrt
def test_what_is_used_of_tensorrt_exists(snapshot: Mapping[str, Any]) -> None:
    found = {name: list(problems(protocol, snapshot["classes"][name])) for protocol, name in CLASSES.items()}
    assert {name: what for name, what in found.items() if what} == {}
    for protocol, name in ENUMERATIONS.items():
        assert set(protocol.__annotations__) <= set(snapshot["enumerations"][name]), name
    for name in ("Builder", "OnnxParser", "Runtime"):
        made = snapshot["classes"][name]["__init__"]
        assert any(takes(each, arguments(getattr(protocols.Trt, name))) for each in made), name


@each_tensorrt
def test_what_is_derived_from_tensorrts_classes_overrides_what_exists(snapshot: Mapping[str, Any]) -> None:
    assert takes(snapshot["classes"]["ILogger"]["log"][0], ["severity", "msg"])
    monitor = snapshot["classes"]["IProgressMonitor"]
    assert takes(monitor["phase_start"][0], ["phase_name", "parent_phase", "num_steps"])
    assert takes(monitor["step_complete"][0], ["phase_name", "step"])
    assert takes(monitor["phase_finish"][0], ["phase_name"])


@each_tensorrt
def test_the_stand_in_offers_nothing_that_tensorrt_lacks(snapshot: Mapping[str, Any]) -> None:
    theirs = snapshot["classes"] | snapshot["enumerations"]
    ours = {
        name: each
        for name, each in vars(tensorrt).items()
        if isinstance(each, type) and each.__module__.startswith("tests.standin") and not name.startswith("_")
    }
    assert set(ours) - set(theirs) <= {"Dims", "Graph", "Built"}
    for name, kind in ours.items():
        if name in snapshot["classes"]:
            assert list(problems(kind, theirs[name])) == [], name
        elif name in snapshot["enumerations"]:
            members = set(kind.__members__)  # type: ignore[attr-defined]
            assert members <= set(theirs[name]), name


@each_cuda
def test_what_is_used_of_cuda_exists(snapshot: Mapping[str, Any]) -> None:
    used = {name for path in (ENGINES / "cuda").glob("*.py") for name in names_of_cuda(path)}
    assert len(used) > 20
    known = {*snapshot["functions"], *snapshot["enumerations"]}
    known.update(member for members in snapshot["enumerations"].values() for member in members)
    assert used - known == set()
    assert snapshot["structures"]["cudaDeviceProp"] == ["major", "minor", "name", "totalGlobalMem", "uuid"]


def names_of_cuda(path: Path) -> Iterator[str]:
    """Everything of CUDA that a source names, but the statuses, which later releases add to."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr.startswith("cuda") and node.attr != "cuda":
            yield node.attr
        elif isinstance(node, ast.Constant) and re.fullmatch(r"cuda(?!Error)[A-Z]\w+", str(node.value)):
            yield str(node.value)


def test_every_status_that_is_told_apart_exists() -> None:
    newest = max(snapshots("cuda"), key=lambda each: api.release(each["version"]))
    source = Path(statuses.__file__).read_text("utf-8")
    told = {*statuses._LOST, *re.findall(r"\bcudaError[A-Z]\w+", source)}
    assert told - set(newest["enumerations"]["cudaError_t"]) == set()


@each_cuda
def test_the_stand_in_offers_nothing_that_cuda_lacks(snapshot: Mapping[str, Any]) -> None:
    for name, function in vars(cudart).items():
        if name.startswith("cuda") and inspect.isfunction(function):
            assert [each for each, _ in parameters(snapshot["functions"][name])] == arguments(function), name
    for name in ("cudaError_t", "cudaMemcpyKind", "cudaStreamCaptureMode"):
        members = {member.name: int(member) for member in getattr(cudart, name)}
        assert members.items() <= snapshot["enumerations"][name].items(), name


def test_nothing_is_used_that_some_release_lacks() -> None:
    """Not even past the types: no source that runs TensorRT names what came or went between releases."""
    passing = set(passing_names())
    assert {
        "device_memory_size",
        "create_execution_context_without_device_memory",
        "BuilderFlag.FP16",
    } <= passing
    assert {"NetworkDefinitionCreationFlag.EXPLICIT_BATCH", "int8_calibrator"} <= passing
    found = []
    for path in sorted(ENGINES.rglob("*.py")):
        source = path.read_text("utf-8")
        if "tensorrt" in (*path.parts, path.stem):
            found += [
                f"{path.name}: {name}" for name in passing if re.search(rf"\.{name}\b|^{name}\b", source)
            ]
    assert found == []


def passing_names() -> Iterator[str]:
    """Members that some releases have and others lack; those of enumerations with the enumeration's name."""
    for kind in CLASSES.values():
        members = [set(snapshot["classes"][kind]) for snapshot in snapshots("tensorrt")]
        elsewhere = {
            name
            for other in CLASSES.values()
            for name in snapshots("tensorrt")[0]["classes"][other]
            if other != kind
        }
        yield from set.union(*members) - set.intersection(*members) - elsewhere - set(dir(dict))
    for kind in ENUMERATIONS.values():
        members = [set(snapshot["enumerations"][kind]) for snapshot in snapshots("tensorrt")]
        yield from (f"{kind}.{name}" for name in set.union(*members) - set.intersection(*members))
