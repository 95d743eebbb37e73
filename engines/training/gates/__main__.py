"""``python -m engines.training.gates``: train, measure, print; exit with 1 where a gate fails."""

from __future__ import annotations

import sys
import time

from engines.training.gates import table
from engines.training.gates.running import run
from engines.training.watch import Watch


def main() -> int:
    """0 where all gates passed, 1 where one failed."""
    began = time.monotonic()

    def log(text: str) -> None:
        sys.stderr.write(f"{time.monotonic() - began:7.1f} s  {text}\n")

    gates = run(watch=Watch(log))
    sys.stdout.write(f"{table(gates)}, in {time.monotonic() - began:.0f} s\n")
    return int(not all(gate.passed for gate in gates))


if __name__ == "__main__":
    sys.exit(main())
