"""Finding one's way without a keyword: topics, the tree, what happened lately, what is linked to what.

Each view is data first and text second: `str()` of it is what a person or a model reads.
"""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from avm_builtin.memory import tokens
from avm_builtin.memory.excerpts import excerpt
from avm_builtin.memory.frames import on_one_line
from avm_builtin.memory.recalling import frame_of
from vfs_core.errors import Invalid, VfsError
from vfs_core.meta import happened_ns
from vfs_core.moments import DAY_NS
from vfs_core.path import split
from vfs_core.storage import Operation
from vfs_core.types import Kind, as_datetime

if TYPE_CHECKING:
    from vfs_core.session import Session

_SUMMARY_CHARACTERS = 80
_SUMMARY_BYTES = 4096
_FILES_SHOWN = 20
_NEIGHBOURS = 100
"""Notes of one hop that are followed."""
_TOP = "(top)"


class Noted(NamedTuple):
    """A note as a line: where it is, when what it tells of happened, what it begins with."""

    path: str
    time_ns: int
    summary: str


@dataclass(frozen=True)
class Topics:
    """What there is, by the first directory and by tag, most first."""

    categories: dict[str, int]
    tags: dict[str, int]

    def __str__(self) -> str:
        lines = ["## Memory Topics", "### By Category:"]
        lines += [
            f"  📁 {on_one_line(name)}: {_many(count, 'memory', 'memories')}"
            for name, count in self.categories.items()
        ]
        if self.tags:
            lines.append("### By Tag:")
            lines += [
                f"  🏷️ {on_one_line(tag)}: {_many(count, 'occurrence')}" for tag, count in self.tags.items()
            ]
        return "\n".join(lines if self.categories else [lines[0], "(nothing yet)"])


@dataclass(frozen=True)
class Tree:
    """Directories below one, with how many notes lie in and below each; and the notes of the one itself."""

    path: str
    directories: dict[str, int]
    files: tuple[Noted, ...]
    more: int
    """Notes of the directory itself that are not listed."""

    def __str__(self) -> str:
        lines = []
        for path, count in self.directories.items():
            depth = path.count("/") - (0 if self.path == "/" else self.path.count("/")) - 1
            lines.append(f"{'  ' * depth}📁 {on_one_line(split(path)[1])} ({count})")
        lines += [f"📄 {on_one_line(split(each.path)[1])}: {each.summary}" for each in self.files]
        if self.more:
            lines.append(f"({self.more} more)")
        return "\n".join(lines) or "(nothing here)"


@dataclass(frozen=True)
class Timeline:
    """Notes in order of when what they tell of happened, last first."""

    title: str
    notes: tuple[Noted, ...]

    def __str__(self) -> str:
        lines, day = [f"## {self.title}"], ""
        for each in self.notes:
            moment = as_datetime(each.time_ns).astimezone()
            if moment.strftime("%Y-%m-%d") != day:
                day = moment.strftime("%Y-%m-%d")
                lines.append(f"### {day}")
            name = split(each.path)[1].removesuffix(".md")
            lines.append(f"  [{moment:%H:%M}] {on_one_line(name)}: {each.summary}")
        return "\n".join(lines if self.notes else [*lines, "(nothing)"])


class Reached(NamedTuple):
    """A note that links lead to: over which kind of link, from which note, in how many hops."""

    hop: int
    kind: str
    source: str
    path: str


@dataclass(frozen=True)
class Exploration:
    """What links lead to from a note, nearest first; each note once."""

    start: str
    reached: tuple[Reached, ...]

    def __str__(self) -> str:
        lines, hop = [f"## Starting from: {on_one_line(self.start)}"], 0
        for each in self.reached:
            if each.hop != hop:
                hop = each.hop
                lines.append(f"### Hop {hop}:")
            lines.append(f"  [{each.kind}] {on_one_line(each.path)}")
        return "\n".join(lines if self.reached else [*lines, "(no links)"])


class Browsed(NamedTuple):
    """A hit of the first of two phases: enough to choose what to fetch."""

    path: str
    score: float
    summary: str


def topics(session: Session) -> Topics:
    """What the agent may see, counted."""
    categories: dict[str, int] = {}
    for directory, count in session.census("/memory").items():
        parts = directory.split("/")
        name = parts[2] if len(parts) > 2 else _TOP
        categories[name] = categories.get(name, 0) + count
    return Topics(
        dict(sorted(categories.items(), key=lambda each: (-each[1], each[0]))), session.tag_counts()
    )


def tree(session: Session, path: str = "/memory", depth: int = 2) -> Tree:
    """The directories at most `depth` below a path that hold something the agent may see. Raises NotFound, Invalid."""
    if depth < 1:
        raise Invalid(f"a depth is 1 or more, not {depth}")
    top = session.absolute(path)
    if not session.stat(top).is_directory:
        raise Invalid(f"{top} is a note, not a directory")
    counts: dict[str, int] = {}
    level = 0 if top == "/" else top.count("/")
    here = 0
    for directory, count in session.census(top).items():
        here += count if directory == top else 0
        parts = directory.split("/")
        for deep in range(level + 1, min(level + depth, len(parts) - 1) + 1):
            above = "/".join(parts[: deep + 1])
            counts[above] = counts.get(above, 0) + count
    files = []
    if here:
        for entry in session.list(top):
            if entry.stat.kind is Kind.FILE:
                files.append(Noted(entry.path, entry.stat.modified_ns, summary_of(session, entry.path)))
                if len(files) == _FILES_SHOWN:
                    break
    return Tree(top, dict(sorted(counts.items())), tuple(files), max(0, here - len(files)))


def browse(session: Session, query: str, limit: int = 20, under: str = "/") -> list[Browsed]:
    """Notes that match, as paths with what they begin with: the first of two phases, `fetch` is the second."""
    return [
        Browsed(found.path, score, summary_of(session, found.path))
        for found, score in session.rank(query, limit, "hybrid", session.filter(under=under)).names
    ]


def fetch(session: Session, paths: Sequence[str], max_tokens: int = 4000) -> str:
    """The notes at paths, in frames, within a budget of tokens: each gets an equal part of what is left.

    Of a path that is not there it says so, and goes on.
    """
    room, shown = max_tokens, []
    for number, path in enumerate(paths):
        try:
            found = session.require_stored(path, Operation.READ)
            frame = frame_of(session, found, 1.0, json.loads(found.meta_json))
        except VfsError as error:
            text = f"({on_one_line(str(error))})\n"
        else:
            bare = tokens.count(str(frame._replace(text=""))) + 4
            share = room // (len(paths) - number) - bare
            text = str(frame._replace(text=excerpt(frame.text, "", max(0, share))))
        cost = tokens.count(text) + 1
        if cost > room:
            continue
        shown.append(text)
        room -= cost
    return tokens.cut("\n".join(shown), max_tokens)


def timeline(session: Session, days: float = 7, limit: int = 10, under: str = "/memory") -> Timeline:
    """What happened in the last days, last first."""
    if not days > 0 or limit < 1:
        raise Invalid("a timeline has a number of days above 0 and a limit of 1 or more")
    since = int(time.time_ns() - days * DAY_NS)
    return Timeline(f"Timeline (last {days:g} days)", tuple(_latest(session, since, limit, under)))


def recent(session: Session, limit: int = 10, under: str = "/memory") -> Timeline:
    """What was written last."""
    return Timeline("Recent", tuple(_latest(session, 0, limit, under)))


def explore(session: Session, path: str, depth: int = 2) -> Exploration:
    """What the links of a note lead to, breadth first. Raises NotFound, Invalid."""
    if depth < 1:
        raise Invalid(f"a depth is 1 or more, not {depth}")
    start = session.read(path).path
    seen, edge, reached = {start}, [start], list[Reached]()
    for hop in range(1, depth + 1):
        following: list[str] = []
        for source in edge:
            for link in session.links(source)[:_NEIGHBOURS]:
                if link.target not in seen:
                    seen.add(link.target)
                    following.append(link.target)
                    reached.append(Reached(hop, link.kind, source, link.target))
        edge = following
    return Exploration(start, tuple(reached))


def summary_of(session: Session, path: str) -> str:
    """The first line of a note that says something, cut; its title if it has one."""
    try:
        text = session.read_range(path, 0, _SUMMARY_BYTES).decode("utf-8", "replace")
    except VfsError:
        return ""
    if "\0" in text:
        return "(binary)"
    lines = [line.strip(" \t#>*-") for line in text.splitlines()]
    line = on_one_line(next((line for line in lines if line), ""))
    return line if len(line) <= _SUMMARY_CHARACTERS else f"{line[: _SUMMARY_CHARACTERS - 1]}…"


def _latest(session: Session, since_ns: int, limit: int, under: str) -> Iterator[Noted]:
    """The notes that tell of the latest, last first.

    The journal is gone through backwards. What happened was mostly written then or later, so once enough notes tell
    of a time after the rows that are left, none of these can tell of a later one.
    """
    best: list[tuple[int, str]] = []
    for found, changed_ns in session.latest(since_ns, under):
        if len(best) == limit and changed_ns < best[0][0]:
            break
        assert found.stat is not None
        moment = happened_ns(json.loads(found.meta_json), found.stat.modified_ns)
        if moment >= since_ns:
            (heapq.heappush if len(best) < limit else heapq.heappushpop)(best, (moment, found.path))
    for moment, path in sorted(best, reverse=True):
        yield Noted(path, moment, summary_of(session, path))


def _many(count: int, one: str, several: str = "") -> str:
    return f"{count} {one if count == 1 else several or one + 's'}"
