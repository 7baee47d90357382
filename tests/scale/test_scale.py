"""A store of many notes, versions and levels does what a small one does, with flat memory and no more rows than needed.

Counts and memory only: what takes how long is in benchmarks/. Small rounds in CI, the long ones in `make soak`.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vfs_core.kernel import Kernel
from vfs_core.moments import as_ns
from vfs_core.session import Session

MIB = 1024 * 1024
SMALL, LARGE = 20_000, 1_000_000


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    config = tmp_path / "config.yaml"
    config.write_text("storage: {durability: normal}\n")
    with Kernel(config, tmp_path / "avm.db") as kernel:
        yield kernel


def sized(small: int, large: int) -> list[Any]:
    return [pytest.param(small, id=str(small)), pytest.param(large, id=str(large), marks=pytest.mark.soak)]


def fill(session: Session, count: int, directories: int) -> None:
    """Notes of 500 bytes in so many directories, a thousand in a transaction."""
    for start in range(0, count, 1000):
        session.write_many(
            [
                (f"/memory/top/d{number % directories}/n{number}.md", f"note {number} ".ljust(500, "x"))
                for number in range(start, min(start + 1000, count))
            ]
        )


def peak_of(action: Any) -> int:
    """The most bytes that Python held at once while something ran."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def changed_rows(session: Session, action: Any) -> int:
    """How many rows an action changes."""
    connection = session.store._database.writer()  # type: ignore[attr-defined]  # SQLite counts them
    before = connection.total_changes()
    action()
    return int(connection.total_changes() - before)


def failed(session: Session) -> list[str]:
    return [finding.message for finding in session.store.verify() if finding.level == "fail"]


@pytest.mark.parametrize("count", sized(SMALL, LARGE))
def test_many_notes_are_written_walked_searched_and_verified_with_flat_memory(
    kernel: Kernel, count: int
) -> None:
    session = kernel.session()
    start = as_ns("now")
    assert peak_of(lambda: fill(session, count, 100)) < 24 * MIB
    assert peak_of(lambda: sum(1 for _ in session.walk("/memory/top"))) < 16 * MIB
    assert (
        sum(1 for found in session.walk("/memory/top") if found.stat and not found.stat.is_directory) == count
    )
    found: list[str] = []
    assert peak_of(lambda: found.extend(hit.path for hit in session.search(f"{count - 1}"))) < 64 * MIB
    assert f"/memory/top/d{(count - 1) % 100}/n{count - 1}.md" in found
    assert peak_of(lambda: failed(session)) < 64 * MIB
    assert failed(session) == []
    assert len(session.audit("/memory/top", since=start, limit=5)) == 5


@pytest.mark.parametrize("count", sized(SMALL, 100_000))
def test_a_directory_of_many_is_paged_and_moved_for_the_price_of_its_directories(
    kernel: Kernel, count: int
) -> None:
    session = kernel.session()
    fill(session, count, 1)
    assert len(session.list("/memory/top/d0", limit=10)) == 10
    assert len(session.list("/memory/top/d0", after="n5", limit=count)) < count
    assert len(session.list("/memory/top/d0")) == count
    # directory d0, its name and old name, two parents' times, its class, the journal
    assert changed_rows(session, lambda: session.rename("/memory/top/d0", "/memory/top/e0")) < 16
    directories = 200
    fill(session, count, directories)
    moved = changed_rows(session, lambda: session.rename("/memory/top", "/memory/there"))
    assert moved < directories + 16
    assert session.read(f"/memory/there/d0/n{directories}.md").text.startswith(f"note {directories} ")
    assert failed(session) == []


@pytest.mark.parametrize("count", sized(1_000, 10_000))
def test_a_note_of_many_versions_is_paged_and_each_is_there(kernel: Kernel, count: int) -> None:
    session = kernel.session()
    for number in range(count):
        session.write("/memory/note", f"version {number + 1}\n" + "same line\n" * 20)
    assert [version.version for version in session.history("/memory/note", 3)] == [
        count,
        count - 1,
        count - 2,
    ]
    assert len(session.history("/memory/note", count * 2)) == count
    for number in {1, 2, 15, 16, 17, count // 2, count - 1, count}:
        assert session.as_of("/memory/note", version=number).text.startswith(f"version {number}\n")
    assert [line.version.version for line in session.blame("/memory/note")][:2] == [count, 1]
    session.undo("/memory/note", steps=10)
    assert session.read("/memory/note").text.startswith(f"version {count - 10}\n")
    assert failed(session) == []


def test_paths_are_64_levels_deep(kernel: Kernel) -> None:
    session = kernel.session()
    deep = "/memory" + "".join(f"/level{number}" for number in range(62))
    session.write(f"{deep}/note", "deep")
    before = as_ns("now")
    session.rename("/memory/level0", "/memory/moved")
    moved = deep.replace("/memory/level0", "/memory/moved")
    assert session.read(f"{moved}/note").text == "deep"
    assert session.as_of(f"{deep}/note", time=before).text == "deep"
    assert len(list(session.walk("/memory/moved"))) == 63
    session.delete("/memory/moved", recursive=True)
    session.restore("/memory/moved")
    assert session.read(f"{moved}/note").text == "deep"
    assert failed(session) == []


@pytest.mark.parametrize("count", sized(2_000, 100_000))
def test_a_large_tree_is_deleted_restored_and_undone(kernel: Kernel, count: int) -> None:
    session = kernel.session()
    fill(session, count, 50)
    before = as_ns("now")
    assert session.delete("/memory/top", recursive=True) == count + 51
    assert session.restore("/memory/top").nodes == count + 51
    session.delete("/memory/top/d1", recursive=True)
    fill(session, 1000, 50)
    report = session.undo("/memory/top", since=before)
    assert report.skipped == []
    assert (
        sum(1 for found in session.walk("/memory/top") if found.stat and not found.stat.is_directory) == count
    )
    assert failed(session) == []
