"""How well what is asked for is found: the development data, written as notes and searched through a session.

Each set's memories become notes as an agent would write them: a file each, in a directory for each session where
there are any, with `author`, `time` and `session` in the metadata. The data is evaluation data: it is read where it
lies (`--data`) and never becomes part of the project.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avm_builtin.memory import recalling
from benchmarks.harness import Row, Settings, scratch
from benchmarks.workers import open_kernel
from vfs_core import searching
from vfs_core.searching import Mode
from vfs_core.session import Session
from vfs_core.types import Draft, Hit

Search = Callable[[Session, str, int], Sequence[Hit]]


def _by(mode: Mode) -> Search:
    return lambda session, query, limit: session.search(query, limit, mode)


MODES: Mapping[str, Search] = {mode: _by(mode) for mode in searching.MODES}
"""What is measured, by the name of its rows."""
BOTH = "hybrid"
HALVES = frozenset({"lexical", "semantic"})
RECALL = "recall"

RECALL_TOKENS = 1000
ALIKE = 0.8
"""The share of a memory's runs of three words that make it found where it is not shown word for word."""
CALIBRATION = 0.1
"""The most by which scores may be off; bars.md has it, and how far both may lie below its better half."""
BELOW = 0.3
BINS = 10
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
    ("locomo", "evidence"): 87,
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
    """The rows of every set and every mode, of both against its better half, and of what recall holds."""
    sets = sorted(path.parent for path in settings.data.glob("*/queries.jsonl"))
    if not sets:
        print(f"retrieval: no development data in {settings.data}; name its place with --data")
        return []
    rows = []
    for each in sets:
        start = time.perf_counter()
        graded = _ask(settings, load(each), settings.scaled(1_000_000, 100))
        taken = time.perf_counter() - start
        counted = {
            mode: [answer for answer in many if _counts(each.name, answer)] for mode, many in graded.items()
        }
        for mode, many in graded.items():
            if mode == RECALL:
                rows.append(_row(each.name, RECALL, "evidence", counted[mode], many, settings, taken))
                continue
            rows += [_row(each.name, mode, name, counted[mode], many, settings, taken) for name in MEASURES]
            rows.append(_calibration(each.name, mode, counted[mode], settings))
        if counted.keys() >= HALVES | {BOTH}:
            rows += [_against_halves(each.name, name, counted, settings) for name in MEASURES]
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


@dataclass(frozen=True)
class Graded:
    """How one question was answered: measures in percent by name, the score of the first hit, and if it was right."""

    category: str
    measures: Mapping[str, float]
    score: float = 0.0
    right: bool = False


def _ask(settings: Settings, conversations: Sequence[Conversation], most: int) -> dict[str, list[Graded]]:
    """How each question is answered in each mode, and by recall."""
    graded: dict[str, list[Graded]] = {mode: [] for mode in (*MODES, RECALL)}
    for conversation in conversations:
        with scratch(settings) as directory, open_kernel(directory / "avm.db", "normal") as kernel:
            session = kernel.session("bench")
            session.write_many(conversation.drafts)
            session.embed()
            texts = {conversation.ids[draft.path]: str(draft.content) for draft in conversation.drafts}
            for question in conversation.questions[:most]:
                for mode, search in MODES.items():
                    graded[mode].append(_answer(conversation, question, search(session, question.text, CUT)))
                shown = recalling.recall(session, question.text, RECALL_TOKENS).text
                gold = [texts[each] for each in question.gold]
                graded[RECALL].append(Graded(question.category, {"evidence": evidence(shown, gold)}))
    return graded


def _answer(conversation: Conversation, question: Question, hits: Sequence[Hit]) -> Graded:
    found = [conversation.ids[hit.path] for hit in hits]
    score = hits[0].score if hits else 0.0
    return Graded(
        question.category,
        measures(found, question.gold),
        score,
        found[:1] != [] and found[0] in question.gold,
    )


def evidence(shown: str, gold: Sequence[str]) -> float:
    """How much of what answers a question a recall holds, in percent: memories that are there whole, or nearly."""
    runs = _runs(shown)
    held = [
        text in shown or (len(own := _runs(text)) > 0 and len(own & runs) >= ALIKE * len(own))
        for text in gold
    ]
    return 100 * sum(held) / len(gold)


def _runs(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return set(zip(words, words[1:], words[2:], strict=False))


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


def _counts(name: str, graded: Graded) -> bool:
    return graded.category[0] in HEADLINE.get(name, graded.category[0])


def _row(
    name: str, mode: str, measure: str, counted: Sequence[Graded], asked: Sequence[Graded],
    settings: Settings, seconds: float,
) -> Row:  # fmt: skip
    value, bar = _mean(counted, measure), BARS.get((name, measure))
    groups: dict[str, list[Graded]] = defaultdict(list)
    for each in asked:
        groups[each.category].append(each)
    how = f"recall of {RECALL_TOKENS:,} tokens" if mode == RECALL else f"limit {CUT}"
    return Row(
        f"{name} {measure}, {mode}",
        "" if bar is None else f">= {bar:g}",
        f"{value:.1f}",
        None if bar is None or settings.quick else value >= bar,
        None,
        f"{len(counted):,} questions through a session, {how}; one store a conversation",
        {
            "value": value,
            "standard_error": _standard_error([each.measures[measure] for each in counted]),
            "categories": {c: [len(e), _mean(e, measure)] for c, e in sorted(groups.items())},
            "seconds": seconds,
        },
    )


def _calibration(name: str, mode: str, counted: Sequence[Graded], settings: Settings) -> Row:
    off = calibration_error([(each.score, each.right) for each in counted if each.score > 0])
    return Row(
        f"{name} calibration error, {mode}",
        f"<= {CALIBRATION:g}",
        f"{off:.3f}",
        None if settings.quick else off <= CALIBRATION,
        None,
        f"score of the first hit against how often it is right, {BINS} bins of equal width",
        {"value": off},
    )


def calibration_error(first: Sequence[tuple[float, bool]]) -> float:
    """How far scores are from how often they are right, on average over bins of equal width."""
    bins: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for score, right in first:
        bins[min(int(score * BINS), BINS - 1)].append((score, right))
    off = [abs(sum(score - right for score, right in members)) for members in bins.values()]
    return sum(off) / max(len(first), 1)


def _against_halves(
    name: str, measure: str, counted: Mapping[str, Sequence[Graded]], settings: Settings
) -> Row:
    """Both together against the better of words and meaning, question by question."""
    better = max(sorted(HALVES), key=lambda mode: _mean(counted[mode], measure))
    ahead = [
        both.measures[measure] - half.measures[measure]
        for both, half in zip(counted[BOTH], counted[better], strict=True)
    ]
    mean, error = sum(ahead) / max(len(ahead), 1), _standard_error(ahead)
    return Row(
        f"{name} {measure}, {BOTH} against {better}",
        f">= {-max(BELOW, error):.2f}",
        f"{mean:+.2f}",
        None if settings.quick else mean >= -max(BELOW, error),
        None,
        f"paired over {len(ahead):,} questions, standard error {error:.2f}",
        {"value": mean, "standard_error": error},
    )


def _mean(graded: Sequence[Graded], measure: str) -> float:
    return sum(each.measures[measure] for each in graded) / max(len(graded), 1)


def _standard_error(values: Sequence[float]) -> float:
    count = len(values)
    mean = sum(values) / max(count, 1)
    return math.sqrt(sum((each - mean) ** 2 for each in values) / max(count * (count - 1), 1))
