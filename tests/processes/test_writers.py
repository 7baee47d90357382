"""Several processes write at once: nothing is lost, nothing doubled, and the journal tells all of it.

These are full processes that start at the same moment, as agents and daemons do. How evenly they share
the store is measured by `make bench`, not asserted here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vfs_core import journal
from vfs_core.kernel import Kernel
from vfs_core.types import Change

if TYPE_CHECKING:
    from conftest import Crew

SCALES = [
    pytest.param(4, 1.0, "normal", id="4 processes, normal"),
    pytest.param(8, 1.0, "normal", id="8 processes, normal"),
    pytest.param(4, 0.1, "full", id="4 processes, full"),
    pytest.param(8, 0.1, "full", id="8 processes, full"),
]


@pytest.fixture
def db(tmp_path: Path) -> str:
    return str(tmp_path / "avm.db")


def _journal_of(kernel: Kernel) -> list[Change]:
    """The whole journal, which must have no gap; and the store must be whole."""
    store = kernel.store
    rows: list[Change] = []
    while page := store.changes(rows[-1].sequence if rows else 0):
        rows += page
    assert [row.sequence for row in rows] == list(range(1, store.head().sequence + 1))
    assert not [finding for finding in store.verify() if finding.level != "ok"]
    return rows


@pytest.mark.parametrize(("processes", "scale", "durability"), SCALES)
def test_writes_to_distinct_paths_all_survive(
    db: str, crew: Crew, processes: int, scale: float, durability: str
) -> None:
    count = int(500 * scale)
    calls = [
        ("distinct", {"db": db, "durability": durability, "me": me, "count": count})
        for me in range(processes)
    ]
    with Kernel(None, db) as kernel:
        kernel.session("founder").write("/memory/shared/first.md", "so that the store is there")
    acknowledged = crew.run("writing", calls)

    with Kernel(None, db) as kernel:
        session = kernel.session("founder")
        writes = {row.sequence: row for row in _journal_of(kernel) if row.operation == journal.WRITE}
        assert len(writes) == processes * count + 1
        for me, notes in enumerate(acknowledged):
            assert len(notes) == count
            for number, (path, sequence) in enumerate(notes):
                assert (writes[sequence].path, writes[sequence].agent) == (path, f"agent{me}")
                node = session.read(path)
                assert (node.version, node.text.split("\n")[0]) == (1, f"{me}:{number}")
        listed = [entry for me in range(processes) for entry in session.list(f"/memory/shared/of-{me}")]
        assert len(listed) == processes * count


@pytest.mark.parametrize(("processes", "scale", "durability"), SCALES)
def test_appends_to_one_note_all_survive_in_the_order_of_their_versions(
    db: str, crew: Crew, processes: int, scale: float, durability: str
) -> None:
    count = int(500 * scale)
    calls = [
        ("append", {"db": db, "durability": durability, "me": me, "count": count}) for me in range(processes)
    ]
    versions = crew.run("writing", calls)

    with Kernel(None, db) as kernel:
        rows = [row for row in _journal_of(kernel) if row.path == "/memory/shared/log.md"]
        assert [row.version for row in rows] == list(range(1, processes * count + 1))
        lines = kernel.session("agent0").read("/memory/shared/log.md").text.splitlines()
    expected = {
        version: f"{me}:{number}" for me, made in enumerate(versions) for number, version in enumerate(made)
    }
    assert lines == [expected[version] for version in range(1, processes * count + 1)]


@pytest.mark.parametrize(("processes", "scale", "durability"), SCALES)
def test_compare_and_swap_increments_are_neither_lost_nor_doubled(
    db: str, crew: Crew, processes: int, scale: float, durability: str
) -> None:
    count = int(200 * scale)
    with Kernel(None, db) as kernel:
        kernel.session("founder").write("/memory/shared/counter.md", "0")
    calls = [
        ("increment", {"db": db, "durability": durability, "me": me, "count": count})
        for me in range(processes)
    ]
    written = crew.run("writing", calls)

    assert sorted(number for each in written for number in each) == list(range(1, processes * count + 1))
    with Kernel(None, db) as kernel:
        node = kernel.session("founder").read("/memory/shared/counter.md")
        assert (node.text, node.version) == (str(processes * count), processes * count + 1)
        versions = [row.version for row in _journal_of(kernel) if row.path == node.path]
        assert versions == list(range(1, processes * count + 2))


@pytest.mark.parametrize("durability", ["normal", "full"])
def test_processes_that_make_a_store_together_make_one_store(
    tmp_path: Path, crew: Crew, durability: str
) -> None:
    arguments = {"directory": str(tmp_path), "durability": durability, "count": 12}
    crew.run("writing", [("make_stores", {**arguments, "me": me}) for me in range(8)])

    for number in range(12):
        with Kernel(None, tmp_path / f"{number}.db") as kernel:
            rows = _journal_of(kernel)
            assert sum(row.operation == journal.INIT for row in rows) == 1
            written = {row.path for row in rows if row.operation == journal.WRITE}
            assert written == {f"/memory/shared/of-{me}.md" for me in range(8)}
