"""Embedding what waits: batch by batch, by one process at a time, beside everything else.

A batch is read from the store, embedded while nothing is locked, and written in one short transaction. Whoever dies
in between has lost a batch of work and nothing else. What the same text has been given once it keeps.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from avm_builtin.search.contents import by_node, with_contents
from avm_builtin.search.side import SideFile
from avm_builtin.vectors import tables
from avm_builtin.vectors.chunks import chunks_of
from avm_builtin.vectors.state import STORED
from avm_builtin.vectors.tables import Waiting
from vfs_core.embedding import Embedder
from vfs_core.follower import Follower, Progress, Runner
from vfs_core.storage import Store

BATCH = 16
"""Parts at a time: about a second of work for the slowest of the models, which are hardly quicker with more."""
_LOOK_AHEAD = 256
"""Parts that are looked up at a time."""


def embed_waiting(
    file: SideFile,
    store: Store,
    embedder: Embedder,
    runner: Runner[Follower],
    seconds: float,
    progress: Progress | None,
) -> int:
    """Embed what waits until there is no more or the time is over; returns how many parts wait then.

    Parts whose notes have changed since are passed over: what is there now is taken in before, or by who does that.
    """
    deadline = time.monotonic() + seconds
    done = 0
    passed: set[int] = set()
    before: int | None = None
    while True:
        with file.reading() as connection:
            if connection is None:
                return 0
            left = tables.waiting(connection)
            page = tables.next_waiting(connection, before, _LOOK_AHEAD)
        if progress is not None:
            progress(done, done + left)
        if not page or time.monotonic() >= deadline:
            return left
        wanted = [each for each in page if each.id not in passed]
        if not wanted:
            before = page[-1].id
            continue
        before = None  # whatever is new meanwhile comes first
        texts = _texts(file, store, runner, wanted)
        lost = {each.id for each in wanted if each.key not in texts}
        if lost:
            passed |= lost
            runner.catch_up()
        keys = list(texts)
        for start in range(0, len(keys), BATCH):
            some = {key: texts[key] for key in keys[start : start + BATCH]}
            rows = _embedded(embedder, some)
            with runner.holding(), file.writing() as connection:
                tables.put_vectors(connection, rows)
            done += len(some)
            if progress is not None:
                progress(done, max(done, done + left - len(some)))
            if time.monotonic() >= deadline:
                break


def _texts(
    file: SideFile, store: Store, runner: Runner[Follower], wanted: Sequence[Waiting]
) -> dict[bytes, str]:
    """The texts of these parts, each once, as far as their notes still say them."""
    keys = {each.key for each in wanted}
    nodes = {each.node for each in wanted}
    present = by_node(store.nodes(sorted(nodes)))
    if nodes - present.keys():
        # Deleted, which the journal tells too, or expired, which nothing tells.
        with runner.holding(), file.writing() as connection:
            tables.remove(connection, sorted(nodes - present.keys()))
    texts: dict[bytes, str] = {}
    for batch in with_contents(store, present):
        for names in batch.values():
            for chunk in chunks_of(names[0]):
                key = chunk.key
                if key in keys:
                    texts[key] = chunk.text
    return {each.key: texts[each.key] for each in wanted if each.key in texts}


def _embedded(embedder: Embedder, texts: Mapping[bytes, str]) -> list[tuple[bytes, str, bytes]]:
    vectors = np.asarray(embedder.encode(list(texts.values()), "document")).astype(STORED)
    return [
        (key, embedder.scale(text), vector.tobytes())
        for (key, text), vector in zip(texts.items(), vectors, strict=True)
    ]
