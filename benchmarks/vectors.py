"""Finding the nearest vectors: each backend by itself, beside numpy and FAISS alone; then all of semantic search."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import numpy as np

from avm_builtin.embedders.processes import patient_threads
from benchmarks.harness import Row, Settings, Timed, interleave, scratch, zipf_notes
from benchmarks.synthetic import DIMENSIONS, blocks_of, open_stand_in, unit_vectors
from vfs_core.plugins import Registry
from vfs_core.vectors import VectorBackend, Vectors

with patient_threads():
    import faiss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]
    Mask = NDArray[np.uint8]

TOP = 10
BACKENDS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "sqlite (every vector, by numpy)": ("sqlite", {}),
    "faiss flat": ("faiss", {"index": "flat"}),
    "faiss sq8": ("faiss", {"index": "sq8"}),
    "faiss hnsw": ("faiss", {"index": "hnsw"}),
}
RAW_FAISS, RAW_NUMPY, RAW_TABLE = "raw FAISS flat", "raw numpy", "raw SQLite table"
_CONDITIONS = (
    f"random unit vectors of {DIMENSIONS} dimensions (synthetic: they vary in 32 directions and little in the rest), "
    "every second one visible, top 10, warm; recall against all visible compared exactly; "
    "the reference is FAISS alone with the same bitmap"
)


def run(settings: Settings) -> list[Row]:
    """All rows about vectors."""
    rows = []
    for count in (2_000, 20_000) if settings.quick else (2_000, 20_000, 200_000):
        with scratch(settings) as directory:
            rows += _table(settings, directory, count)
    with scratch(settings) as directory:
        rows.append(_through_a_session(settings, directory))
    return rows


# --- the backends --------------------------------------------------------------------------------


def _table(settings: Settings, directory: Path, count: int) -> list[Row]:
    vectors = unit_vectors(count, 2)
    queries = unit_vectors(settings.scaled(50, 20), 3)
    visible = np.zeros(count, np.uint8)
    visible[::2] = 1
    exact = [set(_nearest_of(vectors @ query, visible)) for query in queries]
    finders: dict[str, Callable[[Matrix], list[int]]] = {}
    built: dict[str, tuple[float, int]] = {}
    for name, (backend, config) in BACKENDS.items():
        place = directory / name.replace(" ", "-")
        start = time.perf_counter()
        opened = _built(Registry().load("vectors", backend)(dict(config)), place, vectors)
        built[name] = time.perf_counter() - start, place.stat().st_size
        finders[name] = partial(_by_contract, opened, visible)
    finders[RAW_NUMPY] = lambda query: _nearest_of(vectors @ query, visible)
    finders[RAW_FAISS] = partial(_raw_faiss(vectors), visible)
    finders[RAW_TABLE] = partial(_raw_table(directory / "table.db", vectors), visible)
    found = {name: [set(find(query)) for query in queries] for name, find in finders.items()}
    timed = interleave(
        settings.scaled(5, 3),
        len(queries),
        {name: partial(_all, find, queries) for name, find in finders.items()},
    )
    return [
        _row(name, count, timed, _recall(found[name], exact), built.get(name), len(queries))
        for name in finders
    ]


def _row(
    name: str, count: int, timed: Timed, recall: float, built: tuple[float, int] | None, queries: int
) -> Row:
    seconds, size = built or (0.0, 0)
    made = f", {size / 1e6:,.1f} MB, built in {seconds:.1f} s" if built else ""
    return Row(
        f"{count:,} vectors, {name}",
        "",
        f"{timed.per_operation(name) * 1e3:.2f} ms, recall {recall:.1%}{made}",
        None,
        timed.ratio(name, RAW_FAISS),
        _CONDITIONS,
        {
            "seconds": timed.seconds[name],
            "operations": queries,
            "recall": recall,
            "bytes": size,
            "build_seconds": seconds,
        },
    )


def _all(find: Callable[[Matrix], list[int]], queries: Matrix) -> None:
    for query in queries:
        find(query)


def _recall(found: list[set[int]], exact: list[set[int]]) -> float:
    return sum(len(some & right) for some, right in zip(found, exact, strict=True)) / sum(map(len, exact))


def _built(backend: VectorBackend, place: Path, vectors: Matrix) -> Vectors:
    count, dimensions = vectors.shape
    backend.write(str(place), count, dimensions, blocks_of(vectors))
    return backend.open(str(place), count, dimensions)


def _by_contract(opened: Vectors, visible: Mask, query: Matrix) -> list[int]:
    """What the semantic index asks of a backend."""
    nearest = opened.nearest(query.data, TOP, visible.data)
    if nearest is not None:
        return list(map(int, np.frombuffer(nearest[0], np.int64)))
    return _nearest_of(np.frombuffer(opened.scores(query.data, None), np.float32), visible)


def _nearest_of(scores: Matrix, visible: Mask) -> list[int]:
    masked = np.where(visible, scores, -np.inf)
    return list(map(int, np.argpartition(-masked, TOP)[:TOP]))


def _raw_faiss(vectors: Matrix) -> Callable[[Mask, Matrix], list[int]]:
    """FAISS as its documentation shows it."""
    library: Any = faiss  # its annotations lack some of it
    index = library.IndexFlatIP(vectors.shape[1])
    index.add(vectors)

    def find(visible: Mask, query: Matrix) -> list[int]:
        bits = np.packbits(visible, bitorder="little")
        chosen = library.SearchParameters(sel=library.IDSelectorBitmap(len(vectors), library.swig_ptr(bits)))
        found: list[int] = index.search(query.reshape(1, -1), TOP, params=chosen)[1][0].tolist()
        return found

    return find


def _raw_table(place: Path, vectors: Matrix) -> Callable[[Mask, Matrix], list[int]]:
    """Vectors as blobs in a table, all of them fetched and compared for each query."""
    connection = apsw.Connection(str(place))
    with connection:
        connection.execute("CREATE TABLE vector (id INTEGER PRIMARY KEY, data BLOB)")
        connection.executemany(
            "INSERT INTO vector VALUES (?, ?)",
            ((number, vector.tobytes()) for number, vector in enumerate(vectors)),
        )

    def find(visible: Mask, query: Matrix) -> list[int]:
        data = b"".join(blob for (blob,) in connection.execute("SELECT data FROM vector ORDER BY id"))
        return _nearest_of(np.frombuffer(data, np.float32).reshape(vectors.shape) @ query, visible)

    return find


# --- semantic search -----------------------------------------------------------------------------


def _through_a_session(settings: Settings, directory: Path) -> Row:
    """Ranking through a session against encoding the query and asking FAISS, with the same vectors."""
    notes = zipf_notes(settings.scaled(10_000, 2_000))
    number = 0
    with open_stand_in(directory / "avm.db") as kernel:
        session = kernel.session("bench")
        session.write_many([(f"/memory/shared/{at:05}.md", note) for at, note in enumerate(notes)])
        session.embed()
        session.save_vectors()
        embedder = kernel.embedder()
        index: Any = faiss.IndexFlatIP(embedder.dimensions)
        index.add(np.asarray(embedder.encode(notes, "document")))

        def asked() -> list[str]:
            """Queries that nobody has asked before: those are remembered."""
            nonlocal number
            number += 10
            return [f"what did we decide about rate {each}" for each in range(number, number + 10)]

        def raw() -> None:
            for query in asked():
                index.search(np.asarray(embedder.encode([query], "query")), TOP)

        def ours() -> None:
            for query in asked():
                session.rank(query, TOP, "semantic")

        def encode() -> None:
            for query in asked():
                embedder.encode([query], "query")

        timed = interleave(settings.scaled(15, 5), 10, {"raw": raw, "avm": ours, "encode": encode})
    over = 1 / timed.ratio("avm", "raw") - 1
    milliseconds = {name: timed.per_operation(name) * 1e3 for name in ("raw", "avm", "encode")}
    return Row(
        f"semantic search over raw FAISS + encode, {len(notes):,} notes",
        "<= +15 %",
        f"{over:+.1%} ({milliseconds['avm']:.1f} against {milliseconds['raw']:.1f} ms)",
        None if settings.quick else over <= 0.15,
        timed.ratio("avm", "raw"),
        "Session.rank by meaning, top 10, every query a new one; the reference is the same model's vector of the query "
        f"({milliseconds['encode']:.1f} ms) and FAISS flat; the vectors of the notes are random (synthetic)",
        {"seconds": timed.seconds, "operations": 10},
    )
