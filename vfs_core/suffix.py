"""The suffix contract: virtual nodes beside every node, `/memory/lesson.md:tags` for instance.

A suffix declares the operation that reading and writing it amounts to; the session asks the policy
for that operation on the base path before the suffix is called, so a suffix never shows what its
base would not. It works on the base through the session, with the caller's rights.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vfs_core.errors import Invalid, ReadOnly, Unsupported
from vfs_core.storage import Operation
from vfs_core.types import JSON, Node, Stat

if TYPE_CHECKING:
    from vfs_core.session import Session

FORMAT = "format"
"""The key of a query that every suffix has: `text`, or `json`."""
FORMATS = ("text", "json")


@dataclass(frozen=True)
class SuffixContext:
    """The base of a virtual node, fetched only as far as it is asked for, and what the query says."""

    session: Session
    path: str
    query: Mapping[str, str]
    kept: dict[str, object] = field(default_factory=dict, compare=False, repr=False)
    """What `read` leaves for `delivered`."""

    def stat(self) -> Stat:
        """The base's stat, without its content."""
        return self.session.stat(self.path)

    def node(self) -> Node:
        """The base with its content."""
        return self.session.read(self.path)

    @property
    def wants_json(self) -> bool:
        """Whether the query asks for JSON."""
        return self.query.get(FORMAT) == "json"

    def number(self, key: str, default: int, least: int = 0, most: int = 1_000_000) -> int:
        """A whole number that the query gives, or the default. Raises Invalid."""
        text = self.query.get(key)
        if text is None:
            return default
        if text.isascii() and text.isdecimal() and len(text) < 20 and least <= int(text) <= most:
            return int(text)
        raise Invalid(f"{key} is a whole number from {least:,} to {most:,}, not {text!r}")

    def words(self, key: str = "q") -> str:
        """A text that the query must give. Raises Invalid."""
        text = self.query.get(key, "")
        if not text.strip():
            raise Invalid(f"what to look for is missing; write ?{key}=WORDS")
        return text


class BaseSuffix(ABC):
    """Subclass and implement `read`; implement `write` and set `write_operation` if it can be written.

    One instance serves all requests, from several threads.
    """

    read_operation: Operation = Operation.READ
    """What reading the suffix asks of the policy on the base."""

    write_operation: Operation | None = None
    """What writing it asks; None: it cannot be written."""

    on_directories: bool = True
    """Whether the base may be a directory."""

    on_files: bool = True
    """Whether the base may be a file."""

    needs_store: bool = False
    """Whether it is about what only the store keeps (versions, tags, what can be searched), of no use elsewhere."""

    options: Collection[str] = ()
    """The keys that its query may have beside `format`, for reading and writing; others are refused."""

    @abstractmethod
    def read(self, context: SuffixContext) -> bytes | str:
        """The content of the virtual node. Changes nothing: a door may read to say how long it is."""

    def read_json(self, context: SuffixContext) -> JSON:
        """What `?format=json` gives."""
        raise Unsupported(f"{context.path}: this virtual node has no JSON form")

    def delivered(self, context: SuffixContext) -> None:  # noqa: B027  # nothing follows, mostly
        """Called once a reader has got all of what `read` or `read_json` gave, for what follows from that."""

    def write(self, context: SuffixContext, data: bytes) -> None:
        """Take what was written. Bad input raises Invalid, says what is right and changes nothing."""
        raise ReadOnly(f"{context.path}: this virtual node cannot be written")


def check_query(suffix: BaseSuffix, name: str, query: Mapping[str, str], *, writing: bool = False) -> None:
    """Raise Invalid for a key that the suffix does not know, or a format that nothing has."""
    known = [*suffix.options] if writing else [*suffix.options, FORMAT]
    for key in query:
        if key not in known:
            right = f"it has {', '.join(known)}" if known else "it has none"
            raise Invalid(f"{name} has no option {key!r}{' for writing' if writing else ''}; {right}")
    if query.get(FORMAT, FORMATS[0]) not in FORMATS:
        raise Invalid(f"{name}: {FORMAT} is {' or '.join(FORMATS)}, not {query[FORMAT]!r}")


def content_of(suffix: BaseSuffix, context: SuffixContext) -> object:
    """What reading gives: bytes or str, if the suffix is as it should be."""
    if not context.wants_json:
        return suffix.read(context)
    return json.dumps(suffix.read_json(context), indent=2, ensure_ascii=False) + "\n"
