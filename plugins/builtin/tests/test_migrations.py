"""A store of every earlier schema opens as the present one, whole, with its past, after a copy has been made."""

from __future__ import annotations

import os
from pathlib import Path

import apsw
import pytest

from avm_builtin.storage.sqlite import schema
from avm_builtin.storage.sqlite.backup import examine
from vfs_core.errors import ReadOnly
from vfs_core.kernel import Kernel
from vfs_core.session import Session
from vfs_core.testing.store_help import tree_at

DUMPS = Path(__file__).with_name("schemas")


def old_store(directory: Path, version: int) -> Path:
    """The store of an earlier schema that its code left, as SQL."""
    path = directory / "avm.db"
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute((DUMPS / f"v{version}.sql").read_text())
    assert connection.pragma("user_version") == version
    connection.close()
    return path


@pytest.fixture(params=range(1, schema.VERSION))
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return old_store(tmp_path, request.param)


def failed(session: Session) -> list[str]:
    return [finding.message for finding in session.store.verify() if finding.level == "fail"]


def test_there_is_a_store_of_every_earlier_schema() -> None:
    assert sorted(path.name for path in DUMPS.glob("v*.sql")) == [
        f"v{n}.sql" for n in range(1, schema.VERSION)
    ]


def test_an_old_store_is_whole_after_it_has_been_opened(path: Path) -> None:
    with Kernel(db=path) as kernel:
        akashi, kuro = kernel.session("akashi"), kernel.session("kuro")
        assert failed(akashi) == []
        assert akashi.read("/memory/plan.md").text == "version 4\nappended\n"
        assert akashi.read("/memory/plan.md").meta == {"tags": ["x"], "title": "Plan"}
        assert akashi.read("/private/diary.md").text == kuro.read("/memory/private/akashi/diary.md").text
        assert [link.target for link in akashi.links("/memory/plan.md")] == ["/memory/long.txt"]
        assert akashi.as_of("/memory/plan.md", version=1).text == "one\n"
        assert akashi.as_of("/memory/long.txt", version=1).data == b"line of text\n" * 1300
        assert [hit.path for hit in akashi.search("局势")] == ["/memory/private/akashi/diary.md"]
        akashi.write("/memory/plan.md", "new")
        assert failed(akashi) == []


def test_the_past_of_names_is_worked_out_from_the_journal(path: Path) -> None:
    with Kernel(db=path) as kernel:
        session = kernel.session("akashi")
        trees = {sequence: set(tree_at(session.store, sequence)) for sequence in (22, 23, 24, 30, 34, 37)}
        assert {"/memory/d", "/memory/d/in", "/memory/d/in/deep.md"} <= trees[22]
        assert "/memory/e/in/deep.md" in trees[23]
        assert "/memory/d" not in trees[23]
        assert "/memory/e/in/deeper.md" in trees[24]
        assert {"/memory/tree/x.md", "/memory/tree/y/z.md"} <= trees[30]
        assert not any(each.startswith("/memory/tree") for each in trees[34])
        assert "/memory/gone.md" in trees[37]


def test_what_had_been_deleted_can_be_restored(path: Path) -> None:
    with Kernel(db=path) as kernel:
        kuro = kernel.session("kuro")
        assert {each.path for each in kuro.trash()} == {
            "/memory/gone.md", "/memory/tree", "/memory/tree/x.md", "/memory/tree/y", "/memory/tree/y/z.md",
        }  # fmt: skip
        kuro.restore("/memory/tree/y/z.md")
        assert kuro.read("/memory/tree/y/z.md").text == "z"
        kuro.restore("/memory/gone.md", to="/memory/first.md")
        assert kuro.read("/memory/first.md").text == "gone"
        assert failed(kuro) == []


def test_a_copy_is_made_before_the_tables_change(path: Path) -> None:
    connection = apsw.Connection(str(path))
    version = connection.pragma("user_version")
    connection.close()
    with Kernel(db=path) as kernel:
        kernel.session().read("/memory/plan.md")
    copy = path.with_name(f"avm.before-schema-{version + 1}.db")
    assert examine(copy)[0] == version
    assert copy.stat().st_mode & 0o777 == 0o600


def test_the_copy_is_remembered_so_that_forgetting_names_it(path: Path) -> None:
    connection = apsw.Connection(str(path))
    name = f"avm.before-schema-{connection.pragma('user_version') + 1}.db"
    connection.close()
    with Kernel(db=path) as kernel:
        kernel.session().read("/memory/plan.md")
        copy = str(path.with_name(name))
        assert [each.location for each in kernel.store.copies()] == [copy]
        done = kernel.session("akashi").forget_for_good("/memory/plan.md")
        assert [each.location for each in done.copies] == [copy]


def test_a_copy_of_another_time_does_not_pass_for_one_of_now(path: Path) -> None:
    old = path.read_bytes()

    def copied_to() -> Path:
        with Kernel(db=path) as kernel:
            kernel.session().read("/memory/plan.md")
            return Path(kernel.store.copies()[0].location)

    def put_back_by_hand() -> None:
        for side in path.parent.glob("avm.db-*"):
            side.unlink()
        path.write_bytes(old)

    first = copied_to()
    put_back_by_hand()
    assert copied_to() == first
    put_back_by_hand()
    connection = apsw.Connection(str(path))
    connection.execute(
        "DELETE FROM journal WHERE sequence = (SELECT max(sequence) FROM journal)"
    )  # another past
    connection.close()
    present = examine(path)
    second = copied_to()
    assert second.name == f"{first.stem}-2.db"
    assert examine(second) == present
    assert examine(first) != present


def test_a_migration_that_fails_leaves_the_old_store_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(connection: apsw.Connection) -> None:
        raise RuntimeError("in the midst of it")

    before = examine(path)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS[:-1], (schema.MIGRATIONS[-1][0], fail)))
    with pytest.raises(RuntimeError), Kernel(db=path) as kernel:
        kernel.session().read("/memory/plan.md")
    assert examine(path) == before
    monkeypatch.undo()
    with Kernel(db=path) as kernel:
        assert failed(kernel.session("akashi")) == []


def test_a_backup_of_an_old_schema_is_migrated_as_it_is_put_back(path: Path, tmp_path: Path) -> None:
    with Kernel(db=tmp_path / "new" / "avm.db") as kernel:
        session = kernel.session()
        session.write("/memory/x", "x")
        session.restore_backup(path)
        assert session.read("/memory/plan.md").text == "version 4\nappended\n"
        assert failed(session) == []


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anything; tests/root has a second user for this")
def test_an_old_store_that_cannot_be_written_says_so(path: Path) -> None:
    path.chmod(0o400)
    with pytest.raises(ReadOnly, match="migrated"), Kernel(db=path) as kernel:
        kernel.session().read("/memory/plan.md")
