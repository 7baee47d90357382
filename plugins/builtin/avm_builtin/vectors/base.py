"""The base: immutable files made of the vectors now and then, shared by processes through the page cache.

A generation is two files beside the side file: the vectors, as the backend wants them, and the entries, which say
whose they are. What has changed since is in the side file. A generation that is damaged or gone is not missed: the
side file has everything.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

import numpy as np

from vfs_core.vectors import BadVectors, VectorBackend, Vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENTRY = np.dtype(
    [("row", "<i8"), ("node", "<i8"), ("directory", "<i8"), ("own", "<i8"), ("start", "<i4"), ("length", "<i4"),
     ("scale", "<i4"), ("spare", "<i4")]
)  # fmt: skip
"""One name of one part: the number of its vector, and whose it is."""

_TOLERANCE = 0.05


class Generation(NamedTuple):
    """What the side file says of the files of a backend: they hold all that was touched up to a revision.

    The revision is their number, too; no two generations have the same.
    """

    backend: str
    revision: int
    entries: int
    rows: int
    checksum: int
    """Of the entries."""


class Opened(NamedTuple):
    """An open generation; `entries` are in the order of `row` and of `node`."""

    revision: int
    entries: NDArray[np.void]
    vectors: Vectors
    lock: threading.Lock
    """To be held while the vectors are used."""


def paths(side: str, revision: int) -> tuple[str, str]:
    """Where entries and vectors of a generation are, by the path of the side file."""
    return f"{side}.{revision}.entries", f"{side}.{revision}.vectors"


def write(
    side: str, revision: int, mode: int, backend: VectorBackend, dimensions: int, entries: NDArray[np.void],
    rows: int, blocks: Iterator[memoryview],
) -> None:  # fmt: skip
    """Write both files under names that nobody looks for. Raises OSError."""
    entries_path, vectors_path = map(_fresh, paths(side, revision))
    Path(entries_path).write_bytes(entries.tobytes())
    backend.write(vectors_path, rows, dimensions, blocks)
    for path in (entries_path, vectors_path):
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.fchmod(fd, mode)
            os.fsync(fd)
        finally:
            os.close(fd)


def publish(side: str, revision: int) -> None:
    """Give what was written its names. Raises OSError, also where it was thrown away meanwhile."""
    for path in paths(side, revision):
        Path(_fresh(path)).replace(path)


def open_generation(
    side: str, generation: Generation, backend: VectorBackend, dimensions: int
) -> Opened | None:
    """The files of a generation, or None where they are not what the side file says."""
    entries_path, vectors_path = paths(side, generation.revision)
    try:
        data = Path(entries_path).read_bytes()
        if len(data) != generation.entries * ENTRY.itemsize or crc32(data) != generation.checksum:
            return None
        vectors = backend.open(vectors_path, generation.rows, dimensions)
    except (OSError, BadVectors):
        return None
    return Opened(generation.revision, np.frombuffer(data, ENTRY), vectors, threading.Lock())


def says(opened: Opened, samples: Iterable[tuple[int, NDArray[np.float32]]]) -> bool:
    """Whether vectors of a generation, by their row, are these, as precisely as its backend keeps them."""
    with np.errstate(all="ignore"):
        return all(
            abs(float(opened.vectors.scores(vector.data, np.array([row]).data)[0]) - float(vector @ vector))
            < _TOLERANCE
            for row, vector in samples
        )


def remove_others(side: str, keep: Collection[int]) -> None:
    """Remove the files of all generations but some, as far as they can be; who has them open goes on with them."""
    kept = {path for revision in keep for path in paths(side, revision)}
    for path in files(side):
        if path not in kept:
            with suppress(OSError):
                Path(path).unlink()


def files(side: str) -> list[str]:
    """All files of generations, those half written among them."""
    place = Path(side)
    return [
        str(path)
        for pattern in ("*.entries", "*.vectors", "*.entries.new", "*.vectors.new")
        for path in sorted(place.parent.glob(f"{place.name}.{pattern}"))
    ]


def _fresh(path: str) -> str:
    return f"{path}.new"
