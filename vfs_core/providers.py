"""Provider rules at work: the handler instance behind each, made when it is first needed.

Everything that can go wrong in a third party's handler becomes an error that names the rule and the cause: it may
raise anything, return anything, or never come back.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

from vfs_core.calling import Workers, deadline_in
from vfs_core.config_text import prepare
from vfs_core.errors import NotFound, PluginError, VfsError
from vfs_core.handler import BaseHandler, Content, Context
from vfs_core.path import join
from vfs_core.plugins import Registry
from vfs_core.result_cache import ResultCache
from vfs_core.routing import Matched, Route
from vfs_core.types import Entry, Kind, Node, Stat

if TYPE_CHECKING:
    from vfs_core.session import Session

Result = TypeVar("Result")

_CLOSING_SECONDS = 5.0


class Providers:
    """The handlers of one configuration, by rule."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._served: dict[int, _Served] = {}
        self._mutex = threading.Lock()
        self._workers = Workers()
        self._results = ResultCache()

    def read(self, matched: Matched, path: str, session: Session, query: Mapping[str, str]) -> Node:
        """The content at `path` as a Node: kept for the rule's `ttl`, or as the handler gives it now.

        Raises NotFound, PluginError, TimedOut and what the handler raises.
        """
        route = matched.route
        ttl = route.rule.ttl
        caching = self._class(route).caching if ttl else "never"
        if not ttl or caching == "never":
            return self._read(matched, path, session, query)
        whose = None if caching == "all" else session.principal
        request = (path, tuple(sorted(query.items())), whose)
        deadline = deadline_in(route.rule.timeout)
        return self._results.get(
            route.index, request, ttl, deadline, lambda: self._read(matched, path, session, query)
        )

    def write(self, matched: Matched, path: str, data: bytes, session: Session) -> None:
        """Replace the content at `path`."""
        self._change(matched, path, session, lambda handler, context: handler.write(path, data, context))

    def append(self, matched: Matched, path: str, data: bytes, session: Session) -> None:
        """Add to the end of `path`."""
        self._change(matched, path, session, lambda handler, context: handler.append(path, data, context))

    def delete(self, matched: Matched, path: str, session: Session) -> None:
        """Remove `path`."""
        self._change(matched, path, session, lambda handler, context: handler.delete(path, context))

    def rename(self, matched: Matched, old: str, new: str, session: Session) -> None:
        """Move within one rule."""
        self._change(matched, old, session, lambda handler, context: handler.rename(old, new, context))

    def stat(self, matched: Matched, path: str, session: Session) -> Stat:
        """What is known of `path`: as the handler says, else by reading it."""

        def ask(handler: BaseHandler, context: Context) -> Stat | _NotOffered | None:
            return handler.stat(path, context) if handler.capabilities().stat else _NotOffered()

        offered = self._class(matched.route).capabilities().stat
        found = self._call(matched, path, session, {}, ask) if offered else _NotOffered()
        if isinstance(found, _NotOffered):
            return self.read(matched, path, session, {}).stat
        if found is None:
            raise NotFound.at(path)
        if not isinstance(found, Stat):
            raise _wrong(matched.route, path, found, "stat() returns a Stat or None")
        return found

    def list(self, matched: Matched, path: str, session: Session) -> list[Entry]:
        """The names that the handler lists in `path`; none if it cannot list."""

        def collect(handler: BaseHandler, context: Context) -> list[str]:
            listed: Iterable[str] = handler.list(path, context) if handler.capabilities().list else ()
            return list(listed)

        if not self._class(matched.route).capabilities().list:
            return []  # and nothing is made, or asked
        entries = []
        for name in self._call(matched, path, session, {}, collect):
            if not isinstance(name, str):
                raise _wrong(matched.route, path, name, "list() gives names")
            kind = Kind.DIRECTORY if name.endswith("/") else Kind.FILE
            plain = name.rstrip("/")
            if not plain or "/" in plain or plain in (".", ".."):
                raise PluginError(f"{path}: {_named(matched.route)} listed {name!r}, which is not a name")
            entries.append(Entry(plain, join(path, plain), synthetic_stat(kind)))
        return entries

    def close(self) -> None:
        """Close every handler that was made, once no call is in it any more. Raises nothing."""
        with self._mutex:
            served = list(self._served.values())
            self._served = {}
        for each in served:
            each.retire(self._workers)

    def after_fork(self) -> None:
        """In a forked child: it has none of the threads, and nothing that was being asked for."""
        self._mutex = threading.Lock()
        self._workers.after_fork()
        self._results.after_fork()
        for each in self._served.values():
            each.after_fork()

    # --- calling ---------------------------------------------------------------------------------

    def _read(self, matched: Matched, path: str, session: Session, query: Mapping[str, str]) -> Node:
        content = self._call(
            matched, path, session, query, lambda handler, context: _encoded(handler.read(path, context))
        )
        if content is None:
            raise NotFound.at(path)
        if isinstance(content, Node):
            if not (isinstance(content.data, bytes) and isinstance(content.stat, Stat)):
                raise _wrong(matched.route, path, content, "the data of a Node is bytes, its stat a Stat")
            return content
        if not isinstance(content, (bytes, bytearray, memoryview)):
            raise _wrong(matched.route, path, content, "read() returns bytes, str, a Node or None")
        data = bytes(content)
        return Node(path, data, synthetic_stat(Kind.FILE, len(data)))

    def _change(
        self, matched: Matched, path: str, session: Session, action: Callable[[BaseHandler, Context], None]
    ) -> None:
        rule = matched.route.index
        self._results.change(rule)
        try:
            self._call(matched, path, session, {}, action)
        finally:
            self._results.change(rule)  # what was read meanwhile is neither old nor new

    def _call(
        self,
        matched: Matched,
        path: str,
        session: Session,
        query: Mapping[str, str],
        action: Callable[[BaseHandler, Context], Result],
    ) -> Result:
        route = matched.route
        factory = self._class(route)
        served = self._serving(route)
        deadline = deadline_in(route.rule.timeout)
        context = Context(
            session.principal, session, matched.parameters, matched.relative, query, deadline=deadline
        )

        def call() -> Result:
            with served.used(lambda: self._make(route, factory)) as handler:
                return action(handler, context)

        try:
            return self._workers.call(served, call, deadline, inline=factory.keeps_deadline)
        except VfsError:
            raise
        except (Exception, SystemExit) as error:
            raise PluginError(f"{path}: {_named(route)} failed: {type(error).__name__}: {error}") from error

    def _serving(self, route: Route) -> _Served:
        served = self._served.get(route.index)
        if served is None:
            with self._mutex:
                served = self._served.setdefault(route.index, _Served(_named(route)))
        return served

    def _make(self, route: Route, factory: type[BaseHandler]) -> BaseHandler:
        """The handler of a rule, with its configuration prepared."""
        names = route.pattern.names
        config = prepare(dict(route.rule.config), names, os.environ, where=route.rule.where, key="config")
        try:
            return factory(config)
        except VfsError:
            raise
        except (Exception, SystemExit) as error:
            raise PluginError(f"{_named(route)} cannot be made: {type(error).__name__}: {error}") from error

    def _class(self, route: Route) -> type[BaseHandler]:
        """The class of a rule's handler, imported if need be."""
        loaded = self._registry.load("handler", route.rule.handler)
        if not (isinstance(loaded, type) and issubclass(loaded, BaseHandler)):
            raise PluginError(f"{_named(route)} is {loaded!r}, which is not a subclass of BaseHandler")
        return loaded


class _NotOffered:
    """Stands for an answer that a handler does not give."""


class _Served:
    """The handler of one rule, made once, and closed when nobody uses it any more."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._making = threading.Lock()
        self._mutex = threading.Lock()
        self._handler: BaseHandler | None = None
        self._users = 0
        self._retired = False

    @contextlib.contextmanager
    def used(self, make: Callable[[], BaseHandler]) -> Iterator[BaseHandler]:
        """The handler, which is not closed meanwhile."""
        with self._mutex:
            self._users += 1
        try:
            yield self._made(make) if self._handler is None else self._handler
        finally:
            with self._mutex:
                self._users -= 1
            self._close_if_done()

    def retire(self, workers: Workers) -> None:
        """Close the handler, now or when the last call ends."""
        with self._mutex:
            self._retired = True
        with contextlib.suppress(VfsError):
            workers.call(self, self._close_if_done, deadline_in(_CLOSING_SECONDS))

    def after_fork(self) -> None:
        """In a forked child, which runs none of the calls that its parent was in."""
        self._making, self._mutex, self._users = threading.Lock(), threading.Lock(), 0

    def __str__(self) -> str:
        return self._name

    def _made(self, make: Callable[[], BaseHandler]) -> BaseHandler:
        with self._making:
            if self._handler is None:
                self._handler = make()
            return self._handler

    def _close_if_done(self) -> None:
        with self._mutex:
            done = self._retired and not self._users
            handler, self._handler = (self._handler, None) if done else (None, self._handler)
        if handler is not None:
            with contextlib.suppress(Exception):  # it has answered everything that it was asked
                handler.close()


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
