"""Disks that are full or fail, clocks that go back, other programs in the database: it is told, and nothing is lost."""

from __future__ import annotations

import errno
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from failing import FailingDisk

from vfs_core.errors import NoSpace, ReadOnly, StoreError, VfsError
from vfs_core.kernel import Kernel
from vfs_core.session import Session

PLACE = "/memory/shared"
NOTE = f"{PLACE}/note.md"


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "avm.db"


@pytest.fixture
def session(db: Path) -> Iterator[Session]:
    with Kernel(None, db) as kernel:
        yield kernel.session("owner")


def _levels(session: Session) -> set[str]:
    return {finding.level for finding in session.store.verify()}


# --- the disk ------------------------------------------------------------------------------------


def test_a_database_that_may_not_grow_loses_nothing_and_says_so(session: Session, db: Path) -> None:
    session.write(NOTE, "as it was")
    connection: Any = session.store._database.writer()  # type: ignore[attr-defined]
    connection.execute(f"PRAGMA max_page_count = {connection.pragma('page_count') + 40}")
    written: dict[str, bytes] = {}
    with pytest.raises(NoSpace, match=r"no space left.*avm\.db.*rolled back"):
        for number in range(1000):
            path, data = f"{PLACE}/{number}.bin", random.Random(number).randbytes(9_000)
            session.write(path, data)
            written[path] = data
    assert len(written) > 3
    assert {path: session.read(path).data for path in written} == written
    assert not session.exists(f"{PLACE}/{len(written)}.bin")
    with pytest.raises(NoSpace), session.transaction() as tx:
        tx.write(NOTE, b"changed")
        tx.write(f"{PLACE}/large.bin", random.Random(0).randbytes(2_000_000))  # zeros take no space
    assert session.read(NOTE).text == "as it was"
    connection.execute("PRAGMA max_page_count = 1000000")
    session.write(NOTE, "and on it goes")
    assert session.read(NOTE).text == "and on it goes"
    assert _levels(session) == {"ok"}


FAILURES = [
    pytest.param("write", errno.EDQUOT, NoSpace, r"disk quota.*used up.*avm\.db.*rolled back", id="quota"),
    pytest.param("write", errno.ENOSPC, NoSpace, r"no space left.*avm\.db.*rolled back", id="full"),
    pytest.param("write", errno.EROFS, ReadOnly, r"avm\.db has become read-only", id="read-only"),
    pytest.param("write", errno.EIO, StoreError, r"avm\.db.*Input/output error", id="write fails"),
    pytest.param("sync", errno.EIO, StoreError, r"avm\.db.*Input/output error", id="sync fails"),
]


@pytest.mark.parametrize(("operation", "code", "kind", "told"), FAILURES)
@pytest.mark.parametrize("after", [0, 1, 2, 5])
def test_what_the_disk_refuses_is_told_and_nothing_is_lost(
    db: Path, operation: str, code: int, kind: type[VfsError], told: str, after: int
) -> None:
    written: dict[str, str] = {}
    with FailingDisk(operation) as disk, Kernel(None, db) as kernel:
        session = kernel.session("owner")
        for round in range(3):
            for number in range(5):
                written[f"{PLACE}/{number}.md"] = f"{round} {number} " * 900
                session.write(f"{PLACE}/{number}.md", written[f"{PLACE}/{number}.md"])
            disk.fail(code, after)
            with pytest.raises(kind, match=told):
                for number in range(20):
                    text = f"{round} failing {number} " * 900
                    session.write(f"{PLACE}/failing-{number}.md", text)
                    written[f"{PLACE}/failing-{number}.md"] = text
            assert {path: session.read(path).text for path in written} == written
            disk.fail(0)
            for path, text in written.items():
                assert session.read(path).text == text
        session.write(NOTE, "quokka, as if nothing had been")
        assert [hit.path for hit in session.search("quokka")] == [NOTE]
        assert _levels(session) == {"ok"}
    with Kernel(None, db) as kernel:
        session = kernel.session("owner")
        assert {path: session.read(path).text for path in written} == written
        assert _levels(session) == {"ok"}


def test_an_acknowledged_write_stays_so_if_nobody_can_be_woken(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    def refuse(*arguments: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    session.write(NOTE, "as it was")
    monkeypatch.setattr(os, "pwrite", refuse)
    session.write(NOTE, "changed")
    assert session.read(NOTE).text == "changed"


# --- the clock -----------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [-1, -3_600_000_000_000, -40 * 365 * 86_400_000_000_000 // 200])
def test_a_clock_that_goes_back_changes_the_times_and_nothing_else(
    session: Session, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    start = time.time_ns()
    ticks = iter(range(1_000_000))
    monkeypatch.setattr(time, "time_ns", lambda: start + step * next(ticks))
    for number in range(20):
        session.write(NOTE, f"quokka {number}")
        session.append(f"{PLACE}/log.md", f"{number}\n")
    session.rename(NOTE, f"{PLACE}/moved.md")
    session.write(NOTE, "another")
    session.delete(NOTE)
    path = f"{PLACE}/moved.md"
    assert session.read(path).text == "quokka 19"
    assert [version.version for version in session.history(path)] == list(range(20, 0, -1))
    assert [session.as_of(path, version=number + 1).text for number in range(20)] == [
        f"quokka {number}" for number in range(20)
    ]
    assert session.read(f"{PLACE}/log.md").text == "".join(f"{number}\n" for number in range(20))
    assert [trashed.path for trashed in session.trash()] == [NOTE]
    assert [hit.path for hit in session.search("quokka")] == [path]
    assert _levels(session) == {"ok"}


# --- other programs ------------------------------------------------------------------------------

OTHER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
print("ready", flush=True)
sys.stdin.readline()
connection.execute("CREATE TABLE IF NOT EXISTS diary (day INTEGER)")
for day in range(int(sys.argv[2])):
    connection.execute("INSERT INTO diary VALUES (?)", (day,))
    assert connection.execute("SELECT max(sequence) FROM journal").fetchone()[0] > 0
    if day % 10 == 0:
        connection.close()  # and with it, were it the last, the WAL
        connection = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
print(connection.execute("SELECT count(*) FROM diary").fetchone()[0])
"""


def test_another_sqlite_in_another_process_takes_nothing_away(session: Session, db: Path) -> None:
    """The standard library's, which writes a table of its own in the same file, and closes it again and again."""
    session.write(NOTE, "before")
    command = [sys.executable, "-c", OTHER, str(db), "100"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("go\n")
        process.stdin.flush()
        written = 0
        while process.poll() is None:
            session.write(f"{PLACE}/{written}.md", f"note {written}")
            written += 1
        assert process.returncode == 0
        assert process.stdout.read() == "100\n"
    assert written > 2, "they wrote at the same time"
    assert [session.read(f"{PLACE}/{number}.md").text for number in range(written)] == [
        f"note {number}" for number in range(written)
    ]
    assert _levels(session) == {"ok"}


TAMPERING = [
    pytest.param("UPDATE node SET body = x'78', size = 1 WHERE body = x'61'", "contents", id="content"),
    pytest.param("UPDATE journal SET path = '/memory/x' WHERE path = :note", "journal", id="history"),
    pytest.param("DELETE FROM journal WHERE sequence = 6", "journal", id="a row of history"),
    pytest.param("DELETE FROM name WHERE name = 'note.md'", "names", id="a name"),
    pytest.param("UPDATE node SET mode = 511 WHERE body = x'61'", "classes", id="who may read"),
]


@pytest.mark.parametrize(("statement", "subject"), TAMPERING)
def test_what_another_program_changes_in_our_tables_doctor_notices(
    session: Session, db: Path, statement: str, subject: str
) -> None:
    session.write("/memory/private/owner/note.md", "a")
    session.write("/memory/private/owner/other.md", "b")
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
        "c.execute(sys.argv[2], {'note': '/memory/private/owner/note.md'}); assert c.total_changes; c.commit()"
    )
    subprocess.run([sys.executable, "-c", code, str(db), statement], check=True)
    assert subject in {finding.subject for finding in session.store.verify() if finding.level == "fail"}
