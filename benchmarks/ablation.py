"""What each part is worth: the same memory without its cache, its index of words, its embedding model.

How well is measured on the development data, where there is any (`--data`); how fast always on the same notes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from avm_builtin.memory.agent import AgentMemory
from benchmarks.harness import Row, Settings, scratch, zipf_notes
from benchmarks.retrieval import CUT, Conversation, load, measures
from benchmarks.synthetic import STAND_IN
from vfs_core.config import (
    CacheSettings,
    Config,
    EmbeddingSettings,
    PluginSettings,
    SearchSettings,
    StorageSettings,
)
from vfs_core.hookspecs import hookimpl
from vfs_core.kernel import Kernel
from vfs_core.session import Session
from vfs_core.specs import SearchSpec

_UNINDEXED = "unindexed"
_SET = "locomo"

WITHOUT: Mapping[str, Mapping[str, Any]] = {
    "everything there": {},
    "no cache": {"cache": CacheSettings(1, 1)},
    "no index of words": {"search": SearchSettings(_UNINDEXED)},
    "no embedding": {"embedding": EmbeddingSettings("none")},
}
"""What is taken away, and how that is configured."""


@hookimpl
def avm_register_search() -> list[SearchSpec]:
    """A search that reads every note for every query."""
    return [SearchSpec(_UNINDEXED, "vfs_core.testing.brute_search:BruteSearch", "Looks through everything")]


def ablation(settings: Settings) -> list[Row]:
    """A row for each part that is taken away: what it costs in speed, and in quality."""
    quality = _qualities(settings)
    speeds = _speeds(settings)
    rows = []
    for name, (read, search, recall) in speeds.items():
        found = f", R@10 {quality[name]:.1f}" if name in quality else ""
        rows.append(
            Row(
                f"ablation: {name}",
                "",
                f"read {read:.2f} µs, search {search:.2f} ms, recall {recall:.1f} ms{found}",
                None,
                None,
                f"{_size(settings):,} notes of 60 Zipf words; medians, warm; searches by words and meaning, with "
                f"random vectors (synthetic); R@10 of the development data ({_SET}, two conversations) with the models "
                "that are installed",
                {"read_us": read, "search_ms": search, "recall_ms": recall, "R@10": quality.get(name)},
            )
        )
    return rows


def _open(db: Path, model: str, without: Mapping[str, Any]) -> Kernel:
    config = Config(
        storage=StorageSettings(durability="normal"),
        plugins=PluginSettings(load=("benchmarks.synthetic", __name__)),
        embedding=EmbeddingSettings(model),
    )
    return Kernel(replace(config, **without), db)


def _size(settings: Settings) -> int:
    return settings.scaled(10_000, 1_000)


# --- speed ---------------------------------------------------------------------------------------


def _speeds(settings: Settings) -> dict[str, tuple[float, float, float]]:
    """Microseconds of a read, milliseconds of a search and of a recall: each memory in its turn, query by query."""
    notes = zipf_notes(_size(settings))
    paths = [f"/memory/shared/{number:05}.md" for number in range(len(notes))]
    queries = [" ".join(note.split()[:3]) for note in notes[:: len(notes) // settings.scaled(20, 5)]]
    with scratch(settings) as directory, ExitStack() as stack:
        db = directory / "avm.db"
        with _open(db, STAND_IN, {}) as kernel:
            session = kernel.session("bench")
            session.write_many(list(zip(paths, notes, strict=True)))
            session.search("warm")
            session.embed()
            session.save_vectors()
        memories = {}
        for name, without in WITHOUT.items():
            session = stack.enter_context(_open(db, STAND_IN, without)).session("bench")
            memories[name] = session, AgentMemory(session)
        taken: dict[str, list[tuple[float, float, float]]] = {name: [] for name in memories}
        for number in range(3):
            for query in queries:
                for name, (session, memory) in memories.items():
                    measured = _read(session, paths[:100]), _search(session, query), _recall(memory, query)
                    if number:  # the first round warms up
                        taken[name].append(measured)
    return {name: _medians(each) for name, each in taken.items()}


def _medians(taken: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    read, search, recall = (statistics.median(column) for column in zip(*taken, strict=True))
    return read, search, recall


def _read(session: Session, paths: Sequence[str]) -> float:
    start = time.perf_counter()
    for path in paths:
        session.read(path)
    return (time.perf_counter() - start) / len(paths) * 1e6


def _search(session: Session, query: str) -> float:
    start = time.perf_counter()
    session.search(query, CUT, "hybrid")
    return (time.perf_counter() - start) * 1e3


def _recall(memory: AgentMemory, query: str) -> float:
    start = time.perf_counter()
    memory.recall(query)
    return (time.perf_counter() - start) * 1e3


# --- quality -------------------------------------------------------------------------------------


def _qualities(settings: Settings) -> dict[str, float]:
    """R@10 by what is taken away; the cache changes nothing of what is found."""
    place = settings.data / _SET
    if not place.exists():
        return {}
    conversations = load(place)[: settings.scaled(2, 1)]
    return {
        name: _quality(settings, conversations, without)
        for name, without in WITHOUT.items()
        if "cache" not in without
    }


def _quality(settings: Settings, conversations: list[Conversation], without: Mapping[str, Any]) -> float:
    graded = []
    for conversation in conversations:
        with scratch(settings) as directory, _open(directory / "avm.db", "auto", without) as kernel:
            session = kernel.session("bench")
            session.write_many(conversation.drafts)
            session.embed()
            for question in conversation.questions[: settings.scaled(1_000_000, 40)]:
                hits = session.search(question.text, CUT, "hybrid")
                found = [conversation.ids[hit.path] for hit in hits]
                graded.append(measures(found, question.gold)["R@10"])
    return statistics.fmean(graded)
