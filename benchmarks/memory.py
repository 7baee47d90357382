"""What the memory saves: reads that the cache answers, tokens that recall and browsing leave out."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from pathlib import Path

from avm_builtin.memory import tokens
from avm_builtin.memory.agent import AgentMemory
from benchmarks.ablation import ablation
from benchmarks.harness import Row, Settings, note_of, scratch, zipf_notes
from benchmarks.synthetic import open_stand_in
from vfs_core.config import CacheSettings, Config, StorageSettings
from vfs_core.kernel import Kernel
from vfs_core.session import Session

BUDGET = 4000
_FETCHED = 3
"""Notes that are fetched after browsing."""
_MANY = 100_000


def run(settings: Settings) -> list[Row]:
    """All rows about the memory."""
    return [*_cache(settings), *_saved(settings), *ablation(settings)]


# --- the cache -----------------------------------------------------------------------------------


def _cache(settings: Settings) -> list[Row]:
    count = settings.scaled(10_000, 2_000)
    rows = []
    with scratch(settings) as directory:
        db = directory / "avm.db"
        paths = [f"/memory/shared/{number % 100:02}/{number:05}.md" for number in range(count)]
        with _kernel(db, CacheSettings()) as kernel:
            kernel.session("bench").write_many([(path, note_of(number)) for number, path in enumerate(paths)])
        for name, cache, writes, bar in (
            ("nobody writes", CacheSettings(), 0.0, 0.95),
            ("one operation of 20 is a write", CacheSettings(), 0.05, None),
            ("the same, and it holds a tenth of the notes", CacheSettings(entries=count // 10), 0.05, None),
        ):
            with _kernel(db, cache) as kernel:
                sessions = kernel.session("bench"), kernel.session("other")
                share = _hits(sessions, paths, settings.scaled(200_000, 40_000), writes)
            rows.append(
                Row(
                    f"reads from the cache, {name}",
                    f">= {bar:.0%}" if bar else "",
                    f"{share:.1%}",
                    None if settings.quick or bar is None else share >= bar,
                    None,
                    f"{count:,} notes of 500 bytes, read by Zipf's law; notes to write are drawn alike, half of "
                    "the writes are another session's; counted after as many operations as there are notes",
                    {"share": share},
                )
            )
    return rows


def _kernel(db: Path, cache: CacheSettings) -> Kernel:
    return Kernel(Config(storage=StorageSettings(durability="normal"), cache=cache), db)


def _hits(sessions: tuple[Session, Session], paths: Sequence[str], operations: int, writes: float) -> float:
    """The share of reads that gave the very node that the same path gave before: a cold read makes a new one."""
    generator = random.Random(41)
    order = generator.sample(list(paths), len(paths))
    drawn = generator.choices(order, [1 / rank for rank in range(1, len(paths) + 1)], k=operations)
    known: dict[str, object] = {}
    reads = hits = 0
    for number, path in enumerate(drawn):
        if generator.random() < writes:
            generator.choice(sessions).write(path, note_of(number))
            continue
        node = sessions[0].read(path)
        if number > len(paths):
            reads += 1
            hits += node is known.get(path)
        known[path] = node
    return hits / reads


# --- tokens --------------------------------------------------------------------------------------


def _saved(settings: Settings) -> list[Row]:
    """Tokens of an answer against those of what it was chosen from."""
    notes = zipf_notes(settings.scaled(5_000, 1_000))
    with scratch(settings) as directory, open_stand_in(directory / "avm.db") as kernel:
        session = kernel.session("bench")
        paths = [f"/memory/shared/{number:05}.md" for number in range(len(notes))]
        session.write_many(list(zip(paths, notes, strict=True)))
        session.embed()
        sizes = dict(zip(paths, tokens.count_each(notes), strict=True))
        memory = AgentMemory(session)
        queries = [" ".join(note.split()[:3]) for note in notes[:: len(notes) // settings.scaled(50, 20)]]
        matching = [_matching(session, sizes, query) for query in queries]
        recalled = [memory.recollect(query, BUDGET).tokens for query in queries]
        phases = [_in_two_phases(memory, query) for query in queries]
    conditions = (
        f"{len(notes):,} notes of 60 Zipf words, {len(queries)} queries of three words of a note; all notes that "
        f"have one of the words: {statistics.median(matching):,.0f} tokens; all notes: {sum(sizes.values()):,}"
    )
    return [
        _saving("recall instead of all matching notes", "", recalled, matching, conditions),
        _saving("recall instead of all notes", ">= 97 %", recalled, [sum(sizes.values())] * len(queries), conditions),
        _saving(f"browsing and {_FETCHED} notes fetched instead of recall", "", phases, recalled, conditions),
    ]  # fmt: skip


def _matching(session: Session, sizes: dict[str, int], query: str) -> int:
    return sum(sizes[found.path] for found, _ in session.rank(query, _MANY).names)


def _in_two_phases(memory: AgentMemory, query: str) -> int:
    """Tokens of the list that is browsed and of the notes that are then fetched."""
    listed = memory.browse(query=query)
    shown = "\n".join(f"{each.path} ({each.score:.2f}) {each.summary}" for each in listed)
    fetched = memory.fetch([each.path for each in listed[:_FETCHED]], BUDGET)
    return tokens.count(shown) + tokens.count(fetched)


def _saving(name: str, bar: str, ours: Sequence[int], others: Sequence[int], conditions: str) -> Row:
    saved = statistics.median(1 - mine / all_ for mine, all_ in zip(ours, others, strict=True))
    return Row(
        f"tokens saved: {name}",
        bar,
        f"{saved:.1%} ({statistics.median(ours):,.0f} tokens)",
        saved >= 0.97 if bar else None,
        None,
        conditions,
        {"tokens": list(ours), "against": list(others)},
    )
