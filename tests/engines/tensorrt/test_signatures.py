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
from engines.tensorrt.progress import Progress
from engines.tensorrt.protocols import Member, OptimizationProfile, TimingCache
from tests.engines.tensorrt.snapshot import CUDA, FOLDER, TENSORRT
from tests.standin import cudart, installed, tensorrt

ENGINES = Path(protocols.__file__).parents[1]


def enumerations(path: Path) -> list[str]:
    return list(json.loads(path.read_text("utf-8"))["enumerations"])


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
MEANS = {
    "Member": {name for snapshot in FOLDER.glob("tensorrt-*.json") for name in enumerations(snapshot)},
    "Shape": {"Dims"},
    "Sequence[int]": {"Dims"},
    "tuple[int, ...]": {"tuple"},
    "list[Shape]": {"list[Dims]"},
    "bytes": {"buffer"},
    "int": {"int", "size_t", "unsigned int", "unsigned long long"},
    "ParserError": {"IParserError"},
    "Severity": {"ILogger.Severity"},
} | {each.__name__: {name} for each, name in CLASSES.items() if each is not protocols.ParserError}
"""The types that one of ours may stand for, as bindings spell them: others have the same name."""


@cache
def snapshots(what: str) -> tuple[Mapping[str, Any], ...]:
    return tuple(json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob(f"{what}-*.json")))


def named(snapshot: Mapping[str, Any]) -> str:
    return f"{snapshot['package']}=={snapshot['version']}"


each_tensorrt = pytest.mark.parametrize("snapshot", snapshots("tensorrt"), ids=named)
each_cuda = pytest.mark.parametrize("snapshot", snapshots("cuda"), ids=named)


def parameters(signature: str) -> list[tuple[str, str, bool]]:
    """Of a signature's parameters but self: names, types ("" where it tells none), and whether they can be
    left out.
    """
    inner = signature[signature.index("(") + 1 : signature.rindex(")")]
    found = []
    for part in re.split(r", (?![^\[<]*[\]>])", inner):
        told, default, _ = part.partition("=")
        name, python, kind = (each.strip() for each in told.partition(":"))
        if not python:  # as C spells it
            kind, _, name = name.rpartition(" ")
        found.append((name, kind, bool(default)))
    return [each for each in found if each[0] not in ("", "self", "arg0")]


def returned(signature: str) -> str:
    return signature.rpartition(")")[2].partition("->")[2].strip()


def takes(signature: str, ours: Mapping[str, str]) -> bool:
    """Whether a signature can be called with parameters of these names and types, in this order."""
    own = parameters(signature)
    first, rest = own[: len(ours)], own[len(ours) :]
    same = [name for name, _, _ in first] == list(ours)
    return (
        same and all(means(ours[name], kind) for name, kind, _ in first) and all(free for _, _, free in rest)
    )


def means(ours: str, theirs: str) -> bool:
    """Whether a type of ours stands for one of theirs, where both are told. Theirs may be None unsaid."""
    ours = ours.removesuffix(" | None")
    return ours in ("", "Any") or not theirs or theirs in MEANS.get(ours, {ours})


def arguments(function: Any) -> dict[str, str]:
    """Names of a function's parameters but self, and their types as they are spelled."""
    found = inspect.signature(function).parameters
    return {name: spelled(each.annotation) for name, each in found.items() if name != "self"}


def spelled(annotation: Any) -> str:
    return "" if annotation is inspect.Signature.empty else str(annotation)


def gives(function: Any) -> str:
    return spelled(inspect.signature(function).return_annotation)


def offered(kind: type) -> Iterator[tuple[str, Any, bool]]:
    """What a class of ours has: each public member, or its type, and whether it can be set."""
    for name, value in vars(kind).items():
        if not name.startswith("_"):
            yield name, value, False
    for name, annotation in inspect.get_annotations(kind).items():
        yield name, annotation, True


def problems(kind: type, theirs: Mapping[str, list[str]]) -> Iterator[str]:
    """What a class of ours has and theirs lacks, or has of another type."""
    for name, value, settable in offered(kind):
        if isinstance(value, type):
            continue
        found = theirs.get(name)
        if found is None:
            yield f"{name} does not exist"
        elif settable or isinstance(value, property):
            own = spelled(value) if settable else gives(value.fget)
            if not found[0].startswith("property"):
                yield f"{name} is no property"
            elif not means(own, found[0].removeprefix("property ->").strip()):
                yield f"{name}: {own} is not {found[0]}"
            if settable and "set" not in found:
                yield f"{name} cannot be set"
        elif not any(
            takes(signature, arguments(value)) and means(gives(value), returned(signature))
            for signature in found
        ):
            yield f"{name}{arguments(value)} -> {gives(value)} is not {found}"


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
    with installed():
        logger = api.load().logger
        monitor = api.load().monitor(Progress("", None))
    for ours, name in ((logger, "ILogger"), (monitor, "IProgressMonitor")):
        assert list(problems(type(ours), snapshot["classes"][name])) == []


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
            theirs = snapshot["functions"][name]
            assert takes(theirs, arguments(function)), name
            assert len(parameters(theirs)) == len(arguments(function)), name
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


@each_tensorrt
def test_a_type_that_is_another_is_told(snapshot: Mapping[str, Any]) -> None:
    class Wrong:
        max_aux_streams: str

        @property
        def num_optimization_profiles(self) -> bytes: ...

        def set_memory_pool_limit(self, pool: Member, pool_size: str) -> None: ...

        def add_optimization_profile(self, profile: OptimizationProfile) -> bool: ...

        def get_timing_cache(self) -> TimingCache | None: ...

    found = list(problems(Wrong, snapshot["classes"]["IBuilderConfig"]))
    assert [problem.partition(":")[0].partition("{")[0] for problem in found] == [
        "num_optimization_profiles", "set_memory_pool_limit", "add_optimization_profile", "max_aux_streams"
    ]  # fmt: skip


def test_a_type_of_cuda_that_is_another_is_told() -> None:
    assert takes("cudaMalloc(size_t size)", {"size": "int"})
    assert not takes("cudaMalloc(size_t size)", {"size": "bytes"})
    assert takes("cudaFree(devPtr)", {"devPtr": "int"})
