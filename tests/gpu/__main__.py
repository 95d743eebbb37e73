"""`make gpu-check`: every claim about GPUs, measured on one, in parts that a cut run takes up again.

    python -m tests.gpu [--part NAME …] [--limit SECONDS] [--results FOLDER]

Needed on the host: Python 3.11 or later with numpy, safetensors, tokenizers, PyYAML, onnx, onnxruntime,
onnxscript, torch with CUDA, transformers, cuda-bindings and TensorRT; for bf16, fp16 and fp8 also what the
extra `quantise` names. Kafka's client, pydantic and the other needs of the service are not. What the host
lacks may lie in a folder on PYTHONPATH (wheels unpacked by `pip install --no-deps --target FOLDER WHEELS`).

TensorRT: the newest first. Its Python bindings go on PYTHONPATH and its libraries, of exactly the same
version, on LD_LIBRARY_PATH. Where that one cannot build plans for this GPU (`build-edge-fp16` says so within
minutes), prepare an older one, down to 10.6, and start again: each has results and a table of its own, and
the table names what else was tried on the device.

A part takes at most eight minutes, in a process of its own. Each that ended has a JSON file in the results'
folder (tests/gpu/results/DATE-DEVICE-TENSORRT), with driver, versions and commit, and is not run again unless
it is named, or ran out of time once; copy the folder back to the same place to go on on another machine.
The table, tests/gpu/DATE-DEVICE-TENSORRT.md, is written after every call; it marks the rows of parts that ran
with another driver, version or commit than most. What parts build (bundles, plans) is kept in
~/.cache/tidegate-gpu-check, or in the folder that GPU_WORK names; GPU_RESULTS names another folder for
results and table.

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

from engines.errors import EngineError
from tests.gpu.host import host_of
from tests.gpu.page import days, failed, others, table, tally
from tests.gpu.parts import parts
from tests.gpu.results import Part, Results, Writer, folder_for
from tests.gpu.running import ROOT, Plan, run_all, with_parent

HERE = ROOT / "tests" / "gpu"
UNREACHABLE = 69
_ELSEWHERE = "Run it on a host with one; `python -m tests.gpu --device cpu --small` rehearses it here."


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 all parts have results and no check failed, 1 one did, 75 some parts are left for another
    call, 64 and 69 as everywhere.
    """
    told = _parsed(arguments)
    cuda = told.device == "cuda"
    known = parts(told.small)
    unknown = [name for name in (*told.part, *([told.run] if told.run else [])) if name not in known]
    if unknown:
        print(f"no such part: {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 64
    if told.run:
        return _child(told, cuda)
    try:
        host = host_of(cuda)
    except EngineError as error:
        print(f"{error}\n{_ELSEWHERE}", file=sys.stderr)
        return UNREACHABLE
    temporary = Path(tempfile.mkdtemp(prefix="gpu-check-")) if not cuda or told.small else None
    work = Path(told.work or temporary or Path.home() / ".cache" / "tidegate-gpu-check").resolve()
    root = temporary or HERE / "results"
    folder = Path(told.results).resolve() if told.results else folder_for(root, host, known, _today())
    plan = Plan(Results(folder), work / "work", cuda, told.small, host, told.limit)
    wanted = [known[name] for name in told.part] or list(known.values())
    left = run_all(wanted, plan, again=bool(told.part))
    page = (folder if temporary or told.results else HERE) / f"{folder.name}.md"
    found = _written(page, plan, list(known), elsewhere=not (temporary or told.results))
    print(f"The table is {page}; parts left: {', '.join(left) or 'none'}. {tally(found, list(known))}")
    return 75 if left else 1 if failed(found) else 0


def _written(page: Path, plan: Plan, names: list[str], elsewhere: bool) -> list[Part]:
    """Write the table of all results that there are; `elsewhere` says that other folders lie beside."""
    found = plan.results.read(names)
    title = f"GPU checks: {plan.host.device}, {days(found, _today())}"
    tried = others(plan.results.folder, plan.host, names) if elsewhere else []
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(table(found, names, title, not plan.cuda, tried), encoding="utf-8")
    return found


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


def _child(told: argparse.Namespace, cuda: bool) -> int:
    from tests.gpu.ground import Ground

    with_parent()
    results, work = Results(Path(told.results)), Path(told.work)
    work.mkdir(parents=True, exist_ok=True)
    ground = Ground(cuda, told.small, work, Writer(results.draft(told.run)))
    with ground.checking(told.run):
        parts(told.small)[told.run].run(ground)
    return 0


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
