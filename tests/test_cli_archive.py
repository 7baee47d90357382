"""An archive holds everything: what goes out, comes back in, and goes out again, is the same."""

from __future__ import annotations

import io
import json
import random
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from avm_builtin.frontends.cli.app import main
from vfs_core.kernel import Kernel
from vfs_core.session import Session
from vfs_core.types import Kind

Avm = Callable[..., Any]
"""The fixture `avm` (conftest.py)."""


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "avm.db"


def said(archive: Path) -> dict[str, Any]:
    """What an archive says of each path, and the bodies: without what differs from store to store."""
    told: dict[str, Any] = {}
    with tarfile.open(archive) as tar:
        for info in tar:
            file = tar.extractfile(info)
            assert file is not None
            if info.name.startswith("nodes/"):
                node = json.loads(file.read())
                for name in ("uid", "gid", "owner", "group"):
                    node.pop(name)
                if node["kind"] == "dir":
                    node.pop("modified_ns"), node.pop("accessed_ns")
                told[info.name] = node
            elif info.name.startswith("bodies/"):
                told[info.name] = file.read()
            elif info.name.startswith("links/"):
                told.setdefault("links", []).extend(sorted(file.read().splitlines()))
    return told


def everything(session: Session) -> None:
    """A store with something of each kind."""
    session.write("/memory/plan.md", "one\n", {"title": "Plan", "tags": ["a", "b"]})
    session.write("/memory/plan.md", "two 局势\n", {"importance": 0.9})
    session.append("/memory/plan.md", "three\n")
    session.write("/memory/big.bin", random.Random(1).randbytes(3_000_000))
    session.write_range("/memory/big.bin", 1_000_000, b"changed")
    session.write("/memory/empty", b"")
    session.mkdir("/memory/d/e", parents=True)
    session.set_mode("/memory/d", 0o750)
    session.update_meta("/memory/d", {"tags": ["dir"]})
    session.symlink("../plan.md", "/memory/d/link")
    session.hard_link("/memory/plan.md", "/memory/d/second name")
    session.make_special("/memory/d/fifo", Kind.FIFO)
    session.set_attribute("/memory/plan.md", "user.color", b"\0red")
    session.set_times("/memory/plan.md", 5, 1_234_567_890_123_456_789)
    session.link("/memory/plan.md", "/memory/big.bin", "citation", 0.25)
    session.write("/private/secret", "mine")
    session.share("/private/secret", "kuro", "r")
    session.set_mode("/memory/empty", 0o640)


@pytest.fixture
def session(db: Path) -> Iterator[Session]:
    with Kernel(db=db) as kernel:
        session = kernel.session()
        everything(session)
        yield session


def test_out_in_and_out_again_is_the_same(avm: Avm, session: Session, db: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "1.tar.gz", tmp_path / "2.tar.gz"
    assert avm("export", first, "--db", db).code == 0
    done = avm("import", first, "--shares", "--db", tmp_path / "new.db")
    assert (done.code, done.err) == (0, "4 notes imported\n")
    assert avm("export", second, "--db", tmp_path / "new.db").code == 0
    assert said(second) == said(first)
    with Kernel(db=tmp_path / "new.db") as kernel:
        copy = kernel.session()
        assert copy.as_of("/memory/plan.md", version=1).text == "one\n"
        original = session.history("/memory/plan.md")
        for here, there in zip(copy.history("/memory/plan.md"), original, strict=True):
            assert here.attributed == {
                "author": there.author,
                "time_ns": there.time_ns,
                "change": there.operation,
            }
        assert [finding.message for finding in copy.store.verify() if finding.level == "fail"] == []
        assert (
            kernel.session("kuro").exists("/memory/private/root/secret") or session.principal.agent != "root"
        )


def test_an_import_can_be_run_again_and_replaces_only_when_told(
    avm: Avm, session: Session, db: Path, tmp_path: Path
) -> None:
    archive, new = tmp_path / "a.tar.gz", tmp_path / "new.db"
    avm("export", archive, "--db", db)
    avm("import", archive, "--db", new)
    assert avm("import", archive, "--db", new).err == "0 notes imported, 6 unchanged\n"
    avm("write", "plan.md", "--content", "changed", "--db", new)
    done = avm("import", archive, "--db", new)
    assert done.code == 5
    assert avm("read", "plan.md", "--db", new).out == "changed"
    assert avm("import", archive, "-f", "--db", new).code == 0
    assert avm("read", "plan.md", "--db", new).out == "two 局势\nthree\n"


def test_an_archive_goes_below_a_path(avm: Avm, session: Session, db: Path, tmp_path: Path) -> None:
    archive, new = tmp_path / "a.tar.gz", tmp_path / "new.db"
    avm("export", archive, "/memory/d", "--db", db)
    assert avm("import", archive, "/memory/there", "--db", new).code == 0
    assert avm("read", "/memory/there/memory/d/second name", "--db", new).out == "two 局势\nthree\n"


def test_an_archive_holds_what_its_agent_may_see(
    avm: Avm, session: Session, db: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "a.tar.gz"
    session.kernel.session("akashi").write("/private/hidden-name", "hidden words")
    session.write("/private/draft", "hidden draft")
    session.write("/private/draft", "final words")
    session.share("/private/draft", "kuro", "r")
    assert avm("export", archive, "-a", "kuro", "--db", db).code == 0
    with tarfile.open(archive) as tar:
        data = b"".join(tar.extractfile(info).read() for info in tar)  # type: ignore[union-attr]  # all are files
    assert b"hidden" not in data
    assert b"final words" in data


def test_an_export_is_remembered_so_that_forgetting_names_it(
    avm: Avm, session: Session, db: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "a.tar.gz"
    avm("export", archive, "--db", db)
    done = session.forget_for_good("/memory/plan.md")
    assert [copy.location for copy in done.copies] == [str(archive)]


@pytest.mark.parametrize("damage", ["cut", "flipped", "foreign", "tar", "newer"])
def test_what_is_no_whole_archive_is_refused(
    avm: Avm, session: Session, db: Path, tmp_path: Path, damage: str
) -> None:
    archive, new = tmp_path / "a.tar.gz", tmp_path / "new.db"
    avm("export", archive, "--db", db)
    data = bytearray(archive.read_bytes())
    if damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "flipped":
        data[len(data) // 2] ^= 255
    elif damage == "foreign":
        data = bytearray(b"no archive at all")
    else:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as tar:
            body = b'{"format": "avm-archive", "version": 99}' if damage == "newer" else b"x"
            info = tarfile.TarInfo("manifest.json" if damage == "newer" else "x")
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
        data = bytearray(out.getvalue())
    archive.write_bytes(data)
    done = avm("import", archive, "--db", new)
    assert done.code == 2
    assert "archive" in done.err
    if new.exists():
        with Kernel(db=new) as kernel:
            assert [each.message for each in kernel.session().store.verify() if each.level == "fail"] == []


def test_an_interrupted_export_leaves_nothing(
    session: Session, db: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    from avm_builtin.frontends.cli.transfer import archive

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(archive, "_put_journal", interrupt)
    assert main(["export", str(tmp_path / "a.tar.gz"), "--db", str(db)]) == 130
    assert list(tmp_path.glob("*a.tar.gz*")) == []


def test_notes_that_change_or_go_while_they_are_exported_leave_the_archive_whole(
    avm: Avm, session: Session, db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("changes", "goes", "stays"):
        session.write(f"/memory/{name}", name.encode() * 300_000)
    whole, did = Session.read_range, set()

    def read_range(self: Session, path: str, offset: int, size: int) -> bytes:
        if offset and path not in did:  # it has been begun
            did.add(path)
            if path == "/memory/changes":
                session.write(path, b"less")
            elif path == "/memory/goes":
                session.delete(path)
        return whole(self, path, offset, size)

    monkeypatch.setattr(Session, "read_range", read_range)
    assert avm("export", tmp_path / "a.tar.gz", "--db", db).code == 0
    assert {"/memory/changes", "/memory/goes"} <= did
    new = tmp_path / "new.db"
    assert avm("import", tmp_path / "a.tar.gz", "--db", new).code == 0
    assert avm("read", "changes", "--db", new).out == "less"
    assert avm("read", "goes", "--db", new).code == 3
    assert avm("read", "stays", "--db", new).out == "stays" * 300_000
    with Kernel(db=new) as kernel:
        history = [version.size for version in kernel.session().history("/memory/changes")]
        assert history == [4, 2_100_000]


def test_a_note_that_never_rests_is_said_to_be_busy_and_the_rest_is_exported(
    avm: Avm, session: Session, db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.write("/memory/busy", "busy")
    session.write("/memory/z-stays", "stays")
    whole = Session.read_range

    def read_range(self: Session, path: str, offset: int, size: int) -> bytes:
        if path == "/memory/busy":
            session.write(path, f"{len(session.history(path)):8} is how often it has changed\n")
        return whole(self, path, offset, size)

    monkeypatch.setattr(Session, "read_range", read_range)
    done = avm("export", tmp_path / "a.tar.gz", "--db", db)
    assert done.code != 0
    assert "/memory/busy changes all the time" in done.err
    assert avm("import", tmp_path / "a.tar.gz", "--db", tmp_path / "new.db").code == 0
    assert avm("read", "z-stays", "--db", tmp_path / "new.db").out == "stays"


def test_damaged_contents_are_told_and_never_archived(
    avm: Avm, session: Session, db: Path, tmp_path: Path
) -> None:
    store: Any = session.store
    with store._database.mutex:
        store._database.begin().execute(
            "UPDATE old_body SET body = zeroblob(length(body)) WHERE prefix IS NULL"
        )
        store._database.writer().execute("UPDATE node SET body = x'6d' WHERE body = CAST('mine' AS BLOB)")
        store._database.commit()
    done = avm("export", tmp_path / "a.tar.gz", "--db", db)
    assert done.code != 0
    assert "/secret has not the hash" in done.err
    assert avm("import", tmp_path / "a.tar.gz", "--db", tmp_path / "new.db").code == 0
    assert avm("read", "plan.md", "--db", tmp_path / "new.db").out == "two 局势\nthree\n"
