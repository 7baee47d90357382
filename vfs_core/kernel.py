"""The kernel: one configuration, one store, its plugins and followers, and the sessions opened on them.

Policy, routes and suffixes are one immutable snapshot; reloading the configuration builds a new one and
swaps one reference. The store is opened when it is first needed: reading one that is not there creates nothing.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vfs_core.bell import UUID, Bell
from vfs_core.config import Config, ProviderRule, default_store_path, find_config, load_config, resolve
from vfs_core.errors import Denied, NotFound, PluginError, ReadOnly, StoreError, VfsError
from vfs_core.follower import Lease, Runner
from vfs_core.identity import login, named_agent, origin_of, owns
from vfs_core.moments import DAY_NS
from vfs_core.past import Retention
from vfs_core.permissions import Policy
from vfs_core.plugins import Registry
from vfs_core.providers import Providers
from vfs_core.routing import RouteTable
from vfs_core.search import SearchBackend, SideContext
from vfs_core.session import Session
from vfs_core.storage import Store, StoreContext, side_base
from vfs_core.suffix import BaseSuffix
from vfs_core.summarising import Summariser
from vfs_core.types import JSON, Principal

MEMORY_LOCATION = ":memory:"
_PURGED_AT_ONCE = 200
"""Nodes that a purge looks at in one transaction."""


@dataclass(frozen=True)
class _Snapshot:
    """What a configuration compiles to."""

    config: Config
    registry: Registry
    routes: RouteTable
    policy: Policy
    providers: Providers
    suffix_names: frozenset[str]


class Kernel:
    """Opens sessions. One per process is usual, several are fine. Close it, or use it as a context manager."""

    def __init__(
        self,
        config: str | Path | Config | None = None,
        db: str | Path | None = None,
        providers: Sequence[ProviderRule] = (),
    ) -> None:
        """`config`: a file (None: found as docs say), or a Config. `db` overrides its `storage.path`.

        `providers` come before those of the configuration. Raises ConfigError. Opens no store yet.
        """
        self._given = config
        self._extra = tuple(providers)
        self._mutex = threading.RLock()
        self._snapshot = self._compile()
        self.generation = 0
        self.location = _absolute(
            str(db) if db is not None else str(self.config.storage.path or default_store_path())
        )
        self._store: Store | None = None
        self._stand_in: Store | None = None
        self._runners: dict[str, tuple[Store, Runner, SearchBackend]] = {}
        self._suffixes: dict[str, BaseSuffix] = {}
        self._sessions: weakref.WeakSet[Session] = weakref.WeakSet()
        self._closed = False
        self._changed = False
        _kernels.add(self)

    # --- sessions --------------------------------------------------------------------------------

    def session(self, agent: str | None = None, door: str = "python") -> Session:
        """A session for an agent (None: `AVM_AGENT`, else the login).

        Another agent than the login may be opened by who owns the store's file, or holds `act_as`.
        """
        me, name = login(), named_agent(agent)
        owner = owns(self.location)
        if name != me and not owner and not self._may_act(me):
            raise Denied(
                f"{me} may not act as {name}: it neither owns {self.location} nor holds the capability 'act_as'"
            )
        return self.open_session(Principal(name, me, door, owns_store=owner))

    def open_session(self, principal: Principal) -> Session:
        """A session for a principal that has been found to be entitled to it."""
        session = Session(self, principal)
        self._sessions.add(session)
        return session

    def _may_act(self, me: str) -> bool:
        user = self.policy.user(me, self.store.users())
        return "act_as" in self.policy.capabilities(Principal(me, me), user)

    # --- the snapshot ----------------------------------------------------------------------------

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._snapshot.config

    @property
    def registry(self) -> Registry:
        """What plugins supply."""
        return self._snapshot.registry

    @property
    def routes(self) -> RouteTable:
        """Who serves which path."""
        return self._snapshot.routes

    @property
    def policy(self) -> Policy:
        """Who may do what."""
        return self._snapshot.policy

    @property
    def providers(self) -> Providers:
        """The handlers behind the provider rules."""
        return self._snapshot.providers

    @property
    def suffix_names(self) -> frozenset[str]:
        """The names that are suffixes."""
        return self._snapshot.suffix_names

    def provide(
        self, pattern: str, handler: str, config: Mapping[str, JSON] | None = None, ttl: float | None = None
    ) -> None:
        """Mount a handler at a pattern, behind those mounted from Python and before the configuration's rules.

        Raises ConfigError, PluginError, Invalid; then nothing has changed.
        """
        rule = ProviderRule(pattern, handler, dict(config or {}), ttl)
        with self._mutex:
            before = self._extra
            self._extra = (*before, rule)
            try:
                self.reload()
                if handler not in self.registry.handlers():
                    self.registry.load("handler", handler)  # raises, saying what there is
            except VfsError:
                self._extra = before
                self.reload()
                raise

    def reload(self) -> None:
        """Read the configuration again and swap the snapshot. On an error the old one stays in force."""
        with self._mutex:
            snapshot = self._compile()
            old, self._snapshot = self._snapshot, snapshot
            self.generation += 1
            self._suffixes = {}
            for session in list(self._sessions):
                session.forget()
        old.providers.close()

    def suffix(self, name: str) -> BaseSuffix:
        """The suffix of a registered name. Raises PluginError."""
        suffix = self._suffixes.get(name)
        if suffix is None:
            suffix = self._suffixes.setdefault(name, self._make_suffix(name))
        return suffix

    def _make_suffix(self, name: str) -> BaseSuffix:
        loaded = self.registry.load("suffix", name)
        try:
            made = loaded()
        except Exception as error:
            raise PluginError(f"':{name}' cannot be made: {type(error).__name__}: {error}") from error
        if not isinstance(made, BaseSuffix):
            raise PluginError(f"':{name}' is {loaded!r}, which is not a subclass of BaseSuffix")
        return made

    def _compile(self) -> _Snapshot:
        given = self._given
        config = given if isinstance(given, Config) else load_config(find_config(given))
        plugins = config.plugins
        registry = Registry(plugins.load, plugins.disable, plugins.override)
        config = replace(config, providers=(*self._extra, *config.providers))
        config = resolve(config, registry)
        routes = RouteTable(config.providers)
        config = replace(config, warnings=(*config.warnings, *routes.unreachable()))
        return _Snapshot(
            config,
            registry,
            routes,
            Policy(config),
            Providers(registry),
            frozenset(registry.names("suffix")),
        )

    # --- the store -------------------------------------------------------------------------------

    @property
    def store(self) -> Store:
        """The store to read from: an empty one in memory stands in while there is none."""
        store = self._store
        if store is not None:
            bell = store.bell
            if bell.words[UUID] == bell.identity:  # `not bell.replaced`, without a call for each read
                return store
        with self._mutex:
            self._let_go_of_replaced()
            if self._store is None:
                try:
                    self._store = self._open(create=False)
                except NotFound:
                    if self._stand_in is None:
                        self._stand_in = self._open(create=True, location=MEMORY_LOCATION)
                        self._stand_in.bell = Bell.silent()  # nothing read from it may be cached
                    return self._stand_in
            return self._store

    def writable_store(self) -> Store:
        """The store to change, made if it is not there. Raises what opening raises.

        One that could not be written when it was opened is opened anew: there may be space again, or the right to.
        """
        self._changed = True
        store = self._store
        if store is not None and store.writable and not store.bell.replaced:
            return store
        with self._mutex:
            self._let_go_of_replaced()
            if self._store is None:
                self._store = self._open(create=True)
            elif not self._store.writable:
                opened = self._open(create=True)
                if opened.writable:
                    self._let_go()
                    self._store = opened
                else:
                    opened.close()
            return self._store

    def _let_go_of_replaced(self) -> None:
        """Forget a store in whose place a backup was put."""
        if self._store is not None and self._store.bell.replaced:
            self._let_go()

    def _let_go(self) -> None:
        """Forget the store and all that was read from it. It closes with its last user: another thread may be one."""
        self._store = None
        self.generation += 1
        self.drop_caches()

    @property
    def has_store(self) -> bool:
        """Whether there is a store (opening it if there is)."""
        return self.store is not self._stand_in

    def _open(self, *, create: bool, location: str | None = None) -> Store:
        if self._closed:
            raise StoreError(f"the memory at {self.location} has been closed")
        settings = self.config.storage
        me = login()
        founder = origin_of(Principal(me, me))
        context = StoreContext(location or self.location, founder, settings.durability, create)
        store: Store = self.registry.load("store", settings.engine).open(context)
        return store

    def tend(self, seconds: float = 0.2) -> bool:
        """Let go of the past that the configuration does not keep, if that was last done a day ago.

        Takes about so many seconds and goes on the next time; returns whether it came to the end. Closing a kernel
        that has changed something does this.
        """
        store = self._store
        if store is None or not store.writable or store.past.purged_ns() > time.time_ns() - DAY_NS:
            return True
        history, me = self.config.history, login()
        retention = Retention(history.days * DAY_NS, history.versions, history.trash_days * DAY_NS)
        deadline, after = time.monotonic() + seconds, 0
        while time.monotonic() < deadline:
            purged = store.purge(origin_of(Principal(me, me, "system")), retention, _PURGED_AT_ONCE, after)
            if purged.after is None:
                return True
            after = purged.after
        return False

    def drop_caches(self) -> None:
        """Forget what sessions have read, in this process."""
        for session in list(self._sessions):
            session.forget()

    # --- search ----------------------------------------------------------------------------------

    def search(self) -> Runner:
        """The runner that keeps the search index up with the store."""
        return self._runner()[1]

    def search_backend(self) -> SearchBackend:
        """The search index."""
        return self._runner()[2]

    def _runner(self) -> tuple[Store, Runner, SearchBackend]:
        store = self.store
        name = self.config.search.backend
        with self._mutex:
            known = self._runners.get(name)
            if known is None or known[0] is not store:
                if known is not None:
                    known[1].close()
                known = self._runners[name] = self._make_runner(name, store)
            return known

    def _make_runner(self, name: str, store: Store) -> tuple[Store, Runner, SearchBackend]:
        real = store is self._store and store.location != MEMORY_LOCATION
        base = side_base(store.location) if real else None
        mode = os.stat(store.location).st_mode & 0o666 if real else 0o600
        context = SideContext(base, store.uuid, store.writable, mode, self.config.search.config)
        backend: SearchBackend = self.registry.load("search", name)(context)
        lease = None
        if store.writable:
            try:
                lease = Lease(None if base is None else f"{base}.{backend.name}.lease", mode)
            except OSError:
                lease = (
                    None  # others keep the index; this process reads what is there, and says how far behind
                )
        return store, Runner(store, backend, lease), backend

    # --- summaries -------------------------------------------------------------------------------

    def summariser(self) -> Summariser:
        """What makes summaries, as configured. Raises PluginError."""
        settings = self.config.summariser
        loaded = self.registry.load("summariser", settings.name)
        try:
            made = loaded(settings.config)
        except Exception as error:
            raise PluginError(
                f"the summariser {settings.name!r} cannot be made: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(made, Summariser):
            raise PluginError(
                f"the summariser {settings.name!r} is {loaded!r}, which is not a subclass of Summariser"
            )
        return made

    # --- the end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Release the store, the handlers and the followers; later use raises StoreError."""
        if self._changed:
            self._tend_quietly()
        with self._mutex:
            self._closed = True
            for session in list(self._sessions):
                session.forget()
            for _, runner, _ in self._runners.values():
                runner.close()
            self._runners = {}
            self.providers.close()
            for store in (self._store, self._stand_in):
                if store is not None:
                    store.close()
            self._store = self._stand_in = None

    def _tend_quietly(self) -> None:
        """Tidy up at the end; what cannot be tidied now (another process is writing, no space) is the next time."""
        self._changed = False
        try:
            self.tend()
        except (StoreError, ReadOnly):
            return

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def after_fork(self) -> None:
        """In a forked child: let go of what must not be shared; it is opened again when needed."""
        self._mutex = threading.RLock()
        for _, runner, _ in self._runners.values():
            runner.abandon()
        _inherited.append((self._runners, self._stand_in))
        self._runners = {}
        for session in list(self._sessions):
            session.after_fork()


def _absolute(location: str) -> str:
    """A file's place, whatever directory the process goes to later; anything else (a database's address) as it is."""
    return location if location == MEMORY_LOCATION or "://" in location else str(Path(location).absolute())


_kernels: weakref.WeakSet[Kernel] = weakref.WeakSet()
_inherited: list[object] = []


def _after_fork() -> None:
    for kernel in list(_kernels):
        kernel.after_fork()


os.register_at_fork(after_in_child=_after_fork)
