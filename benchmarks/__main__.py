"""`python -m benchmarks [part...] [--quick] [--long]`: measure, print a table, write results/<part>.json."""

from __future__ import annotations

import argparse
import importlib
import tempfile
import time
from pathlib import Path

from benchmarks.harness import DATA, Settings, report

PARTS = (
    "storage", "search", "vectors", "recall", "memory", "retrieval", "startup", "embedding", "indexing", "providers",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all of them if none is named"
    )
    parser.add_argument(
        "--quick", action="store_true", help="smaller and shorter, for a look; results/local/"
    )
    parser.add_argument(
        "--long", action="store_true", help="also what takes many minutes: an import of 1,000,000 notes"
    )
    parser.add_argument(
        "--dir", type=Path, default=Path(tempfile.gettempdir()), help="where to make the stores"
    )
    parser.add_argument(
        "--data", type=Path, default=DATA, help="the development data of `retrieval` (default: %(default)s)"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    settings = Settings(arguments.quick, arguments.dir.resolve(), arguments.long, arguments.data)
    for part in arguments.parts or PARTS:
        start = time.perf_counter()
        rows = importlib.import_module(f"benchmarks.{part}").run(settings)
        report(part, rows, settings, time.perf_counter() - start)


if __name__ == "__main__":
    main()
