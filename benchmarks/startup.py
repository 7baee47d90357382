"""Cold processes: the CPU time of the commands, by what wait4 says of them."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import Row, Settings, note_of, scratch
from benchmarks.workers import open_kernel

BARS = {"avm --help": 80, "avm read": 110, "avm write": None, "avm search": 130, "bare python": None}


def run(settings: Settings) -> list[Row]:
    """All rows about starting."""
    with scratch(settings) as directory:
        db = directory / "avm.db"
        with open_kernel(db) as kernel:
            session = kernel.session("bench")
            session.write_many(
                [(f"/memory/shared/note-{number}.md", note_of(number)) for number in range(100)]
            )
            session.write("/memory/shared/lesson.md", "The quokka rule.")
            session.search("quokka")
        avm = str(Path(sys.executable).with_name("avm"))
        commands = {
            "bare python": [sys.executable, "-c", "pass"],
            "avm --help": [avm, "--help"],
            "avm read": [avm, "--db", str(db), "read", "/memory/shared/lesson.md"],
            "avm write": [avm, "--db", str(db), "write", "/memory/shared/new.md", "--content", "x"],
            "avm search": [avm, "--db", str(db), "search", "quokka"],
        }
        environment = {"HOME": str(directory), "PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8"}
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(settings.scaled(40, 8) + 1):
            order = list(commands)
            random.shuffle(order)
            for name in order:
                milliseconds = _cpu_ms(commands[name], environment)
                if number:  # the first also compiles
                    taken[name].append(milliseconds)
    rows = []
    for name, bar in BARS.items():
        middle = statistics.median(taken[name])
        rows.append(
            Row(
                name,
                f"<= {bar} ms CPU" if bar else "",
                f"{middle:.1f} ms CPU",
                None if bar is None else middle <= bar,
                None,
                "user + system time of the process, files in the page cache, 100 notes, no configuration",
                {"ms": taken[name]},
            )
        )
    return rows


def _cpu_ms(command: list[str], environment: dict[str, str]) -> float:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment, stdin=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return (usage.ru_utime + usage.ru_stime) * 1000
