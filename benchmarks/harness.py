"""How things are measured and told: interleaved rounds, rows with a bar, results with their machine."""

from __future__ import annotations

import gc
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import apsw

RESULTS = Path(__file__).with_name("results")
DATA = Path(__file__).parents[2] / "shared" / "data" / "retrieval"
"""The development data of `retrieval`: beside the project, never in it."""


@dataclass(frozen=True)
class Settings:
    """What a run was asked for."""

    quick: bool
    directory: Path
    """Where stores are made; what file system it is on matters for everything durable."""
    long: bool = False
    """Also what takes many minutes."""
    data: Path = DATA
    """Where the development data for `retrieval` lies."""

    def scaled(self, full: int, quick: int) -> int:
        return quick if self.quick else full


@dataclass
class Row:
    """One line of the table: what was measured, the bar, the figure, and the raw runs behind it."""

    name: str
    bar: str
    figure: str
    passed: bool | None
    """None: there is no bar, or this was not measured at its full size."""
    ratio: float | None = None
    conditions: str = ""
    runs: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Timed:
    """Seconds of several named things, round by round, taken in turns."""

    seconds: dict[str, list[float]]
    operations: int

    def per_operation(self, name: str) -> float:
        """The median, in seconds."""
        return statistics.median(self.seconds[name]) / self.operations

    def rate(self, name: str) -> float:
        """Operations a second, by the median."""
        return 1 / self.per_operation(name)

    def ratio(self, ours: str, reference: str) -> float:
        """How fast `ours` is against the reference: the median over rounds of the ratio within the round."""
        pairs = zip(self.seconds[reference], self.seconds[ours], strict=True)
        return statistics.median(theirs / mine for theirs, mine in pairs)


def interleave(rounds: int, operations: int, things: Mapping[str, Callable[[], object]]) -> Timed:
    """Run each thing once a round (each does `operations` operations), in an order that changes.

    One round before the first warms up and is not counted. The collector is off while the clock runs.
    """
    seconds: dict[str, list[float]] = {name: [] for name in things}
    for number in range(rounds + 1):
        order = list(things)
        random.shuffle(order)
        for name in order:
            gc.collect()
            gc.disable()
            start = time.perf_counter()
            things[name]()
            taken = time.perf_counter() - start
            gc.enable()
            if number:
                seconds[name].append(taken)
    return Timed(seconds, operations)


def median_us(operation: Callable[[], object], times: int) -> float:
    """The median time of an operation, in microseconds."""
    taken = []
    for _ in range(times):
        start = time.perf_counter_ns()
        operation()
        taken.append(time.perf_counter_ns() - start)
    return statistics.median(taken) / 1000


def percentile(values: Sequence[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


@contextmanager
def scratch(settings: Settings) -> Iterator[Path]:
    """An empty directory that goes away."""
    path = Path(tempfile.mkdtemp(prefix="avm-bench-", dir=settings.directory))
    try:
        yield path
    finally:
        shutil.rmtree(path)


class Child:
    """A process that runs one task of benchmarks.workers and answers in lines of JSON."""

    def __init__(self, task: str, **arguments: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.workers", task, json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
            text=True,
        )

    def hear(self) -> Any:
        """The next thing that it says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a worker ended with {self._process.wait()}")
        return json.loads(line)

    def tell(self, what: object = None) -> None:
        """Let it go on."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait(timeout=60)


def word_list(count: int) -> list[str]:
    """Made-up words that a stemmer leaves apart."""
    generator = random.Random(20)
    syllables = [c + v for c in "bdfgklmnprtvz" for v in "aeiou"]
    words: dict[str, None] = {}
    while len(words) < count:
        words["".join(generator.choice(syllables) for _ in range(3)) + generator.choice("kmnrt")] = None
    return list(words)


def zipf_notes(count: int, words: int = 60, vocabulary: int = 20_000) -> list[str]:
    """Notes of so many words each, drawn by Zipf's law; always the same."""
    generator = random.Random(17)
    known = word_list(vocabulary)
    weights = [1 / rank for rank in range(1, vocabulary + 1)]
    drawn = generator.choices(known, weights, k=count * words)
    return [" ".join(drawn[start : start + words]) for start in range(0, count * words, words)]


def note_of(number: int, size: int = 500) -> bytes:
    """Text of a size that has little in common with that of another number."""
    generator = random.Random(number)
    text = " ".join(f"{generator.getrandbits(40):x}" for _ in range(size // 6))
    return text[:size].encode().ljust(size, b".")


def machine(settings: Settings) -> dict[str, Any]:
    """What it was measured on."""
    cpu = "unknown"
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line
        ]
        cpu = names[0] if names else cpu
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "file_system": _file_system(settings.directory),
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "apsw": apsw.apsw_version(),
        "avm": metadata.version("avm"),
        "commit": _commit(),
        "load_before": os.getloadavg(),
    }


def _file_system(directory: Path) -> str:
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return "unknown"
    best, kind = "", "unknown"
    for line in mounts.read_text().splitlines():
        _, place, type_, *_ = line.split()
        if (str(directory) + "/").startswith(place.rstrip("/") + "/") and len(place) >= len(best):
            best, kind = place, type_
    return kind


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    return done.stdout.strip() or "unknown"


def report(part: str, rows: Sequence[Row], settings: Settings, seconds: float) -> None:
    """Print the rows and write them to results/<part>.json (results/local/ for a quick run), if there are any."""
    if not rows:
        return
    width = max(len(row.name) for row in rows)
    print(f"\n{part} ({seconds:.0f} s)\n")
    for row in rows:
        verdict = {True: "pass", False: "MISS", None: ""}[row.passed]
        print(f"  {row.name:<{width}}  {row.figure:<34} {row.bar:<28} {verdict}")
    directory = RESULTS / "local" if settings.quick else RESULTS
    directory.mkdir(parents=True, exist_ok=True)
    document = {
        "part": part,
        "quick": settings.quick,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine(settings),
        "seconds": round(seconds, 1),
        "rows": [asdict(row) for row in rows],
    }
    (directory / f"{part}.json").write_text(json.dumps(_rounded(document), indent=1) + "\n")


def _rounded(value: Any) -> Any:
    """Six digits are enough for anybody who reads a diff."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {str(key): _rounded(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(each) for each in value]
    return value
