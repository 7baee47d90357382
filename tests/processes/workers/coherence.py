"""The checker for stale reads: what its writers and readers do (test_coherence.py).

A *cell* is one or two names that one writer takes through numbered states; what a reader must see in
state i follows from i alone. Shared words of the cell say which state the writer has begun, which it has
been told is committed, and which some reader has seen. A reader loads the later of the last two, a; reads as
any agent does, hot where the cache allows it; then loads the begun state b. What it saw must be what
one of the states a to b looks like: anything older is a stale read, anything else is wrong altogether.

A writer that is killed is replaced. The new one does the operation again that the old one had begun; all
are such that doing them twice is the same as once.

The races show where they are widest, so workers are delayed at random between announcing and committing,
between committing and ringing, between reading and caching; and writers kill themselves between
announcing and committing.
"""

from __future__ import annotations

import os
import random
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from common import main, map_words, open_kernel, ready

from avm_builtin.storage.sqlite.store import SqliteStore
from vfs_core.bell import Bell
from vfs_core.errors import Conflict, Denied, NotFound
from vfs_core.kernel import Kernel
from vfs_core.session import Session
from vfs_core.storage import allow_all
from vfs_core.types import User

STOP = 0
"""The word that ends all workers."""
READERS, READER_WORDS = 8, 4
"""From word 8 on, four for each reader: reads, those that reached the store, wrong ones."""
CELLS, CELL_WORDS = 64, 3
"""From word 64 on, three for each cell: begun, committed, seen."""
COUNTERS = 192
"""From word 192 on, one for each writer and counter: the highest number acknowledged to that writer."""
CLUB = "club"


class Cell(ABC):
    """Names in numbered states. `expected` says what the reader sees in each; `to` makes state i from i - 1."""

    owner = "owner"
    reader = "reader"

    def __init__(self, index: int) -> None:
        self.index = index
        self.words = range(CELLS + CELL_WORDS * index, CELLS + CELL_WORDS * (index + 1))

    @abstractmethod
    def paths(self) -> list[str]: ...

    @abstractmethod
    def expected(self, state: int) -> list[int | None]:
        """For each path the number that it holds, None where the reader gets nothing."""

    @abstractmethod
    def to(self, state: int, session: Session) -> None: ...

    def look(self, session: Session, path: str) -> int | None:
        """What a reader sees at a path."""
        return _look(session, path)


class Content(Cell):
    """A note is written again and again."""

    def paths(self) -> list[str]:
        return [f"/memory/shared/content-{self.index}.md"]

    def expected(self, state: int) -> list[int | None]:
        return [state if state else None]

    def to(self, state: int, session: Session) -> None:
        session.write(self.paths()[0], str(state))


class Names(Cell):
    """A note is made, moved, written, replaced by another that moves over it, removed."""

    def paths(self) -> list[str]:
        return [f"/memory/shared/name-{self.index}-{side}.md" for side in "ab"]

    def expected(self, state: int) -> list[int | None]:
        return {
            0: [None, None],
            1: [state, None],
            2: [None, state - 1],
            3: [None, state],
            4: [state, state - 1],
            5: [None, state - 1],
        }[state % 6]

    def to(self, state: int, session: Session) -> None:
        first, second = self.paths()
        match state % 6:
            case 0:
                _unless_gone(lambda: session.delete(second))
            case 1 | 4:
                session.write(first, str(state))
            case 3:
                session.write(second, str(state))
            case step:
                _unless_gone(lambda: session.rename(first, second, replace=step == 5))


class Directories(Cell):
    """A directory above a note moves away and back, and the note is written in both places."""

    def paths(self) -> list[str]:
        return [f"/memory/shared/tree-{self.index}-{side}/deep/note.md" for side in "ab"]

    def expected(self, state: int) -> list[int | None]:
        if not state:
            return [None, None]
        return {0: [state - 1, None], 1: [state, None], 2: [None, state - 1], 3: [None, state]}[state % 4]

    def to(self, state: int, session: Session) -> None:
        here, there = self.paths()
        tops = [path.rpartition("/deep")[0] for path in (here, there)]
        match state % 4:
            case 0:
                _unless_gone(lambda: session.rename(tops[1], tops[0]))
            case 1:
                session.write(here, str(state))
            case 2:
                _unless_gone(lambda: session.rename(*tops))
            case 3:
                session.write(there, str(state))


class Shares(Cell):
    """A private note is shared with the reader and taken back, and written in both conditions."""

    shared = "{}/note.md"

    def paths(self) -> list[str]:
        return [f"/memory/private/{self.owner}/{type(self).__name__}-{self.index}/note.md"]

    def expected(self, state: int) -> list[int | None]:
        return [{0: None, 1: None, 2: state - 1, 3: state}[state % 4]]

    def to(self, state: int, session: Session) -> None:
        place = self.shared.format(self.paths()[0].rpartition("/")[0])
        match state % 4:
            case 0:
                session.share(place, self.reader, None)
            case 1 | 3:
                session.write(self.paths()[0], str(state))
            case 2:
                session.share(place, self.reader)


class DirectoryShares(Shares):
    """The same, with the share on the directory."""

    shared = "{}"


class Passages(Shares):
    """The directory above a shared note exists for the reader while, and because, the note is shared."""

    def expected(self, state: int) -> list[int | None]:
        return [{0: None, 1: None, 2: 1, 3: 1}[state % 4]]

    def look(self, session: Session, path: str) -> int | None:
        return 1 if session.exists(path.rpartition("/")[0]) else None


class Modes(Cell):
    """A note in a shared place is closed and opened by its mode."""

    def paths(self) -> list[str]:
        return [f"/memory/shared/mode-{self.index}.md"]

    def expected(self, state: int) -> list[int | None]:
        if not state:
            return [None]
        return [{0: None, 1: state, 2: state - 1, 3: None}[state % 4]]

    def to(self, state: int, session: Session) -> None:
        path = self.paths()[0]
        match state % 4:
            case 0:
                _unless_gone(lambda: session.delete(path))
            case 1:
                session.write(path, str(state))
            case 2:
                session.set_mode(path, 0o644)
            case 3:
                session.set_mode(path, 0o600)


class Groups(Cell):
    """An agent is taken into the group that may read a note, and put out of it."""

    reader = "member"

    def paths(self) -> list[str]:
        return [f"/memory/shared/club-{self.index}.md"]

    def expected(self, state: int) -> list[int | None]:
        return [{0: None, 1: None, 2: 1, 3: 1}[state % 4] if state > 1 else None]

    def to(self, state: int, session: Session) -> None:
        store = session.kernel.writable_store()
        with store.transaction(session._origin, allow_all) as tx:
            if tx.find(self.paths()[0]).stat is None:
                tx.write(self.paths()[0], b"1")
                tx.set_owner(self.paths()[0], group=CLUB)
                tx.set_mode(self.paths()[0], 0o640)
            tx.put_user(User(self.reader, (CLUB,) if state % 4 in (2, 3) else ()))


KINDS: dict[str, type[Cell]] = {
    each.__name__: each
    for each in (Content, Names, Directories, Shares, DirectoryShares, Passages, Modes, Groups)
}


def _unless_gone(operate: Callable[[], object]) -> None:
    """Do what has no second time: where the name is gone, it has been done already."""
    with suppress(NotFound):
        operate()


# --- delays, deaths and sabotage -----------------------------------------------------------------


def _nap(chance: float, longest: float) -> None:
    if random.random() < chance:
        time.sleep(random.random() * longest)


def _delay_writer(chance: float, suicide: float, longest: float) -> None:
    announce, ring = Bell.announce, Bell.ring

    def announce_slowly(self: Bell, *arguments: Any, **more: Any) -> None:
        announce(self, *arguments, **more)
        if random.random() < suicide:
            os.kill(os.getpid(), signal.SIGKILL)
        _nap(chance, longest)

    def ring_slowly(self: Bell) -> None:
        _nap(chance, longest)
        ring(self)

    Bell.announce, Bell.ring = announce_slowly, ring_slowly  # type: ignore[method-assign]


def _delay_reader(chance: float, longest: float) -> None:
    for name in ("read", "users", "find", "shared_with", "directory_class", "node_class"):
        _delay_after(name, chance, longest)


def _delay_after(name: str, chance: float, longest: float) -> None:
    method = getattr(SqliteStore, name)

    def slowly(self: SqliteStore, *arguments: Any) -> Any:
        result = method(self, *arguments)
        _nap(chance, longest)
        return result

    setattr(SqliteStore, name, slowly)


def _sabotage(what: str) -> None:
    """Break the protocol, to see that the checker notices."""
    announce, ring = Bell.announce, Bell.ring
    pending: list[Any] = []

    def keep_silent(self: Bell, *arguments: Any, **more: Any) -> None:
        pending[:] = [(arguments, more)]

    def announce_too_late(self: Bell) -> None:
        time.sleep(0.002)
        for arguments, more in pending:
            announce(self, *arguments, **more)
        ring(self)

    Bell.announce = keep_silent  # type: ignore[method-assign]
    if what == "late":
        Bell.ring = announce_too_late  # type: ignore[method-assign]


# --- the workers ---------------------------------------------------------------------------------


def write(
    db: str,
    words_path: str,
    cells: list[tuple[int, str]],
    counters: int,
    me: int,
    delays: float,
    suicide: float,
    pause: float,
    sabotage: str = "",
) -> int:
    """Take the cells from state to state, and count up the counters that all writers share."""
    words = map_words(words_path)
    ready()
    if sabotage:
        _sabotage(sabotage)
    else:
        _delay_writer(delays, suicide, 0.004)
    mine = [KINDS[kind](index) for index, kind in cells]
    done = 0
    with open_kernel(db, "normal") as kernel:
        sessions = {name: kernel.session(name) for name in ("owner",)}
        while not words[STOP]:
            for cell in mine:
                begun, committed, _ = cell.words
                state = words[committed] + 1
                words[begun] = state
                cell.to(state, sessions[cell.owner])
                words[committed] = state
                done += 1
                if pause:
                    time.sleep(random.random() * 2 * pause)
            for counter in range(counters):
                _count_up(kernel, words, counter, counters, me)
        return done


def _count_up(kernel: Kernel, words: memoryview, counter: int, counters: int, me: int) -> None:
    path = f"/memory/shared/counter-{counter}.md"
    session = kernel.session("owner")
    try:
        node = session.read(path)
        number, version = int(node.text) + 1, node.version
    except NotFound:
        number, version = 1, 0
    try:
        session.write(path, str(number), base_version=version)
    except Conflict:
        return
    words[COUNTERS + me * counters + counter] = number


def read(
    db: str,
    words_path: str,
    cells: list[tuple[int, str]],
    counters: int,
    writers: int,
    me: int,
    delays: float,
) -> list[str]:
    """Read all cells over and over; returns what was wrong, in words."""
    words = map_words(words_path)
    ready()
    _delay_reader(delays, 0.003)
    tally = READERS + READER_WORDS * me
    all_cells = [KINDS[kind](index) for index, kind in cells]
    wrong: list[str] = []
    with open_kernel(db, "normal") as kernel:
        sessions = {name: kernel.session(name) for name in ("reader", "member")}
        _count_cold(words, tally)
        while not words[STOP]:
            for cell in all_cells:
                session = sessions[cell.reader]
                begun, committed, seen = cell.words
                for position, path in enumerate(cell.paths()):
                    first = max(words[committed], words[seen])
                    held = cell.look(session, path)
                    states = range(first, words[begun] + 1)
                    now = next((state for state in states if cell.expected(state)[position] == held), None)
                    words[tally] += 1
                    if now is None:
                        words[tally + 2] += 1
                        wrong.append(f"{path} held {held} between states {first} and {states.stop - 1}")
                    elif now > words[seen]:
                        words[seen] = now
            for counter in range(counters):
                published = max(words[COUNTERS + writer * counters + counter] for writer in range(writers))
                held = _look(sessions["reader"], f"/memory/shared/counter-{counter}.md") or 0
                words[tally] += 1
                if held < published:
                    words[tally + 2] += 1
                    wrong.append(f"counter {counter} held {held} after {published} was acknowledged")
    return wrong[:20]


def _look(session: Session, path: str) -> int | None:
    try:
        return int(session.read(path).data)
    except (NotFound, Denied):
        return None


def _count_cold(words: memoryview, tally: int) -> None:
    """Count the reads that reach the store."""
    read_cold = SqliteStore.read

    def counted(self: SqliteStore, *arguments: Any) -> Any:
        words[tally + 1] += 1
        return read_cold(self, *arguments)

    SqliteStore.read = counted  # type: ignore[method-assign]


def die_announcing(db: str, notes: int, directory: bool) -> None:
    """Change so many notes (and, if `directory`, rename one) in one transaction; die before the commit."""
    ready()
    with open_kernel(db, "normal") as kernel:
        session = kernel.session("owner")
        session.exists("/memory")
        _delay_writer(0.0, 1.0, 0.0)
        with session.transaction() as tx:
            for number in range(notes):
                tx.write(f"/memory/shared/note-{number}.md", b"never to be seen")
            if directory:
                tx.rename("/memory/shared/from", "/memory/shared/to")


if __name__ == "__main__":
    main({"write": write, "read": read, "die_announcing": die_announcing})
