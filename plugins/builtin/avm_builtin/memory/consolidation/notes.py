"""Which notes may be consolidated, and what is known of each without its text.

A note is a text file (`.md`, `.txt`) under one name. Left alone: what is pinned (`pinned: true`, or an importance of
0.9 and more), what expires, what lies in an `archive`, in a directory that begins with a dot or in a git checkout.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from avm_builtin.memory.digest import SOURCE as DIGEST
from avm_builtin.memory.namespaces import ARCHIVE
from avm_builtin.memory.recalling import TEXT_MAX, importance_of
from vfs_core.meta import merge
from vfs_core.path import MEMORY, is_within, private_space, space_of, split
from vfs_core.reactor import LINKS
from vfs_core.storage import Found, Operation
from vfs_core.types import JSON, Kind, Stat

if TYPE_CHECKING:
    from vfs_core.session import Session

PINNED = 0.9
"""The importance from which on a note is left alone."""
MADE_HERE = "consolidate"
"""The `source` of a summary."""
_ENDINGS = (".md", ".markdown", ".txt")


class Note(NamedTuple):
    """A note as it is expected to be: as it was found, with the metadata that the plan has given it so far."""

    found: Found
    meta_json: str
    age_ns: int
    """Since its text was last changed."""

    @property
    def path(self) -> str:
        """Where it is."""
        return self.found.path

    @property
    def stat(self) -> Stat:
        """What is known of it."""
        assert self.found.stat is not None
        return self.found.stat

    @property
    def meta(self) -> dict[str, Any]:
        """Its metadata."""
        loaded: dict[str, Any] = json.loads(self.meta_json)
        return loaded

    @property
    def readership(self) -> tuple[str, int, int]:
        """Its directory and its visibility classes: where these are equal, the same agents may read."""
        return split(self.path)[0], self.found.within, self.found.own

    @property
    def was_made(self) -> bool:
        """Whether it was made of other notes."""
        return self.meta.get("source") in (MADE_HERE, DIGEST)

    def patched(self, patch: Mapping[str, JSON]) -> Note:
        """The note with other metadata."""
        return self._replace(meta_json=merge(self.meta_json, patch))


class Ties(NamedTuple):
    """What a note is linked with: how many other notes, and whether a summary has been made of it."""

    links: int
    summed_up: bool


def select(session: Session, under: str, now_ns: int) -> list[Note]:
    """The notes at and below a path that may be consolidated, in order of their paths."""
    found: list[Found] = []
    checkouts: list[str] = []
    for each in session.walk(under, Operation.WRITE):
        directory, name = split(each.path)
        if name == ".git":
            checkouts.append(directory)
        elif _may_be_touched(each):
            found.append(each)
    checkouts_or_below = tuple(checkouts)
    return sorted(
        (
            Note(each, each.meta_json, now_ns - each.stat.modified_ns)
            for each in found
            if each.stat is not None
            and session.judge.allows(Operation.READ, each)
            and not is_pinned(json.loads(each.meta_json))
            and not any(is_within(each.path, checkout) for checkout in checkouts_or_below)
        ),
        key=lambda note: note.path,
    )


def is_pinned(meta: dict[str, Any]) -> bool:
    """Whether a note is to be left as it is."""
    return meta.get("pinned") is True or importance_of(meta) >= PINNED


def _may_be_touched(found: Found) -> bool:
    stat = found.stat
    if stat is None or stat.kind is not Kind.FILE or stat.expires_ns is not None or stat.links != 1:
        return False
    if stat.size > TEXT_MAX or not found.path.endswith(_ENDINGS):
        return False
    space = space_of(found.path)
    below = found.path.removeprefix(MEMORY if space is None else private_space(space))
    return not any(name == ARCHIVE or name.startswith(".") for name in below.split("/"))


def text_of(session: Session, note: Note) -> str:
    """What a note says; "" where it is no text. Raises NotFound, Denied."""
    data = session.read(note.path).data
    return "" if b"\0" in data else data.decode("utf-8", "replace")


def ties_of(session: Session, note: Note) -> Ties:
    """What links say of a note: what replaces it and what was summed up from it do not count as using it."""
    session.kernel.catch_up(LINKS)
    judge, me = session.judge, note.stat.id
    rows = [row for row in judge.store.links(me) if row.kind != "supersedes"]
    others = {row.target if row.source == me else row.source for row in rows}
    made: set[int] = set()
    known: set[int] = set()
    for found in _readable(session, others):
        assert found.stat is not None
        known.add(found.stat.id)
        if json.loads(found.meta_json).get("source") == MADE_HERE:
            made.add(found.stat.id)
    summaries = {row.source for row in rows if row.kind == "derived" and row.target == me} & made
    return Ties(len(known - summaries), bool(summaries))


def _readable(session: Session, nodes: set[int]) -> Iterator[Found]:
    if nodes:
        for found in session.judge.store.nodes(sorted(nodes)):
            if found.stat is not None and session.judge.allows(Operation.READ, found):
                yield found
