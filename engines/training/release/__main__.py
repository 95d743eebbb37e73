"""``python -m engines.training.release --data FOLDER``: both shipped bundles; goes on where it was cut."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from engines.bundle import SHIPPED
from engines.errors import EngineError
from engines.training.release.recipe import Options, make
from engines.training.watch import Watch


def main() -> int:
    """Make both bundles; 1 and the reason where that fails."""
    parser = argparse.ArgumentParser(prog="python -m engines.training.release", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled data sets")
    parser.add_argument("--work", type=Path, default=Path(".starter"), help="folder of kept results")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="where the bundles go")
    parser.add_argument("--judge", type=Path, help="sentences that only judge: en.tsv and zh.tsv")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began = time.monotonic()
    watch = Watch(lambda text: print(f"{time.monotonic() - began:7.1f} s  {text}", file=sys.stderr))  # noqa: T201 - a command
    try:
        make(Options(given.data, given.work, given.out, given.judge, given.seed), watch)
    except EngineError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
