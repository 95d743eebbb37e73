"""Imports go one way: cli → daemon → (kafka, intake, cycle, policy) → engines; and serving never trains."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.bundle import Bundle
from service.errors import Exit
from tests.labelled import texts, write

ROOT = Path(__file__).parents[2]
TRAINING = ("engines.model", "engines.training", "engines.export")
TRAINING_LIBRARIES = ("torch", "transformers", "peft", "librosa", "onnx", "onnxscript")
GPU = ("engines.tensorrt", "engines.precision", "engines.torchgraph", "engines.sessions.torch")
GPU += ("engines.roofline", "engines.kernels", "engines.rates")
Rule = tuple[str, tuple[str, ...], tuple[str, ...]]

RULES: tuple[Rule, ...] = (
    # (modules under this, except those under these, may not import these)
    ("engines", (), ("service", "kafka")),
    ("engines", TRAINING, TRAINING),
    # what comes with the extra for GPUs; a test below sees that a CPU never loads it
    ("engines", (*TRAINING, *GPU), TRAINING_LIBRARIES),
    # the bench also runs the loop that people write first, which is client code by nature
    ("service", ("service.kafka", "service.bench"), ("kafka",)),
    ("service", (), TRAINING_LIBRARIES),
    # drawing the samples that ship is no part of the daemon
    ("service", ("service.cli", "service.samples.draw"), TRAINING),
    ("service", ("service.cli",), ("service.cli",)),
    ("service", ("service.cli", "service.daemon"), ("service.daemon",)),
    ("service.kafka", (), ("service.cycle", "service.daemon", "service.intake", "service.policy")),
    ("service.intake", (), ("service.cycle", "service.daemon", "service.kafka", "service.policy")),
    ("service.policy", (), ("service.cycle", "service.daemon", "service.intake", "service.kafka")),
)


def under(module: str, roots: tuple[str, ...]) -> bool:
    return any(module == root or module.startswith(f"{root}.") for root in roots)


def imported(source: str, module: str, is_package: bool = False) -> Iterator[str]:
    """Every module that a source imports anywhere, also inside functions, also relatively."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            base += [node.module] if node.module else []
            yield from (".".join([*base, name.name]) for name in node.names)


def modules() -> Iterator[tuple[str, Path]]:
    for room in ("engines", "service"):
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def breaches(module: str, source: str, is_package: bool = False) -> list[str]:
    found = []
    for root, but, banned in RULES:
        if under(module, (root,)) and not under(module, but):
            names = imported(source, module, is_package)
            found += [f"{module} imports {name}" for name in names if under(name, banned)]
    return found


def test_the_tree_keeps_the_rules():
    found = [
        breach
        for module, path in modules()
        for breach in breaches(module, path.read_text("utf-8"), path.name == "__init__.py")
    ]
    assert found == []


def test_the_tree_was_really_read():
    names = {module for module, _ in modules()}
    assert {"engines.engine", "engines.sessions.choose", "service.errors", "service.config"} <= names


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("engines.engine", "import service"),
        ("engines.engine", "from service.errors import Exit"),
        ("engines.model.towers", "import kafka"),
        ("engines.engine", "def f():\n    import torch.nn"),
        ("engines.planner", "from engines import training"),
        ("engines.sessions.choose", "from ..model import towers"),
        ("engines.preprocess.audio", "import librosa"),
        ("service.cycle", "from kafka import KafkaConsumer"),
        ("service.cycle", "from .cli import main"),
        ("service.policy", "from service import daemon"),
        ("service.kafka.source", "from service.cycle import Cycle"),
        ("service.kafka.source", "from ..intake import pool"),
        ("service.daemon", "import engines.training.run"),
    ],
)
def test_a_breach_is_found(module: str, source: str):
    assert breaches(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("service.kafka.source", "from kafka import KafkaConsumer"),
        ("service.kafka.source", "from service.kafka import checkpoint"),
        ("engines.model.towers", "import torch"),
        ("engines.export", "import onnx"),
        ("service.cycle", "from engines.batch import Batch"),
        ("engines.sessions.onnxruntime", "import onnxruntime"),
    ],
)
def test_what_is_allowed_is_not_a_breach(module: str, source: str):
    assert not breaches(module, source)


def test_a_serving_installation_measures_and_calibrates(tmp_path):
    events = write(tmp_path / "events.jsonl", texts(60))
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({TRAINING_LIBRARIES!r}))\n"
        "from service.cli.main import run\n"
        "sys.exit(run(sys.argv[1:]))"
    )
    own = ("edge", str(events), "--split", "all", "--threads", "1")
    for given in (("evaluate", *own), ("calibrate", *own, str(tmp_path / "tuned"), "--lenient")):
        told = subprocess.run(
            [sys.executable, "-c", script, "bundle", *given],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert told.returncode == Exit.OK, told.stderr
    assert Bundle.load(tmp_path / "tuned").calibrated


def test_the_engines_need_no_part_of_the_service():
    banned = ("kafka", "pydantic", "prometheus_client", "service", *TRAINING_LIBRARIES)
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({banned!r}))\n"
        "import engines.engine, engines.shapley, engines.preprocess.text, engines.preprocess.spec"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)
