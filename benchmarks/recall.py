"""Recall: how long it takes when the query's vector is known, where that time goes, how far it grows with the store."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from avm_builtin.memory import tokens
from avm_builtin.memory.agent import AgentMemory
from avm_builtin.memory.packing import pack
from avm_builtin.memory.recalling import Recalled, frame_of
from benchmarks.harness import Row, Settings, percentile, scratch, zipf_notes
from benchmarks.synthetic import open_stand_in
from vfs_core import ranking
from vfs_core.kernel import Kernel
from vfs_core.search import SearchQuery
from vfs_core.semantic import SemanticIndex
from vfs_core.session import Session

BUDGET = 4000
BARS = {10_000: 5.0, 1_000_000: 80.0}
"""Milliseconds, the median, by the number of notes."""
_BATCH = 1_000
_DIFFERENT = 10_000
"""Notes that are drawn; larger stores have each of them under several numbers."""
_QUESTIONS = 60
"""Fewer than the index remembers the vectors of."""


def run(settings: Settings) -> list[Row]:
    """All rows about recall."""
    sizes = [settings.scaled(10_000, 2_000)]
    if settings.long:
        sizes.append(settings.scaled(1_000_000, 20_000))
    return [row for count in sizes for row in _at_size(settings, count)]


def fill(kernel: Kernel, count: int) -> None:
    """So many notes of 60 words, one part each: half of them the agent's to see, half in another's private space."""
    notes = zipf_notes(min(count, _DIFFERENT))
    sessions = [(kernel.session("bench"), "/memory/shared/bench"), (kernel.session("other"), "/private")]
    for start in range(0, count, 2 * _BATCH):
        numbers = range(start, min(start + 2 * _BATCH, count))
        for half, (session, place) in enumerate(sessions):
            session.write_many(
                [
                    (f"{place}/{each // 10_000:03}/{each:07}.md", f"{each} {notes[each % len(notes)]}")
                    for each in numbers[half::2]
                ]
            )
    session = sessions[0][0]
    session.search("warm")
    session.embed()
    session.save_vectors()


def questions(count: int) -> list[str]:
    """Queries of four words each, drawn as those of the notes are."""
    return [" ".join(note.split()[:4]) for note in zipf_notes(count + 1_000)[1_000:]]


def _at_size(settings: Settings, count: int) -> list[Row]:
    queries = questions(settings.scaled(_QUESTIONS, 20))
    with scratch(settings) as directory:
        start = time.perf_counter()
        with open_stand_in(directory / "avm.db") as kernel:
            fill(kernel, count)
        made = time.perf_counter() - start
        with open_stand_in(directory / "avm.db") as kernel:
            return _measured(settings, kernel, count, queries, made, _size_of(directory))


def _measured(
    settings: Settings, kernel: Kernel, count: int, queries: Sequence[str], made: float, size: int
) -> list[Row]:
    session = kernel.session("bench")
    memory = AgentMemory(session)
    answers = {query: memory.recollect(query, BUDGET) for query in queries}
    things: dict[str, Callable[[str], object]] = {
        "recall": partial(memory.recollect, max_tokens=BUDGET),
        **_steps(session, answers),
    }
    taken: dict[str, list[float]] = {name: [] for name in things}
    for number in range(settings.scaled(6, 3)):
        for query in queries:
            for name, thing in things.items():
                start = time.perf_counter()
                thing(query)
                if number:  # the first round warms up
                    taken[name].append((time.perf_counter() - start) * 1e3)
    middle = statistics.median(taken["recall"])
    bar = BARS.get(count)
    conditions = (
        f"{BUDGET} tokens, hybrid, the query's vector known; notes of 60 Zipf words, one part each, half of them "
        f"visible; random vectors (synthetic) of the length of the model's; warm; the store took {made:.0f} s to make "
        f"and is {size / 1e6:,.0f} MB; a recall shows {_shown(answers.values())}"
    )
    rows = [
        Row(
            f"recall, {count:,} notes",
            f"p50 <= {bar:g} ms" if bar else "",
            f"p50 {middle:.1f}, p99 {percentile(taken['recall'], 99):.1f} ms",
            None if bar is None else middle <= bar,
            None,
            conditions,
            {"ms": taken["recall"]},
        )
    ]
    for name in list(things)[1:]:
        step = statistics.median(taken[name])
        rows.append(
            Row(
                f"  {name}, {count:,} notes",
                "",
                f"p50 {step:.2f} ms, {step / middle:.0%}",
                None,
                step / middle,
                "a step of the above, by itself; the ratio is its part of the whole",
                {"ms": taken[name]},
            )
        )
    return rows


def _steps(session: Session, answers: dict[str, Recalled]) -> dict[str, Callable[[str], object]]:
    """What a recall consists of, each to be run by itself."""
    kernel = session.kernel
    runner = kernel.semantic()
    assert runner is not None
    index = runner.follower
    assert isinstance(index, SemanticIndex)
    wanted = max(20, BUDGET // 20)
    visible = session.judge.visible()

    def lexical(query: str) -> object:
        return list(islice(kernel.search_backend().search(SearchQuery(query, visible, wanted)), wanted))

    def semantic(query: str) -> object:
        return list(islice(index.ask(query, visible).nearest(), wanted))

    def ranked(query: str) -> object:
        return session.rank(query, wanted, "hybrid")

    def reordered(query: str) -> object:
        return ranking.rank(query, candidates[query])

    def read(query: str) -> object:
        return [(session.read(each.path), session.history(each.path, 1)) for each in answers[query].frames]

    def packed(query: str) -> object:
        return pack(whole[query], query, BUDGET)

    def counted(query: str) -> object:
        return [tokens.count(str(frame)) for frame in answers[query].frames]

    names = {query: session.rank(query, wanted, "hybrid").names for query in answers}
    candidates = {
        query: [ranking.Candidate(found, score, 1.0) for found, score in ranks]
        for query, ranks in names.items()
    }
    whole = {
        query: [frame_of(session, found, score, {}) for found, score in ranks]
        for query, ranks in names.items()
    }
    return {
        "index of words": lexical,
        "index of meaning": semantic,
        "both, checked, looked up, in order": ranked,
        "of this, putting in order": reordered,
        "reading what is shown": read,
        "packing, tokens counted": packed,
        "of this, counting tokens": counted,
    }  # fmt: skip


def _shown(answers: Iterable[Recalled]) -> str:
    shown = [len(each.frames) for each in answers]
    return f"{statistics.median(shown):g} notes"


def _size_of(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
