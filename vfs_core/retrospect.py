"""The memory as one agent may see it as of a moment of the past: read, and searched by words.

What may be seen of the past is decided by `vfs_core.hindsight`; everything here is made of what that lets through. A
search gathers all of it and lets the search backend index it in memory, so that words weigh what they weigh in
the present. It takes as long as there are notes: some 0.3 ms each.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, cast

from vfs_core import hindsight
from vfs_core.errors import Invalid, NotFound, VersionGone
from vfs_core.hindsight import Then, View
from vfs_core.journal import Cursor
from vfs_core.path import split
from vfs_core.search import SearchBackend, SearchQuery, SideContext
from vfs_core.searching import EVERYTHING, MAX_HITS, Filter, Mode, Ranked, Results, best, first_of_each
from vfs_core.storage import Found, Store, Usage
from vfs_core.types import Hit, Node, Principal, Version
from vfs_core.visibility import Visible

if TYPE_CHECKING:
    from vfs_core.session import Session

_CLASS = 1
"""The visibility class of all that is gathered: what may not be seen is not."""
_ALL = Visible(frozenset({_CLASS}), frozenset({_CLASS}), frozenset(), frozenset(), _CLASS)


class Retrospect:
    """What a session sees of one moment. Made by `Session.at`; paths, sizes, metadata and authors are those of then."""

    def __init__(self, session: Session, moment_ns: int, step: Callable[[int], None] | None = None) -> None:
        self.moment_ns = moment_ns
        self._session = session
        self._step = step

    @property
    def principal(self) -> Principal:
        """Who looks."""
        return self._session.principal

    # --- reading ---------------------------------------------------------------------------------

    def read(self, path: str) -> Node:
        """What was at a path. Raises NotFound, VersionGone."""
        return hindsight.at_time(self._view, self._session.absolute(path), self.moment_ns)

    def read_range(self, path: str, offset: int, size: int) -> bytes:
        """A part of that."""
        return self.read(path).data[offset : offset + size]

    def history(self, path: str, limit: int = 100) -> list[Version]:
        """The versions that there were, newest first. Raises NotFound."""
        path = self._session.absolute(path)
        then = next(hindsight.files_at(self._view, path, self.moment_ns), None)
        if then is None or then.path != path or then.version is None:
            raise NotFound.at(path)
        versions = hindsight.versions(self._view, then.known, then.version.version + 1, limit)
        return list(islice(versions, limit))

    def last_version(self, found: Found) -> Version:
        """The version of then of a note that was found. Raises NotFound."""
        return self.history(found.path, 1)[0]

    # --- finding ---------------------------------------------------------------------------------

    def search(
        self, query: str, limit: int = 10, mode: Mode = "lexical", only: Filter = EVERYTHING
    ) -> Results:
        """`Session.search` of then, by words. Raises Invalid, Denied."""
        snippet = self._session.kernel.search_backend().snippet
        hits = []
        for found, score in self.rank(query, limit, mode, only).names:
            assert found.stat is not None
            try:
                node = self.read(found.path)
            except (NotFound, VersionGone):
                continue  # forgotten or closed since it was found
            hits.append(Hit(found.path, score, snippet(node.text, query), found.stat, node.meta_json))
        return Results(hits)

    def rank(self, query: str, limit: int, mode: Mode = "lexical", only: Filter = EVERYTHING) -> Ranked:
        """`Session.rank` of then, by words, for which `hybrid` stands too."""
        if mode == "semantic":
            raise Invalid("the past is searched by words, and not by what they mean")
        if not 1 <= limit <= MAX_HITS:
            raise Invalid(f"limit is from 1 to {MAX_HITS:,}, not {limit}")
        self._session.judge.visible()  # refuses who may not search
        view = self._view
        sequence = view.past.sequence_at(self.moment_ns)
        gathered = _Gathered(view, sequence, self._gather(view, only.under))
        backend = self._backend(view)
        try:
            backend.rebuild(cast(Store, gathered), Cursor(view.store.uuid, sequence, b""))
            matches = backend.search(SearchQuery(query, _ALL, limit, only.tags))
            once = first_of_each((match.node, match.score) for match in matches)
            checked = ((gathered.first(node, only), score) for node, score in once)
            return Ranked(best(query, limit, checked), 0, None, {})
        finally:
            backend.close()

    @property
    def _view(self) -> View:
        return View(self._session.judge, self._session.principal)

    def _gather(self, view: View, under: str) -> Iterator[Then]:
        try:
            for then in hindsight.files_at(view, under, self.moment_ns):
                if self._step is not None:
                    self._step(1)
                if view.judge.may_search_in(then.path):
                    yield then
        except NotFound:
            return  # there was no such place

    def _backend(self, view: View) -> SearchBackend:
        """An index of its own, in memory."""
        kernel = self._session.kernel
        settings = kernel.config.search
        made: SearchBackend = kernel.registry.load("search", settings.backend)(
            SideContext(None, view.store.uuid, config=settings.config)
        )
        return made


class _Gathered:
    """All files of a moment as a store presents its own to an index that is made anew: by `scan`, `nodes` and `usage`.

    Contents are fetched when they are asked for; what is not kept of them any more is not there.
    """

    def __init__(self, view: View, sequence: int, files: Iterable[Then]) -> None:
        self._view = view
        self._sequence = sequence
        self._files: dict[int, list[Then]] = {}
        self._directories: dict[str, int] = {}
        self._meta: dict[int, str] = {}
        for then in files:
            self._files.setdefault(then.known.stat.id, []).append(then)
        self._order = sorted(self._files)

    def scan(self, after: int = 0, limit: int = 1000, *, content: bool = False) -> list[Found]:
        """See `Store.scan`."""
        start = bisect_right(self._order, after)
        return self.nodes(self._order[start : start + limit], content=content)

    def nodes(self, ids: Sequence[int], *, content: bool = False) -> list[Found]:
        """See `Store.nodes`."""
        return [
            found
            for id in ids
            for then in self._files.get(id, ())
            if (found := self._found(then, content=content)) is not None
        ]

    def usage(self) -> list[Usage]:
        """See `Store.usage`."""
        files = [names[0].stat.size for names in self._files.values()]
        return [Usage(_CLASS, _CLASS, len(files), sum(files))]

    def first(self, node: int, only: Filter) -> Found | None:
        """The first name of a node that is kept."""
        return next((found for found in self.nodes([node]) if only.keeps(found)), None)

    def _found(self, then: Then, *, content: bool) -> Found | None:
        meta = self._meta.get(then.known.stat.id)
        if meta is None:
            meta = hindsight.meta_then(self._view, then.known, self._sequence)
            self._meta[then.known.stat.id] = meta
        directory = split(then.path)[0]
        number = self._directories.setdefault(directory, len(self._directories) + 1)
        found = Found(then.path, then.stat, _CLASS, _CLASS, number, self._sequence, meta_json=meta)
        if not content:
            return found
        assert then.version is not None
        try:
            return found._replace(data=hindsight.content(self._view, then.known, then.version))
        except VersionGone:
            return None
