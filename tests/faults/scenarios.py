"""What must happen as an ordinary user, or in a process that gets killed: run by the tests as a program.

Root may write everything, so started by root this becomes another user first.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from vfs_core.errors import VfsError
from vfs_core.kernel import Kernel

NOBODY = 65534


def _become_ordinary() -> None:
    """Leave root's rights behind, once everything is imported that another user may not be able to read."""
    if os.geteuid() != 0:
        return
    with tempfile.TemporaryDirectory() as directory, Kernel(None, f"{directory}/avm.db") as kernel:
        session = kernel.session("owner")
        session.write("/memory/shared/warm.md", "warm")
        session.search("warm")
        list(kernel.store.verify())
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def _error(operate: Callable[[], object]) -> list[str]:
    """The kind and the text of what an operation raises; anything but a VfsError ends the program."""
    try:
        operate()
    except VfsError as error:
        return [type(error).__name__, str(error)]
    return []


def _first(directory: str) -> str:
    """A store with one note, closed."""
    db = f"{directory}/avm.db"
    with Kernel(None, db) as kernel:
        session = kernel.session("owner")
        session.write("/memory/shared/note.md", "as it was")
        session.search("was")
    return db


def unreadable(directory: str) -> Any:
    """The file may not be read."""
    db = _first(directory)
    Path(db).chmod(0)
    with Kernel(None, db) as kernel:
        session = kernel.session("owner")
        errors = [
            _error(lambda: session.read("/memory/shared/note.md")),
            _error(lambda: session.write("/memory/shared/note.md", "changed")),
        ]
    Path(db).chmod(0o600)
    with Kernel(None, db) as kernel:
        return [errors, kernel.session("owner").read("/memory/shared/note.md").text]


def unwritable(directory: str) -> Any:
    """The file and its directory may be read and not written."""
    db = _first(directory)
    _close(directory, 0o400, 0o500)
    with Kernel(None, db) as kernel:
        session = kernel.session("owner")
        seen = [session.read("/memory/shared/note.md").text, [hit.path for hit in session.search("was")]]
        error = _error(lambda: session.write("/memory/shared/note.md", "changed"))
        levels = [finding.level for finding in kernel.store.verify()]
    _close(directory, 0o600, 0o700)
    with Kernel(None, db) as kernel:
        session = kernel.session("owner")
        session.write("/memory/shared/other.md", "writes again")
        text = session.read("/memory/shared/note.md").text
    return {"seen": seen, "error": error, "levels": levels, "after": text}


def _close(directory: str, files: int, itself: int) -> None:
    if itself & 0o200:
        Path(directory).chmod(itself)
    for path in Path(directory).iterdir():
        path.chmod(files)
    Path(directory).chmod(itself)


def nowhere(directory: str) -> Any:
    """There is no store, and its directory may not be written."""
    Path(directory).chmod(0o500)
    errors = []
    for db in (f"{directory}/avm.db", f"{directory}/deep/avm.db"):
        with Kernel(None, db) as kernel:
            session = kernel.session("owner")
            errors.append(_error(partial(session.write, "/memory/shared/note.md", "x")))
            errors.append(_error(partial(session.read, "/memory/shared/note.md")))
    Path(directory).chmod(0o700)
    return [errors, [path.name for path in Path(directory).iterdir()]]


def side_file_unwritable(directory: str, ending: str) -> Any:
    """One of the files beside the database may not be written, everything else may."""
    db = _first(directory)
    side = Path(f"{directory}/avm{ending}")
    if ending == ".lock":
        side.touch()  # made where writers meet
    assert side.exists(), list(Path(directory).iterdir())
    side.chmod(0o400)
    with Kernel(None, db) as kernel:
        session = kernel.session("owner")
        told = [_error(lambda: session.write("/memory/shared/note.md", "changed")) for _ in range(2)]
        read = session.read("/memory/shared/note.md").text
        told.append(_error(lambda: session.search("was changed")))
        with Kernel(None, db) as other:
            expected = other.session("owner").read("/memory/shared/note.md").text
        side.chmod(0o600)
        again = _error(lambda: session.write("/memory/shared/note.md", "changed again"))
    with Kernel(None, db) as kernel:
        session = kernel.session("owner")
        session.write("/memory/shared/after.md", "mended")
        levels = [finding.level for finding in kernel.store.verify()]
        hits = [hit.path for hit in session.search("mended")]
    return {"told": told, "read": read, "expected": expected, "levels": levels, "after": hits, "again": again}


def write_until_killed(db: str, me: int) -> Any:
    """Write, append, move and remove without end; say what is acknowledged, a line each."""
    session = Kernel(None, db).session("owner")
    number = 0
    while True:
        number += 1
        path = f"/memory/shared/of-{me}/{number}.md"
        version = session.write(path, f"{me} {number}\n" + "x" * (number % 40_000))
        _say(["write", path, version.sequence, number])
        if number % 3 == 0:
            session.append(f"/memory/shared/log-{me}.md", f"{number}\n")
            _say(["append", f"/memory/shared/log-{me}.md", 0, number])
        if number % 5 == 0:
            moved = session.rename(path, path + ".moved")
            _say(["rename", path, moved.sequence, number])
        if number % 7 == 0:
            session.write_many([(f"/memory/shared/many-{me}/{i}.md", str(number)) for i in range(30)])
            _say(["many", "", 0, number])


def _say(what: object) -> None:
    print(json.dumps(what), flush=True)


SCENARIOS: dict[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (unreadable, unwritable, nowhere, side_file_unwritable, write_until_killed)
}

if __name__ == "__main__":
    name, arguments = sys.argv[1], json.loads(sys.argv[2])
    if name != "write_until_killed":
        _become_ordinary()
    _say(SCENARIOS[name](**arguments))
