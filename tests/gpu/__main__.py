"""`make gpu-check`: every claim about GPUs, measured on one, in parts that a cut run takes up again.

    python -m tests.gpu [--part NAME …] [--limit SECONDS] [--results FOLDER]

Needed on the host: Python 3.11 or later with numpy, safetensors, tokenizers, PyYAML, onnx, onnxruntime,
onnxscript, torch with CUDA, transformers, cuda-bindings and TensorRT; for bf16, fp16 and fp8 also what the
extra `quantise` names. Kafka's client, pydantic and the other needs of the service are not. What the host
lacks may lie in a folder on PYTHONPATH (wheels unpacked by `pip install --no-deps --target FOLDER WHEELS`).

TensorRT: the newest first. Its Python bindings go on PYTHONPATH and its libraries, of exactly the same
version, on LD_LIBRARY_PATH. Where that one cannot build plans for this GPU (`starter-fp16` says so within
minutes), remove the results, prepare an older one, down to 10.6, and start again; say in the table's notes
which were tried.

A part takes at most eight minutes, in a process of its own. Each that ended has a JSON file in the results'
folder (tests/gpu/results/DATE-DEVICE), and is not run again unless it is named, or ran out of time once;
copy the folder back to the same place to go on on another machine. The table, tests/gpu/DATE-DEVICE.md, is
written after every call. What parts build (bundles, plans) is kept in ~/.cache/tidegate-gpu-check, or in the
folder that GPU_WORK names; GPU_RESULTS names another folder for results and table.

Without a GPU, `python -m tests.gpu --device cpu --small` rehearses: every part's code on tiny shapes, with
the tests' stand-in for TensorRT. What that writes lies in a temporary folder and is never a measurement.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.gpu.parts import parts
from tests.gpu.results import Results, Writer, folder_for, table
from tests.gpu.running import ROOT, Plan, run_all, with_parent

HERE = ROOT / "tests" / "gpu"
UNREACHABLE = 69


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 all parts have results, 75 some are left for another call, 64 and 69 as everywhere."""
    told = _parsed(arguments)
    cuda = told.device == "cuda"
    known = parts(told.small)
    unknown = [name for name in (*told.part, *([told.run] if told.run else [])) if name not in known]
    if unknown:
        print(f"no such part: {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 64
    if told.run:
        return _child(told, cuda)
    machine = _machine() if cuda else "rehearsal"
    if machine is None:
        return UNREACHABLE
    temporary = Path(tempfile.mkdtemp(prefix="gpu-check-")) if not cuda or told.small else None
    work = Path(told.work or temporary or Path.home() / ".cache" / "tidegate-gpu-check").resolve()
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    root = temporary or HERE / "results"
    folder = Path(told.results).resolve() if told.results else folder_for(root, machine, known, today)
    plan = Plan(Results(folder), work / "work", cuda, told.small, machine, told.limit)
    wanted = [known[name] for name in told.part] or list(known.values())
    left = run_all(wanted, plan, again=bool(told.part))
    title = f"GPU checks: {machine}, {folder.name[:10] if cuda else today}"
    page = (folder if temporary or told.results else HERE) / f"{folder.name}.md"
    page.write_text(table(plan.results.read(list(known)), list(known), title, not cuda), encoding="utf-8")
    print(f"The table is {page}; parts left: {', '.join(left) or 'none'}.")
    return 75 if left else 0


def _child(told: argparse.Namespace, cuda: bool) -> int:
    from tests.gpu.ground import Ground

    with_parent()
    results, work = Results(Path(told.results)), Path(told.work)
    work.mkdir(parents=True, exist_ok=True)
    ground = Ground(cuda, told.small, work, Writer(results.draft(told.run)))
    with ground.checking(told.run):
        parts(told.small)[told.run].run(ground)
    return 0


def _machine() -> str | None:
    from engines import cuda
    from engines.errors import EngineError

    reason = cuda.missing()
    try:
        if reason is None:
            return cuda.devices()[0].name
    except EngineError as error:
        reason = str(error)
    print(
        f"No GPU to check: {reason}\nRun it on a host with one; `python -m tests.gpu --device cpu --small` "
        "rehearses it here.",
        file=sys.stderr,
    )
    return None


def _parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.gpu", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny shapes: a rehearsal")
    parser.add_argument("--part", action="append", default=[], help="run this one, again if need be")
    parser.add_argument("--limit", type=float, help="seconds after which no part may run")
    parser.add_argument("--results", default=os.environ.get("GPU_RESULTS"))
    parser.add_argument("--work", default=os.environ.get("GPU_WORK"))
    parser.add_argument("--run", help=argparse.SUPPRESS)
    told = parser.parse_args(arguments)
    if told.device == "cpu" and not told.small and not told.run:
        parser.error("a processor only rehearses: add --small")
    return told


if __name__ == "__main__":
    sys.exit(main())
