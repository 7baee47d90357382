"""What a session finds without asking an index: links, what is latest, tags and counts, of what its agent may see.

Counts are filtered by visibility class before they are summed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from vfs_core.errors import Invalid, PluginError
from vfs_core.meta import tags_of
from vfs_core.path import is_within, space_of, split
from vfs_core.searching import embedded
from vfs_core.storage import Found, Operation
from vfs_core.types import MENTION, SYMMETRIC_LINKS, Kind, Link

if TYPE_CHECKING:
    from vfs_core.permissions import Judge
    from vfs_core.session import Session

_LATEST_ROWS = 200
"""Rows of the journal that are gone through at a time."""


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
    embedder: str
    embedded: int
    embeddable: int


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
    paths = {me: found.path, **paths_of(judge, others)}
    return [
        Link(paths[row.source], row.kind, paths[row.target], row.weight)
        for row in rows
        if row.source in paths and row.target in paths
    ]


def paths_of(judge: Judge, nodes: Iterable[int]) -> dict[int, str]:
    """A present path of each of the nodes that the agent may read."""
    paths: dict[int, str] = {}
    for found in judge.store.nodes(sorted(set(nodes))):
        if found.stat is not None and judge.allows(Operation.READ, found):
            paths.setdefault(found.stat.id, found.path)
    return paths


def latest(session: Session, since_ns: int, under: str) -> Iterator[tuple[Found, int]]:
    """Files below a path that the agent may read now, by when they were last changed, last first, with that time.

    The rows of the journal say only in which order; what is given is what is there now, under its present name.
    """
    judge = session.judge
    store = judge.store
    start = store.past.sequence_at(since_ns - 1) if since_ns else 0
    seen: set[int] = set()
    rows = store.past.rows(since=start)
    while page := list(islice(rows, _LATEST_ROWS)):
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
        *_embedding(session),
    )  # fmt: skip


def _embedding(session: Session) -> tuple[str, int, int]:
    """The embedder and why it is that one, and how many notes of how many are embedded."""
    try:
        embedder = session.kernel.embedder()
        done = embedded(session)
    except PluginError as error:
        return f"{session.kernel.config.embedding.model}: {error}", 0, 0
    name = f"{session.kernel.config.embedding.model}: {embedder.reason}"
    return (name, 0, 0) if done is None else (name, done.done, done.total)
