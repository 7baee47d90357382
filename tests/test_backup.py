"""Backups: whole, verified, of one moment; and put back so that every process notices."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vfs_core.errors import CorruptStore, Denied, Exists, ForeignStore, NotFound
from vfs_core.kernel import Kernel
from vfs_core.session import Session

NOTE = "/memory/note"


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    with Kernel(db=tmp_path / "data" / "avm.db") as kernel:
        yield kernel


@pytest.fixture
def session(kernel: Kernel) -> Session:
    return kernel.session()


@pytest.fixture
def other(kernel: Kernel) -> Iterator[Session]:
    """A session on the same store, as in another process."""
    with Kernel(db=kernel.location) as second:
        yield second.session("kuro")


def found(session: Session, query: str) -> list[str]:
    return [hit.path for hit in session.search(query)]


def failed(session: Session) -> list[str]:
    return [finding.message for finding in session.store.verify() if finding.level == "fail"]


def test_a_backup_is_one_private_file_that_opens_as_a_store(session: Session, tmp_path: Path) -> None:
    session.write(NOTE, "one", {"tags": ["x"]})
    made = session.backup(tmp_path / "copy.db")
    session.write(NOTE, "two")
    assert sorted(path.name for path in tmp_path.glob("copy*")) == ["copy.db"]
    assert made.path.stat().st_mode & 0o777 == 0o600
    with Kernel(db=made.path) as copy:
        assert copy.session().read(NOTE).text == "one"
        assert failed(copy.session()) == []
    assert [(each.kind, each.location) for each in session.copies()] == [("backup", str(made.path))]


def test_without_a_target_backups_stand_beside_the_store_each_under_its_own_name(session: Session) -> None:
    session.write(NOTE, "one")
    paths = [session.backup().path for _ in range(3)]
    assert len(set(paths)) == 3
    assert {path.parent for path in paths} == {Path(session.store.location).parent / "backups"}
    assert paths[0].parent.stat().st_mode & 0o777 == 0o700


def test_a_backup_replaces_nothing(session: Session, tmp_path: Path) -> None:
    session.write(NOTE, "one")
    target = tmp_path / "there"
    target.write_text("mine")
    with pytest.raises(Exists):
        session.backup(target)
    assert target.read_text() == "mine"


def test_an_interrupted_backup_leaves_nothing(session: Session, tmp_path: Path) -> None:
    session.write(NOTE, "x" * 10_000_000)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    before = sorted(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        session.backup(tmp_path / "copy.db", interrupt)
    assert sorted(tmp_path.iterdir()) == before


def test_a_backup_is_of_one_moment_while_others_write(
    session: Session, other: Session, tmp_path: Path
) -> None:
    session.write("/memory/big", os.urandom(20_000_000))
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            other.write_many([("/memory/a", str(number)), ("/memory/b", str(number))])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            made = session.backup(tmp_path / f"copy{number}.db")
            with Kernel(db=made.path) as copy:
                seen = copy.session()
                if seen.exists("/memory/a"):
                    assert seen.read("/memory/a").text == seen.read("/memory/b").text
                assert seen.store.head() == made.head
    finally:
        stop.set()
        writer.join()


def test_every_process_notices_what_was_put_back(session: Session, other: Session, tmp_path: Path) -> None:
    session.write(NOTE, "one")
    made = session.backup(tmp_path / "copy.db")
    node = session.stat(NOTE).id
    for text in ("two", "three"):
        session.write(NOTE, text)
    session.write("/memory/later", "later")
    assert (other.read(NOTE).text, other.read(NOTE).text) == ("three", "three")
    assert found(other, "later") == ["/memory/later"]
    kept = session.restore_backup(made.path)
    for each in (other, session):
        assert each.read(NOTE).text == "one"
        assert not each.exists("/memory/later")
        assert found(each, "later") == []
        assert found(each, "one") == [NOTE]
    assert session.stat(NOTE).id == node
    written = other.write("/memory/after", "after")
    assert written.sequence > kept.head.sequence, "numbers go on after those of the store that was replaced"
    assert session.read("/memory/after").text == "after"
    assert failed(session) == []
    with Kernel(db=kept.path) as before:
        assert before.session().read(NOTE).text == "three"
    assert str(kept.path) in [each.location for each in session.copies()]


def test_a_restored_store_can_be_backed_up_and_restored_again(session: Session, tmp_path: Path) -> None:
    session.write(NOTE, "one")
    first = session.backup(tmp_path / "1.db")
    session.write(NOTE, "two")
    second = session.backup(tmp_path / "2.db")
    for path, text in ((first.path, "one"), (second.path, "two"), (first.path, "one")):
        session.restore_backup(path)
        assert session.read(NOTE).text == text
        session.write("/memory/more", "more")
        assert failed(session) == []


def test_processes_go_on_writing_while_a_backup_is_put_back(session: Session, tmp_path: Path) -> None:
    session.write(NOTE, "one")
    made = session.backup(tmp_path / "copy.db")
    code = (
        "import sys\nfrom vfs_core.kernel import Kernel\nfrom vfs_core.errors import StoreReplaced\n"
        "with Kernel(db=sys.argv[1]) as kernel:\n"
        "    session = kernel.session(sys.argv[2])\n"
        "    for number in range(300):\n"
        "        try:\n"
        "            session.write(f'/memory/{sys.argv[2]}', str(number))\n"
        "            assert session.read(f'/memory/{sys.argv[2]}').text == str(number)\n"
        "        except StoreReplaced:\n"
        "            continue\n"
        "        except Exception as error:\n"
        "            if 'not found' not in str(error): raise\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, session.store.location, name])
        for name in ("ann", "bob")
    ]
    for _ in range(3):
        session.restore_backup(made.path)
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert failed(session) == []
    assert session.read(NOTE).text == "one"


def test_what_is_written_until_a_backup_is_put_back_is_in_the_one_that_is_kept(
    session: Session, other: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from avm_builtin.storage.sqlite import backup

    session.write(NOTE, "one")
    made = session.backup(tmp_path / "copy.db")
    put_back = backup.put_back

    def put_back_late(*arguments: Any) -> Any:
        other.write("/memory/late", "written at the last moment")
        return put_back(*arguments)

    monkeypatch.setattr(backup, "put_back", put_back_late)
    kept = session.restore_backup(made.path)
    assert not other.exists("/memory/late")
    with Kernel(db=kept.path) as before:
        assert before.session().read("/memory/late").text == "written at the last moment"
        assert before.store.head() == kept.head


def test_a_restoration_that_fails_leaves_store_and_backups_as_they_were(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from avm_builtin.storage.sqlite import backup

    session.write(NOTE, "one")
    made = session.backup(tmp_path / "copy.db")
    session.write(NOTE, "two")
    copies, head = session.copies(), session.store.head()

    def fail(*_: Any) -> Any:
        raise RuntimeError("in the midst of it")

    monkeypatch.setattr(backup, "_mark", fail)
    with pytest.raises(RuntimeError):
        session.restore_backup(made.path)
    with pytest.raises(NotFound):
        session.restore_backup(tmp_path / "nowhere")
    assert (session.copies(), session.store.head(), session.read(NOTE).text) == (copies, head, "two")
    directory = Path(session.store.location).parent
    assert [path.name for path in directory.rglob("*") if path.suffix == ".db"] == ["avm.db"]
    session.write(NOTE, "three")
    assert failed(session) == []


@pytest.mark.parametrize("damage", ["absent", "foreign", "empty", "garbled", "truncated", "broken chain"])
def test_what_is_no_whole_backup_is_refused_and_changes_nothing(
    session: Session, tmp_path: Path, damage: str
) -> None:
    session.write(NOTE, "one" * 10_000)
    path = session.backup(tmp_path / "copy.db").path
    session.write(NOTE, "two")
    data = path.read_bytes()
    if damage == "absent":
        path.unlink()
    elif damage == "foreign":
        path.write_text("not a database" * 1000)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "garbled":
        path.write_bytes(data[:4096] + os.urandom(8192) + data[12288:])
    elif damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    else:
        change = (
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
            "c.execute(\"UPDATE journal SET path = '/x' WHERE sequence = 5\"); c.commit()"
        )
        subprocess.run([sys.executable, "-c", change, path], check=True)
    with pytest.raises((NotFound, ForeignStore, CorruptStore)):
        session.restore_backup(path)
    assert session.read(NOTE).text == "two"
    assert failed(session) == []


def test_only_who_owns_the_file_or_is_admin_makes_and_restores(kernel: Kernel, tmp_path: Path) -> None:
    owner, guest = kernel.session(), kernel.session("guest")
    owner.write(NOTE, "one")
    path = owner.backup(tmp_path / "copy.db").path
    for attempt in (
        lambda: guest.backup(tmp_path / "mine.db"),
        lambda: guest.restore_backup(path),
        lambda: guest.copies(),
    ):
        with pytest.raises(Denied):
            attempt()


def test_the_audit_log_tells_each_agent_what_it_may_know(kernel: Kernel) -> None:
    akashi, kuro = kernel.session("akashi"), kernel.session("kuro")
    akashi.write("/private/secret", "draft")
    akashi.write("/private/plan", "draft")
    akashi.rename("/private/plan", "/memory/plan")
    akashi.set_mode("/memory/plan", 0o644)
    akashi.write("/memory/plan", "final")
    rows = kuro.audit(agent="akashi")
    assert [row.path for row in rows if row.node == kuro.stat("/memory/plan").id] == ["/memory/plan"]
    assert not any("private/akashi" in f"{row.path}{row.old_path}{row.details}" for row in rows)
    mine = akashi.audit("/memory/plan")
    assert [row.operation for row in mine] == ["write", "mode", "rename"]
    assert [row.operation for row in akashi.audit(limit=1, before=mine[0].sequence)] == ["mode"]
