"""Whatever happens to the files of the vectors: answers are right, or one is told; what is lost is made anew."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from opening import MINUTE, embed, found, index_of, open_kernel

from avm_builtin.vectors import building, renewing, tables
from vfs_core.errors import VfsError
from vfs_core.kernel import Kernel
from vfs_core.testing.word_embedder import WordEmbedder

WORDS = ("walrus", "seal", "penguin", "ice", "sea", "boat", "局势", "天气")
QUERIES = ("walrus ice", "局势", "penguin sea")
COUNT = 60
Answers = list[list[tuple[str, float]]]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewing, "TAIL_MOST", 10)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "data" / "avm.db"


def fill(kernel: Kernel, start: int = 0) -> None:
    texts = [" ".join(random.Random(number).choices(WORDS, k=5)) for number in range(start, start + COUNT)]
    kernel.session("owner").write_many(
        [(f"/memory/shared/{start + number}.md", text) for number, text in enumerate(texts)]
    )


def answers(kernel: Kernel) -> Answers:
    session = kernel.session("owner")
    return [found(session, query) for query in QUERIES]


def same(one: Answers, other: Answers) -> bool:
    return all(dict(a) == pytest.approx(dict(b), abs=0.1) for a, b in zip(one, other, strict=True))


def side_files(db: Path, pattern: str) -> list[Path]:
    return sorted(db.parent.glob(f"avm.vectors.*{pattern}"))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 2 // 3)


def garbage(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(path.stat().st_size))


def end_garbage(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + random.Random(1).randbytes(len(data) - len(data) // 2))


def foreign(path: Path) -> None:
    path.unlink()
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE diary (day); INSERT INTO diary VALUES ('monday')")
    connection.close()


def unreadable(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: list[Callable[[Path], None]] = [Path.unlink, empty, cut, garbage, end_garbage]
NAMES = [getattr(each, "__name__", "") for each in DAMAGE]


@pytest.mark.parametrize("pattern", [".entries", ".vectors"])
@pytest.mark.parametrize("backend", ["sqlite", "flat", "sq8", "hnsw"])
@pytest.mark.parametrize("damage", [*DAMAGE, foreign, unreadable], ids=[*NAMES, "foreign", "directory"])
def test_a_base_that_is_damaged_or_gone_is_not_missed_and_made_anew(
    db: Path, backend: str, damage: Callable[[Path], None], pattern: str
) -> None:
    db.parent.mkdir()
    with open_kernel(db, backend) as kernel:
        fill(kernel)
        embed(kernel)
        expected = answers(kernel)
        (path,) = side_files(db, pattern)
    damage(path)
    with open_kernel(db, backend) as kernel:
        assert same(answers(kernel), expected)
        fill(kernel, COUNT)
        embed(kernel)
        if path.is_dir():
            path.rmdir()
        assert len(side_files(db, pattern)) == 1
        grown = answers(kernel)
        index: object = index_of(kernel)
        assert index._state.base_rows > COUNT  # type: ignore[attr-defined]
    with open_kernel(db, backend) as kernel:
        assert same(answers(kernel), grown)


@pytest.mark.parametrize("damage", [*DAMAGE, foreign], ids=[*NAMES, "foreign"])
@pytest.mark.parametrize("running", [False, True], ids=["closed", "open"])
def test_a_side_file_that_is_damaged_or_gone_is_made_anew(
    db: Path, damage: Callable[[Path], None], running: bool
) -> None:
    db.parent.mkdir()
    with open_kernel(db) as kernel, open_kernel(db) as other:
        fill(kernel)
        embed(kernel)
        expected = answers(kernel)
        assert same(answers(other), expected)
        (path,) = side_files(db, ".db")
        if not running:
            index_of(kernel).close()
            index_of(other).close()
        for ending in ("-wal", "-shm"):
            Path(f"{path}{ending}").unlink(missing_ok=True)
        if damage is end_garbage and running:
            Path(f"{path}.copy").write_bytes(path.read_bytes())
            end_garbage(Path(f"{path}.copy"))
            Path(f"{path}.copy").replace(path)
        elif running and damage is not foreign and damage is not Path.unlink:
            return  # to change the pages under an open database is beyond what SQLite can bear
        else:
            damage(path)
        for each in (kernel, other, kernel):
            for _ in range(3):
                try:
                    embed(each)
                    answers(each)
                except VfsError as error:
                    assert "damaged" in str(error)
                    continue
                break
            assert same(answers(each), expected)
        assert {finding.level for finding in kernel.store.verify()} == {"ok"}


def test_a_side_file_of_another_version_is_made_anew(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db.parent.mkdir()
    with open_kernel(db) as kernel:
        fill(kernel)
        embed(kernel)
        expected = answers(kernel)
    monkeypatch.setattr(tables, "VERSION", tables.VERSION + 1)
    with open_kernel(db) as kernel:
        embed(kernel)
        assert same(answers(kernel), expected)


def test_an_older_side_file_put_back_under_a_running_process_is_brought_up(db: Path, tmp_path: Path) -> None:
    db.parent.mkdir()
    with open_kernel(db) as kernel:
        fill(kernel)
        embed(kernel)
        answers(kernel)
        index_of(kernel).close()
        (path,) = side_files(db, ".db")
        kept = tmp_path / "kept.db"
        connection = apsw.Connection(str(path))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.close()
        shutil.copyfile(path, kept)
        fill(kernel, COUNT)
        embed(kernel)
        expected = answers(kernel)
        for ending in ("-wal", "-shm"):
            Path(f"{path}{ending}").unlink(missing_ok=True)
        kept.replace(path)
        embed(kernel)
        assert same(answers(kernel), expected)


def test_a_process_that_may_not_write_reads_and_searches_and_writes_nothing(db: Path) -> None:
    db.parent.mkdir()
    with open_kernel(db) as kernel:
        fill(kernel)
        embed(kernel)
        fill(kernel, COUNT)
        runner = kernel.semantic()
        assert runner is not None
        runner.catch_up(MINUTE)
        expected = answers(kernel)
        with open_kernel(db) as reader:
            reader.store.writable = False
            before = {path: path.read_bytes() for path in side_files(db, "") if path.suffix != ".db-shm"}
            index, follows = index_of(reader), reader.semantic()
            assert follows is not None
            assert same(answers(reader), expected)
            assert index.embed(follows, MINUTE) == index.waiting() > 0
            index.settle(follows)
            hits = reader.session("owner").search("walrus", mode="semantic")
            assert len(hits) == 10
            assert hits.embedded is not None
            assert hits.embedded.waiting == COUNT
            after = {path: path.read_bytes() for path in before}
        assert {path for path in before if before[path] != after[path]} == set()


def test_two_backends_have_a_base_each_and_do_not_make_it_anew_in_turn(db: Path) -> None:
    db.parent.mkdir()
    with open_kernel(db, "sqlite") as one, open_kernel(db, "flat") as other:
        fill(one)
        embed(one)
        expected = answers(one)
        assert same(answers(other), expected)
        embed(other)
        files = side_files(db, ".vectors")
        assert len(files) == 2
        for _ in range(3):
            for kernel in (one, other):
                one.session("owner").write("/memory/shared/more.md", "walrus")
                embed(kernel)
                assert len(answers(kernel)[0]) == COUNT + 1
        assert side_files(db, ".vectors") == files
        for start in range(1, 5):  # nobody uses the other one: it goes, and what it lacks is no longer told
            fill(one, start * COUNT)
            embed(one)
        assert len(side_files(db, ".vectors")) == 1
        assert same(answers(one), answers(other))


def test_what_changes_while_a_base_is_made_is_not_lost(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db.parent.mkdir()
    build = building.build
    with open_kernel(db) as kernel:
        session = kernel.session("owner")
        fill(kernel)
        embed(kernel)

        def build_slowly(*arguments: Any) -> object:
            generation = build(*arguments)
            runner = kernel.semantic()
            assert runner is not None
            session.write("/memory/shared/0.md", "quokka quokka")
            session.delete("/memory/shared/1.md")
            session.rename("/memory/shared/2.md", "/memory/private/owner/2.md")
            runner.catch_up(MINUTE)
            return generation

        monkeypatch.setattr(building, "build", build_slowly)
        fill(kernel, COUNT)
        embed(kernel)
        embed(kernel)
        expected = answers(kernel)
        assert all(len(each) == 2 * COUNT - 1 for each in expected)
        assert found(session, "quokka quokka")[0][0] == "/memory/shared/0.md"
    with open_kernel(db) as kernel:
        state = index_of(kernel)
        assert same(answers(kernel), expected)
        assert state._state.base_rows == 2 * COUNT  # type: ignore[attr-defined]
        assert len(found(kernel.session("other"), "walrus")) == 2 * COUNT - 2


def test_the_base_is_made_once_and_not_with_every_search(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    renew = renewing.Renewal.renew
    monkeypatch.setattr(renewing.Renewal, "renew", lambda *rest: made.append(1) or renew(*rest))
    db.parent.mkdir()
    with open_kernel(db) as kernel, open_kernel(db) as other:
        fill(kernel)
        for _ in range(5):
            for each in (kernel, other):
                each.session("owner").search("walrus", mode="semantic")
        assert made == [1]
        for each in (kernel, other):
            state = index_of(each)._state  # type: ignore[attr-defined]
            assert (state.base_rows, state.tail_rows) == (COUNT, 0)


def test_what_is_edited_again_and_again_does_not_fill_the_memory(db: Path) -> None:
    db.parent.mkdir()
    with open_kernel(db) as kernel:
        session = kernel.session("owner")
        for number in range(300):
            session.write("/memory/shared/note.md", f"walrus {number}")
            session.search("walrus", mode="semantic")
        assert index_of(kernel)._state.tail_rows < 30  # type: ignore[attr-defined]


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """An empty directory on a disk of a few MiB."""
    place = os.environ.get("AVM_TEST_SMALL_DISK")
    if not place:
        pytest.skip("set AVM_TEST_SMALL_DISK to a small disk: mount -t tmpfs -o size=8m tmpfs /tmp/small")
    directory = Path(tempfile.mkdtemp(dir=place))
    yield directory
    shutil.rmtree(directory)


@pytest.mark.parametrize("backend", ["sqlite", "flat"])
def test_a_full_disk_is_told_or_borne_and_nothing_is_lost(small_disk: Path, backend: str) -> None:
    db = small_disk / "avm.db"
    with open_kernel(db, backend) as kernel:
        fill(kernel)
        embed(kernel)
        expected = answers(kernel)
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue
        assert same(answers(kernel), expected)
        index_of(kernel).settle(kernel.semantic())  # type: ignore[arg-type]
        assert same(answers(kernel), expected)
        with pytest.raises(VfsError, match="space"):
            for start in range(1, 100):
                fill(kernel, start * COUNT)
                embed(kernel)
        filler.unlink()
        embed(kernel)
        notes = len(kernel.session("owner").list("/memory/shared"))
        assert all(len(each) == notes for each in answers(kernel))
        assert {finding.level for finding in kernel.store.verify()} == {"ok"}
        assert not side_files(db, ".new")


def test_files_of_another_model_are_left_alone_while_they_are_in_use(db: Path) -> None:
    db.parent.mkdir()
    with open_kernel(db) as kernel, open_kernel(db, fingerprint="another") as newer:
        fill(kernel)
        embed(kernel)
        expected = answers(kernel)
        embed(newer)
        assert same(answers(kernel), expected)
        assert not same(answers(newer), expected)
        embedder = newer.embedder()
        assert isinstance(embedder, WordEmbedder)
        embedder.embedded.clear()
        week = 8 * 86_400
        for path in side_files(db, ""):
            is_old_part = path.name in {Path(each).name for each in index_of(kernel).files()}
            if is_old_part and not path.name.endswith(".db-wal"):  # the last word may be in any of them
                os.utime(path, (path.stat().st_mtime - week,) * 2)
        newer.session("owner").write("/memory/shared/new.md", "walrus")
        embed(newer)
        assert len(answers(kernel)[0]) == COUNT
        index_of(kernel).close()
        for path in index_of(kernel).files():
            if Path(path).exists():
                os.utime(path, (Path(path).stat().st_mtime - week,) * 2)
        newer.session("owner").write("/memory/shared/newer.md", "walrus again")
        embed(newer)
        assert not any(Path(path).exists() for path in index_of(kernel).files())
        embed(kernel)
        assert len(answers(kernel)[0]) == COUNT + 2
