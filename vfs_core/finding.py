"""What a session finds: search, links, tags and counts, always of what its agent may see.

Indexes and counts are filtered by visibility class before they are cut or summed; every hit is checked once
more against the store and the rules, and more are taken until there are enough.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from vfs_core import ranking
from vfs_core.errors import Denied, Invalid, NotFound
from vfs_core.meta import tags_of
from vfs_core.path import is_within, space_of, split
from vfs_core.search import Match, SearchQuery
from vfs_core.storage import Found, Operation
from vfs_core.types import MENTION, SYMMETRIC_LINKS, Hit, Kind, Link

if TYPE_CHECKING:
    from vfs_core.permissions import Judge
    from vfs_core.session import Session

CATCH_UP_SECONDS = 2.0
"""How long a search waits for the index to take in what is new."""
MAX_HITS = 1_000_000
_PAGE = 20
"""Matches that are looked up at a time, at least."""
_LATEST_ROWS = 200
"""Rows of the journal that are gone through at a time."""
_SNIPPET_BYTES = 4 * 1024 * 1024


class Results(list[Hit]):
    """The hits of a search, best first."""

    def __init__(self, hits: Iterable[Hit] = (), behind: int = 0) -> None:
        super().__init__(hits)
        self.behind = behind
        """How many changes the index had not seen (0: it was up to date). It takes them in before a search, except
        where this process cannot write it, or not in time."""


@dataclass(frozen=True)
class Stats:
    """What one agent can see of a store. Sizes in bytes."""

    agent: str
    store: str
    notes: int
    size: int
    private: int
    tags: int
    writable: bool
    durability: str
    search: str
    behind: int


def search(session: Session, query: str, limit: int, tags: frozenset[str], under: str) -> Results:
    """Search the index, with a snippet of what each hit says now."""
    judge, backend = session.judge, session.kernel.search_backend()
    chosen, behind = rank(session, query, limit, tags, under)
    hits = []
    for found, score in chosen:
        assert found.stat is not None
        current = found
        if found.stat.size <= _SNIPPET_BYTES:
            try:
                current = judge.store.read(found.path, lambda each: judge.check(Operation.SEARCH, each))
            except (NotFound, Denied):
                continue  # closed, moved or deleted since: the next search will say so
        if current.stat is None or current.stat.id != found.stat.id:
            continue
        text = current.data.decode("utf-8", "replace")
        hits.append(Hit(found.path, score, backend.snippet(text, query), current.stat, current.meta_json))
    return Results(hits, behind)


class Ranked(NamedTuple):
    """Names that match with their scores in [0, 1], best first, and how many changes the index had not seen."""

    names: list[ranking.Scored]
    behind: int


def rank(session: Session, query: str, limit: int, tags: frozenset[str], under: str) -> Ranked:
    """Search the index, check what it gives until there are enough, and put it in order by what it stands beside."""
    if not 1 <= limit <= MAX_HITS:
        raise Invalid(f"limit is from 1 to {MAX_HITS:,}, not {limit}")
    judge = session.judge
    visible = judge.visible()
    runner = session.kernel.search()
    behind = runner.catch_up(CATCH_UP_SECONDS)
    backend = session.kernel.search_backend()
    matches = backend.search(SearchQuery(query, visible, max(limit, ranking.DEPTH), tags))
    chosen: list[ranking.Scored] = []
    enough = max(limit, _PAGE)
    related = False
    for seen, (names, score) in enumerate(_allowed(judge, matches, enough), 1):
        for found in names:
            if is_within(found.path, under) and tags <= set(tags_of(found.meta_json)):
                chosen.append((found, score))
                related = related or ranking.has_context(found)
                break
        if len(chosen) >= limit and seen >= (max(limit, ranking.DEPTH) if related else enough):
            break
    if related:
        chosen = ranking.rerank(query, chosen)
    return Ranked(chosen[:limit], behind)


def _allowed(judge: Judge, matches: Iterator[Match], size: int) -> Iterator[tuple[list[Found], float]]:
    """The names of each matching node that the agent may find, if any, with the score; looked up page by page."""
    fresh = _first_of_each(matches)
    while page := list(islice(fresh, size)):
        names: dict[int, list[Found]] = {}
        for found in judge.store.nodes([match.node for match in page]):
            if found.stat is not None and judge.allows(Operation.SEARCH, found):
                names.setdefault(found.stat.id, []).append(found)
        yield from ((names[match.node], match.score) for match in page if match.node in names)
        size = max(size, ranking.DEPTH - size)


def _first_of_each(matches: Iterable[Match]) -> Iterator[Match]:
    """One match for each node: hard links match more than once."""
    seen: set[int] = set()
    for match in matches:
        if match.node not in seen:
            seen.add(match.node)
            yield match


def check_link(kind: str, weight: float) -> None:
    """Raise Invalid for a link kind that is not a word, or a weight that is not a positive number."""
    if not kind.isidentifier() or not kind.islower():
        raise Invalid(f"a link's kind is a lower-case word such as 'related', not {kind!r}")
    refuse_mention(kind)
    if not (math.isfinite(weight) and weight > 0):
        raise Invalid(f"a link's weight is a positive number, not {weight!r}")


def refuse_mention(kind: str | None) -> None:
    """Raise Invalid for the kind of links that only follow from what notes say."""
    if kind == MENTION:
        raise Invalid(f"links of the kind {MENTION!r} follow from what a note says: write [[name]] in it")


def kinds_between(session: Session, source: str, target: str) -> list[str]:
    """The kinds of the links from one path to another that somebody has made; unjudged."""
    store = session.store
    start, end = store.find(source).stat, store.find(target).stat
    if start is None or end is None:
        return []
    rows = store.links(start.id)
    return sorted({row.kind for row in rows if (row.source, row.target) == (start.id, end.id)} - {MENTION})


def links(session: Session, found: Found) -> list[Link]:
    """The links of a node, to what the agent may read."""
    assert found.stat is not None
    result = {
        link if link.source == found.path else Link(link.target, link.kind, link.source, link.weight)
        for link in neighbours(session, found)
        if link.source == found.path or link.kind in SYMMETRIC_LINKS
    }
    return sorted(result, key=lambda link: (link.kind, -link.weight, link.target))


def neighbours(session: Session, found: Found) -> list[Link]:
    """All links from and to a node, as they were made, from and to what the agent may read."""
    assert found.stat is not None
    me, judge = found.stat.id, session.judge
    rows = judge.store.links(me)
    others = {row.target if row.source == me else row.source for row in rows} - {me}
    paths: dict[int, str] = {me: found.path}
    for other in judge.store.nodes(sorted(others)):
        if other.stat is not None and judge.allows(Operation.READ, other):
            paths.setdefault(other.stat.id, other.path)
    return [
        Link(paths[row.source], row.kind, paths[row.target], row.weight)
        for row in rows
        if row.source in paths and row.target in paths
    ]


def latest(session: Session, since_ns: int, under: str) -> Iterator[tuple[Found, int]]:
    """Files below a path that the agent may read now, by when they were last changed, last first, with that time.

    The rows of the journal say only in which order; what is given is what is there now, under its present name.
    """
    judge = session.judge
    store = judge.store
    start = store.past.sequence_at(since_ns - 1) if since_ns else 0
    seen: set[int] = set()
    before: int | None = None
    while True:
        page = store.past.changes(before, _LATEST_ROWS, since=start)
        changed: dict[int, int] = {}
        for row in page:
            if row.version and row.node not in seen:
                changed.setdefault(row.node, row.time_ns)
        seen.update(changed)
        names: dict[int, Found] = {}
        for found in store.nodes(sorted(changed)):
            if (
                found.stat is not None
                and found.stat.kind is Kind.FILE
                and is_within(found.path, under)
                and judge.allows(Operation.READ, found)
            ):
                names.setdefault(found.stat.id, found)
        for node, time_ns in changed.items():
            if node in names:
                yield names[node], time_ns
        if len(page) < _LATEST_ROWS:
            return
        before = page[-1].sequence


def census(session: Session, under: str) -> dict[str, int]:
    """How many files that the agent may read each directory at and below a path has, where it has any."""
    judge = session.judge
    counts: dict[str, int] = {}
    if judge.sees_by_class:
        visible = judge.visible()
        for each in judge.store.census(under):
            if (each.within, each.own) in visible:
                counts[each.directory] = counts.get(each.directory, 0) + each.files
    else:
        for found in session.walk(under, Operation.SEARCH):
            if found.stat is not None and found.stat.kind is Kind.FILE:
                directory = split(found.path)[0]
                counts[directory] = counts.get(directory, 0) + 1
    return dict(sorted(counts.items()))


def tag_counts(session: Session) -> dict[str, int]:
    """Tags of what the agent may read, with their counts."""
    counts: dict[str, int] = {}
    judge = session.judge
    if judge.sees_by_class:
        visible = judge.visible()
        for usage in judge.store.tag_usage():
            if any((within, usage.own) in visible for within in usage.places()):
                counts[usage.tag] = counts.get(usage.tag, 0) + usage.nodes
    else:
        for found in _once(session.walk("/", Operation.SEARCH)):
            for tag in tags_of(found.meta_json):
                counts[tag] = counts.get(tag, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _once(names: Iterator[Found]) -> Iterator[Found]:
    """The first name of each node."""
    seen: set[int] = set()
    for found in names:
        if found.stat is not None and found.stat.links > 1:
            if found.stat.id in seen:
                continue
            seen.add(found.stat.id)
        yield found


def stats(session: Session) -> Stats:
    """Count what the agent may read."""
    judge = session.judge
    store = judge.store
    notes = size = private = 0
    agent = session.principal.agent
    if judge.sees_by_class:
        visible = judge.visible()
        for usage in store.usage():
            seen = [within for within in usage.places() if (within, usage.own) in visible]
            if seen:
                notes += usage.files
                size += usage.size
                if any(store.directory_class(within).space == agent for within in seen):
                    private += usage.files
    else:
        sizes: dict[int, int] = {}
        own: set[int] = set()
        for found in session.walk("/", Operation.SEARCH):
            if found.stat is not None and found.stat.kind is Kind.FILE:
                sizes[found.stat.id] = found.stat.size
                if space_of(found.path) == agent:
                    own.add(found.stat.id)
        notes, size, private = len(sizes), sum(sizes.values()), len(own)
    kernel = session.kernel
    return Stats(
        agent, store.location, notes, size, private, len(tag_counts(session)), store.writable,
        kernel.config.storage.durability, kernel.config.search.backend, kernel.search().behind(),
    )  # fmt: skip
