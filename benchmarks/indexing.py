"""How the semantic index keeps up: notes a second beside the bare models, what writing pays, how soon it finds."""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.embedding import OBJECTS, REASONS, SUBJECTS, VERBS, bare_models
from benchmarks.harness import Child, Row, Settings, Timed, note_of, percentile, scratch
from benchmarks.workers import open_kernel
from vfs_core.kernel import Kernel
from vfs_core.semantic import SemanticIndex
from vfs_core.session import Session

_PACE = 200
"""Writes a second: a busy agent, and far below what the store takes."""


def run(settings: Settings) -> list[Row]:
    """All rows about the semantic index and the journal that it follows."""
    with scratch(settings) as directory:
        rows = [_notes_a_second(settings, directory)]
        rows += _latency(settings, directory)
        return [*rows, _lag(settings, directory)]


def fresh_notes(generator: random.Random, count: int) -> list[str]:
    """Short English notes of about 40 words, each with a number of its own: none was embedded before."""
    parts = (SUBJECTS, VERBS, OBJECTS, REASONS)
    return [
        f"Item {generator.getrandbits(32)}. "
        + ". ".join(" ".join(generator.choice(part) for part in parts) for _ in range(4))
        for _ in range(count)
    ]


def _write(session: Session, notes: list[str], place: str) -> None:
    session.write_many(
        [(f"/memory/shared/{place}/{number:05}.md", note) for number, note in enumerate(notes)]
    )
    session.search("warm")


# --- notes a second ------------------------------------------------------------------------------


def _notes_a_second(settings: Settings, directory: Path) -> Row:
    """What waits in a store against the same texts given to the bare models; each round has new ones."""
    generator = random.Random(31)
    count, rounds = settings.scaled(64, 32), settings.scaled(5, 2)
    bare = bare_models()
    seconds: dict[str, list[float]] = {"avm": [], "bare": []}
    with open_kernel(directory / "speed.db", "normal") as kernel:
        session = kernel.session("bench")
        for number in range(rounds + 1):
            notes = fresh_notes(generator, count)
            _write(session, notes, f"speed-{number}")
            things: dict[str, Callable[[], object]] = {"avm": session.embed, "bare": partial(bare, notes)}
            for name in random.sample(list(things), 2):
                start = time.perf_counter()
                things[name]()
                if number:  # the first round loads the models
                    seconds[name].append(time.perf_counter() - start)
    timed = Timed(seconds, count)
    ratio = timed.ratio("avm", "bare")
    return Row(
        "notes a second from the store into the index",
        ">= 90 % of the bare models",
        f"{timed.rate('avm'):,.0f}/s, {ratio:.0%}",
        None if settings.quick else ratio >= 0.9,
        ratio,
        f"{count} new English notes of about 40 words a round: read, cut, embedded, written; the reference is both "
        "bare models on the same texts at once",
        {"seconds": seconds, "operations": count},
    )


# --- writing beside it ---------------------------------------------------------------------------


def _latency(settings: Settings, directory: Path) -> list[Row]:
    """Single writes while nothing is embedded, while another thread embeds, and while another process does."""
    rows = []
    for durability in ("full", "normal"):
        db = directory / f"{durability}.db"
        with open_kernel(db, durability) as kernel:
            session = kernel.session("bench")
            _write(session, fresh_notes(random.Random(32), settings.scaled(2_000, 400)), "waiting")
            child = Child("embed", db=str(db))
            child.hear()
            taken = _beside(settings, kernel, session, child)
            child.close()
        rows += [_slower(settings, durability, where, taken) for where in ("thread", "process")]
    return rows


def _beside(
    settings: Settings, kernel: Kernel, session: Session, child: Child
) -> dict[str, list[list[float]]]:
    """Milliseconds of the writes of each round, by what else is done."""
    taken: dict[str, list[list[float]]] = {"quiet": [], "thread": [], "process": []}
    length = settings.scaled(3, 1)
    others: dict[str, Callable[[float], Iterator[None]]] = {
        "quiet": _nothing,
        "thread": partial(_in_a_thread, kernel),
        "process": partial(_in_a_process, child),
    }
    for number in range(settings.scaled(7, 3) + 1):
        for name in random.sample(list(others), len(others)):
            with contextmanager(others[name])(length + 0.5):
                time.sleep(0.25)
                milliseconds = _paced(session, length)
            if number:
                taken[name].append(milliseconds)
    return taken


def _paced(session: Session, seconds: float) -> list[float]:
    taken = []
    for number in range(int(seconds * _PACE)):
        body = note_of(number)
        start = time.perf_counter()
        session.write(f"/memory/shared/written/{number % 100:03}.md", body)
        done = time.perf_counter()
        taken.append((done - start) * 1e3)
        time.sleep(max(0.0, 1 / _PACE - (done - start)))
    return taken


def _nothing(_: float) -> Iterator[None]:
    yield


def _in_a_thread(kernel: Kernel, seconds: float) -> Iterator[None]:
    runner = kernel.semantic()
    assert runner is not None
    index = runner.follower
    assert isinstance(index, SemanticIndex)
    thread = threading.Thread(target=index.embed, args=(runner, seconds))
    thread.start()
    yield
    thread.join()


def _in_a_process(child: Child, seconds: float) -> Iterator[None]:
    child.tell(seconds)
    yield
    child.hear()


def _slower(settings: Settings, durability: str, where: str, taken: dict[str, list[list[float]]]) -> Row:
    middle = {name: [statistics.median(each) for each in rounds] for name, rounds in taken.items()}
    over = statistics.median(
        busy / quiet - 1 for busy, quiet in zip(middle[where], middle["quiet"], strict=True)
    )
    slow = {name: percentile([ms for each in rounds for ms in each], 99) for name, rounds in taken.items()}
    return Row(
        f"writes while another {where} embeds, {durability}",
        "+10 % at most",
        f"{over:+.0%}, p50 {statistics.median(middle[where]):.3f}, p99 {slow[where]:.2f} ms",
        None if settings.quick else over <= 0.1,
        1 / (1 + over),
        f"one note of 500 bytes at a time, {_PACE} a second; quiet: p50 {statistics.median(middle['quiet']):.3f}, "
        f"p99 {slow['quiet']:.2f} ms; the median over rounds of the ratio of the medians within a round",
        {"quiet_ms": middle["quiet"], "busy_ms": middle[where], "p99_ms": slow},
    )


# --- how soon ------------------------------------------------------------------------------------


def _lag(settings: Settings, directory: Path) -> Row:
    """From the commit in another process to the hit by meaning in this one, searching without pause."""
    generator = random.Random(33)
    db = directory / "lag.db"
    taken, alone = [], []
    with open_kernel(db, "normal") as kernel:
        session = kernel.session("bench")
        _write(session, fresh_notes(generator, settings.scaled(200, 50)), "there")
        session.embed()
        writer = Child("announce_texts", db=str(db))
        writer.hear()
        for text in fresh_notes(generator, settings.scaled(50, 10)):
            query = text.partition(". ")[2]
            session.search(query, 10, "semantic")  # the query's vector is known from here on
            start = time.perf_counter()
            session.search(query, 10, "semantic")
            alone.append((time.perf_counter() - start) * 1e3)
            writer.tell(text)
            path, committed = writer.hear()
            while path not in [hit.path for hit in session.search(query, 10, "semantic")]:
                if time.monotonic() - committed > 60:
                    raise RuntimeError(f"{path} is not found by what it says")
            taken.append((time.monotonic() - committed) * 1e3)
        writer.close()
    return Row(
        "found by meaning after a write by another process",
        "",
        f"p50 {statistics.median(taken):.1f}, p99 {percentile(taken, 99):.1f} ms",
        None,
        None,
        f"one note at a time, embedded by the search itself; the query's vector is known; a search with nothing new "
        f"takes {statistics.median(alone):.1f} ms",
        {"ms": taken, "alone_ms": alone},
    )
