"""`make trt-signatures`: writes down the interfaces of `tensorrt` and `cuda.bindings.runtime`, by release.

The bindings come by name from the package index. They are imported in processes of their own, and without
NVIDIA's libraries: empty ones stand in for them, made with a C compiler, since only signatures are read.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import types
import zipfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "signatures"

TENSORRT = (
    "tensorrt-cu12-bindings==10.6.0.post1",
    "tensorrt-cu12-bindings==10.8.0.43",
    "tensorrt-cu13-bindings==10.15.1.29",
    "tensorrt-cu13-bindings==11.0.0.114",
    "tensorrt-cu13-bindings==11.2.1.2",
    "tensorrt-cu13-bindings==11.4.0.106",
)
CUDA = ("cuda-bindings==12.9.0", "cuda-bindings==13.0.0", "cuda-bindings==13.5.0")

CLASSES = (
    "Builder", "IBuilderConfig", "ICudaEngine", "IExecutionContext", "IHostMemory", "ILogger",
    "INetworkDefinition", "IOptimizationProfile", "IProgressMonitor", "ITensor", "ITimingCache", "OnnxParser",
    "ParserError", "Runtime",
)  # fmt: skip
ENUMERATIONS = (
    "BuilderFlag", "DataType", "ErrorCode", "ExecutionContextAllocationStrategy",
    "HardwareCompatibilityLevel", "MemoryPoolType", "NetworkDefinitionCreationFlag", "OnnxParserFlag",
    "PreviewFeature", "ProfilingVerbosity", "TacticSource", "TensorIOMode", "TensorLocation",
)  # fmt: skip
CUDA_NAMES = re.compile(
    r"cuda(Device(Synchronize|GetAttribute)|DriverGetVersion|Event\w+|Free(Host)?|Get(Device(Count|Properties)?|"
    r"Error\w+|LastError)|Graph(Destroy|Exec(Destroy)|Instantiate|Launch|Upload)|Host(Alloc|Unregister)|Malloc(Host)?|"
    r"Mem(GetInfo|cpyAsync|setAsync)|PeekAtLastError|RuntimeGetVersion|SetDevice|"
    r"Stream(BeginCapture|CreateWithFlags|Destroy|EndCapture|Synchronize|WaitEvent|Query))"
)
CUDA_ENUMERATIONS = ("cudaError_t", "cudaMemcpyKind", "cudaStreamCaptureMode")
CUDA_STRUCTURES = {"cudaDeviceProp": ("major", "minor", "name", "totalGlobalMem", "uuid")}

EXPORTS = (
    "createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL", "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL", "createNvOnnxParser_INTERNAL", "getBuilderPluginRegistry",
    "getNvOnnxParserVersion", "getPluginRegistry", "initLibNvInferPlugins",
)  # fmt: skip
LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")


def read_tensorrt() -> dict[str, Any]:
    """The interface of the bindings that this process finds."""
    trt = import_module("tensorrt_bindings")
    return {
        "version": trt.__version__,
        "classes": {name: _members(getattr(trt, name)) for name in CLASSES},
        "enumerations": {
            name: {member: int(value) for member, value in getattr(trt, name).__members__.items()}
            for name in ENUMERATIONS
        }
        | {
            "ILogger.Severity": {name: int(value) for name, value in trt.ILogger.Severity.__members__.items()}
        },
    }


def read_cuda() -> dict[str, Any]:
    """The interface of the CUDA bindings that this process finds."""
    cuda = import_module("cuda.bindings.runtime")
    return {
        "version": import_module("cuda.bindings").__version__,
        "functions": {
            name: _first(getattr(cuda, name).__doc__) for name in dir(cuda) if CUDA_NAMES.fullmatch(name)
        },
        "enumerations": {
            name: {member: int(value) for member, value in getattr(cuda, name).__members__.items()}
            for name in CUDA_ENUMERATIONS
        },
        "structures": {
            name: [field for field in fields if hasattr(getattr(cuda, name)(), field)]
            for name, fields in CUDA_STRUCTURES.items()
        },
    }


def _members(kind: type) -> dict[str, list[str]]:
    """Signatures by name; a property is its getter's, and "set" where it can be set."""
    found = {}
    for name in dir(kind):
        if name.startswith("_") and name != "__init__":
            continue
        value = getattr(kind, name)
        if isinstance(value, property):
            returns = (
                _plain((value.fget.__doc__ or "").strip().partition("\n")[0]).rpartition("->")[2].strip()
            )
            found[name] = [f"property -> {returns}", *(["set"] if value.fset else [])]
        elif isinstance(value, types.WrapperDescriptorType):
            continue  # no constructor
        elif callable(value) and value.__doc__ and not isinstance(value, type):
            found[name] = _signatures(name, value.__doc__)
    return found


def _signatures(name: str, text: str) -> list[str]:
    lines = [re.sub(r"^\d+\. ", "", line) for line in text.splitlines()]
    known = [line for line in lines if line.startswith(f"{name}(")]
    return [_plain(line) for line in known if "*args" not in line] or [_plain(known[0])] if known else []


def _plain(line: str) -> str:
    """A signature as every release would have spelled it."""
    line = re.sub(
        r"\b(tensorrt_bindings\.tensorrt|tensorrt\.tensorrt|nvinfer1(::v_1_0)?::|nvonnxparser::)\.?", "", line
    )
    line = re.sub(r"(typing\.)?SupportsInt( \| typing.SupportsIndex)?", "int", line)
    line = re.sub(r"(typing\.)?SupportsFloat( \| typing.SupportsIndex)?", "float", line)
    line = re.sub(r"typing_extensions\.Buffer|collections\.abc\.Buffer", "buffer", line)
    line = re.sub(r"collections\.abc\.", "", line)
    return re.sub(r"\b(List|Tuple|Dict)\b", lambda match: match[0].lower(), line).strip()


def _first(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def fetch(requirement: str, folder: Path) -> None:
    """Unpack one wheel."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    platforms = (
        "manylinux_2_17_x86_64",
        "manylinux_2_28_x86_64",
        "manylinux_2_31_x86_64",
        "manylinux2014_x86_64",
    )
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += [
        "--only-binary=:all:",
        "--python-version",
        version,
        "--implementation",
        "cp",
        "--dest",
        str(folder),
    ]
    command += [part for name in platforms for part in ("--platform", name)]
    subprocess.run([*command, requirement], check=True)
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)


def libraries(folder: Path, major: str) -> None:
    """Libraries that hold nothing but the names that the bindings ask for."""
    source = folder / "empty.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in EXPORTS), "ascii")
    for name in LIBRARIES:
        target = folder / f"lib{name}.so.{major}"
        options = ["-shared", "-fPIC", "-nostdlib", f"-Wl,-soname,{target.name}", "-o", str(target)]
        subprocess.run([os.environ.get("CC", "cc"), *options, str(source)], check=True)


def snapshot(requirement: str, what: str, only: Path | None = None) -> Path:
    """Read one release, write its file. With `only`, NVIDIA's own libraries in that folder are used."""
    name, _, version = requirement.partition("==")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        fetch(requirement, folder)
        if what == "tensorrt" and only is None:
            libraries(folder, version.partition(".")[0])
        found = _read(what, folder, only or folder)
    target = FOLDER / f"{what}-{version}.json"
    target.write_text(json.dumps({"package": name, **found}, indent=1, sort_keys=True) + "\n", "utf-8")
    return target


def _read(what: str, packages: Path, libraries: Path) -> Mapping[str, Any]:
    env = {**os.environ, "PYTHONPATH": str(packages), "LD_LIBRARY_PATH": str(libraries)}
    run = subprocess.run(
        [sys.executable, __file__, "--read", what], env=env, check=True, stdout=subprocess.PIPE, text=True
    )
    found: Mapping[str, Any] = json.loads(run.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("requirements", nargs="*", help="releases to write down; all that are known without")
    parser.add_argument("--libraries", type=Path, help="a folder with NVIDIA's libraries of that one release")
    parser.add_argument("--read", choices=("tensorrt", "cuda"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.read:
        print(json.dumps(read_tensorrt() if chosen.read == "tensorrt" else read_cuda()))
        return
    FOLDER.mkdir(exist_ok=True)
    for requirement in chosen.requirements or (*TENSORRT, *CUDA):
        what = "cuda" if requirement.startswith("cuda") else "tensorrt"
        print(snapshot(requirement, what, chosen.libraries).relative_to(Path.cwd()))


if __name__ == "__main__":
    main()
