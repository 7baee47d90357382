"""Cold processes: the CPU time of the commands, by what wait4 says of them."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.harness import Row, Settings, note_of, scratch, zipf_notes
from benchmarks.synthetic import open_stand_in
from benchmarks.workers import open_kernel

AVM = str(Path(sys.executable).with_name("avm"))
MEANING = {"avm semantic": 600, "avm recall": 600}
"""Milliseconds, without a daemon, at 10,000 notes."""
BARS = {"avm --help": 80, "avm read": 110, "avm write": None, "avm search": 130, "bare python": None}


def run(settings: Settings) -> list[Row]:
    """All rows about starting."""
    return [*_by_words(settings), *_by_meaning(settings)]


def _by_words(settings: Settings) -> list[Row]:
    with scratch(settings) as directory:
        db = directory / "avm.db"
        with open_kernel(db) as kernel:
            session = kernel.session("bench")
            session.write_many(
                [(f"/memory/shared/note-{number}.md", note_of(number)) for number in range(100)]
            )
            session.write("/memory/shared/lesson.md", "The quokka rule.")
            session.search("quokka")
        commands = {
            "bare python": [sys.executable, "-c", "pass"],
            "avm --help": [AVM, "--help"],
            "avm read": [AVM, "--db", str(db), "read", "/memory/shared/lesson.md"],
            "avm write": [AVM, "--db", str(db), "write", "/memory/shared/new.md", "--content", "x"],
            "avm search": [AVM, "--db", str(db), "search", "quokka"],
        }
        taken = _cold(commands, directory, settings.scaled(40, 8))
    return [_row(name, bar, taken[name], "100 notes") for name, bar in BARS.items()]


def _by_meaning(settings: Settings) -> list[Row]:
    """Commands that load the models, on vectors that these did not make: what is found means nothing."""
    count = settings.scaled(10_000, 2_000)
    with scratch(settings) as directory:
        db = directory / "avm.db"
        with open_stand_in(db) as kernel:
            session = kernel.session("bench")
            session.write_many(
                [(f"/memory/shared/{number:05}.md", note) for number, note in enumerate(zipf_notes(count))]
            )
            session.search("warm")
            session.embed()
            session.save_vectors()
        commands = {
            name: [AVM, "--db", str(db), name.removeprefix("avm "), "what did we decide about the rates"]
            for name in MEANING
        }
        taken = _cold(commands, directory, settings.scaled(15, 4))
    told = f"{count:,} notes, their vectors random (synthetic); no daemon; MiniLM's ONNX file made before"
    return [_row(name, bar if count == 10_000 else None, taken[name], told) for name, bar in MEANING.items()]


def _cold(commands: Mapping[str, Sequence[str]], home: Path, times: int) -> dict[str, list[float]]:
    """Milliseconds of CPU of each command, so many times, in turns."""
    environment = {"HOME": str(home), "PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8"}
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(times + 1):
        for name in random.sample(list(commands), len(commands)):
            milliseconds = _cpu_ms(commands[name], environment)
            if number:  # the first also compiles
                taken[name].append(milliseconds)
    return taken


def _row(name: str, bar: int | None, taken: Sequence[float], told: str) -> Row:
    middle = statistics.median(taken)
    return Row(
        name,
        f"<= {bar} ms CPU" if bar else "",
        f"{middle:.1f} ms CPU",
        None if bar is None else middle <= bar,
        None,
        f"user + system time of the process, files in the page cache, {told}, no configuration",
        {"ms": taken},
    )


def _cpu_ms(command: Sequence[str], environment: Mapping[str, str]) -> float:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment, stdin=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return (usage.ru_utime + usage.ru_stime) * 1000
