"""After a power failure: at durability `full` every acknowledged write is there, at `normal` a prefix of them.

The same workload runs over a recording VFS (power.py); each disk that a failure could leave is opened as a store. At
whatever journal row it stands, it must hold exactly what it held when that row was the last, and nothing damaged.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from power import Failure, Recorder, failures

from vfs_core.config import Config, StorageSettings
from vfs_core.errors import VfsError
from vfs_core.kernel import Kernel
from vfs_core.session import Session

Durability = Literal["full", "normal"]
PLACE = "/memory/shared"
CHECKPOINT_PAGES = 60
"""Checkpoint often (SQLite's default is 1,000), so that many failures fall into one."""
CHANGES = 150


@dataclass
class Recording:
    """A workload that has run: the recorder's log, and what the store held at each journal head."""

    log: list[Any]
    states: dict[int, dict[str, bytes]]
    bells: dict[int, bytes]


def _record(directory: Path, durability: Durability, seed: int, synchronous: str | None = None) -> Recording:
    """Write, append, rename and delete, marking each change when it has been acknowledged.

    `synchronous` overrides what the store sets itself.
    """
    generator = random.Random(seed)
    states: dict[int, dict[str, bytes]] = {}
    bells: dict[int, bytes] = {}
    directory.mkdir()
    with (
        Recorder() as recorder,
        Kernel(Config(storage=StorageSettings(durability=durability)), directory / "avm.db") as kernel,
    ):
        session = kernel.session("owner")
        held: dict[str, bytes] = {}
        states[kernel.writable_store().head().sequence] = {}
        for number in range(CHANGES):
            _change(session, held, generator, number)
            head = kernel.store.head().sequence
            states[head] = dict(held)
            bells[head] = bytes(kernel.store.bell.words)
            recorder.mark(head)
            if number == 0:
                connection = kernel.store._database.writer()  # type: ignore[attr-defined]
                connection.wal_autocheckpoint(CHECKPOINT_PAGES)
                if synchronous is not None:
                    connection.execute(f"PRAGMA synchronous = {synchronous}")
            if number % 10 == 0:
                session.search("word")
    return Recording(recorder.log, states, bells)


def _change(session: Session, held: dict[str, bytes], generator: random.Random, number: int) -> None:
    """One random change of the store and of the model."""
    path = f"{PLACE}/{generator.randrange(20):02}.md"
    size = generator.choice((10, 500, 5_000, 40_000))
    data = f"word {number} ".encode() * (size // 10)
    what = generator.choice(("write", "write", "append", "rename", "delete", "many"))
    if what == "append":
        session.append(path, data)
        held[path] = held.get(path, b"") + data
    elif what == "rename" and path in held:
        session.rename(path, f"{PLACE}/moved-{number}.md")
        held[f"{PLACE}/moved-{number}.md"] = held.pop(path)
    elif what == "delete" and path in held:
        session.delete(path)
        del held[path]
    elif what == "many":
        several = {f"{PLACE}/many-{each}.md": data[: 100 * each + 1] for each in range(5)}
        session.write_many(list(several.items()))
        held.update(several)
    else:
        session.write(path, data)
        held[path] = data


def _restore(directory: Path, failure: Failure, recording: Recording, generator: random.Random) -> Path:
    """The files of a failed machine. Nobody syncs the bell: each of its pages is from some time before."""
    directory.mkdir()
    for name, content in failure.files.items():
        (directory / name).write_bytes(content)
    seen = [bell for head, bell in recording.bells.items() if head <= failure.mark] or [b""]
    fate = generator.choice(("gone", "empty", "zeros", "pages", "pages"))
    if fate != "gone":
        size = 0 if fate == "empty" else len(seen[0])
        pages = [
            generator.choice(seen)[start : start + 4096] if fate == "pages" else bytes(4096)
            for start in range(0, size, 4096)
        ]
        (directory / "avm.bell").write_bytes(b"".join(pages)[:size])
    return directory / "avm.db"


def _judge(db: Path, failure: Failure, states: Mapping[int, Mapping[str, bytes]], search: bool) -> str:
    """What is wrong with a store after a failure: '' nothing, 'lost' an acknowledged write, else what is damaged."""
    try:
        with Kernel(None, db) as kernel:
            session = kernel.session("owner")
            head = kernel.store.head().sequence
            if head not in states:
                return f"it stands at row {head}, within a change"
            held = {path: session.read(path).data for path in states[head]}
            if held != states[head]:
                return f"it does not hold what it held at row {head}"
            if {entry.path for entry in session.list(PLACE)} != set(held):
                return f"names differ from those at row {head}"
            bad = [finding for finding in kernel.store.verify() if finding.level == "fail"]
            if bad:
                return f"verify: {bad}"
            session.write(f"{PLACE}/after.md", "word after")
            if session.read(f"{PLACE}/after.md").text != "word after":
                return "it cannot be written"
            if search:
                found = {hit.path for hit in session.search("word", limit=1000)}
                expected = {path for path, data in held.items() if b"word" in data} | {f"{PLACE}/after.md"}
                if found != expected:
                    return f"search finds {sorted(found ^ expected)} wrongly or not"
            return "lost" if head < failure.mark else ""
    except VfsError as error:
        return f"{type(error).__name__}: {error}"


def _verdicts(
    directory: Path, durability: Durability, count: int, seed: int, **sabotage: Any
) -> Counter[str]:
    """How often each verdict was given, over so many failures."""
    generator = random.Random(seed)
    recording = _record(directory / "recorded", durability, seed, sabotage.pop("synchronous", None))
    verdicts: Counter[str] = Counter()
    for number, failure in enumerate(failures(recording.log, count, generator, **sabotage)):
        db = _restore(directory / str(number), failure, recording, generator)
        verdicts[_judge(db, failure, recording.states, search=number % 4 == 0)] += 1
    return verdicts


def test_full_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    assert _verdicts(tmp_path, "full", 60, 1) == {"": 60}


def test_normal_loses_no_more_than_the_last_changes(tmp_path: Path) -> None:
    verdicts = _verdicts(tmp_path, "normal", 60, 2)
    assert set(verdicts) == {"", "lost"}, verdicts


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_what_is_left_of_a_store_that_was_being_made_becomes_one(
    tmp_path: Path, durability: Durability
) -> None:
    generator = random.Random(5)
    recording = _record(tmp_path / "recorded", durability, 5)
    for number, failure in enumerate(failures(recording.log, 40, generator, early=True)):
        db = _restore(tmp_path / str(number), failure, recording, generator)
        with Kernel(None, db) as kernel:
            session = kernel.session("owner")
            session.write(f"{PLACE}/after.md", "word after")
            assert [hit.path for hit in session.search("after")] == [f"{PLACE}/after.md"]
            assert {finding.level for finding in kernel.store.verify()} == {"ok"}


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 110))
def test_full_loses_nothing_for_long(tmp_path: Path, seed: int) -> None:
    assert _verdicts(tmp_path, "full", 100, seed) == {"": 100}


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 110))
def test_normal_keeps_a_prefix_for_long(tmp_path: Path, seed: int) -> None:
    assert set(_verdicts(tmp_path, "normal", 100, seed)) <= {"", "lost"}


def test_the_names_of_new_directories_are_on_the_disk_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: set[int] = set()
    real = os.fsync

    def fsync(fd: int) -> None:
        flushed.add(os.fstat(fd).st_ino)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    with Kernel(None, tmp_path / "one" / "two" / "avm.db") as kernel:
        kernel.session("owner").write(f"{PLACE}/note.md", "x")
    assert {tmp_path.stat().st_ino, (tmp_path / "one").stat().st_ino} <= flushed


# --- the checker can fail ------------------------------------------------------------------------


def test_it_is_noticed_when_the_store_does_not_sync(tmp_path: Path) -> None:
    verdicts = _verdicts(tmp_path, "full", 30, 3, synchronous="OFF")
    assert verdicts["lost"] > 3, verdicts


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_it_is_noticed_when_the_disk_does_not_sync(tmp_path: Path, durability: Durability) -> None:
    verdicts = _verdicts(tmp_path, durability, 30, 4, ignore_syncs=True)
    assert sum(verdicts[each] for each in verdicts if each not in ("", "lost")) > 3, verdicts
