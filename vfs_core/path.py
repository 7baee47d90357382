"""Paths and references: `/a/b.md:meta?x=1` -> Ref(path, suffix, query).

Everything that enters AVM as a path goes through `parse` once, at the door of a session; nothing
below ever sees `..`, an empty component, a NUL or an alias. What this module is not: it knows no
store and no rights.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import parse_qsl

from vfs_core.errors import Invalid, NameTooLong

NAME_MAX = 255
"""Bytes in a component (POSIX NAME_MAX)."""
PATH_MAX = 4096
"""Bytes in a path (POSIX PATH_MAX)."""

MEMORY = "/memory"
PRIVATE = "/memory/private"
SHARED = "/memory/shared"

_NO_QUERY: Mapping[str, str] = MappingProxyType({})


class Ref(NamedTuple):
    """A parsed reference: a normal path and, where it names a virtual node, suffix and query."""

    path: str
    suffix: str | None = None
    query: Mapping[str, str] = _NO_QUERY
    directory: bool = False
    """The reference ended in `/`, `/.` or `/..`: only a directory will do."""

    def __str__(self) -> str:
        return self.path if self.suffix is None else f"{self.path}:{self.suffix}"


_NORMAL = re.compile(r"(?:/[^/.\0][^/\0]*)+")
"""What most paths look like: nothing to resolve in them."""


def normalize(path: str) -> str:
    """The absolute path without empty components, `.` and `..` (resolved lexically, as POSIX does at `/`).

    Raises Invalid for a relative path, a NUL or text that is not valid UTF-8, NameTooLong for a
    component over NAME_MAX bytes or a path over PATH_MAX.
    """
    if path.isascii() and len(path) <= NAME_MAX and _NORMAL.fullmatch(path):
        return path
    if not path.startswith("/"):
        raise Invalid(f"{path!r} is not an absolute path; AVM paths start with '/'")
    if "\0" in path:
        raise Invalid(f"{path!r} contains a NUL character")
    try:
        size = len(path) if path.isascii() else len(path.encode())
    except UnicodeEncodeError:
        raise Invalid(f"{path!r} is not valid UTF-8") from None
    parts: list[str] = []
    for part in path.split("/"):
        if part == "" or part == ".":
            continue
        if part == "..":
            if parts:
                parts.pop()
            continue
        if len(part) > NAME_MAX // 4 and len(part.encode()) > NAME_MAX:
            raise NameTooLong(f"the name {part[:40]!r}... has over {NAME_MAX} bytes")
        parts.append(part)
    if size > PATH_MAX:
        raise NameTooLong(f"the path {path[:40]!r}... has over {PATH_MAX} bytes")
    return "/" + "/".join(parts)


def split(path: str) -> tuple[str, str]:
    """A normal path's parent and last name; the root's are `("/", "")`."""
    parent, _, name = path.rpartition("/")
    return parent or "/", name


def join(parent: str, name: str) -> str:
    """The path of `name` in the directory `parent`."""
    return f"/{name}" if parent == "/" else f"{parent}/{name}"


def is_within(path: str, directory: str) -> bool:
    """Whether a normal path is `directory` or below it."""
    return path == directory or directory == "/" or path.startswith(directory + "/")


def private_space(agent: str) -> str:
    """Where an agent's own notes live."""
    return f"{PRIVATE}/{agent}"


def space_of(path: str) -> str | None:
    """The agent whose private space a normal path is in, or None."""
    if not path.startswith("/memory/private/"):
        return None
    return path[len("/memory/private/") :].partition("/")[0]


_WORD = re.compile(r"[a-z][a-z0-9_-]*")


def split_suffix(text: str, suffixes: Collection[str]) -> tuple[str, str, str] | None:
    """`(base, suffix, query)` where `text` ends in a registered suffix, else None.

    The suffix is the leftmost `:name` that is registered and followed by the end or by `?`; all
    that follows a `?` is the query, slashes included. Any other `:` or `?` is part of a file's name.
    """
    start = text.find(":")
    while start != -1:
        word = _WORD.match(text, start + 1)
        if word is not None and word.group() in suffixes:
            if word.end() == len(text):
                return text[:start], word.group(), ""
            if text[word.end()] == "?":
                return text[:start], word.group(), text[word.end() + 1 :]
        start = text.find(":", start + 1)
    return None


def parse(text: str, agent: str, suffixes: Collection[str] = ()) -> Ref:
    """The one place where text becomes a reference, and where aliases are rewritten.

    `/private/x` becomes the agent's own `/memory/private/<agent>/x`, `/shared/x` becomes
    `/memory/shared/x`, `@x` is `/@x` (the session looks up what that stands for). A query follows URL rules. Raises
    Invalid or NameTooLong.
    """
    suffix: str | None = None
    query = _NO_QUERY
    if ":" in text:
        found = split_suffix(text, suffixes)
        if found is not None:
            text, suffix, raw = found
            query = MappingProxyType(dict(parse_qsl(raw, keep_blank_values=True))) if raw else _NO_QUERY
    path = normalize(f"/{text}" if text.startswith("@") else text)
    if path.startswith("/private") and (len(path) == 8 or path[8] == "/"):
        path = private_space(agent) + path[8:]
    elif path.startswith("/shared") and (len(path) == 7 or path[7] == "/"):
        path = SHARED + path[7:]
    return Ref(path, suffix, query, directory=text.endswith(("/", "/.", "/..")))


# --- patterns ------------------------------------------------------------------------------------

_TOKEN = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}|\*\*|\*")

DEEP = "(?s:.+)"
"""What `**` becomes: names may contain line breaks."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled path pattern, the same for providers, permissions, subscriptions and keys.

    `{name}` and `*` match within one component, `**` and a trailing `/*` match any depth (at least
    one component). `prefix` is the longest static directory above the first wildcard.
    """

    text: str
    regex: str
    prefix: str
    names: tuple[str, ...]


def compile_pattern(text: str) -> Pattern:
    """Compile a pattern. Raises Invalid if it is not absolute or names a parameter twice."""
    if not text.startswith("/"):
        raise Invalid(f"the pattern {text!r} does not start with '/'")
    body = text.rstrip("/") or "/"
    deep = body.endswith("/*")
    if deep:
        body = body[:-1] + "**"
    names: list[str] = []
    pieces: list[str] = []
    end = 0
    for match in _TOKEN.finditer(body):
        pieces.append(re.escape(body[end : match.start()]))
        if match.group(1):
            if match.group(1) in names:
                raise Invalid(f"the pattern {text!r} names {{{match.group(1)}}} twice")
            names.append(match.group(1))
            pieces.append("([^/]+)")
        else:
            pieces.append(DEEP if match.group(0) == "**" else "[^/]*")
        end = match.end()
    pieces.append(re.escape(body[end:]))
    first = _TOKEN.search(body)
    static = body if first is None else body[: first.start()]
    prefix = body if first is None else static.rpartition("/")[0] or "/"
    return Pattern(text, "".join(pieces), prefix, tuple(names))
