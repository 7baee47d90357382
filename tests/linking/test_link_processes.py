"""Many processes, and processes that die: in the end every link is there, made once."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from vfs_core.errors import VfsError
from vfs_core.kernel import Kernel
from vfs_core.reactor import LINKS

NOTES = 60

WRITER = """
import sys
from avm import AVM
db, me, notes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with AVM(db=db, agent=f"writer{me}") as memory:
    for each in range(notes):
        memory.write(f"/memory/{me}/n{each}.md", f"[[n{each + 1}]] [x](../{(me + 1) % 4}/n{each}.md)")
        if each % 5 == me:
            memory.links(f"/memory/{me}/n{each}.md")
"""
FOLLOWER = """
import sys
from vfs_core.kernel import Kernel
with Kernel(db=sys.argv[1]) as kernel:
    print("up", flush=True)
    while True:
        kernel.catch_up("links")
"""


def expected(writers: int) -> set[tuple[str, str]]:
    pairs = set()
    for me in range(writers):
        for each in range(NOTES):
            note = f"/memory/{me}/n{each}.md"
            pairs.add((note, f"/memory/{(me + 1) % 4}/n{each}.md"))
            if each + 1 < NOTES:
                pairs.add((note, f"/memory/{me}/n{each + 1}.md"))
    return pairs


def made(kernel: Kernel) -> Counter[tuple[str, str]]:
    """The links, by the journal: never made where it was there, never taken away where it was not."""
    names = {
        found.stat.id: found.path for found in kernel.store.scan(limit=100_000) if found.stat is not None
    }
    links, position = Counter[tuple[str, str]](), 0
    while changes := kernel.store.changes(position):
        position = changes[-1].sequence
        for each in changes:
            if each.operation in ("link", "unlink"):
                assert each.details is not None
                pair = names[each.node], names[each.details["target"]]
                links[pair] += 1 if each.operation == "link" else -1
                assert links[pair] in (0, 1)
    return +links


def finish(db: Path) -> Counter[tuple[str, str]]:
    with Kernel(db=db) as kernel:
        while kernel.catch_up(LINKS):
            pass
        return made(kernel)


def test_many_writers_and_readers_make_each_link_once(tmp_path):
    db = tmp_path / "avm.db"
    Kernel(db=db).writable_store().close()
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(db), str(me), str(NOTES)]) for me in range(4)
    ]
    assert [each.wait(120) for each in writers] == [0] * 4
    assert finish(db) == Counter(expected(4))


def test_a_follower_that_is_killed_again_and_again_makes_each_link_once(tmp_path):
    db = tmp_path / "avm.db"
    with Kernel(db=db) as kernel:
        session = kernel.session("ana")
        for me in range(4):
            session.write_many(
                [
                    (f"/memory/{me}/n{each}.md", f"[[n{each + 1}]] [x](../{(me + 1) % 4}/n{each}.md)")
                    for each in range(NOTES)
                ]
            )
    for delay in range(0, 60, 4):
        follower = subprocess.Popen(
            [sys.executable, "-c", FOLLOWER, str(db)], stdout=subprocess.PIPE, text=True
        )
        assert follower.stdout is not None
        assert follower.stdout.readline() == "up\n"
        time.sleep(delay / 1000)
        os.kill(follower.pid, signal.SIGKILL)
        follower.communicate()
    assert finish(db) == Counter(expected(4))


def test_between_the_links_and_the_note_of_them_it_may_die(tmp_path, monkeypatch):
    from avm_builtin.linking import tables

    db = tmp_path / "avm.db"
    with Kernel(db=db) as kernel:
        session = kernel.session("ana")
        session.write("/memory/a.md", "[[b]]")
        session.write("/memory/b.md", "[[a]]")
        with monkeypatch.context() as patch:

            def die(*_: object) -> None:
                raise KeyboardInterrupt

            patch.setattr(tables, "commit_cursor", die)
            with pytest.raises(KeyboardInterrupt):
                session.links("/memory/a.md")
        assert [link.target for link in session.links("/memory/a.md")] == ["/memory/b.md"]
        assert sum(made(kernel).values()) == 2


def test_a_store_that_cannot_be_written_shows_the_links_that_it_has(tmp_path):
    db = tmp_path / "avm.db"
    with Kernel(db=db) as kernel:
        session = kernel.session("ana")
        session.write("/memory/a.md", "[[b]]")
        session.write("/memory/b.md", "x")
        assert session.links("/memory/a.md")
        session.write("/memory/b.md", "[[a]]")
    with Kernel(db=db) as kernel:
        kernel.store.writable = False
        session = kernel.session("ana")
        assert session.links("/memory/a.md")
        assert session.links("/memory/b.md") == []
        assert kernel.catch_up(LINKS) == 1


def test_what_is_busy_is_read_as_it_is(tmp_path, monkeypatch):
    from vfs_core.errors import StoreBusy
    from vfs_core.follower import Runner

    with Kernel(db=tmp_path / "avm.db") as kernel:
        session = kernel.session("ana")
        session.write("/memory/a.md", "[[b]]")

        def busy(*_: object) -> int:
            raise StoreBusy("busy")

        monkeypatch.setattr(Runner, "catch_up", busy)
        assert session.links("/memory/a.md") == []
        assert kernel.catch_up(LINKS) > 0
        assert issubclass(StoreBusy, VfsError)
