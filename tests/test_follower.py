"""A follower is kept up by whoever holds its lease, tells how far behind it is, and rebuilds what does not match."""

import json
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from avm import AVM
from vfs_core import follower as following
from vfs_core.errors import ReadOnly, VfsError
from vfs_core.follower import Follower, Lease, Progress, Runner
from vfs_core.journal import Cursor
from vfs_core.storage import Store, allow_all
from vfs_core.testing import FOUNDER, MemoryStore
from vfs_core.types import Change

# Holds a lease until its stdin ends; a number on a line is announced as the follower's cursor.
HOLDER = """
import sys
from vfs_core.follower import Lease
lease = Lease(sys.argv[1])
assert lease.acquire()
print("held", flush=True)
for line in sys.stdin:
    lease.sequence = int(line)
    print("announced", flush=True)
"""


class Titles(Follower):
    """Keeps the paths of the notes in a file, with its cursor."""

    name = "titles"

    def __init__(self, file: Path) -> None:
        self.file = file
        self.applied: list[int] = []
        self.rebuilt = 0
        self.before_apply = lambda: None

    def cursor(self) -> Cursor | None:
        if not self.file.exists():
            return None
        uuid, sequence, chain = json.loads(self.file.read_text())["cursor"]
        return Cursor(uuid, sequence, bytes.fromhex(chain))

    def paths(self) -> list[str]:
        return json.loads(self.file.read_text())["paths"]

    def apply(self, changes: Sequence[Change], store: Store, cursor: Cursor) -> None:
        self.before_apply()
        self.applied += [change.sequence for change in changes]
        self._commit(sorted({*self.paths(), *(change.path for change in changes)}), cursor)

    def rebuild(self, store: Store, cursor: Cursor, progress: Progress | None = None) -> None:
        self.rebuilt += 1
        found = sorted(found.path for found in store.scan())
        if progress is not None:
            progress(len(found), len(found))
        self._commit(found, cursor)

    def discard(self) -> None:
        self.file.unlink(missing_ok=True)

    def close(self) -> None:
        self.closed = True

    def _commit(self, paths: list[str], cursor: Cursor) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_text(json.dumps({"cursor": [*cursor[:2], cursor.chain.hex()], "paths": paths}))
        fresh.replace(self.file)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def titles(tmp_path: Path) -> Titles:
    return Titles(tmp_path / "titles.json")


@pytest.fixture
def lease(tmp_path: Path) -> str:
    return str(tmp_path / "titles.lease")


@pytest.fixture
def runner(store: MemoryStore, titles: Titles, lease: str) -> Runner:
    return Runner(store, titles, Lease(lease))


class Holder:
    """Another process that holds the lease."""

    def __init__(self, path: str) -> None:
        command = [sys.executable, "-c", HOLDER, path]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    def announce(self, sequence: int) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(sequence, file=self.process.stdin, flush=True)
        assert self.process.stdout.readline() == "announced\n"

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def holder(lease: str) -> Iterator[Holder]:
    holding = Holder(lease)
    yield holding
    holding.end()


def write(store: Store, *paths: str) -> int:
    for path in paths:
        with store.transaction(FOUNDER, allow_all) as tx:
            tx.write(path, b"text")
    return store.head().sequence


# --- the lease -----------------------------------------------------------------------------------


def test_one_process_holds_a_lease_until_it_lets_go_or_dies(lease: str):
    mine = Lease(lease)
    holder = Holder(lease)
    assert not mine.acquire()
    holder.end()
    assert mine.acquire()
    mine.release()
    assert Lease(lease).acquire()


def test_all_who_have_the_lease_see_its_cursor(lease: str, holder: Holder):
    mine = Lease(lease)
    holder.announce(41)
    assert mine.sequence == 41
    mine.sequence = 42
    assert Lease(lease).sequence == 42


def test_a_lease_file_gets_the_mode_of_the_database_whatever_the_umask(lease: str):
    before = os.umask(0o077)
    try:
        Lease(lease, 0o664).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(lease).st_mode) == 0o664


def test_a_lease_in_memory_is_always_had():
    mine = Lease(None)
    assert mine.acquire()
    assert mine.acquire()
    mine.sequence = 7
    mine.release()
    mine.close()
    assert mine.sequence == 7


# --- catching up ---------------------------------------------------------------------------------


def test_a_follower_that_has_nothing_yet_is_built_from_the_present_state(
    store: MemoryStore, titles: Titles, runner: Runner
):
    head = write(store, "/memory/a", "/memory/b")
    assert runner.behind() == head
    assert runner.catch_up() == 0
    assert (titles.rebuilt, titles.applied) == (1, [])
    assert {"/memory/a", "/memory/b"} <= set(titles.paths())


def test_then_every_change_is_applied_once_and_in_order(store: MemoryStore, titles: Titles, runner: Runner):
    start = store.head().sequence
    runner.catch_up()
    for round in range(3):
        write(store, f"/memory/{round}a", f"/memory/{round}b")
        assert runner.behind() > 0
        assert runner.catch_up() == 0
        assert runner.behind() == 0
    assert titles.applied == list(range(start + 1, store.head().sequence + 1))
    assert titles.rebuilt == 1


def test_many_changes_come_in_batches(
    store: MemoryStore, titles: Titles, runner: Runner, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(following, "BATCH", 3)
    runner.catch_up()
    start = store.head().sequence
    for count in (1, 3, 6, 7):
        write(store, *(f"/memory/{count}-{number}" for number in range(count)))
        assert runner.catch_up() == 0
    assert titles.applied == list(range(start + 1, store.head().sequence + 1))


def test_what_is_up_to_date_is_left_alone(store: MemoryStore, titles: Titles, runner: Runner):
    runner.catch_up()
    before = os.stat(titles.file).st_mtime_ns, os.stat(titles.file).st_ino
    assert runner.catch_up() == 0
    assert (os.stat(titles.file).st_mtime_ns, os.stat(titles.file).st_ino) == before


def test_several_threads_catch_up_together(store: MemoryStore, titles: Titles, runner: Runner):
    runner.catch_up()
    start = store.head().sequence
    titles.before_apply = lambda: time.sleep(0.001)
    failures: list[object] = []

    def work(name: int) -> None:
        for number in range(5):
            write(store, f"/memory/{name}-{number}")
            runner.catch_up(timeout=10)
            if f"/memory/{name}-{number}" not in titles.paths():
                failures.append((name, number))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert runner.catch_up() == 0
    assert titles.applied == list(range(start + 1, store.head().sequence + 1))


# --- deadlines -----------------------------------------------------------------------------------


def test_at_the_deadline_it_stops_between_batches_says_so_and_goes_on_next_time(
    store: MemoryStore, titles: Titles, runner: Runner, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(following, "BATCH", 2)
    runner.catch_up()
    start = store.head().sequence
    write(store, *(f"/memory/{number}" for number in range(6)))
    titles.before_apply = lambda: time.sleep(0.02)
    assert runner.catch_up(timeout=0.01) == 4
    assert runner.catch_up(timeout=0.01) == 2
    assert runner.catch_up(timeout=10) == 0
    assert titles.applied == list(range(start + 1, start + 7))


def test_while_another_process_works_it_is_waited_for_until_the_deadline(
    store: MemoryStore, titles: Titles, runner: Runner, lease: str
):
    runner.catch_up()
    write(store, "/memory/a")
    holder = Holder(lease)
    try:
        began = time.monotonic()
        assert runner.catch_up(timeout=0.1) == 1
        assert 0.1 <= time.monotonic() - began < 10
        assert titles.applied == [], "two at once would spoil it"
    finally:
        holder.end()
    assert runner.catch_up(timeout=0.1) == 0


def test_what_another_process_has_taken_in_needs_no_lease(
    store: MemoryStore, titles: Titles, runner: Runner, lease: str
):
    runner.catch_up()
    head = write(store, "/memory/a")
    holder = Holder(lease)
    try:
        Titles(titles.file).apply(store.changes(head - 1), store, Cursor(store.uuid, *store.head()))
        holder.announce(head)
        began = time.monotonic()
        assert runner.catch_up(timeout=5) == 0
        assert time.monotonic() - began < 4
        assert titles.applied == []
    finally:
        holder.end()


def test_when_the_worker_dies_whoever_waits_takes_over(
    store: MemoryStore, titles: Titles, runner: Runner, lease: str
):
    runner.catch_up()
    write(store, "/memory/a")
    holder = Holder(lease)
    threading.Timer(0.1, holder.end).start()
    assert runner.catch_up(timeout=10) == 0
    assert len(titles.applied) == 1


def test_who_cannot_write_the_files_reads_what_is_there_and_says_how_far_behind_it_is(
    store: MemoryStore, titles: Titles, runner: Runner
):
    runner.catch_up()
    write(store, "/memory/a", "/memory/b")
    reader = Runner(store, Titles(titles.file), None)
    assert reader.catch_up(timeout=5) == 2
    assert titles.applied == []
    with pytest.raises(ReadOnly, match="titles"):
        reader.rebuild()
    reader.close()


# --- what does not match -------------------------------------------------------------------------


@pytest.mark.parametrize("verified", [True, False])
def test_a_deleted_file_is_noticed_and_made_anew(
    store: MemoryStore, titles: Titles, lease: str, verified: bool
):
    runner = Runner(store, titles, Lease(lease))
    runner.catch_up()
    write(store, "/memory/a")
    assert runner.catch_up() == 0
    titles.file.unlink()
    if not verified:
        runner = Runner(store, titles, Lease(lease))
    assert runner.catch_up() == 0
    assert "/memory/a" in titles.paths()
    assert titles.rebuilt == 2


def test_a_cursor_of_another_store_means_rebuilding(store: MemoryStore, titles: Titles, lease: str):
    write(store, "/memory/lost")
    Runner(store, titles, Lease(lease)).catch_up()
    restored = MemoryStore()
    write(restored, "/memory/kept")
    runner = Runner(restored, titles, Lease(lease))
    assert runner.behind() == restored.head().sequence
    assert runner.catch_up() == 0
    assert "/memory/lost" not in titles.paths()
    assert "/memory/kept" in titles.paths()


def test_a_cursor_that_names_another_store_is_not_believed_whatever_its_chain(
    store: MemoryStore, titles: Titles, lease: str
):
    titles._commit(["/memory/lost"], Cursor("another", *store.head()))
    assert Runner(store, titles, Lease(lease)).catch_up() == 0
    assert "/memory/lost" not in titles.paths()


def test_a_cursor_with_another_history_means_rebuilding(store: MemoryStore, titles: Titles, lease: str):
    """A lost tail: same store, same sequence, but another row there."""
    Runner(store, titles, Lease(lease)).catch_up()
    head = write(store, "/memory/a")
    titles._commit(["/memory/lost"], Cursor(store.uuid, head, b"another chain"))
    assert Runner(store, titles, Lease(lease)).catch_up() == 0
    assert "/memory/lost" not in titles.paths()
    assert titles.rebuilt == 2


def test_a_cursor_beyond_the_journal_means_rebuilding(store: MemoryStore, titles: Titles, lease: str):
    titles._commit(["/memory/lost"], Cursor(store.uuid, store.head().sequence + 5, store.head().chain))
    assert Runner(store, titles, Lease(lease)).catch_up() == 0
    assert "/memory/lost" not in titles.paths()


def test_an_interrupted_batch_is_applied_again(
    store: MemoryStore, titles: Titles, runner: Runner, lease: str
):
    runner.catch_up()
    write(store, "/memory/a")

    def fail() -> None:
        raise VfsError("the disk is full")

    titles.before_apply = fail
    with pytest.raises(VfsError, match="full"):
        runner.catch_up()
    assert runner.behind() == 1
    other = Lease(lease)
    assert other.acquire(), "the lease was not given back"
    other.release()
    titles.before_apply = lambda: None
    assert runner.catch_up() == 0
    assert "/memory/a" in titles.paths()


def test_rebuilding_waits_for_the_lease_and_reports_progress(
    store: MemoryStore, titles: Titles, runner: Runner, lease: str
):
    runner.catch_up()
    holder = Holder(lease)
    died = threading.Event()

    def die() -> None:
        died.set()
        holder.end()

    threading.Timer(0.1, die).start()
    seen: list[tuple[int, int]] = []
    Lease(lease).sequence = 0
    runner.rebuild(lambda done, total: seen.append((done, total)))
    assert died.is_set()
    assert titles.rebuilt == 2
    assert seen[-1][0] == seen[-1][1] > 0
    assert Lease(lease).sequence == store.head().sequence


def test_closing_a_runner_closes_its_follower(titles: Titles, runner: Runner):
    runner.close()
    assert titles.closed


# --- the search index of a real store ------------------------------------------------------------


def paths(memory: AVM, word: str) -> list[str]:
    return [hit.path for hit in memory.search(word)]


def test_a_search_finds_what_another_process_has_just_written(tmp_path: Path):
    db = str(tmp_path / "avm.db")
    with AVM(db=db) as memory:
        memory.write("/memory/a.md", "quokka")
        assert paths(memory, "quokka") == ["/memory/a.md"]
        code = "import sys; from avm import AVM; AVM(db=sys.argv[1]).write('/memory/b.md', 'quokka wombat')"
        subprocess.run([sys.executable, "-c", code, db], check=True)
        assert paths(memory, "wombat") == ["/memory/b.md"]
        assert sorted(paths(memory, "quokka")) == ["/memory/a.md", "/memory/b.md"]


def test_a_search_notices_that_the_index_was_deleted(tmp_path: Path):
    with AVM(db=tmp_path / "avm.db") as memory:
        memory.write("/memory/a.md", "quokka")
        assert paths(memory, "quokka") == ["/memory/a.md"]
        for file in tmp_path.glob("avm.index.db*"):
            file.unlink()
        assert paths(memory, "quokka") == ["/memory/a.md"]
        assert (tmp_path / "avm.index.db").exists()


VACUUM = "import apsw, sys; apsw.Connection(sys.argv[1]).execute('VACUUM INTO ?', sys.argv[2:])"


def save(db: Path, copy: Path) -> None:
    """A backup of a closed store: the database alone."""
    subprocess.run([sys.executable, "-c", VACUUM, str(db), str(copy)], check=True)


def put_back(copy: Path, db: Path) -> None:
    for ending in ("-wal", "-shm"):
        Path(f"{db}{ending}").unlink(missing_ok=True)
    shutil.copy(copy, db)


def test_a_restored_backup_with_a_shorter_history_is_searched_as_it_is_now(tmp_path: Path):
    db, copy = tmp_path / "avm.db", tmp_path / "copy"
    with AVM(db=db) as memory:
        memory.write("/memory/kept.md", "quokka")
    save(db, copy)
    with AVM(db=db) as memory:
        memory.write("/memory/lost.md", "quokka")
        assert len(paths(memory, "quokka")) == 2
    put_back(copy, db)
    with AVM(db=db) as memory:
        assert paths(memory, "quokka") == ["/memory/kept.md"]
        memory.write("/memory/new.md", "quokka")
        assert sorted(paths(memory, "quokka")) == ["/memory/kept.md", "/memory/new.md"]


def test_another_store_in_the_place_of_the_first_is_searched_as_it_is(tmp_path: Path):
    db, other = tmp_path / "avm.db", tmp_path / "other.db"
    for each, name in ((db, "first"), (other, "second")):
        with AVM(db=each) as memory:
            memory.write(f"/memory/{name}.md", f"quokka {name}")
            assert paths(memory, "quokka") == [f"/memory/{name}.md"]
    save(other, tmp_path / "copy")
    put_back(tmp_path / "copy", db)
    with AVM(db=db) as memory:
        assert paths(memory, "quokka") == ["/memory/second.md"]
        assert paths(memory, "first") == []
