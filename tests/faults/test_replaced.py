"""Another file, another schema or an older index in the place of the one that is open: everybody notices.

What was acknowledged is in the file that has the store's name, and every answer is of what is there now.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from avm_builtin.storage.sqlite import schema
from vfs_core.errors import NewerStore, NotFound, StoreReplaced
from vfs_core.kernel import Kernel
from vfs_core.session import Session

OLD, NEW, AFTER = (f"/memory/shared/{name}.md" for name in ("old", "new", "after"))


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "avm.db"


@pytest.fixture
def session(db: Path) -> Iterator[Session]:
    """A session that has read, written and searched, on a store of which there is an older copy."""
    with Kernel(None, db) as kernel:
        session = kernel.session("owner")
        session.write(OLD, "quokka as it was")
        session.search("quokka")
        session.store.backup(db.with_name("older.db"))
        session.write(OLD, "quokka changed")
        session.write(NEW, "quokka new")
        assert _hits(session) == {OLD, NEW}
        assert session.read(OLD).text == "quokka changed"
        yield session


def _hits(session: Session) -> set[str]:
    return {hit.path for hit in session.search("quokka")}


def _replace(db: Path, fresh_uuid: bool) -> None:
    """Put the older copy in the store's place, as `mv` does, with nobody told."""
    older = db.with_name("older.db")
    if fresh_uuid:
        connection = apsw.Connection(str(older))
        connection.execute("UPDATE info SET value = ? WHERE key = 'uuid'", (str(uuid.uuid4()),))
        connection.close()
    for ending in ("-wal", "-shm"):
        Path(f"{db}{ending}").unlink(missing_ok=True)
    older.replace(db)


UUIDS = pytest.mark.parametrize("fresh_uuid", [False, True], ids=["same uuid", "new uuid"])


@UUIDS
def test_a_write_goes_into_the_file_that_is_there_or_is_refused(
    db: Path, session: Session, fresh_uuid: bool
) -> None:
    _replace(db, fresh_uuid)
    with pytest.raises(StoreReplaced, match=r"avm\.db has been moved away, or replaced.*ask again"):
        session.write(AFTER, "quokka after")
    session.write(AFTER, "quokka after")
    assert session.read(AFTER).text == "quokka after"
    assert _hits(session) == {OLD, AFTER}
    with Kernel(None, db) as kernel:
        assert kernel.session("owner").read(AFTER).text == "quokka after"
        assert {finding.level for finding in kernel.store.verify()} == {"ok"}


@UUIDS
def test_once_another_process_has_opened_it_every_read_and_search_is_of_what_is_there(
    db: Path, session: Session, fresh_uuid: bool
) -> None:
    _replace(db, fresh_uuid)
    with Kernel(None, db) as kernel:
        other = kernel.session("owner")
        assert other.read(OLD).text == "quokka as it was"
        assert session.read(OLD).text == "quokka as it was"
        with pytest.raises(NotFound):
            session.read(NEW)
        assert _hits(session) == _hits(other) == {OLD}
        for number in range(5):  # beyond the rows that the index had seen of the other history
            other.write(f"/memory/shared/{number}.md", "quokka")
        expected = {OLD, *(f"/memory/shared/{number}.md" for number in range(5))}
        assert _hits(session) == _hits(other) == expected


def test_a_store_that_is_removed_under_a_process_is_not_written_on(db: Path, session: Session) -> None:
    for path in db.parent.glob("avm.db*"):
        path.unlink()
    with pytest.raises(StoreReplaced):
        session.write(AFTER, "x")
    session.write(AFTER, "x")
    assert db.exists()
    with Kernel(None, db) as kernel:
        assert kernel.session("owner").read(AFTER).text == "x"


def test_a_tail_that_is_lost_while_nobody_looks_is_noticed_by_the_index(db: Path, session: Session) -> None:
    """As after a power failure at durability `normal`: the index knows more than the journal, then other things."""
    session.kernel.close()
    _replace(db, fresh_uuid=False)
    with Kernel(None, db) as kernel:
        again = kernel.session("owner")
        assert _hits(again) == {OLD}
        again.write(AFTER, "quokka after")
        assert _hits(again) == {OLD, AFTER}


def test_an_older_index_put_back_under_a_running_process_is_brought_up(db: Path, session: Session) -> None:
    index = db.with_name("avm.index.db")
    kept = db.with_name("kept.db")
    session.kernel.search_backend().close()
    connection = apsw.Connection(str(index))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()
    shutil.copyfile(index, kept)
    session.write(AFTER, "quokka after")
    assert _hits(session) == {OLD, NEW, AFTER}
    for ending in ("-wal", "-shm"):
        Path(f"{index}{ending}").unlink(missing_ok=True)
    kept.replace(index)
    assert _hits(session) == {OLD, NEW, AFTER}


# --- two versions of the software ----------------------------------------------------------------


def _migrate(db: Path) -> None:
    """Open the store with a newer AVM."""
    with pytest.MonkeyPatch.context() as patch:
        step = ("CREATE TABLE later (id INTEGER PRIMARY KEY) STRICT;", None)
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step))
        patch.setattr(schema, "VERSION", schema.VERSION + 1)
        with Kernel(None, db) as newer:
            assert newer.session("owner").read(OLD).text == "quokka changed"


def _journal(db: Path) -> list[tuple[object, ...]]:
    connection = apsw.Connection(str(db))
    rows = connection.execute("SELECT * FROM journal").fetchall()
    connection.close()
    return rows


def test_a_process_of_an_older_version_stops_when_the_store_is_migrated(db: Path, session: Session) -> None:
    _migrate(db)
    before = _journal(db)
    for operate in (
        lambda: session.write(OLD, "by the older"),
        lambda: session.read(NEW + "x"),
        lambda: session.list("/memory/shared"),
        lambda: session.search("quokka"),
        lambda: session.write(OLD, "by the older"),
    ):
        with pytest.raises(NewerStore, match="restart"):
            operate()
    assert _journal(db) == before


def test_it_does_so_even_if_the_newer_died_before_it_could_tell(db: Path, session: Session) -> None:
    words = session.store.bell.words
    told = bytes(words)
    _migrate(db)
    words.cast("B")[:] = told
    before = _journal(db)
    with pytest.raises(NewerStore, match=r"migrated by a newer AVM.*restart"):
        session.write(OLD, "by the older")
    with pytest.raises(NewerStore):
        session.read(NEW + "x")
    assert _journal(db) == before


def test_the_place_of_a_store_is_where_it_was_when_it_was_opened(
    db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with Kernel(None, "avm.db") as kernel:
        session = kernel.session("owner")
        session.write(OLD, "one")
        os.chdir(elsewhere)
        session.write(OLD, "two")
        session.write_many([(NEW, "quokka")])
        with suppress(NotFound):
            session.read(AFTER)
        assert _hits(session) == {NEW}
    assert list(elsewhere.iterdir()) == []
    with Kernel(None, db) as kernel:
        assert kernel.session("owner").read(OLD).text == "two"
