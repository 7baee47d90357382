"""The vector contract: a file of vectors that is written once, and how the nearest in it are found.

The vectors themselves are kept elsewhere (`vfs_core.semantic`); such a file can be thrown away and written anew at
any time. Who may see what is decided by the caller, which says among which rows to look.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

from vfs_core.errors import CorruptStore
from vfs_core.types import JSON


class BadVectors(CorruptStore):
    """A file of vectors that is damaged, cut off, or of another kind."""


class Vectors(ABC):
    """An open file of `count` unit vectors, numbered from 0. Used by one thread at a time."""

    count: int

    @abstractmethod
    def scores(self, query: memoryview, rows: memoryview | None) -> memoryview:
        """Inner products (float32) of the query (float32) with the rows of these numbers (int64), or with all.

        What a row has does not depend on which others are asked for, not even in its last digit.
        """

    @abstractmethod
    def rows(self, numbers: memoryview) -> memoryview:
        """The vectors (float32) of the rows of these numbers (int64), as they are kept: shape (n, dimensions)."""

    def nearest(
        self, query: memoryview, count: int, among: memoryview
    ) -> tuple[memoryview, memoryview] | None:
        """The numbers (int64) and inner products (float32) of the nearest rows, best first, at most `count`.

        Only rows whose byte in `among` (one for each row) is not 0 count; others are left out before the cut. An index
        that is not exact may miss a few. None: there is no faster way than `scores`.
        """
        return None

    @abstractmethod
    def close(self) -> None:
        """Let go of the file."""


class VectorBackend(ABC):
    """Writes and opens such files. Made with the `config` of its section.

    `format` says what its files are like, where that depends on more than class and config (on what is installed):
    processes with another one keep files of their own.
    """

    format: str = ""

    def __init__(self, config: Mapping[str, JSON] | None = None) -> None:
        self.config: Mapping[str, JSON] = config or {}

    @abstractmethod
    def write(self, path: str, count: int, dimensions: int, blocks: Iterable[memoryview]) -> None:
        """Write `count` unit vectors to a new file; `blocks` are float32 of shape (n, dimensions), in order.

        Raises OSError (no space, no permission).
        """

    @abstractmethod
    def open(self, path: str, count: int, dimensions: int) -> Vectors:
        """The file, mapped and shared with other processes where possible. Raises BadVectors, FileNotFoundError."""
