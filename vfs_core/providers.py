"""Provider rules at work: the handler instance behind each, made when it is first needed.

Everything that can go wrong in a third party's handler becomes an error that names the rule and the cause.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

from vfs_core.config_text import prepare
from vfs_core.errors import NotFound, PluginError, VfsError
from vfs_core.handler import BaseHandler, Capabilities, Content, Context
from vfs_core.path import join
from vfs_core.plugins import Registry
from vfs_core.routing import Matched, Route
from vfs_core.types import Entry, Kind, Node, Stat

if TYPE_CHECKING:
    from vfs_core.session import Session

Result = TypeVar("Result")


class Providers:
    """The handlers of one configuration, by rule."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._handlers: dict[int, BaseHandler] = {}
        self._mutex = threading.Lock()

    def read(self, matched: Matched, path: str, session: Session, query: Mapping[str, str]) -> Node:
        """The content at `path` as a Node. Raises NotFound, PluginError and what the handler raises."""
        context = self._context(matched, session, query)
        content = self._call(matched.route, path, lambda handler: _encoded(handler.read(path, context)))
        if content is None:
            raise NotFound.at(path)
        if isinstance(content, Node):
            return content
        if not isinstance(content, (bytes, bytearray, memoryview)):
            raise _wrong(matched.route, path, content, "read() returns bytes, str, a Node or None")
        data = bytes(content)
        return Node(path, data, synthetic_stat(Kind.FILE, len(data)))

    def write(self, matched: Matched, path: str, data: bytes, session: Session) -> None:
        """Replace the content at `path`."""
        context = self._context(matched, session, {})
        self._call(matched.route, path, lambda handler: handler.write(path, data, context))

    def append(self, matched: Matched, path: str, data: bytes, session: Session) -> None:
        """Add to the end of `path`."""
        context = self._context(matched, session, {})
        self._call(matched.route, path, lambda handler: handler.append(path, data, context))

    def delete(self, matched: Matched, path: str, session: Session) -> None:
        """Remove `path`."""
        context = self._context(matched, session, {})
        self._call(matched.route, path, lambda handler: handler.delete(path, context))

    def rename(self, matched: Matched, old: str, new: str, session: Session) -> None:
        """Move within one rule."""
        context = self._context(matched, session, {})
        self._call(matched.route, old, lambda handler: handler.rename(old, new, context))

    def stat(self, matched: Matched, path: str, session: Session) -> Stat:
        """What is known of `path`: as the handler says, else by reading it."""
        if not self._offers(matched.route, "stat"):
            return self.read(matched, path, session, {}).stat
        context = self._context(matched, session, {})
        found = self._call(matched.route, path, lambda handler: handler.stat(path, context))
        if found is None:
            raise NotFound.at(path)
        if not isinstance(found, Stat):
            raise _wrong(matched.route, path, found, "stat() returns a Stat or None")
        return found

    def list(self, matched: Matched, path: str, session: Session) -> list[Entry]:
        """The names that the handler lists in `path`; none if it cannot list."""
        if not self._offers(matched.route, "list"):
            return []
        context = self._context(matched, session, {})

        def collect(handler: BaseHandler) -> list[str]:
            listed: Iterable[str] = handler.list(path, context)
            return list(listed)

        entries = []
        for name in self._call(matched.route, path, collect):
            if not isinstance(name, str):
                raise _wrong(matched.route, path, name, "list() gives names")
            kind = Kind.DIRECTORY if name.endswith("/") else Kind.FILE
            plain = name.rstrip("/")
            if not plain or "/" in plain or plain in (".", ".."):
                raise PluginError(f"{path}: {_named(matched.route)} listed {name!r}, which is not a name")
            entries.append(Entry(plain, join(path, plain), synthetic_stat(kind)))
        return entries

    def capabilities(self, route: Route) -> Capabilities:
        """What the rule's handler offers, with the configuration that it has."""
        return self._handler(route).capabilities()

    def _offers(self, route: Route, name: str) -> bool:
        """Whether the rule's handler offers something; it is made only if its class does not rule that out."""
        offered = self._class(route).capabilities()
        return bool(getattr(offered, name) and getattr(self.capabilities(route), name))

    def close(self) -> None:
        """Close every handler that was made."""
        with self._mutex:
            while self._handlers:
                self._handlers.popitem()[1].close()

    @staticmethod
    def _context(matched: Matched, session: Session, query: Mapping[str, str]) -> Context:
        return Context(session.principal, session, matched.parameters, matched.relative, query)

    def _call(self, route: Route, path: str, action: Callable[[BaseHandler], Result]) -> Result:
        handler = self._handler(route)
        try:
            return action(handler)
        except VfsError:
            raise
        except Exception as error:
            raise PluginError(f"{path}: {_named(route)} failed: {type(error).__name__}: {error}") from error

    def _handler(self, route: Route) -> BaseHandler:
        handler = self._handlers.get(route.index)
        if handler is not None:
            return handler
        with self._mutex:
            if route.index not in self._handlers:
                self._handlers[route.index] = self._make(route)
            return self._handlers[route.index]

    def _make(self, route: Route) -> BaseHandler:
        """The handler of a rule, with its configuration prepared."""
        factory = self._class(route)
        names = route.pattern.names
        config = prepare(dict(route.rule.config), names, os.environ, where=route.rule.where, key="config")
        try:
            return factory(config)
        except VfsError:
            raise
        except Exception as error:
            raise PluginError(f"{_named(route)} cannot be made: {type(error).__name__}: {error}") from error

    def _class(self, route: Route) -> type[BaseHandler]:
        """The class of a rule's handler, imported if need be."""
        loaded = self._registry.load("handler", route.rule.handler)
        if not (isinstance(loaded, type) and issubclass(loaded, BaseHandler)):
            raise PluginError(f"{_named(route)} is {loaded!r}, which is not a subclass of BaseHandler")
        return loaded


def synthetic_stat(kind: Kind, size: int = 0) -> Stat:
    """The stat of what has no node: owned by nobody, read-only, without times."""
    mode = 0o555 if kind is Kind.DIRECTORY else 0o444
    return Stat(0, kind, mode, "", "", size, 0, 0, 0, 0)


def _encoded(content: Content) -> bytes | Node | None:
    """What a handler read, with text as UTF-8."""
    return content.encode() if isinstance(content, str) else content


def _wrong(route: Route, path: str, value: object, right: str) -> PluginError:
    return PluginError(f"{path}: {_named(route)} returned {type(value).__name__}; {right}")


def _named(route: Route) -> str:
    return f"the handler {route.rule.handler!r} of {route.rule.where or 'the configuration'}"
