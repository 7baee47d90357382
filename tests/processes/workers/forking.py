"""Processes that fork with a store open (test_fork.py). Forks happen here, not in the process of the tests."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from typing import Any

from common import main, open_kernel, ready

from avm import AVM
from vfs_core.session import Session

LIMIT = 20
"""Seconds after which a child that does not end counts as deadlocked."""


def _fork(work: Callable[[], object]) -> int:
    """Run `work` in a forked child; it exits with 0 if that raised nothing, by SIGALRM if it hung."""
    child = os.fork()
    if child:
        return child
    faulthandler.dump_traceback_later(LIMIT - 2)  # says where it hangs
    signal.alarm(LIMIT)
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(code)


def _wait(child: int) -> None:
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        raise AssertionError(
            f"a child ended by signal {os.WTERMSIG(status)} ({signal.SIGALRM.value}: it hung)"
        )
    assert os.WEXITSTATUS(status) == 0, "a child failed (see above)"


def _use(session: Session, name: str, rounds: int = 20) -> None:
    """Write, read hot and cold, search."""
    path = f"/memory/shared/by-{name}.md"
    for number in range(rounds):
        session.write(path, f"quokka {name} {number}")
        assert session.read(path).text == f"quokka {name} {number}"
    assert any(hit.path == path for hit in session.search(f"quokka {name}", limit=100))


def fork_once(db: str, durability: str) -> None:
    """A child and its parent use the same session at the same time, and see each other's changes."""
    ready()
    with open_kernel(db, durability) as kernel:
        session = kernel.session("owner")
        session.write("/memory/shared/before.md", "from before")
        _use(session, "ancestor")

        def work() -> None:
            # The parent may be done before the child has begun.
            assert session.read("/memory/shared/before.md").text in ("from before", "changed by the parent")
            _use(session, "child")
            deadline = time.monotonic() + LIMIT / 2
            while session.read("/memory/shared/before.md").text != "changed by the parent":
                assert time.monotonic() < deadline, "the child does not see what the parent wrote"

        child = _fork(work)
        _use(session, "parent")
        session.write("/memory/shared/before.md", "changed by the parent")
        _wait(child)
        assert session.read("/memory/shared/by-child.md").text == "quokka child 19"
        _use(session, "parent")


def fork_among_threads(db: str, durability: str, forks: int) -> int:
    """Fork again and again while threads hold whatever locks there are."""
    ready()
    stop = threading.Event()
    failures: list[BaseException] = []
    with open_kernel(db, durability) as kernel:
        session = kernel.session("owner")
        # What is imported late is imported here: Python's own locks on imports do not survive a fork.
        _use(session, "ancestor")

        def busy(me: int) -> None:
            try:
                while not stop.is_set():
                    _use(session, f"thread-{me}", 3)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=busy, args=(me,)) for me in range(4)]
        for thread in threads:
            thread.start()
        try:
            for number in range(forks):
                time.sleep(0.01)
                _wait(_fork(lambda number=number: _use(session, f"child-{number}", 3)))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        for failure in failures:
            raise failure
        for number in range(forks):
            assert session.read(f"/memory/shared/by-child-{number}.md").text == f"quokka child-{number} 2"
        return forks


def fork_in_a_transaction(db: str, durability: str) -> None:
    """Fork while this very thread, and then while another, is in the middle of a transaction."""
    ready()
    with open_kernel(db, durability) as kernel:
        session = kernel.session("owner")
        session.write("/memory/shared/note.md", "committed")
        with session.transaction() as tx:
            tx.write("/memory/shared/note.md", b"pending")
            child = _fork(lambda: _sees(session, "committed"))
            _wait(child)
        assert session.read("/memory/shared/note.md").text == "pending"

        begun, end = threading.Event(), threading.Event()

        def hold() -> None:
            with session.transaction() as tx:
                tx.write("/memory/shared/note.md", b"by a thread")
                begun.set()
                end.wait(2)

        thread = threading.Thread(target=hold)
        thread.start()
        begun.wait()
        child = _fork(lambda: _use(session, "child"))
        end.set()
        thread.join()
        _wait(child)
        assert session.read("/memory/shared/note.md").text == "by a thread"
        _use(session, "parent")


def _sees(session: Session, text: str) -> None:
    found = session.read("/memory/shared/note.md").text
    assert found == text, f"the child sees {found!r}"


def outlive(db: str, durability: str, writes: int) -> None:
    """The child goes on when its parent has closed the store and exited (as a daemon does)."""
    ready()
    kernel = open_kernel(db, durability)
    session = kernel.session("owner")
    session.write("/memory/shared/note.md", "0")
    gone_read, gone_write = os.pipe()

    def work() -> None:
        os.close(gone_write)
        os.read(gone_read, 1)  # until the parent has closed the store
        for number in range(writes):
            session.write("/memory/shared/note.md", str(number))
            session.write(f"/memory/shared/child-{number:04}.md", "x" * 3000)
            _sees(session, str(number))

    child = _fork(work)
    kernel.close()
    os.close(gone_write)
    _wait(child)


def _in_pool(name: str) -> str:
    _use(_SESSION[0], name, 5)
    return name


_SESSION: list[Session] = []


def pool(db: str, durability: str) -> list[str]:
    """multiprocessing with the start method that Linux had for long."""
    ready()
    with open_kernel(db, durability) as kernel:
        session = kernel.session("owner")
        session.write("/memory/shared/note.md", "here")
        _SESSION.append(session)
        with multiprocessing.get_context("fork").Pool(3) as processes:
            names = processes.map_async(_in_pool, [f"task-{number}" for number in range(9)]).get(4 * LIMIT)
        for name in names:
            assert session.read(f"/memory/shared/by-{name}.md").text == f"quokka {name} 4"
        return names


def threads(db: str, count: int, rounds: int) -> list[Any]:
    """Many threads share one AVM: each its own notes, one log, one counter."""
    ready()
    failures: list[str] = []
    with AVM(db=db, agent="owner") as memory:
        memory.write("/memory/shared/counter.md", "0")
        start = threading.Barrier(count)

        def use(me: int) -> None:
            try:
                start.wait()
                for number in range(rounds):
                    path = f"/memory/shared/of-{me}/{number}.md"
                    memory.write(path, f"quokka {me} {number}")
                    memory.append("/memory/shared/log.md", f"{me} {number}\n")
                    assert memory.read(path).text == f"quokka {me} {number}"
                    other = f"/memory/shared/of-{(me + 1) % count}"
                    for entry in memory.list(other) if memory.exists(other) else []:
                        assert memory.read(entry.path).text.startswith("quokka ")
                    if number % 10 == 0:
                        assert memory.search(f"quokka {me}", limit=3)
            except BaseException:
                failures.append(traceback.format_exc())

        running = [threading.Thread(target=use, args=(me,)) for me in range(count)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        lines = memory.read("/memory/shared/log.md").text.splitlines()
        return [
            failures,
            sorted(lines) == sorted(f"{me} {number}" for me in range(count) for number in range(rounds)),
        ]


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks among threads
    main(
        {
            "fork_once": fork_once,
            "fork_among_threads": fork_among_threads,
            "fork_in_a_transaction": fork_in_a_transaction,
            "outlive": outlive,
            "pool": pool,
            "threads": threads,
        }
    )
