"""Full text: how fast, and how soon what another process wrote is found."""

from __future__ import annotations

import random
import statistics
import time
from collections import Counter
from pathlib import Path

import apsw

from avm_builtin.search import text as analyser
from benchmarks.harness import Child, Row, Settings, interleave, percentile, scratch, zipf_notes
from benchmarks.workers import open_kernel

_RAW = """SELECT rowid, bm25(words, 3.0, 1.0, 2.0) AS badness FROM words WHERE words MATCH ?
    ORDER BY badness LIMIT 10"""


def run(settings: Settings) -> list[Row]:
    """All rows about search."""
    with scratch(settings) as directory:
        db = directory / "avm.db"
        count = settings.scaled(10_000, 2_000)
        notes = zipf_notes(count)
        with open_kernel(db, "normal") as kernel:
            for agent, half in (("bench", 0), ("other", 1)):
                session = kernel.session(agent)
                paths = [f"/memory/shared/{agent}/note-{number:05}.md" for number in range(half, count, 2)]
                session.write_many(list(zip(paths, notes[half::2], strict=True)))
                session.search("warm")
        return [_queries(settings, db, notes), _freshness(settings, db)]


def _common_words(notes: list[str]) -> list[str]:
    """The words that 7 to 20 % of the notes have."""
    having = Counter(word for note in notes for word in set(note.split()))
    return [word for word, count in having.items() if 0.07 <= count / len(notes) <= 0.20]


def _queries(settings: Settings, db: Path, notes: list[str]) -> Row:
    common = _common_words(notes)
    generator = random.Random(4)
    queries = [" ".join(generator.sample(common, 2)) for _ in range(settings.scaled(40, 20))]
    raw = apsw.Connection(str(db.with_suffix(".index.db")), flags=apsw.SQLITE_OPEN_READONLY)
    matches = [" OR ".join(f'"{term.text}"' for term in analyser.terms(query)) for query in queries]
    with open_kernel(db, "normal") as kernel:
        session = kernel.session("bench")
        timed = interleave(
            settings.scaled(11, 3),
            len(queries),
            {
                "raw": lambda: [raw.execute(_RAW, (match,)).fetchall() for match in matches],
                "avm": lambda: [session.search(query, limit=10) for query in queries],
            },
        )
    raw.close()
    rate, ratio = timed.rate("avm"), timed.ratio("avm", "raw")
    return Row(
        f"two common words, {len(notes):,} notes",
        ">= 10,000/s",
        f"{rate:,.0f}/s, {ratio:.0%} of FTS5 alone",
        rate >= 10_000,
        ratio,
        "through a session with visibility filter and snippets; 60 Zipf words a note; two words each in 7 to 20 % "
        "of the notes, OR, top 10; warm; the reference is FTS5's own top 10 without names, filter or snippets",
        {"seconds": timed.seconds, "operations": len(queries), "common_words": len(common)},
    )


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
