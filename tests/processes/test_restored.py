"""A backup is put in the place of a store that others have open: they notice, and nothing acknowledged is lost."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vfs_core.kernel import Kernel

if TYPE_CHECKING:
    from conftest import Crew


@pytest.fixture
def db(tmp_path: Path) -> str:
    return str(tmp_path / "avm.db")


@pytest.fixture
def source(db: str, tmp_path: Path) -> str:
    """A backup that is older than the store."""
    with Kernel(db=db) as kernel:
        session = kernel.session()
        session.write("/memory/note", "old")
        session.write("/memory/big", os.urandom(20_000_000))  # so that restoring takes its time
        made = session.backup(tmp_path / "copy.db")
        session.write("/memory/note", "new")
        session.write("/memory/later", "later")
    return str(made.path)


def test_two_processes_notice_what_a_third_puts_back(crew: Crew, db: str, source: str) -> None:
    holders = [crew.start("restoring", "hold", db=db, agent=name) for name in ("akashi", "kuro")]
    for each in holders:
        each.wait_ready()
    _, last = crew.launch("restoring", "restore", db=db, source=source).result()
    for each in holders:
        each.go()
    told = [each.result() for each in holders]
    for each in told:
        assert (each["before"], each["found before"]) == (["new"] * 3, ["/memory/later"])
        assert (each["after"], each["there"], each["found"]) == (["old"] * 3, False, [])
        assert each["found restored"] == ["/memory/note"]
        assert each["written"] > last + 1
    with Kernel(db=db) as kernel:
        session = kernel.session()
        assert [session.read(f"/memory/by-{name}").text for name in ("akashi", "kuro")] == ["akashi", "kuro"]
        assert [each.message for each in session.store.verify() if each.level == "fail"] == []


def test_what_was_acknowledged_is_in_the_store_or_in_a_backup_that_was_kept(
    crew: Crew, db: str, source: str, tmp_path: Path
) -> None:
    stop = tmp_path / "stop"
    writers = [crew.launch("restoring", "write", db=db, agent=f"w{n}", stop=str(stop)) for n in range(3)]
    kept = [crew.launch("restoring", "restore", db=db, source=source).result()[0] for _ in range(2)]
    stop.touch()
    acknowledged = {path for writer in writers for path in writer.result()}
    assert len(acknowledged) > 100
    there: set[str] = set()
    for location in (db, *kept):
        with Kernel(db=location) as kernel:
            session = kernel.session()
            there |= {path for path in acknowledged if session.exists(path)}
            assert [each.message for each in session.store.verify() if each.level == "fail"] == []
    assert acknowledged - there == set()
