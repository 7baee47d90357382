"""How well what is asked for is found: the development data, written as notes and searched through a session.

Each set's memories become notes as an agent would write them: a file each, in a directory for each session where
there are any, with `author`, `time` and `session` in the metadata. The data is evaluation data: it is read where it
lies (`--data`) and never becomes part of the project.
"""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import Row, Settings, scratch
from benchmarks.workers import open_kernel
from vfs_core.session import Session
from vfs_core.types import Draft, Hit

Search = Callable[[Session, str, int], Sequence[Hit]]


def _lexical(session: Session, query: str, limit: int) -> Sequence[Hit]:
    return session.search(query, limit)


MODES: Mapping[str, Search] = {"lexical": _lexical}
"""What is measured, by the name of its rows."""

CUT = 10
MEASURES = ("R@10", "hit@10", "nDCG@10")
BARS: Mapping[tuple[str, str], float] = {
    ("locomo", "R@10"): 82,
    ("locomo", "hit@10"): 89,
    ("xquad-en2en", "R@10"): 99.5,
    ("xquad-zh2zh", "R@10"): 99.5,
    ("cmrc-zh", "R@10"): 99.5,
    ("xquad-zh2en", "R@10"): 80,
    ("cranfield", "nDCG@10"): 43,
    ("npl", "nDCG@10"): 44,
}
"""In percent, of the best mode; bars.md has them."""
HEADLINE: Mapping[str, str] = {"locomo": "1234"}
"""The categories that count, by the digit they begin with, where not all do."""


@dataclass(frozen=True)
class Question:
    """What is asked of one conversation, and the memories that answer it with their grades."""

    text: str
    category: str
    gold: Mapping[str, int]


@dataclass(frozen=True)
class Conversation:
    """Memories that one store holds: text and metadata by path, and what is asked of them."""

    drafts: Sequence[Draft]
    ids: Mapping[str, str]
    """The memory's id by the note's path."""
    questions: Sequence[Question]


def run(settings: Settings) -> list[Row]:
    """The rows of every set and every mode."""
    sets = sorted(path.parent for path in settings.data.glob("*/queries.jsonl"))
    if not sets:
        print(f"retrieval: no development data in {settings.data}; name its place with --data")
        return []
    rows = []
    for each in sets:
        start = time.perf_counter()
        answers = _ask(settings, load(each), settings.scaled(1_000_000, 100))
        taken = time.perf_counter() - start
        for mode, graded in answers.items():
            rows += _rows(each.name, mode, graded, settings, taken)
    return rows


def load(directory: Path) -> list[Conversation]:
    """The conversations of a set."""
    memories, questions = defaultdict(list), defaultdict(list)
    for each in _lines(directory / "memories.jsonl"):
        memories[each["conv"]].append(each)
    for each in _lines(directory / "queries.jsonl"):
        questions[each["conv"]].append(Question(each["query"], each["category"], each["gold"]))
    found = []
    for name, members in memories.items():
        drafts = [_draft(f"/memory/shared/{name}", number, each) for number, each in enumerate(members)]
        ids = {draft.path: each["id"] for draft, each in zip(drafts, members, strict=True)}
        found.append(Conversation(drafts, ids, questions[name]))
    return found


def _draft(top: str, number: int, memory: Mapping[str, Any]) -> Draft:
    session, author, when = memory.get("session"), memory.get("speaker"), memory.get("ts")
    meta = {"author": author, "time": when, "session": None if session is None else f"session-{session}"}
    folder = top if session is None else f"{top}/session-{session:02}"
    return Draft(f"{folder}/{number:05}.md", memory["text"], {key: v for key, v in meta.items() if v})


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def _ask(
    settings: Settings, conversations: Sequence[Conversation], most: int
) -> dict[str, list[tuple[str, dict[str, float]]]]:
    """For each mode, the category and the measures of each question."""
    graded: dict[str, list[tuple[str, dict[str, float]]]] = {mode: [] for mode in MODES}
    for conversation in conversations:
        with scratch(settings) as directory, open_kernel(directory / "avm.db", "normal") as kernel:
            session = kernel.session("bench")
            session.write_many(conversation.drafts)
            for question in conversation.questions[:most]:
                for mode, search in MODES.items():
                    hits = search(session, question.text, CUT)
                    found = [conversation.ids[hit.path] for hit in hits]
                    graded[mode].append((question.category, measures(found, question.gold)))
    return graded


def measures(found: Sequence[str], gold: Mapping[str, int]) -> dict[str, float]:
    """R@10, hit@10 and nDCG@10 of what was found, in percent."""
    best = sorted(gold.values(), reverse=True)[:CUT]
    gained = _discounted([gold.get(each, 0) for each in found[:CUT]])
    right = len(gold.keys() & set(found[:CUT]))
    return {
        "R@10": 100 * right / len(gold),
        "hit@10": 100.0 * (right > 0),
        "nDCG@10": 100 * gained / _discounted(best),
    }


def _discounted(grades: Sequence[int]) -> float:
    return sum(grade / math.log2(place + 2) for place, grade in enumerate(grades))


def _rows(
    name: str, mode: str, graded: Sequence[tuple[str, dict[str, float]]], settings: Settings, seconds: float
) -> list[Row]:
    counted = [each for category, each in graded if category[0] in HEADLINE.get(name, category[0])]
    rows = []
    for measure in MEASURES:
        value, bar = _mean(counted, measure), BARS.get((name, measure))
        groups: dict[str, list[dict[str, float]]] = defaultdict(list)
        for category, each in graded:
            groups[category].append(each)
        rows.append(
            Row(
                f"{name} {measure}, {mode}",
                "" if bar is None else f">= {bar:g}",
                f"{value:.1f}",
                None if bar is None or settings.quick else value >= bar,
                None,
                f"{len(counted):,} questions through a session, limit {CUT}; one store a conversation",
                {
                    "value": value,
                    "standard_error": _standard_error(counted, measure),
                    "categories": {c: [len(e), _mean(e, measure)] for c, e in sorted(groups.items())},
                    "seconds": seconds,
                },
            )
        )
    return rows


def _mean(graded: Sequence[Mapping[str, float]], measure: str) -> float:
    return sum(each[measure] for each in graded) / max(len(graded), 1)


def _standard_error(graded: Sequence[Mapping[str, float]], measure: str) -> float:
    mean, count = _mean(graded, measure), len(graded)
    squares = sum((each[measure] - mean) ** 2 for each in graded)
    return math.sqrt(squares / max(count * (count - 1), 1))
