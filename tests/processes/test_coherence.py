"""No process ever reads what another has been told is replaced: the checker for stale reads.

How it checks is told in workers/coherence.py. Races of this kind show once in 100,000 reads, so
it widens them with delays at the critical points, kills workers at random and between announcing and committing, and
`make soak` runs it for long. That it can fail is shown by breaking the protocol in a writer.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vfs_core.bell import EPOCH, FIRST_SLOT, HEAD, WORDS
from vfs_core.kernel import Kernel
from vfs_core.session import Session

if TYPE_CHECKING:
    from conftest import Crew, Worker

STOP, READERS, READER_WORDS, CELLS, CELL_WORDS = 0, 8, 4, 64, 3  # As in workers/coherence.py.
SHARED_WORDS = 256
COUNTERS = 2
EVERYTHING = [
    "Content", "Names", "Directories", "Shares", "DirectoryShares", "Modes", "Groups",
    "Content", "Passages", "Names", "Content", "Shares",
]  # fmt: skip


@dataclass
class Outcome:
    """What a run of the checker came to."""

    reads: int
    hot: int
    wrong: int
    states: int
    killed: int
    reports: list[str]


def _check(
    crew: Crew,
    directory: Path,
    seconds: float,
    *,
    writers: int = 2,
    readers: int = 3,
    kinds: list[str] = EVERYTHING,
    kill_every: float = 0.0,
    delays: float = 0.05,
    suicide: float = 0.0,
    pause: float = 0.002,
    sabotage: str = "",
) -> Outcome:
    """Let writers and readers go at one store for a while."""
    db, words_path = str(directory / "avm.db"), directory / "words"
    words = crew.words(words_path, SHARED_WORDS)
    numbered = list(enumerate(kinds))
    counters = 0 if sabotage else COUNTERS
    with Kernel(None, db) as kernel:
        kernel.session("owner").write("/memory/shared/first.md", "so that the store is there")
    base = {"db": db, "words_path": str(words_path), "counters": counters, "delays": delays}

    def writer(me: int) -> Worker:
        return crew.launch(
            "coherence", "write", **base, cells=numbered[me::writers], me=me, suicide=suicide, pause=pause,
            sabotage=sabotage,
        )  # fmt: skip

    def reader(me: int) -> Worker:
        return crew.launch("coherence", "read", **base, cells=numbered, writers=writers, me=me)

    makers = [*[(writer, me) for me in range(writers)], *[(reader, me) for me in range(readers)]]
    team = [make(me) for make, me in makers]
    killed = 0
    end = time.monotonic() + seconds
    next_kill = time.monotonic() + kill_every
    while time.monotonic() < end:
        time.sleep(0.05)
        for position, (make, me) in enumerate(makers):
            if team[position].process.poll() is not None:
                assert suicide and team[position].process.returncode == -9, team[position].errors()
                killed += 1
                team[position].close()
                team[position] = make(me)
        if kill_every and time.monotonic() > next_kill:
            next_kill += random.random() * 2 * kill_every
            position = random.randrange(len(team))
            team[position].close()
            make, me = makers[position]
            team[position] = make(me)
            killed += 1
    words[STOP] = 1
    reports: list[str] = []
    for position, worker in enumerate(team):
        if suicide and worker.process.wait(timeout=60) == -9:
            continue
        result = worker.result(60)
        reports += result if position >= writers else []
    tallies = [
        words[READERS + READER_WORDS * me : READERS + READER_WORDS * (me + 1)] for me in range(readers)
    ]
    return Outcome(
        reads=sum(tally[0] for tally in tallies),
        hot=sum(tally[0] - tally[1] for tally in tallies),
        wrong=sum(tally[2] for tally in tallies),
        states=sum(words[CELLS + CELL_WORDS * index + 1] for index, _ in numbered),
        killed=killed,
        reports=reports,
    )


def _enough(outcome: Outcome) -> None:
    """The run means something only if there was enough to see, by the hot path too."""
    assert outcome.states > 100, outcome
    assert outcome.reads > 1000, outcome
    assert outcome.hot > outcome.reads / 20, outcome


def test_no_read_is_stale_while_writers_write(crew: Crew, tmp_path: Path) -> None:
    outcome = _check(crew, tmp_path, 5)
    assert not outcome.wrong, outcome.reports
    _enough(outcome)


def test_no_read_is_stale_while_workers_are_killed(crew: Crew, tmp_path: Path) -> None:
    outcome = _check(crew, tmp_path, 8, kill_every=0.4, suicide=0.002)
    assert not outcome.wrong, outcome.reports
    assert outcome.killed > 3, outcome
    _enough(outcome)


@pytest.mark.soak
@pytest.mark.parametrize("delays", [0.0, 0.02, 0.2])
def test_no_read_is_stale_for_long(crew: Crew, tmp_path: Path, delays: float) -> None:
    seconds = float(os.environ.get("AVM_SOAK_SECONDS", "600"))
    outcome = _check(
        crew,
        tmp_path,
        seconds,
        writers=3,
        readers=4,
        kill_every=2.0,
        delays=delays,
        suicide=0.0005,
        pause=0.001,
    )
    print(outcome)
    assert not outcome.wrong, outcome.reports
    _enough(outcome)


@pytest.mark.parametrize("sabotage", ["never", "late"])
def test_the_checker_notices_a_writer_that_announces(crew: Crew, tmp_path: Path, sabotage: str) -> None:
    """Never, or only once its commit can be seen."""
    kinds = ["Content", "Names", "Directories", "Shares"]
    outcome = _check(crew, tmp_path, 2.5, writers=1, readers=2, kinds=kinds, sabotage=sabotage, delays=0.0)
    assert outcome.wrong > 0, outcome


# --- a writer that died between announcing and committing ----------------------------------------


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Kernel(None, tmp_path / "avm.db") as kernel:
        session = kernel.session("owner")
        session.write("/memory/shared/from/note.md", "in a directory")
        for number in range(8):
            session.write(f"/memory/shared/note-{number}.md", "as it was")
        yield session


def _is_hot(session: Session, path: str) -> bool:
    """Whether reading a path does without the store."""
    asked: list[str] = []
    store: Any = session.kernel.store
    kept = store.read

    def read(path: str, *arguments: Any) -> Any:
        asked.append(path)
        return kept(path, *arguments)

    for _ in range(2):  # what is read twice is kept
        session.read(path)
    store.read = read
    try:
        session.read(path)
    finally:
        del store.read
    return not asked


def _becomes_hot(session: Session, path: str, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if _is_hot(session, path):
            return True
        time.sleep(0.01)
    return False


def _words_above_the_journal(session: Session) -> list[int]:
    store = session.kernel.store
    head = store.head().sequence
    return [index for index in (HEAD, EPOCH, *range(FIRST_SLOT, WORDS)) if store.bell.words[index] > head]


@pytest.mark.parametrize("directory", [False, True], ids=["slots", "epoch"])
@pytest.mark.parametrize("notes", [1, 8])
def test_reads_are_hot_again_after_a_writer_died_announcing(
    session: Session, crew: Crew, notes: int, directory: bool
) -> None:
    path = "/memory/shared/note-0.md"
    assert _is_hot(session, path)
    db = session.kernel.location
    worker = crew.launch("coherence", "die_announcing", db=db, notes=notes, directory=directory)
    assert worker.process.wait(timeout=30) == -9
    assert _words_above_the_journal(session)

    assert session.read(path).text == "as it was"
    assert _becomes_hot(session, path)
    assert not _words_above_the_journal(session)
    assert session.read("/memory/shared/from/note.md").text == "in a directory"


@pytest.mark.parametrize("directory", [False, True], ids=["slots", "epoch"])
def test_they_are_also_when_another_wrote_less_in_the_meantime(
    session: Session, crew: Crew, directory: bool
) -> None:
    """The next writer announces a lower head than the dead one did; that must not hide the higher words."""
    db = session.kernel.location
    worker = crew.launch("coherence", "die_announcing", db=db, notes=8, directory=directory)
    assert worker.process.wait(timeout=30) == -9
    session.write("/memory/shared/other.md", "one row only")

    for number in range(8):
        path = f"/memory/shared/note-{number}.md"
        assert session.read(path).text == "as it was"
        assert _becomes_hot(session, path), f"{path} stays cold: {_words_above_the_journal(session)}"
    assert not _words_above_the_journal(session)
