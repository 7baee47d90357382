"""The base: immutable files made of the vectors now and then, shared by processes through the page cache.

A generation is two files beside the side file: the vectors, as the backend wants them, and the entries, which say
whose they are. What has changed since is in the side file. A generation that is damaged or gone is not missed: the
side file has everything.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vfs_core.vectors import BadVectors, VectorBackend, Vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENTRY = np.dtype(
    [("row", "<i8"), ("node", "<i8"), ("directory", "<i8"), ("own", "<i8"), ("start", "<i4"), ("length", "<i4"),
     ("scale", "<i4"), ("spare", "<i4")]
)  # fmt: skip
"""One name of one part: the number of its vector, and whose it is."""


class Generation(NamedTuple):
    """What the side file says of the files that count."""

    number: int
    backend: str
    entries: int
    rows: int
    revision: int


class Opened(NamedTuple):
    """An open generation; `entries` are in the order of `row` and of `node`."""

    entries: NDArray[np.void]
    vectors: Vectors


def paths(side: str, number: int) -> tuple[str, str]:
    """Where entries and vectors of a generation are, by the path of the side file."""
    return f"{side}.{number}.entries", f"{side}.{number}.vectors"


def write(
    side: str, number: int, mode: int, backend: VectorBackend, dimensions: int, entries: NDArray[np.void],
    rows: int, blocks: Iterator[memoryview],
) -> None:  # fmt: skip
    """Write both files, whole or not at all. Raises OSError."""
    entries_path, vectors_path = paths(side, number)
    _replacing(entries_path, mode, entries.tofile)
    _replacing(vectors_path, mode, lambda path: backend.write(path, rows, dimensions, blocks))


def open_generation(
    side: str, generation: Generation, backend: VectorBackend, dimensions: int
) -> Opened | None:
    """The files of a generation, or None where they are not what the side file says."""
    entries_path, vectors_path = paths(side, generation.number)
    try:
        if os.stat(entries_path).st_size != generation.entries * ENTRY.itemsize:
            return None
        entries = np.fromfile(entries_path, ENTRY)
        return Opened(entries, backend.open(vectors_path, generation.rows, dimensions))
    except (OSError, BadVectors):
        return None


def remove_others(side: str, keep: int | None) -> None:
    """Remove the files of all generations but one; who has them open goes on with them."""
    kept = () if keep is None else paths(side, keep)
    for path in files(side):
        if path not in kept:
            with suppress(FileNotFoundError):
                Path(path).unlink()


def files(side: str) -> list[str]:
    """All files of generations, those half written among them."""
    place = Path(side)
    return [
        str(path)
        for pattern in ("*.entries", "*.vectors", "*.entries.new", "*.vectors.new")
        for path in sorted(place.parent.glob(f"{place.name}.{pattern}"))
    ]


def _replacing(path: str, mode: int, make: Callable[[str], object]) -> None:
    fresh = f"{path}.new"
    try:
        make(fresh)
        fd = os.open(fresh, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.fchmod(fd, mode)
            os.fsync(fd)
        finally:
            os.close(fd)
        Path(fresh).replace(path)
    finally:
        with suppress(FileNotFoundError):
            Path(fresh).unlink()


def newest(side: str) -> int:
    """The highest number that a generation beside a side file has, or 0."""
    numbers = [Path(path).name.removesuffix(".new").split(".")[-2] for path in files(side)]
    return max((int(number) for number in numbers if number.isdecimal()), default=0)
