"""Provider rules at work: the handler instance behind each, made when it is first needed.

Everything that can go wrong in a third party's handler becomes an error that names the rule and the cause: it may
raise anything, return anything, or never come back.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from vfs_core.calling import Workers, deadline_in
from vfs_core.config import IN_PYTHON
from vfs_core.config_text import prepare
from vfs_core.errors import Invalid, NotFound, PluginError, VfsError
from vfs_core.handler import BaseHandler, Content, Context, Listed
from vfs_core.path import join, normalize
from vfs_core.plugins import Registry
from vfs_core.result_cache import ResultCache
from vfs_core.routing import Matched, Route
from vfs_core.types import Entry, Kind, Node, Stat

if TYPE_CHECKING:
    from vfs_core.session import Session

Result = TypeVar("Result")

_CLOSING_SECONDS = 5.0
"""For how long all handlers together may close."""
_NAMES_MOST = 1_000_000


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
            return self._read(matched, path, session, query)[0]
        principal = session.principal
        whose = None if caching == "all" else (principal, principal.elevated_until_ns > time.time_ns())
        request = (path, tuple(sorted(query.items())), whose)
        deadline = deadline_in(route.rule.timeout)

        def ask() -> tuple[Node, bool]:
            node, through_session = self._read(matched, path, session, query)
            return node, not through_session  # what an agent may read by its rights may be taken back

        return self._results.get(id(route), request, ttl, deadline, ask)

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

        offered = self._may_offer(matched.route, "stat")
        found = self._call(matched, path, session, {}, ask) if offered else _NotOffered()
        if isinstance(found, _NotOffered):
            return self.read(matched, path, session, {}).stat
        if found is None:
            raise NotFound.at(path)
        if not isinstance(found, Stat):
            raise _wrong(matched.route, path, found, "stat() returns a Stat or None")
        return found

    def list(self, matched: Matched, path: str, session: Session) -> list[Entry]:
        """What the handler lists in `path`; nothing if it cannot list."""

        def collect(handler: BaseHandler, context: Context) -> list[Listed]:
            names: list[Listed] = []
            for name in handler.list(path, context) if handler.capabilities().list else ():
                context.remaining()  # a list without an end ends here
                if len(names) >= _NAMES_MOST:
                    raise PluginError(f"{path}: {_named(matched.route)} listed over {_NAMES_MOST:,} names")
                names.append(name)
            return names

        if not self._may_offer(matched.route, "list"):
            return []  # and nothing is made, or asked
        entries = []
        for each in self._call(matched, path, session, {}, collect):
            name, stat = each if type(each) is tuple and len(each) == 2 else (each, _WITHOUT)
            if not isinstance(name, str) or not isinstance(stat, Stat):
                raise _wrong(matched.route, path, each, "list() gives names, or pairs of a name and a Stat")
            if stat is _WITHOUT and name.endswith("/"):
                stat = synthetic_stat(Kind.DIRECTORY)
            plain = name.rstrip("/")
            if not plain or "/" in plain or plain in (".", ".."):
                raise PluginError(f"{path}: {_named(matched.route)} listed {name!r}, which is not a name")
            try:
                at = normalize(join(path, plain))
            except Invalid:
                continue  # no path can name it
            entries.append(Entry(plain, at, stat))
        return entries

    def close(self) -> None:
        """Close every handler that was made, once no call is in it any more. Raises nothing."""
        with self._mutex:
            served = list(self._served.values())
            self._served = {}
        deadline = deadline_in(_CLOSING_SECONDS)
        for each in served:
            each.retire(self._workers, deadline)

    def after_fork(self) -> None:
        """In a forked child: it has none of the threads, and nothing that was being asked for."""
        self._mutex = threading.Lock()
        self._workers.after_fork()
        self._results.after_fork()
        for each in self._served.values():
            each.after_fork()

    # --- calling ---------------------------------------------------------------------------------

    def _read(
        self, matched: Matched, path: str, session: Session, query: Mapping[str, str]
    ) -> tuple[Node, bool]:
        """The content, and whether the handler reached for the session to get it."""

        def ask(handler: BaseHandler, context: _Noted) -> tuple[bytes | Node | None, bool]:
            return _encoded(handler.read(path, context)), context.reached

        content, through_session = self._call(matched, path, session, query, ask)
        if content is None:
            raise NotFound.at(path)
        if isinstance(content, Node):
            if not (
                isinstance(content.data, bytes)
                and isinstance(content.stat, Stat)
                and isinstance(content.meta_json, str)
            ):
                raise _wrong(
                    matched.route, path, content, "of a Node, data is bytes, stat a Stat, meta_json text"
                )
            return content, through_session
        if not isinstance(content, (bytes, bytearray, memoryview)):
            raise _wrong(matched.route, path, content, "read() returns bytes, str, a Node or None")
        data = bytes(content)
        return Node(path, data, synthetic_stat(Kind.FILE, len(data))), through_session

    def _change(
        self, matched: Matched, path: str, session: Session, action: Callable[[BaseHandler, Context], None]
    ) -> None:
        rule = id(matched.route)

        def change(handler: BaseHandler, context: Context) -> None:
            try:
                action(handler, context)
            finally:
                self._results.change(rule)  # also where its caller has gone on without it

        self._results.change(rule)
        self._call(matched, path, session, {}, change)

    def _call(
        self,
        matched: Matched,
        path: str,
        session: Session,
        query: Mapping[str, str],
        action: Callable[[BaseHandler, _Noted], Result],
    ) -> Result:
        route = matched.route
        factory = self._class(route)
        served = self._serving(route)
        deadline = deadline_in(route.rule.timeout)
        context = _Noted(
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
        """By the rule itself: a call that began before a reload has a rule of the configuration before."""
        served = self._served.get(id(route))
        if served is None:
            with self._mutex:
                served = self._served.setdefault(id(route), _Served(route))
        return served

    def _may_offer(self, route: Route, name: str) -> bool:
        """Whether instances of the rule's class may offer something."""
        factory = self._class(route)
        try:
            return bool(getattr(factory.capabilities(), name))
        except Exception as error:
            raise PluginError(f"{_named(route)} failed: {type(error).__name__}: {error}") from error

    def _make(self, route: Route, factory: type[BaseHandler]) -> BaseHandler:
        """The handler of a rule, with its configuration prepared."""
        names = route.pattern.names
        config = prepare(dict(route.rule.config), names, os.environ, where=route.rule.where, key="config")
        try:
            return factory(config)
        except VfsError as error:
            where = route.rule.where
            if where not in ("", IN_PYTHON) and where not in str(error):
                error.args = (f"{where}: {error}", *error.args[1:])  # whatever its class is made with
            raise
        except (Exception, SystemExit) as error:
            raise PluginError(f"{_named(route)} cannot be made: {type(error).__name__}: {error}") from error

    def _class(self, route: Route) -> type[BaseHandler]:
        """The class of a rule's handler, imported if need be."""
        loaded = self._registry.load("handler", route.rule.handler)
        if not (isinstance(loaded, type) and issubclass(loaded, BaseHandler)):
            raise PluginError(f"{_named(route)} is {loaded!r}, which is not a subclass of BaseHandler")
        return loaded


class _Noted(Context):
    """Notes whether the handler reaches for the session."""

    reached = False

    def __getattribute__(self, name: str) -> Any:
        if name == "session":
            object.__setattr__(self, "reached", True)
        return super().__getattribute__(name)


class _NotOffered:
    """Stands for an answer that a handler does not give."""


class _Served:
    """The handler of one rule, made once, and closed when nobody uses it any more."""

    def __init__(self, route: Route) -> None:
        self.route = route  # as long as it is known by its identity
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

    def retire(self, workers: Workers, deadline: float) -> None:
        """Close the handler, now or when the last call ends."""
        with self._mutex:
            self._retired = True
        with contextlib.suppress(VfsError):
            workers.call(self, self._close_if_done, deadline)

    def after_fork(self) -> None:
        """In a forked child, which runs none of the calls that its parent was in."""
        self._making, self._mutex, self._users = threading.Lock(), threading.Lock(), 0

    def __str__(self) -> str:
        return _named(self.route)

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
            with contextlib.suppress(Exception, SystemExit):  # it has answered everything that it was asked
                handler.close()


def synthetic_stat(kind: Kind, size: int = 0) -> Stat:
    """The stat of what has no node: owned by nobody, read-only, without times."""
    mode = 0o555 if kind is Kind.DIRECTORY else 0o444
    return Stat(0, kind, mode, "", "", size, 0, 0, 0, 0)


_WITHOUT = synthetic_stat(Kind.FILE)
"""The stat of a name that is listed without one."""


def _encoded(content: Content) -> bytes | Node | None:
    """What a handler read, with text as UTF-8."""
    return content.encode() if isinstance(content, str) else content


def _wrong(route: Route, path: str, value: object, right: str) -> PluginError:
    return PluginError(f"{path}: {_named(route)} returned {type(value).__name__}; {right}")


def _named(route: Route) -> str:
    return f"the handler {route.rule.handler!r} of {route.rule.where or 'the configuration'}"
