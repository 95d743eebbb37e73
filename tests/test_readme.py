"""The README's code blocks are run, linted or skipped with a reason; one that says neither fails here.

A block is tagged `bash run`, `yaml lint`, `yaml policy`, or `LANGUAGE skip: REASON`. The README's blocks run
in order in one folder, so that a later one may use what an earlier one made.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    line: int
    language: str
    action: str
    reason: str
    body: str


def blocks(text: str) -> list[Block]:
    found = []
    for match in FENCE.finditer(text):
        language, _, rest = match["info"].strip().partition(" ")
        action, _, reason = rest.partition(":")
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(line, language, action.strip(), reason.strip(), match["body"]))
    return found


README = blocks((ROOT / "README.md").read_text(encoding="utf-8"))


def identify(block: Block) -> str:
    return f"line{block.line}-{block.language}-{block.action or 'untagged'}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("readme")


def command(block: Block) -> list[str]:
    if block.action == "run":
        return ["bash", "-euo", "pipefail", "-c", block.body]
    path = f"block-{block.line}.yaml"
    tidegate = [sys.executable, "-m", "service.cli.main"]
    if block.action == "policy":
        return [*tidegate, "lint", "--set", f"policy={path}"]
    return [*tidegate, "lint", "-c", path]


def test_a_block_without_a_tag_or_a_skip_without_a_reason_is_found() -> None:
    untagged, unreasoned, good = blocks(
        "```bash\nls\n```\n\n```bash skip:\nls\n```\n\n```bash skip: slow\nls\n```\n"
    )
    assert not proper(untagged)
    assert not proper(unreasoned)
    assert proper(good)


def proper(block: Block) -> bool:
    return block.action in {"run", "lint", "policy"} or (block.action == "skip" and bool(block.reason))


@pytest.mark.kafka
@pytest.mark.parametrize("block", README, ids=identify)
def test_every_code_block_does_what_it_says(block: Block, folder: Path) -> None:
    assert proper(block), f"README.md:{block.line}: tag the block `run`, `lint`, `policy` or `skip: REASON`"
    if block.action == "skip":
        return
    if block.language == "yaml":
        (folder / f"block-{block.line}.yaml").write_text(block.body, encoding="utf-8")
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TIDEGATE_HOME": str(ROOT),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        command(block), cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"README.md:{block.line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
