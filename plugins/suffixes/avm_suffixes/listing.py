"""`:list`, `:changes` and `:stats`: what is in a directory, what changed lately, and how much there is."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from vfs_core.errors import Denied, Invalid, NotFound, VfsError
from vfs_core.meta import tags_of
from vfs_core.moments import parse_moment
from vfs_core.path import is_within, private_space
from vfs_core.rendering import one_line
from vfs_core.shortcuts import shortcut_of
from vfs_core.storage import Operation
from vfs_core.suffix import BaseSuffix, SuffixContext
from vfs_core.types import JSON, Kind, Stat, as_datetime

_PAGE = 1000
"""Entries that are listed unless the query says how many."""
_CHANGES = 50
_TITLE = 80
"""Characters of a title that are shown."""
_LOOKED_AT = 1024
"""Bytes of a note that are read for its first line."""
_MOST_MINUTES = 10_000_000
_MINUTE_NS = 60 * 1_000_000_000


class _Row(NamedTuple):
    name: str
    path: str
    stat: Stat


class List(BaseSuffix):
    """What is in a directory, or of all below it what the query asks for."""

    on_files = False
    read_operation = Operation.LIST
    options = ("limit", "offset", "q", "tag")

    def read(self, context: SuffixContext) -> str:
        """A line each: shortcut (`-` without one), name, title or first line, separated by tabs.

        A directory's name ends in a slash. The last line says where to go on if there is more.
        """
        rows, following = _page(context)
        lines = [
            f"{_shortcut(row) or '-'}\t{one_line(row.name)}{'/' if row.stat.is_directory else ''}"
            f"\t{_title(context, row)}\n"
            for row in rows
        ]
        return "".join(lines) + (f"# more with offset={following}\n" if following else "")

    def read_json(self, context: SuffixContext) -> JSON:
        """The same, with what is known of each entry."""
        rows, following = _page(context)
        return {
            "path": context.path,
            "entries": [
                {
                    "shortcut": _shortcut(row),
                    "name": row.name,
                    "path": row.path,
                    "kind": str(row.stat.kind),
                    "size": row.stat.size,
                    "version": row.stat.version,
                    "modified": row.stat.modified.isoformat(),
                    "title": _title(context, row),
                }
                for row in rows
            ],
            "next": following,
        }


def _page(context: SuffixContext) -> tuple[Sequence[_Row], int | None]:
    """The rows that the query asks for, and the offset at which there are more."""
    limit, offset = context.number("limit", _PAGE, 1), context.number("offset", 0)
    rows = list(islice(_rows(context, offset + limit + 1), offset, offset + limit + 1))
    return rows[:limit], offset + limit if len(rows) > limit else None


def _rows(context: SuffixContext, most: int) -> Iterator[_Row]:
    session, path = context.session, context.path
    tag = context.words("tag") if "tag" in context.query else None
    for option in ("q", "tag"):
        if option in context.query:
            session.refuse_provided(path, f"the option {option!r} of ':list'")
    if "q" in context.query:
        hits = session.search(
            context.words(), min(most, 1_000_000), tags=() if tag is None else (tag,), under=path
        )
        for hit in hits:
            yield _Row(_below(path, hit.path), hit.path, hit.stat)
    elif tag is not None:
        for found in session.walk(path):
            if found.path != path and found.stat is not None and tag in tags_of(found.meta_json):
                yield _Row(_below(path, found.path), found.path, found.stat)
    else:
        for entry in session.list(path, limit=most):
            yield _Row(entry.name, entry.path, entry.stat)


def _below(directory: str, path: str) -> str:
    return path[len(directory.rstrip("/")) + 1 :]


def _shortcut(row: _Row) -> str | None:
    return shortcut_of(row.stat.id) if row.stat.id else None


def _title(context: SuffixContext, row: _Row) -> str:
    """What a note is called, else its first line; nothing of what may not be read or is no text."""
    if not row.stat.id:
        return ""  # a handler's: it is not asked for a line
    session = context.session
    try:
        title = json.loads(session.require_stored(row.path, Operation.READ).meta_json).get("title")
        if not isinstance(title, str) or not title.strip():
            plain = row.stat.kind is Kind.FILE
            title = _first_line(session.read_range(row.path, 0, _LOOKED_AT)) if plain else ""
    except VfsError:
        return ""  # it may be known of and not read, or has gone since
    line = " ".join(title.split())
    return one_line(line if len(line) <= _TITLE else f"{line[: _TITLE - 1]}…")


def _first_line(data: bytes) -> str:
    if b"\0" in data:
        return ""
    lines = (line.strip().lstrip("#").strip() for line in data.decode("utf-8", "ignore").splitlines())
    return next((line for line in lines if line), "")


@dataclass(frozen=True)
class _Changed:
    path: str
    version: int
    time_ns: int
    author: str
    size: int


class Changes(BaseSuffix):
    """The notes below a directory that were changed lately, last changed first."""

    needs_store = True
    on_files = False
    read_operation = Operation.LIST
    options = ("minutes", "since", "limit")

    def read(self, context: SuffixContext) -> str:
        """A line each: time (ISO 8601, UTC), version, author, path, separated by tabs."""
        return "".join(
            f"{as_datetime(each.time_ns).isoformat()}\t{each.version}\t{one_line(each.author)}"
            f"\t{one_line(each.path)}\n"
            for each in _changes(context)
        )

    def read_json(self, context: SuffixContext) -> JSON:
        """The same."""
        return [
            {
                "path": each.path,
                "version": each.version,
                "time": as_datetime(each.time_ns).isoformat(),
                "author": each.author,
                "size": each.size,
            }
            for each in _changes(context)
        ]


def _changes(context: SuffixContext) -> Iterator[_Changed]:
    session, limit = context.session, context.number("limit", _CHANGES, 1)
    for found, time_ns in islice(session.latest(_since(context), context.path), limit):
        try:
            author = session.last_version(found).author
        except (NotFound, Denied):
            continue  # gone or closed since it was found
        assert found.stat is not None
        yield _Changed(found.path, found.stat.version, time_ns, author, found.stat.size)


def _since(context: SuffixContext) -> int:
    if "minutes" in context.query and "since" in context.query:
        raise Invalid("minutes or since, one of the two")
    if "since" in context.query:
        return max(0, parse_moment(context.query["since"]))
    minutes = context.number("minutes", 0, 1, _MOST_MINUTES)
    return max(0, time.time_ns() - minutes * _MINUTE_NS) if minutes else 0


class Stats(BaseSuffix):
    """How much there is at and below a directory, of what this agent may read."""

    needs_store = True
    on_files = False
    read_operation = Operation.LIST

    def read(self, context: SuffixContext) -> str:
        """A line each: what is counted, and how many, separated by a tab."""
        return "".join(f"{name}\t{one_line(str(count))}\n" for name, count in _count(context).items())

    def read_json(self, context: SuffixContext) -> JSON:
        """The same."""
        return _count(context)


def _count(context: SuffixContext) -> dict[str, JSON]:
    session = context.session
    agent = session.principal.agent
    census = session.census(context.path)
    own = private_space(agent)
    return {
        "path": context.path,
        "agent": agent,
        "notes": sum(census.values()),
        "private": sum(count for directory, count in census.items() if is_within(directory, own)),
        "directories": len(census),
    }
