"""The words of many documents in a tantivy index: what the FTS5 tables hand over when they have become many.

The index is a directory that the side file names, and nothing but words, ids and directories is in it: what the side
file does not know is no match. So words are committed here first, and what was committed here alone, before a crash,
is taken out again by who writes next. Only the holder of the follower's lease writes. Nothing of tantivy outlives a
fork: a child opens what it needs itself. Not here: which documents there are, and what they score.
"""

from __future__ import annotations

import errno
import os
import re
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import tantivy

from avm_builtin.search.documents import Document
from avm_builtin.search.places import Places
from avm_builtin.search.scoring import prior
from avm_builtin.search.side import Damaged
from vfs_core.errors import NoSpace, ReadOnly, StoreError, VfsError

TOKENS, ID, DIRECTORY, PRIOR = "tokens", "id", "directory", "prior"
_WRITER_LOCK = ".tantivy-writer.lock"
_LOCKS = (_WRITER_LOCK, ".tantivy-meta.lock")
_OPEN_FILES = "/proc/self/fd"
"""The files that a process has open, where the system tells; elsewhere a fork while words are handed over may hang."""
_HEAP = 50_000_000
"""Bytes of postings that a writer keeps before it makes a segment of them."""
_SYSTEM_ERROR = re.compile(r"code: (\d+)|os error (\d+)")


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    # Tokens come ready-made, with spaces between.
    builder.add_text_field(TOKENS, tokenizer_name="whitespace", index_option="freq")
    builder.add_unsigned_field(ID, indexed=True, fast=True)
    builder.add_unsigned_field(DIRECTORY, fast=True)
    builder.add_float_field(PRIOR, fast=True)
    return builder.build()


SCHEMA = _schema()


class Snapshot(NamedTuple):
    """The documents of one commit, as a process reads them."""

    place: str
    stamp: int
    searcher: tantivy.Searcher
    documents: int
    """With those that were deleted and are still in its statistics."""


class Writer:
    """Changes that become visible together, when they are committed."""

    def __init__(self, writer: tantivy.IndexWriter) -> None:
        self._writer = writer

    @property
    def stamp(self) -> int:
        """What tells the last commit from others, as of when writing began."""
        return self._writer.commit_opstamp

    def put(self, id: int, directory: int, document: Document) -> None:
        """Add the words of a document."""
        made = tantivy.Document()
        made.add_text(TOKENS, document.words)
        made.add_unsigned(ID, id)
        made.add_unsigned(DIRECTORY, directory)
        # tantivy multiplies by log2(2 + weight), which is to be twice the prior.
        made.add_float(PRIOR, 4 ** prior(document.length) - 2)
        self._writer.add_document(made)

    def remove(self, ids: Sequence[int]) -> None:
        """Take documents out."""
        if ids:
            self._writer.delete_documents_by_query(tantivy.Query.term_set_query(SCHEMA, ID, list(ids)))

    def remove_after(self, id: int) -> None:
        """Take all documents with a higher id out."""
        above = tantivy.Query.range_query(SCHEMA, ID, tantivy.FieldType.Unsigned, id + 1, None)
        self._writer.delete_documents_by_query(above)

    def commit(self) -> int:
        """Make it so; the stamp of this commit."""
        return self._writer.commit()


class Engine:
    """The indexes in some places."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._mutex = threading.Lock()
        self._pid = os.getpid()
        self._snapshot: Snapshot | None = None

    def snapshot(self, place: str, stamp: int) -> Snapshot:
        """The index as it is now, which has at least that commit.

        Raises Damaged, and StoreError where it may not be read.
        """
        known = self._snapshot
        if self._pid != os.getpid():
            _leaked.append(known)
            self._mutex, self._snapshot, self._pid = threading.Lock(), None, os.getpid()
        elif known is not None and known.stamp == stamp and known.place == place:
            return known
        path = self._places.path(place)
        with self._mutex, told(path):
            searcher = _searcher(path)
            documents = sum(segment["max_doc"] for segment in self._places.meta(place)["segments"])
            self._snapshot = Snapshot(place, stamp, searcher, documents)
            return self._snapshot

    def begin(self) -> str:
        """A new and empty index; the place where it is. Raises NoSpace, ReadOnly, StoreError."""
        with told("the index"):
            place = self._places.make()
            tantivy.Index(SCHEMA, str(self._places.path(place)))
            return place

    @contextmanager
    def writing(self, place: str) -> Iterator[Writer]:
        """Change an index; for the holder of the follower's lease, who is the only one to write.

        What is not committed has never been. Raises Damaged, NoSpace, ReadOnly, StoreError.
        """
        path = self._places.path(place)
        with told(path):
            index = _index(path)
            # It is locked for good where a process was forked while it wrote.
            with suppress(FileNotFoundError):
                (path / _WRITER_LOCK).unlink()
            # In a local variable only: nothing that a forked child could reach, and wait in for threads it has not.
            writer = index.writer(_HEAP, 1)
            try:
                yield Writer(writer)
            except BaseException:
                with suppress(ValueError):  # the first error tells more
                    writer.wait_merging_threads()
                raise
            writer.wait_merging_threads()
            self._places.settle(place)

    def close(self) -> None:
        """Let go of what is open."""
        self._snapshot = None


_leaked: list[object] = []
"""What a parent process had open, kept so that the child never closes it."""


def _let_go_of_locks() -> None:
    """In a forked child: close what a thread of the parent had locked.

    A lock belongs to all who have the file open: the child would wait for itself, and its parent for it.
    """
    for name in os.listdir(_OPEN_FILES) if os.path.isdir(_OPEN_FILES) else ():  # noqa: PTH112, PTH208 - it is no place
        try:
            if os.readlink(f"{_OPEN_FILES}/{name}").endswith(_LOCKS):  # noqa: PTH115
                os.close(int(name))
        except OSError:
            continue  # the listing itself, or no file


os.register_at_fork(after_in_child=_let_go_of_locks)


def _searcher(path: Path) -> tantivy.Searcher:
    """Open an index to read.

    tantivy makes a lock beside what it reads. Where this process may not, it reads through links in a place of its
    own, which are needed only until all is open.
    """
    try:
        return _opened(path)
    except ValueError as error:
        if _system_error(error) not in _FORBIDDEN:
            raise
    try:
        with tempfile.TemporaryDirectory(prefix="avm-index-") as own:
            for each in path.iterdir():
                if not each.name.endswith(".lock"):
                    Path(own, each.name).symlink_to(each)
            return _opened(Path(own))
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read: this process may write neither there nor in a temporary directory ({error})"
        ) from error


def _opened(path: Path) -> tantivy.Searcher:
    index = _index(path)
    index.config_reader("manual")  # or a thread would look for changes
    index.reload()
    return index.searcher()


def _index(path: Path) -> tantivy.Index:
    index = tantivy.Index.open(str(path))
    if index.schema != SCHEMA:
        raise ValueError("it has another schema")
    return index


# --- errors --------------------------------------------------------------------------------------

_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def told(path: object) -> Iterator[None]:
    """tantivy's errors as ours. It has ValueError for all, and panics where a file is not as it left it."""
    try:
        yield
    except VfsError:
        raise
    except (ValueError, OSError, KeyError) as error:
        raise _translated(path, error) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # a BaseException that has no importable name
            raise
        raise Damaged(
            f"{path} is damaged ({error}); the next command that may write it makes it anew"
        ) from error


def _system_error(error: Exception) -> int:
    """The errno in an error, or 0."""
    if isinstance(error, OSError):
        return error.errno or 0
    found = _SYSTEM_ERROR.search(str(error))
    return int(found[1] or found[2]) if found else 0


def _translated(path: object, error: Exception) -> VfsError:
    code = _system_error(error)
    if code in _FULL or "worker thread" in str(error):  # which only writes, and does not say what failed
        return NoSpace(f"{path} cannot grow ({error}); free some space")
    if code in _FORBIDDEN:
        return ReadOnly(f"{path} cannot be written ({error})")
    if code and code != errno.ENOENT:
        return StoreError(f"{path} cannot be used ({error})")
    return Damaged(f"{path} is damaged ({error}); the next command that may write it makes it anew")
