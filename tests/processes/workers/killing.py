"""Processes that write, follow and read, and are killed at random (test_kills.py).

One process, which has everything imported and no store open, forks them, so that a new one is at work within
milliseconds. A writer notes in a file of its own what it is about to do and what was acknowledged: a line that
has been written survives whoever wrote it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from common import main, open_kernel, ready

from vfs_core.errors import NotFound
from vfs_core.kernel import Kernel
from vfs_core.session import Session

PLACE = "/memory/shared"
LOG = f"{PLACE}/log.md"
FRIEND = "friend"
WORDS = [
    f"{one}{two}" for one in ("quo", "wal", "pla", "emu", "din") for two in ("kka", "laby", "typus", "go")
]
WRITERS, FOLLOWERS, READERS = 3, 2, 2
LIVES = 0.08
"""Seconds between two kills, on average."""


def text_of(generator: random.Random) -> str:
    """Some words; now and then enough of them for several chunks."""
    return " ".join(generator.choices(WORDS, k=generator.choice((5, 50, 5_000)))) + "\n"


def write(
    session: Session, name: str, seed: int, note: Callable[[list[Any]], None], early: bool = False
) -> None:
    """Change a directory of its own, and the log of all, until killed; `early`: acknowledging it too soon."""
    generator = random.Random(seed)
    home = f"{PLACE}/{name}"
    held: list[str] = []
    number = 0
    while True:
        number += 1
        what = generator.choice(("write", "write", "append", "rename", "delete", "share", "log"))
        path = generator.choice(held) if held else ""
        if not held and what not in ("write", "log"):
            continue
        if what == "log":
            step = ["log", LOG, f"{name} {number}\n"]
        elif what == "write":
            path = generator.choice([*held, f"{home}/{number}.md"])
            step = ["write", path, text_of(generator)]
        elif what == "append":
            step = ["append", path, text_of(generator)]
        elif what == "rename":
            step = ["rename", path, f"{home}/moved/{number}.md"]
        else:
            step = [what, path]
        note(["try", *step])
        if early:
            note(["done"])
        if what == "log":
            session.append(step[1], step[2])
        elif what == "write":
            session.write(step[1], step[2])
            held = list(dict.fromkeys([*held, step[1]]))
        elif what == "append":
            session.append(step[1], step[2])
        elif what == "rename":
            if not session.exists(f"{home}/moved"):
                session.mkdir(f"{home}/moved")
            session.rename(step[1], step[2])
            held = [*(each for each in held if each != path), step[2]]
        elif what == "delete":
            session.delete(path)
            held.remove(path)
        else:
            session.share(path, FRIEND, "r")
        if not early:
            note(["done"])


def follow(session: Session, name: str, seed: int, note: Callable[[list[Any]], None]) -> None:
    """Search, and so index what others write, until killed."""
    generator = random.Random(seed)
    while True:
        session.search(" ".join(generator.sample(WORDS, 2)), limit=5)
        time.sleep(generator.random() * 0.01)


def read(session: Session, name: str, seed: int, note: Callable[[list[Any]], None]) -> None:
    """Read by the bell, and complain of whatever the store knew better before, until killed."""
    generator = random.Random(seed)
    paths: list[str] = []
    while True:
        if not paths or generator.random() < 0.05:
            paths = files(session)
        for path in generator.sample(paths, min(5, len(paths))):
            before = session.kernel.store.read(path)
            try:
                hot = session.read(path)
            except NotFound:
                continue
            if before.stat is None or before.stat.id != hot.stat.id:
                continue
            if hot.version < before.stat.version or (
                hot.version == before.stat.version and hot.data != before.data
            ):
                note(["stale", path, hot.version, before.stat.version])


def files(session: Session) -> list[str]:
    """Every note of the writers, and the log."""
    found = []
    for entry in session.list(PLACE, limit=10_000) if session.exists(PLACE) else []:
        for child in [entry] if not entry.is_directory else _list(session, entry.path):
            if not child.is_directory:
                found.append(child.path)
            else:
                found += [each.path for each in _list(session, child.path)]
    return found


def _list(session: Session, path: str) -> list[Any]:
    try:
        return list(session.list(path, limit=10_000))
    except NotFound:
        return []


def survive(session: Session, stop: Path) -> list[str]:
    """Read hot until told to stop; then say which of its reads differ from what the store says."""
    while not stop.exists():
        for path in files(session)[:200]:
            try:
                session.read(path)
            except NotFound:
                continue
        time.sleep(0.05)
    stale = []
    for _ in range(2):
        for path in files(session):
            if session.read(path).data != session.kernel.store.read(path).data:
                stale.append(path)
    return stale


ROLES = [*[write] * WRITERS, *[follow] * FOLLOWERS, *[read] * READERS]


def massacre(db: str, directory: str, kills: int, seed: int, sabotage: bool = False) -> dict[str, Any]:
    """Kill so many processes, replacing each; then let a survivor judge its cache. None is left at the end."""
    ready()
    _warm_up()
    generator = random.Random(seed)
    notes = Path(directory)
    stop = notes / "stop"
    verdict = notes / "survivor.json"

    def start(number: int) -> int:
        role = ROLES[number % len(ROLES)]
        name = f"{role.__name__}-{number}"
        durability = generator.choice(("full", "normal"))
        if sabotage and role is write:
            return _fork(notes, db, partial(write, early=True), name, seed + number, durability)
        return _fork(notes, db, role, name, seed + number, durability)

    def outlive() -> None:
        with open_kernel(db, "normal") as kernel:
            verdict.write_text(json.dumps(survive(kernel.session("owner"), stop)))

    survivor = _child(outlive, notes / "survivor.errors")
    team = {number: start(number) for number in range(len(ROLES))}
    wrong: list[str] = []
    born, killed = len(ROLES), 0
    while killed < kills:
        time.sleep(generator.expovariate(1 / LIVES))
        number = generator.choice(list(team))
        os.kill(team[number], signal.SIGKILL)
        _, status = os.waitpid(team.pop(number), 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            killed += 1
        else:
            wrong.append(f"process {number} ended by itself: {status}")
        while (born - number) % len(ROLES):  # a number of the same role
            born += 1
        team[born] = start(born)
        born += 1
    for pid in team.values():
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    stop.touch()
    _, status = os.waitpid(survivor, 0)
    if status:
        wrong.append(f"the survivor ended with {status}")
    wrong += [path.read_text() for path in notes.glob("*.errors") if path.stat().st_size]
    return {"killed": killed, "wrong": wrong, "stale": json.loads(verdict.read_text()) if not status else []}


def _warm_up() -> None:
    """Import what is imported late, once for all."""
    with tempfile.TemporaryDirectory() as directory, Kernel(None, f"{directory}/avm.db") as kernel:
        session = kernel.session("owner")
        session.write(f"{PLACE}/warm.md", "warm")
        session.search("warm")


def _fork(notes: Path, db: str, role: Callable[..., None], name: str, seed: int, durability: str) -> int:
    def work() -> None:
        fd = os.open(notes / f"{name}.notes", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        def note(what: list[Any]) -> None:
            os.write(fd, json.dumps(what).encode() + b"\n")

        with open_kernel(db, durability) as kernel:
            role(kernel.session("owner"), name, seed, note)

    return _child(work, notes / f"{name}.errors")


def _child(work: Callable[[], None], errors: Path) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        errors.write_text(traceback.format_exc())
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    main({"massacre": massacre})
