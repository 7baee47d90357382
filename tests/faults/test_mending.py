"""Whatever is damaged, doctor finds; what is derived from the rest, `--mend` makes anew, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from avm_builtin.frontends.cli.app import main
from vfs_core.content import CHUNK
from vfs_core.errors import CorruptStore, Denied
from vfs_core.index_check import index_errors
from vfs_core.kernel import Kernel
from vfs_core.session import Session
from vfs_core.storage import allow_all
from vfs_core.testing.store_help import known
from vfs_core.types import Origin

HERE = Origin("akashi", "akashi", "test")


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    with Kernel(db=tmp_path / "avm.db") as kernel:
        yield kernel


@pytest.fixture
def session(kernel: Kernel) -> Session:
    session = kernel.session()
    akashi = kernel.session("akashi")
    akashi.write("/memory/d/x", "one", {"tags": ["a", "b"]})
    akashi.write("/memory/d/x", "two")
    akashi.write("/memory/d/large", b"line of text\n" * 5000)
    akashi.write("/memory/d/large", b"line of word\n" * 5000)
    akashi.write("/private/y", "private", {"tags": ["c"]})
    akashi.share("/private/y", "kuro", "r")
    akashi.link("/memory/d/x", "/memory/d/large")
    akashi.set_attribute("/memory/d/x", "user.a", b"a")
    akashi.rename("/memory/d/x", "/memory/d/z")
    akashi.write("/memory/gone", "gone")
    akashi.delete("/memory/gone")
    session.search("one")
    return session


def damage(session: Session, sql: str) -> None:
    """Change a table behind the store's back."""
    database: Any = session.store._database  # type: ignore[attr-defined]  # the way a bug would
    with database.mutex:
        database.begin().execute(sql)
        database.commit()


def failed(session: Session) -> dict[str, str]:
    return {finding.subject: finding.cure for finding in session.store.verify() if finding.level == "fail"}


DERIVED = {
    "a tag too many": ("INSERT INTO tag (node, name) SELECT node, 'made up' FROM tag LIMIT 1", "tags"),
    "a tag too few": ("DELETE FROM tag WHERE name = 'a'", "tags"),
    "a wrong class of a node": (
        "UPDATE node SET visibility = (SELECT max(visibility) FROM node) WHERE id = (SELECT min(node) FROM tag)",
        "classes",
    ),
    "a wrong class of a directory": (
        "UPDATE directory SET visibility = (SELECT visibility FROM directory WHERE path = '/') "
        "WHERE path = '/memory/private/akashi'",
        "classes",
    ),
    "a wrong count of names": ("UPDATE node SET links = 7 WHERE id = (SELECT min(node) FROM tag)", "names"),
}


@pytest.mark.parametrize("case", DERIVED)
def test_what_is_derived_is_found_and_mended(session: Session, case: str) -> None:
    sql, subject = DERIVED[case]
    assert failed(session) == {}
    before = known(session.store)
    damage(session, sql)
    assert failed(session) == {subject: "avm doctor --mend"}
    mended = session.mend()
    assert sum(mended.values()) >= 1
    assert failed(session) == {}
    assert known(session.store) == before
    assert session.mend() == {}


KEPT = {
    "a content": ("UPDATE node SET body = x'00' WHERE id = (SELECT min(node) FROM tag)", "contents"),
    "a chunk": ("UPDATE chunk SET body = zeroblob(length(body)) WHERE position = 0", "contents"),
    "a chunk's hash": ("UPDATE chunk SET hash = zeroblob(32) WHERE position = 0", "contents"),
    "a chunk behind the end": (
        "INSERT INTO chunk (node, position, hash, body) SELECT node, 99, hash, body FROM chunk LIMIT 1",
        "chunks",
    ),
    "a chunk of nothing": ("UPDATE old_chunk SET node = 12345678 WHERE position = 0", "references"),
    "an old chunk": ("UPDATE old_chunk SET body = zeroblob(length(body)) WHERE position = 1", "versions"),
    "a lost old chunk": ("DELETE FROM old_chunk WHERE position = 1", "versions"),
    "an old content": ("UPDATE old_body SET body = zeroblob(length(body) + 1)", "versions"),
    "a lost old content": ("DELETE FROM old_body", "versions"),
    "a content and its hash": (
        "UPDATE node SET (size, body, hash) = (SELECT size, body, hash FROM node WHERE body = CAST('private' AS BLOB)) "
        "WHERE body = CAST('two' AS BLOB)",
        "past",
    ),
    "a version": ("UPDATE node SET version = 9 WHERE body = CAST('two' AS BLOB)", "past"),
    "a lost name": ("DELETE FROM name WHERE name = 'z'", "names"),
    "a lost directory": ("DELETE FROM directory WHERE path = '/memory/shared'", "names"),
    "a deleted node's name": (
        "INSERT INTO name SELECT directory, name, node, 0 FROM old_name WHERE name = 'gone'",
        "names",
    ),
    "a name's beginning": ("UPDATE name SET since = 2 WHERE name = 'z'", "past"),
    "a name of two at once": (
        "INSERT INTO old_name SELECT directory, name, since + 1, 6, 6 FROM name WHERE name = 'z'",
        "past",
    ),
    "an owner": ("UPDATE node SET owner = 999 WHERE body = CAST('two' AS BLOB)", "references"),
    "a gap beyond the journal": ("INSERT INTO gap VALUES ((SELECT min(node) FROM tag), 9, 12345678)", "past"),
    "a journal row": ("UPDATE journal SET path = '/memory/other' WHERE sequence = 6", "journal"),
    "a missing journal row": ("DELETE FROM journal WHERE sequence = 6", "journal"),
    "a name": ("UPDATE name SET node = 12345678 WHERE name = 'z'", "names"),
    "a former name": ("UPDATE old_name SET until = since - 1 WHERE name = 'x'", "past"),
    "a lost former name": ("DELETE FROM old_name WHERE name = 'gone'", "past"),
    "a gap": ("INSERT INTO gap (node, low, high) VALUES ((SELECT min(node) FROM tag), 9, 3)", "past"),
    "an old content of nothing": ("UPDATE old_body SET sequence = 12345678", "past"),
    "a link to nothing": ("UPDATE link SET target = 12345678", "references"),
    "a share of nothing": ("UPDATE share SET node = 12345678", "references"),
    "an attribute of nothing": ("UPDATE xattr SET node = 12345678", "references"),
}


@pytest.mark.parametrize("case", KEPT)
def test_what_is_not_derived_is_found_and_left_alone(session: Session, case: str) -> None:
    sql, subject = KEPT[case]
    damage(session, sql)
    found = failed(session)
    assert subject in found
    assert found[subject] == "restore a backup"
    with suppress(CorruptStore):  # the rest of the store can hardly be read
        session.mend()
    assert subject in failed(session)


def test_notes_that_the_index_lacks_are_found_and_indexed(session: Session) -> None:
    backend: Any = session.kernel.search_backend()
    node = session.stat("/memory/d/z").id
    assert not index_errors(session.kernel.search())
    with backend._file.writing() as connection:
        connection.execute("DELETE FROM document WHERE name = 'z'")
    assert session.search("two") == []
    assert index_errors(session.kernel.search()) == ({node}, set())
    assert session.mend() == {"notes in the index": 1}
    assert [hit.path for hit in session.search("two")] == ["/memory/d/z"]


def test_notes_that_the_index_should_not_have_are_found_and_dropped(session: Session) -> None:
    backend: Any = session.kernel.search_backend()
    node = session.stat("/memory/d/z").id
    session.write("/memory/expiring", "expires")
    session.set_expiry("/memory/expiring", 1)
    assert not index_errors(session.kernel.search())
    gone = next(each.stat.id for each in session.store.past.trash() if each.path == "/memory/gone")
    with backend._file.writing() as connection:
        connection.execute("UPDATE document SET node = ? WHERE node = ?", (gone, node))
    assert index_errors(session.kernel.search()) == ({node}, {gone})
    assert session.mend() == {"notes in the index": 2}
    assert not index_errors(session.kernel.search())


def test_what_is_written_while_the_index_is_looked_at_is_not_missing(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend: Any = session.kernel.search_backend()
    indexed, wrote = type(backend).indexed, []

    def indexed_late(self: Any, nodes: Any) -> set[int]:
        if not wrote:
            wrote.append(session.write("/memory/late", "late"))
            session.delete("/memory/d/z")
        return indexed(self, nodes)

    monkeypatch.setattr(type(backend), "indexed", indexed_late)
    assert not index_errors(session.kernel.search())


def test_doctor_mends_and_says_what_and_is_content_afterwards(
    session: Session, capfd: pytest.CaptureFixture[str]
) -> None:
    location = session.store.location
    damage(session, "DELETE FROM tag WHERE name = 'a'")
    assert main(["doctor", "--db", location]) == 1
    assert "tags: 1 nodes have other tag rows" in capfd.readouterr().out
    assert main(["doctor", "--mend", "--db", location]) == 0
    assert "mended 1 tags" in capfd.readouterr().err
    assert main(["doctor", "--db", location]) == 0


def test_what_cannot_be_mended_is_told_where_it_is(
    session: Session, capfd: pytest.CaptureFixture[str]
) -> None:
    damage(session, KEPT["an owner"][0])
    assert main(["doctor", "--mend", "--db", session.store.location]) == 1
    said = capfd.readouterr()
    assert "not everything could be mended" in said.err
    assert "references: 1 rows of node for no user" in said.out


def test_mending_is_journalled_and_for_who_keeps_the_store(session: Session, kernel: Kernel) -> None:
    damage(session, "DELETE FROM tag WHERE name = 'a'")
    with pytest.raises(Denied):
        kernel.session("guest").mend()
    head = session.store.head().sequence
    session.mend()
    assert [(row.operation, dict(row.details or {})) for row in session.store.changes(head)] == [
        ("mend", {"tags": 1})
    ]


def test_nothing_is_mended_where_nothing_is_wrong(session: Session) -> None:
    head = session.store.head()
    assert session.store.mend(HERE) == {}
    assert session.store.head() == head


def test_a_sparse_content_is_whole(session: Session) -> None:
    with session.store.transaction(HERE, allow_all) as transaction:
        transaction.truncate("/memory/d/large", 100 * CHUNK)
    assert failed(session) == {}
