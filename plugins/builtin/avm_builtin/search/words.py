"""The full-text backend: words in the FTS5 table of a side file, and of many notes in the engine beside it.

The side file `<store>.index.db` says what is indexed, at which position of the journal, and who may see it (tables.py).
What is new goes into its FTS5 table, which takes a tenth of a millisecond. When that has become large, the words are
handed over to the engine (engine.py), which takes as long as a disk needs to be sure, and searches many notes fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

import apsw

from avm_builtin.search import following, fts5, tables
from avm_builtin.search import text as analyser
from avm_builtin.search.places import Places
from avm_builtin.search.running import Running
from avm_builtin.search.side import Damaged, SideFile, one_moment
from vfs_core.errors import MissingExtra, NoSpace, ReadOnly, StoreBusy
from vfs_core.follower import BATCH, Progress
from vfs_core.journal import Cursor
from vfs_core.search import Match, SearchBackend, SearchQuery, SideContext
from vfs_core.storage import Store
from vfs_core.types import Change

if TYPE_CHECKING:
    from avm_builtin.search.engine import Engine
    from avm_builtin.search.tiers import Tiers

_SPARE, _GROWTH = 20, 8
"""Rows beyond what is expected to be taken, and how much larger each next page is."""
_AT_ONCE = 8
"""How many times as much may wait for the engine while a follower that has fallen behind takes in batch after batch."""


class Sizes(NamedTuple):
    """How many documents the FTS5 table may have: before there is an engine (None: there never is one), and after."""

    alone: int | None
    waiting: int


SMALL = 4_000
"""Notes up to which FTS5 is as good alone: it answers common words within two milliseconds."""
WAITING = 1_000
"""What FTS5 finds in a millisecond, and makes the 0.1 s of handing over 0.1 ms a note."""
MISSING = "pip install tantivy"


def auto(context: SideContext) -> WordSearch:
    """FTS5 alone for small stores and where tantivy is not installed, both tiers for large ones."""
    return WordSearch(context, Sizes(SMALL, WAITING))


def fts5_alone(context: SideContext) -> WordSearch:
    """FTS5 alone, however many notes there are."""
    return WordSearch(context, Sizes(None, WAITING))


def tantivy(context: SideContext) -> WordSearch:
    """Both tiers as soon as there is something to hand over."""
    if not _is_installed():
        raise MissingExtra(f"the search backend 'tantivy' needs tantivy: {MISSING}")
    return WordSearch(context, Sizes(0, WAITING))


def _is_installed() -> bool:
    return find_spec("tantivy") is not None


class WordSearch(SearchBackend):
    """Search by words, ranked by BM25. What is in memory only is small, and FTS5's alone."""

    name = "words"

    def __init__(self, context: SideContext, sizes: Sizes) -> None:
        super().__init__(context)
        self.writable = context.writable
        self._alone = sizes.alone if context.path is not None else None
        self._waiting = sizes.waiting
        self._file = SideFile(
            None if context.path is None else f"{context.path}.index.db",
            tables.SCHEMA,
            tables.APPLICATION,
            tables.VERSION,
            writable=context.writable,
            mode=context.mode,
        )
        self._places = Places(f"{context.path}.index", context.mode)

    @cached_property
    def _engine(self) -> Engine:
        from avm_builtin.search.engine import Engine

        return Engine(self._places)

    @cached_property
    def _tiers(self) -> Tiers:
        from avm_builtin.search.tiers import Tiers

        return Tiers(self._file, self._engine, self.context.store_uuid)

    # --- searching -------------------------------------------------------------------------------

    def search(self, query: SearchQuery) -> Iterator[Match]:
        """Matches that are visible, best first; `query.tags` must all be there.

        A node comes once for each directory in which it has a visible name. Nothing stays open between
        two matches; who goes on to the end gets every match that was there all the while.
        """
        wanted = analyser.terms(query.text)
        running = Running(query, wanted)
        size, final, more = query.limit + _SPARE, False, bool(wanted)
        while more:
            found: list[fts5.Best] = []
            with self._file.reading() as connection:
                if connection is None:
                    return
                with one_moment(connection):
                    tiered = bool(tables.held(connection).place)
                    if not tiered:
                        found = fts5.best(connection, self.context.store_uuid, query, wanted, size)
            if tiered:
                answer = yield from self._tiers.page(running, size, final=final)
                if answer is None:
                    continue
                more = answer
            else:
                for each in found:
                    match = running.give(*each)
                    if match is not None:
                        yield match
                more = len(found) == size
            size, final = size * _GROWTH, True

    def snippet(self, text: str, query: str, width: int = 160) -> str:
        """The part of `text` around the densest group of the query's words."""
        return analyser.snippet(text, query, width)

    def indexed(self, nodes: Sequence[int]) -> set[int]:
        """Which of the nodes have a document."""
        with self._file.reading() as connection:
            return set() if connection is None else tables.indexed(connection, nodes)

    def documents(self) -> int:
        """How many documents are indexed: one for each name of a file."""
        with self._file.reading() as connection:
            return connection.execute("SELECT count(*) FROM document").get if connection is not None else 0

    # --- following -------------------------------------------------------------------------------

    def cursor(self) -> Cursor | None:
        """What was last committed; None where there is no index, or one that is not ours, damaged or of no use here."""
        with self._file.reading() as connection:
            if connection is None:
                return None
            position, holding = tables.cursor(connection), tables.held(connection)
        return position if not holding.place or self._is_usable(holding) else None

    def _is_usable(self, holding: tables.Held) -> bool:
        if self.writable and not self._may_grow():
            return False
        try:
            self._engine.snapshot(holding.place, holding.stamp)
        except (Damaged, ImportError):
            return False
        return True

    def apply(self, changes: Sequence[Change], store: Store, cursor: Cursor) -> None:
        """Index what the changed nodes are now."""
        try:
            with self._file.writing() as connection:
                present = tables.cursor(connection)
                is_ours = present is not None and present.store_uuid == cursor.store_uuid
                if is_ours:
                    self._take_in(connection, changes, store)
                    tables.commit_cursor(connection, cursor)
                    due = self._is_due(connection, len(changes) >= BATCH)
            if is_ours:
                if due:
                    self._hand_over(store)
                return
        except Damaged:
            self.discard()
        # The file was thrown away since the caller looked: the changes alone do not make an index.
        self.rebuild(store, cursor)

    @staticmethod
    def _take_in(connection: apsw.Connection, changes: Sequence[Change], store: Store) -> None:
        following.take_in(
            following.concerning(changes),
            lambda nodes: tables.refresh(connection, store, nodes),
            lambda paths: tables.reclassify(connection, store, paths),
        )

    def _is_due(self, connection: apsw.Connection, behind: bool) -> bool:
        """Whether so much is waiting that it pays to hand it over."""
        if self._alone is None:
            return False
        waiting, gone = tables.waiting(connection), len(tables.gone(connection))
        most = self._waiting if tables.held(connection).place else self._alone
        due = waiting > most * (_AT_ONCE if behind else 1) or gone > self._waiting
        return due and self._may_grow()

    def _may_grow(self) -> bool:
        """Whether there may be an engine; asked only where it matters, for it takes a look at what is installed."""
        return self._alone is not None and _is_installed()

    def _hand_over(self, store: Store) -> None:
        """Move the words from the FTS5 table into the engine, whose commit comes first."""
        try:
            with self._file.writing() as connection:
                before = tables.held(connection)
                place = before.place or self._engine.begin()
                with self._engine.writing(place) as writer:
                    if before.place and writer.stamp != before.stamp:
                        writer.remove_after(before.upto)  # of one who died before the side file knew of it
                    writer.remove(tables.gone(connection))
                    after = tables.hand_over(connection, store, writer.put)
                    stamp = writer.commit()
                tables.hold(connection, after._replace(place=place, stamp=stamp))
        except (NoSpace, ReadOnly):
            pass  # nothing is lost: all can be found where it is, and is handed over when there is space
        self._tidy()

    def _tidy(self) -> None:
        """Throw away what of engines is not in use."""
        if self.context.path is not None:
            with self._file.reading() as connection:
                place = "" if connection is None else tables.held(connection).place
            self._places.keep(place)

    def rebuild(self, store: Store, cursor: Cursor, progress: Progress | None = None) -> None:
        """Index everything in one transaction; until it commits, searches see what was there before."""
        try:
            self._rebuild(store, cursor, progress)
        except Damaged:
            self.discard()
            self._rebuild(store, cursor, progress)

    def _rebuild(self, store: Store, cursor: Cursor, progress: Progress | None) -> None:
        total = sum(usage.files for usage in store.usage())
        try:
            with self._file.writing() as connection:
                tables.clear(connection)
                if self._alone is not None and total > self._alone and self._may_grow():
                    place = self._engine.begin()
                    with self._engine.writing(place) as writer:
                        _fill(connection, store, writer.put, total, progress)
                        stamp = writer.commit()
                    tables.hold(connection, tables.all_held(connection, place, stamp))
                else:
                    _fill(connection, store, tables.put_words(connection), total, progress)
                    connection.execute("INSERT INTO words(words) VALUES ('optimize')")
                tables.commit_cursor(connection, cursor)
        finally:
            self._tidy()

    def discard(self) -> None:
        """Throw the files away; other processes notice and let go of them."""
        self._file.discard()
        if self.context.path is not None:
            self._places.keep("")

    def scrub(self) -> bool:
        """Merge the FTS5 table into one segment, which drops what was deleted, and rewrite the file.

        The engine cannot be made to do so: where something was deleted from it, it has to be made anew.
        """
        try:
            with self._file.writing() as connection:
                holding = tables.held(connection)
                if holding.place and (
                    tables.gone(connection) or not self._places.is_clean(holding.place, holding.stamp)
                ):
                    return False
                connection.execute("INSERT INTO words(words) VALUES ('optimize')")
            return self._file.scrub()
        except (Damaged, StoreBusy, NoSpace):
            return False

    def files(self) -> list[str]:
        """The side file and its WAL files, and those of the engine."""
        files = self._file.files()
        return [*files, *self._places.files()] if files else []

    def vocabulary(self) -> str:
        """The words of the schema, FTS5's own tables among them, and of tantivy's files."""
        with self._file.reading() as connection:
            place = "" if connection is None else tables.held(connection).place
        return f"{self._file.vocabulary()}\n{self._places.vocabulary(place)}"

    def advice(self) -> str:
        """Where tantivy is not installed and the notes have become many."""
        if self.documents() <= SMALL or _is_installed():
            return ""
        return f"searching so many notes is much faster with tantivy: {MISSING}"

    def close(self) -> None:
        """Close the files; the next use opens them again."""
        self._file.close()
        if "_engine" in self.__dict__:
            self._engine.close()


def _fill(
    connection: apsw.Connection, store: Store, put: tables.Put, total: int, progress: Progress | None
) -> None:
    for done in tables.fill(connection, store, put):
        if progress is not None:
            progress(done, max(done, total))
