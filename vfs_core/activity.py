"""What an agent did lately, and what was opened to it, of what it may know now: shares, links, runs.

Told are present paths of what can be read at the moment, whatever the journal's rows said then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from vfs_core import journal
from vfs_core.finding import paths_of
from vfs_core.reactor import by_reactor
from vfs_core.storage import Operation
from vfs_core.types import Access, Change, Link

if TYPE_CHECKING:
    from vfs_core.session import Session


class Opened(NamedTuple):
    """A note or directory that somebody shared with the agent."""

    path: str
    by: str
    access: Access
    time_ns: int


def opened_since(session: Session, since_ns: int) -> list[Opened]:
    """What is shared with the agent and was not before a time, last shared first."""
    judge, me = session.judge, session.principal.agent
    store, found = judge.store, list[Opened]()
    start = store.past.sequence_at(since_ns - 1)
    for path in store.shared_with(me):
        name = store.find(path)
        if name.stat is None or not judge.allows(Operation.READ, name):
            continue
        for row in store.past.rows(since=start, node=name.stat.id):
            details = row.details or {}
            if row.operation == journal.SHARE and details.get("agent") == me:
                if details.get("access") is not None and row.agent != me:
                    found.append(Opened(path, row.agent, details["access"], row.time_ns))
                break
    return sorted(found, key=lambda each: (-each.time_ns, each.path))


def linked_since(session: Session, since_ns: int, limit: int) -> list[Link]:
    """The links that the agent has made by itself since a time and that are still there, last made first."""
    found: dict[Link, None] = {}
    for row in _own(session, since_ns):
        details = row.details or {}
        if row.operation != journal.LINK or journal.RUN in details or by_reactor(row):
            continue
        ends = row.node, details["target"]
        paths = paths_of(session.judge, ends)
        for link in session.judge.store.links(row.node) if len(paths) == len(set(ends)) else ():
            if (link.source, link.kind, link.target) == (row.node, details["kind"], ends[1]):
                found[Link(paths[row.node], link.kind, paths[ends[1]], link.weight)] = None
        if len(found) >= limit:
            break
    return list(found)


def runs_since(session: Session, since_ns: int) -> dict[str, Counter[str]]:
    """The runs of the agent since a time, last first: how many changes of each operation, but for those undone."""
    runs: dict[str, Counter[str]] = {}
    for row in _own(session, since_ns):
        run = (row.details or {}).get(journal.RUN)
        if run is not None:
            runs.setdefault(run, Counter())[row.operation] += 1
    return runs


def _own(session: Session, since_ns: int) -> Iterator[Change]:
    """The agent's changes since a time that it has neither undone nor are an undoing, last first."""
    undone: set[int] = set()
    past = session.judge.store.past
    for row in past.rows(since=past.sequence_at(since_ns - 1), agent=session.principal.agent):
        taken_back = (row.details or {}).get(journal.UNDOES)
        if taken_back is not None:
            undone.add(taken_back)
        elif row.sequence not in undone:
            yield row
