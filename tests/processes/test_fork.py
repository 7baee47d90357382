"""A process that has a store open forks, or has many threads: both sides go on, and nothing hangs.

SQLite's connections must not cross a fork, and locks that a thread of the parent holds stay held for ever in
the child. What happens in the processes is in workers/forking.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vfs_core.kernel import Kernel

if TYPE_CHECKING:
    from conftest import Crew

DURABILITIES = pytest.mark.parametrize("durability", ["normal", "full"])


@pytest.fixture
def db(tmp_path: Path) -> str:
    return str(tmp_path / "avm.db")


def _is_whole(db: str) -> bool:
    with Kernel(None, db) as kernel:
        return all(finding.level == "ok" for finding in kernel.store.verify())


@DURABILITIES
def test_child_and_parent_go_on_with_the_same_session(db: str, crew: Crew, durability: str) -> None:
    crew.launch("forking", "fork_once", db=db, durability=durability).result()
    assert _is_whole(db)


@DURABILITIES
def test_a_fork_among_busy_threads_never_hangs(db: str, crew: Crew, durability: str) -> None:
    crew.launch("forking", "fork_among_threads", db=db, durability=durability, forks=25).result()
    assert _is_whole(db)


@DURABILITIES
def test_a_fork_in_the_middle_of_a_transaction(db: str, crew: Crew, durability: str) -> None:
    crew.launch("forking", "fork_in_a_transaction", db=db, durability=durability).result()
    assert _is_whole(db)


@DURABILITIES
def test_a_child_outlives_its_parent_while_others_come_and_go(db: str, crew: Crew, durability: str) -> None:
    worker = crew.launch("forking", "outlive", db=db, durability=durability, writes=300)
    seen = 0
    while worker.process.poll() is None:
        with Kernel(None, db) as kernel:  # opened and closed again and again, as by commands
            session = kernel.session("owner")
            if session.exists("/memory/shared/note.md"):
                number = int(session.read("/memory/shared/note.md").text)
                assert number >= seen
                seen = number
    worker.result()
    assert _is_whole(db)
    with Kernel(None, db) as kernel:
        assert len(kernel.session("owner").list("/memory/shared")) == 301


@DURABILITIES
def test_a_pool_of_forked_processes(db: str, crew: Crew, durability: str) -> None:
    assert len(crew.launch("forking", "pool", db=db, durability=durability).result()) == 9
    assert _is_whole(db)


def test_sixteen_threads_share_one_memory(db: str, crew: Crew) -> None:
    failures, whole = crew.launch("forking", "threads", db=db, count=16, rounds=30).result()
    assert failures == []
    assert whole
    assert _is_whole(db)
