"""Embedding what waits: batch by batch, by one process at a time, beside everything else.

A batch is read from the store, embedded while nothing is locked, and written in one short transaction. Whoever dies
in between has lost a batch of work and nothing else. What the same text has been given once it keeps.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from avm_builtin.search.contents import by_node
from avm_builtin.search.side import SideFile
from avm_builtin.vectors import tables
from avm_builtin.vectors.chunks import chunks_of
from avm_builtin.vectors.state import STORED
from vfs_core.embedding import Embedder
from vfs_core.follower import Progress, Runner
from vfs_core.storage import Store

BATCH = 16
"""Parts at a time: about a second of work for the slowest of the models, which are hardly quicker with more."""
_LOOK_AHEAD = 256
"""Parts that are looked up at a time."""


def embed_waiting(
    file: SideFile,
    store: Store,
    embedder: Embedder,
    runner: Runner,
    seconds: float,
    progress: Progress | None,
) -> int:
    """Embed what waits until there is no more or the time is over; returns how many parts wait then."""
    deadline = time.monotonic() + seconds
    done = 0
    while True:
        with file.reading() as connection:
            if connection is None:
                return 0
            left = tables.waiting(connection)
            wanted = tables.next_waiting(connection, _LOOK_AHEAD)
        if progress is not None:
            progress(done, done + left)
        if not wanted or time.monotonic() >= deadline:
            return left
        texts = _texts(store, wanted)
        if not texts:
            # All of them have changed since: what is there now is taken in first.
            if runner.catch_up():
                return left
            with file.reading() as connection:
                if connection is None or tables.next_waiting(connection, _LOOK_AHEAD) == wanted:
                    return left
            continue
        keys = list(texts)
        for start in range(0, len(keys), BATCH):
            some = {key: texts[key] for key in keys[start : start + BATCH]}
            rows = _embedded(embedder, some)
            with runner.holding(), file.writing() as connection:
                tables.put_vectors(connection, rows)
            done += len(some)
            if time.monotonic() >= deadline:
                break


def _texts(store: Store, wanted: Sequence[tuple[int, bytes]]) -> dict[bytes, str]:
    """The texts of these parts, each once, as far as their notes still say them."""
    keys = {key for _, key in wanted}
    texts: dict[bytes, str] = {}
    for names in by_node(store.nodes(sorted({node for node, _ in wanted}), content=True)).values():
        for chunk in chunks_of(names[0]):
            key = chunk.key
            if key in keys:
                texts[key] = chunk.text
    return {key: texts[key] for _, key in wanted if key in texts}


def _embedded(embedder: Embedder, texts: Mapping[bytes, str]) -> list[tuple[bytes, str, bytes]]:
    vectors = np.asarray(embedder.encode(list(texts.values()), "document")).astype(STORED)
    return [
        (key, embedder.scale(text), vector.tobytes())
        for (key, text), vector in zip(texts.items(), vectors, strict=True)
    ]
