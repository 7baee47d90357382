"""Full text: how fast, with which engine, and how soon what another process wrote is found."""

from __future__ import annotations

import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import apsw
import tantivy

from avm_builtin.search import text as analyser
from benchmarks.harness import Child, Row, Settings, interleave, percentile, scratch, zipf_notes
from benchmarks.workers import open_kernel
from vfs_core.config import Config, SearchSettings, StorageSettings
from vfs_core.kernel import Kernel
from vfs_core.search import SearchQuery

_RAW_FTS5 = "SELECT rowid, bm25(words) AS badness FROM words WHERE words MATCH ? ORDER BY badness LIMIT 10"
_NOTES = (
    "60 Zipf words a note, half by another agent; two words each in 7 to 20 % of the notes, OR, top 10; warm"
)


def run(settings: Settings) -> list[Row]:
    """All rows about search."""
    rows = []
    with scratch(settings) as directory:
        notes = zipf_notes(settings.scaled(10_000, 6_000))
        for backend in ("auto", "fts5"):
            (directory / backend).mkdir()
            _write(directory / backend / "avm.db", backend, notes)
        rows += _queries(settings, directory, notes)
        rows.append(_freshness(settings, directory / "auto" / "avm.db"))
    with scratch(settings) as directory:
        count = 1_000_000 if settings.long else settings.scaled(100_000, 20_000)
        rows += _many(settings, directory / "avm.db", zipf_notes(count))
    return rows


def _kernel(db: Path, backend: str) -> Kernel:
    return Kernel(
        Config(storage=StorageSettings(durability="normal"), search=SearchSettings(backend, {})), db
    )


def _write(db: Path, backend: str, notes: Sequence[str]) -> float:
    """A store of these notes and its index; the seconds that indexing took."""
    with _kernel(db, backend) as kernel:
        for agent, half in (("bench", 0), ("other", 1)):
            session = kernel.session(agent)
            numbers = range(half, len(notes), 2)
            for start in range(0, len(numbers), 10_000):
                session.write_many(
                    [
                        (f"/memory/shared/{agent}/{number // 1000}/note-{number:05}.md", notes[number])
                        for number in numbers[start : start + 10_000]
                    ]
                )
        start_of_indexing = time.perf_counter()
        kernel.search().catch_up(3600)
        return time.perf_counter() - start_of_indexing


def _common_words(notes: Sequence[str]) -> list[str]:
    """The words that 7 to 20 % of the notes have."""
    some = notes[:20_000]
    having = Counter(word for note in some for word in set(note.split()))
    return [word for word, count in having.items() if 0.07 <= count / len(some) <= 0.20]


def _queries_of(notes: Sequence[str], count: int) -> list[str]:
    generator = random.Random(4)
    common = _common_words(notes)
    return [" ".join(generator.sample(common, 2)) for _ in range(count)]


def _raw_tantivy(db: Path) -> Callable[[str], object]:
    """The engine's own files, asked without us: the ten best of any of the words."""
    (place,) = db.with_suffix(".index").iterdir()
    index = tantivy.Index.open(str(place))
    searcher, schema = index.searcher(), index.schema

    def ask(query: str) -> object:
        words = [
            (tantivy.Occur.Should, tantivy.Query.term_query(schema, "tokens", term.text, "freq"))
            for term in analyser.terms(query)
        ]
        return searcher.search(tantivy.Query.boolean_query(words), 10, count=False).hits

    return ask


def _of_the_index(kernel: Kernel, agent: str) -> Callable[[str], object]:
    """The ten best that an agent sees, as the index gives them."""
    backend, visible = kernel.search_backend(), kernel.session(agent).judge.visible()
    return lambda query: list(islice(backend.search(SearchQuery(query, visible, 10)), 10))


def _each(ask: Callable[[str], object], queries: Sequence[str]) -> Callable[[], object]:
    return lambda: [ask(query) for query in queries]


def _queries(settings: Settings, directory: Path, notes: Sequence[str]) -> list[Row]:
    """Both engines side by side, through a session and without, and with half of what may wait waiting."""
    queries = _queries_of(notes, settings.scaled(40, 20))
    db = directory / "auto" / "avm.db"
    fts5 = apsw.Connection(str(directory / "fts5" / "avm.index.db"), flags=apsw.SQLITE_OPEN_READONLY)
    tantivy_alone = _raw_tantivy(db)
    with _kernel(db, "auto") as both, _kernel(directory / "fts5" / "avm.db", "fts5") as one:
        two_tiers, one_tier = both.session("bench"), one.session("bench")
        asked: dict[str, Callable[[str], object]] = {
            "tantivy alone": tantivy_alone,
            "FTS5 alone": lambda query: fts5.execute(
                _RAW_FTS5, (" OR ".join(f'"{term.text}"' for term in analyser.terms(query)),)
            ).fetchall(),
            "index": _of_the_index(both, "bench"),
            "session": lambda query: two_tiers.search(query, limit=10),
            "index, fts5": _of_the_index(one, "bench"),
            "session, fts5": lambda query: one_tier.search(query, limit=10),
        }
        timed = interleave(
            settings.scaled(11, 3),
            len(queries),
            {name: _each(ask, queries) for name, ask in asked.items()},
        )
        two_tiers.write_many(
            [(f"/memory/shared/bench/new/{number}.md", note) for number, note in enumerate(notes[:500])]
        )
        two_tiers.search("warm")
        later = interleave(
            settings.scaled(11, 3),
            len(queries),
            {name: _each(asked[name], queries) for name in ("tantivy alone", "index")},
        )
    fts5.close()

    def row(name: str, ours: str, reference: str, conditions: str, runs: Any = timed, bar: float = 0) -> Row:
        rate, ratio = runs.rate(ours), runs.ratio(ours, reference)
        return Row(
            f"two common words, {len(notes):,} notes, {name}",
            f">= {bar:,.0f}/s" if bar else "",
            f"{rate:,.0f}/s, {ratio:.0%} of {reference}",
            rate >= bar if bar else None,
            ratio,
            f"{conditions}; {_NOTES}",
            {"seconds": runs.seconds, "operations": len(queries)},
        )

    return [
        row("the index", "index", "tantivy alone", "with visibility filter", bar=10_000),
        row("the index, 500 new notes", "index", "tantivy alone", "500 more wait in FTS5", later),
        row("a session", "session", "tantivy alone", "checked against the store, with snippets", bar=10_000),
        row("the index, fts5", "index, fts5", "FTS5 alone", "backend `fts5`, with visibility filter"),
        row("a session, fts5", "session, fts5", "FTS5 alone", "backend `fts5`, with snippets"),
    ]


def _many(settings: Settings, db: Path, notes: Sequence[str]) -> list[Row]:
    """What common words cost among many notes, where everything is visible and where little is."""
    indexing = _write(db, "auto", notes)
    queries = _queries_of(notes, 40)
    whole = len(notes) >= 1_000_000
    with _kernel(db, "auto") as kernel:
        session = kernel.session("bench")
        session.write("/memory/private/bench/mine.md", " ".join(queries))
        session.search("warm")
        asked: dict[str, Callable[[str], object]] = {
            "tantivy alone": _raw_tantivy(db),
            "index": _of_the_index(kernel, "bench"),
            "session": lambda query: session.search(query, limit=10),
        }
        taken: dict[str, list[float]] = {name: [] for name in asked}
        for _ in range(settings.scaled(6, 2)):
            for query in queries:
                for name, ask in asked.items():
                    start = time.perf_counter()
                    ask(query)
                    taken[name].append((time.perf_counter() - start) * 1e3)
        middle = {name: statistics.median(times) for name, times in taken.items()}
        bytes_used = sum(
            Path(file).stat().st_size for file in kernel.search().follower.files() if Path(file).exists()
        )
    conditions = f"{_NOTES}; p50 of tantivy alone {middle['tantivy alone']:.2f} ms"
    return [
        Row(
            f"two common words, {len(notes):,} notes, {name}",
            "p50 <= 5 ms",
            f"p50 {middle[key]:.2f}, p99 {percentile(taken[key], 99):.2f} ms",
            middle[key] <= 5 if whole else None,
            middle["tantivy alone"] / middle[key],
            conditions,
            {"ms": taken[key]},
        )
        for name, key in (("the index", "index"), ("a session", "session"))
    ] + [
        Row(
            f"indexing {len(notes):,} notes anew",
            "",
            f"{indexing / len(notes) * 1e6:.0f} us a note, {bytes_used / len(notes):.0f} bytes",
            None,
            None,
            _NOTES,
            {"seconds": indexing, "bytes": bytes_used},
        )
    ]


def _freshness(settings: Settings, db: Path) -> Row:
    """From the commit in another process to the hit in this one, searching without pause."""
    writer = Child("announce_words", db=str(db))
    writer.hear()
    taken, missed = [], 0
    with open_kernel(db, "normal") as kernel:
        session = kernel.session("bench")
        session.search("warm")
        for number in range(settings.scaled(300, 60)):
            word = f"fresh{number}quokka"
            writer.tell(word)
            committed = writer.hear()
            while not session.search(word, limit=1):
                missed += 1
            taken.append((time.monotonic() - committed) * 1e3)
    writer.close()
    slow = percentile(taken, 99)
    return Row(
        "searchable after a write by another process",
        "p99 <= 20 ms",
        f"p50 {statistics.median(taken):.2f}, p99 {slow:.2f} ms",
        slow <= 20,
        None,
        f"one note at a time, synchronous=normal; searches that did not find it yet: {missed}",
        {"ms": taken},
    )
