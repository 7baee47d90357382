"""The handler contract: what serves the paths of a provider pattern.

One method is required: `read`. Everything else is optional, and what is absent is answered with a
clear error. Content is bytes below the front ends; `str` is taken as UTF-8.

    class RedisHandler(BaseHandler):
        def read(self, path, context):
            return self.redis.get(path)

    register_handler("redis", RedisHandler)
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from vfs_core.errors import ReadOnly, TimedOut, Unsupported
from vfs_core.types import JSON, Node, Principal, Stat

if TYPE_CHECKING:
    from vfs_core.session import Session

Content: TypeAlias = "bytes | str | Node | None"
"""What `read` may return; None means not found."""

Listed: TypeAlias = "str | tuple[str, Stat]"
"""What `list` may give for each name."""


@dataclass(frozen=True)
class Capabilities:
    """What a handler offers, as data."""

    write: bool = False
    append: bool = False
    list: bool = False
    stat: bool = False
    delete: bool = False
    rename: bool = False


@dataclass(frozen=True)
class Context:
    """What a handler is told of one request.

    `parameters` are the values of the pattern's `{names}`; `relative` is the path below the
    pattern's static prefix, without a leading slash; `query` what stood behind `?`. `offset` and
    `size` (bytes; None: to the end) are a hint, returning everything is right. `deadline` is a
    `time.monotonic()` value in seconds, or None. `session` reads and writes other nodes as the same
    principal, with the same rights.
    """

    principal: Principal
    session: Session
    parameters: Mapping[str, str] = field(default_factory=dict)
    relative: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    offset: int = 0
    size: int | None = None
    deadline: float | None = None

    def remaining(self) -> float | None:
        """Seconds until the deadline, or None without one. Raises TimedOut once it has passed."""
        if self.deadline is None:
            return None
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimedOut("the deadline of this request has passed")
        return left


class BaseHandler(ABC):
    """Subclass, implement `read`, override what else you can.

    One instance serves one provider rule; it is made at the first request, with the rule's `config`
    (already checked against the schema, `${ENV}` expanded; strings that name a `{parameter}` of the pattern are
    `vfs_core.config_text.Template`, filled in for each request). Methods may be called from several threads. Paths
    are normal absolute paths.
    """

    caching: ClassVar[Literal["all", "agent", "never"]] = "agent"
    """Whose results a rule's `ttl` keeps: one for all agents, where what is given depends on nothing but the path and
    the query; one for each agent; or none, where nothing may be old."""

    keeps_deadline: ClassVar[bool] = False
    """Whether every method ends at `context.deadline` by itself. It is called in the caller's thread then; the methods
    of others are called in a thread that is left to itself when it is late."""

    def __init__(self, config: Mapping[str, JSON] | None = None) -> None:
        self.config: Mapping[str, JSON] = config or {}

    @abstractmethod
    def read(self, path: str, context: Context) -> Content:
        """The content at `path`: bytes, str, a Node, or None if there is nothing."""

    def write(self, path: str, data: bytes, context: Context) -> None:
        """Replace the content at `path`."""
        raise ReadOnly(f"{path}: this path is read-only (its handler does not write)")

    def append(self, path: str, data: bytes, context: Context) -> None:
        """Add to the end of `path` in one step."""
        raise Unsupported(f"{path}: what serves this path cannot append")

    def list(self, path: str, context: Context) -> Iterable[Listed]:
        """The names in the directory `path`, those of directories with a trailing slash.

        Or pairs `(name, Stat)`, where the stats cost little: a bare name is shown without size and times. The kind in
        the stat of a pair says what is a directory, with or without the slash.
        """
        raise Unsupported(f"{path}: what serves this path cannot be listed")

    def stat(self, path: str, context: Context) -> Stat | None:
        """What is known of `path` without reading it; None if there is nothing."""
        raise Unsupported(f"{path}: what serves this path cannot be examined without reading it")

    def delete(self, path: str, context: Context) -> None:
        """Remove `path`."""
        raise ReadOnly(f"{path}: this path is read-only (its handler does not delete)")

    def rename(self, old: str, new: str, context: Context) -> None:
        """Move `old` to `new`, both served by this handler."""
        raise Unsupported(f"{old}: what serves this path cannot rename")

    def close(self) -> None:
        """Release connections and the like. Called once, when the kernel closes or reloads."""
        return

    @classmethod
    def check(cls, config: Mapping[str, JSON], pattern: str) -> None:
        """Raise Invalid for a config that can never work. Connects to nothing and reads nothing.

        `config` is as an instance would get it, `pattern` that of the rule; the default checks nothing. Only
        `avm config check` and `avm doctor` ask.
        """
        return

    @classmethod
    def capabilities(cls) -> Capabilities:
        """What the class overrides. An instance may have one of its own, for what its `config` leaves out."""
        return Capabilities(
            **{
                name: getattr(cls, name) is not getattr(BaseHandler, name)
                for name in ("write", "append", "list", "stat", "delete", "rename")
            }
        )

    @classmethod
    def skill_info(cls) -> str:
        """What an agent should know to use the handler, as Markdown; the docstring unless overridden."""
        return (cls.__doc__ or "").strip()
