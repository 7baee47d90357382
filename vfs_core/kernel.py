"""The kernel: one configuration, one store, its plugins and followers, and the sessions opened on them.

Policy, routes and suffixes are one immutable snapshot; reloading the configuration builds a new one and
swaps one reference. The store is opened when it is first needed: reading one that is not there creates nothing.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vfs_core.background import Background
from vfs_core.bell import UUID, Bell
from vfs_core.config import (
    PROVIDER_SECONDS,
    Config,
    EmbeddingSettings,
    ProviderRule,
    default_store_path,
    find_config,
    load_config,
    resolve,
)
from vfs_core.config_watch import ConfigWatch, State, state_of
from vfs_core.embedding import Embedder, shared
from vfs_core.errors import (
    Denied,
    NoSpace,
    NotFound,
    PluginError,
    ReadOnly,
    StoreBusy,
    StoreError,
    StoreReplaced,
    VfsError,
)
from vfs_core.follower import BATCH, Follower, Runner
from vfs_core.identity import login, named_agent, origin_of, owns
from vfs_core.index_check import Index
from vfs_core.moments import DAY_NS
from vfs_core.past import Retention
from vfs_core.permissions import Policy
from vfs_core.plugins import Registry
from vfs_core.providers import Providers
from vfs_core.reactor import FollowerContext, door_of
from vfs_core.routing import RouteTable
from vfs_core.search import SearchBackend
from vfs_core.semantic import Model, SemanticContext, SemanticIndex
from vfs_core.session import Session
from vfs_core.storage import Store, StoreContext
from vfs_core.suffix import BaseSuffix
from vfs_core.summarising import Summariser
from vfs_core.types import JSON, Principal
from vfs_core.upkeep import Made, Upkeep
from vfs_core.vectors import VectorBackend

MEMORY_LOCATION = ":memory:"
EMBEDDER_VARIABLE = "AVM_EMBEDDER"
"""The variable of the environment that names an embedder in the place of the configuration's."""
_OWN = "AVM itself"
_OWN_RULES = (
    ProviderRule("/.avm/handlers/{name}", "skills", where=_OWN),
    ProviderRule("/index/**", "index", where=_OWN),
)
"""What is mounted behind the configuration's rules, where the handler is there."""
SEMANTIC = "semantic"
"""The name under which the semantic index is registered as a follower; it is made with a context of its own."""
_CATCH_UP_SECONDS = 2.0
"""How long reading what a follower makes waits for it to take in what is new."""
_CLOSING_SECONDS = 0.2
"""How long closing a kernel that has changed something works on one follower."""
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
    file: State
    """Of the configuration's file, before it was read."""


class Kernel:
    """Opens sessions. One per process is usual, several are fine. Close it, or use it as a context manager."""

    def __init__(
        self,
        config: str | Path | Config | None = None,
        db: str | Path | None = None,
        providers: Sequence[ProviderRule] = (),
        *,
        lasting: bool = False,
    ) -> None:
        """`config`: a file (None: found as docs say), or a Config. `db` overrides its `storage.path`.

        `providers` come before those of the configuration. `lasting` is for a process that lives for a while: it may
        work in the background. Raises ConfigError. Opens no store yet.
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
        self._upkeep: Upkeep | None = None
        self._suffixes: dict[str, BaseSuffix] = {}
        self._sessions: weakref.WeakSet[Session] = weakref.WeakSet()
        self._closed = False
        self._lasting = lasting
        self._background: Background | None = None
        self._changed = False
        self._watch = self._watched()
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
        self,
        pattern: str,
        handler: str,
        config: Mapping[str, JSON] | None = None,
        ttl: float | None = None,
        timeout: float = PROVIDER_SECONDS,
    ) -> None:
        """Mount a handler at a pattern, behind those mounted from Python and before the configuration's rules.

        Raises ConfigError, PluginError, Invalid; then nothing has changed.
        """
        rule = ProviderRule(pattern, handler, dict(config or {}), ttl, timeout)
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

    def _watched(self) -> ConfigWatch | None:
        source = self.config.source
        if not self._lasting or source is None:
            return None
        return ConfigWatch(self, source, self._snapshot.file)

    def suffix(self, name: str) -> BaseSuffix:
        """The suffix of a registered name. Raises PluginError."""
        suffixes = self._suffixes  # before the registry: a reload makes the new ones in the other order
        registry = self.registry
        suffix = suffixes.get(name)
        if suffix is None:
            loaded = registry.load("suffix", name)
            made: BaseSuffix = _made(f"':{name}'", loaded, BaseSuffix, "a subclass of BaseSuffix")
            if not isinstance(made.options, (tuple, list)):
                raise PluginError(f"':{name}' is {loaded!r}, whose options are no tuple of names")
            suffix = suffixes.setdefault(name, made)
        return suffix

    def _compile(self) -> _Snapshot:
        given = self._given
        path = None if isinstance(given, Config) else find_config(given)
        file = None if path is None else state_of(path)
        config = given if isinstance(given, Config) else load_config(path)
        plugins = config.plugins
        registry = Registry(plugins.load, plugins.disable, plugins.override)
        config = replace(config, providers=(*self._extra, *config.providers))
        config = resolve(config, registry)
        named = os.environ.get(EMBEDDER_VARIABLE)
        if named and not isinstance(given, Config):
            config = replace(config, embedding=EmbeddingSettings(named))
        handlers = registry.names("handler")
        own = [rule for rule in _OWN_RULES if rule.handler in handlers]
        routes = RouteTable((*config.providers, *own))
        unreachable = [each for each in routes.unreachable() if each.where != _OWN]
        config = replace(config, warnings=(*config.warnings, *unreachable))
        return _Snapshot(
            config,
            registry,
            routes,
            Policy(config),
            Providers(registry),
            frozenset(registry.names("suffix")),
            file,
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

    # --- what follows the journal ----------------------------------------------------------------

    def search(self) -> Runner[SearchBackend]:
        """The runner that keeps the search index up with the store."""
        settings = self.config.search

        def make(upkeep: Upkeep) -> SearchBackend:
            backend: SearchBackend = self.registry.load("search", settings.backend)(
                upkeep.side(settings.config)
            )
            return backend

        return self._runner(f"search {settings.backend}", make)

    def search_backend(self) -> SearchBackend:
        """The search index."""
        return self.search().follower

    def embedder(self) -> Embedder:
        """The embedding model of the configuration; loads no weights. Raises PluginError, MissingExtra."""
        settings = self.config.embedding
        return shared(self.registry.load("embedder", settings.model), settings.config)

    def semantic(self) -> Runner[SemanticIndex] | None:
        """The runner that keeps the semantic index up with the store; None where there is no embedder."""
        embedder, settings = self.embedder(), self.config.embedding
        if not embedder.dimensions:
            return None
        return self._semantic(embedder, settings.model, settings.config)

    def former_semantic(self, index: SemanticIndex) -> Runner[SemanticIndex] | None:
        """The runner of the index of a model that was in use before, to be asked until `index` has got as far."""
        for model in index.former():
            for name, config in (
                (model.name, model.config),
                *((each, {}) for each in self.registry.embedders()),
            ):
                try:
                    embedder = shared(self.registry.load("embedder", name), config)
                except PluginError:
                    continue  # no longer installed
                if embedder.fingerprint == model.fingerprint:
                    return self._semantic(embedder, name, config)
        return None

    def _semantic(self, embedder: Embedder, name: str, config: Mapping[str, JSON]) -> Runner[SemanticIndex]:
        vectors = self.config.vectors

        def make(upkeep: Upkeep) -> SemanticIndex:
            backend: VectorBackend = self.registry.load("vectors", vectors.backend)(vectors.config)
            model = Model(embedder.fingerprint, name, config)
            context = SemanticContext(upkeep.side({}), embedder, backend, model)
            index: SemanticIndex = self.registry.load("follower", SEMANTIC)(context)
            return index

        return self._runner(f"{SEMANTIC} {vectors.backend} {embedder.fingerprint}", make)

    def embed_in_background(self) -> None:
        """Go on embedding what waits beside everything else, if this kernel is one that lives for a while."""
        with self._mutex:
            over = self._background is None or self._background.is_over
            if over and self._lasting and not self._closed and self.store.writable:
                self._background = Background(self)

    def derived(self) -> list[Runner[Index]]:
        """The runners of everything that is derived from notes."""
        search, semantic = self.search(), self.semantic()
        return [search] if semantic is None else [search, semantic]

    def follower(self, name: str) -> Runner[Follower]:
        """The runner of a follower that a plugin has registered. Raises PluginError."""

        def make(upkeep: Upkeep) -> Follower:
            context = FollowerContext(upkeep.side({}), lambda agent: self._act_for(name, agent))
            loaded, kind = self.registry.load("follower", name), "a Follower of this name"
            made: Follower = _made(f"the follower {name!r}", loaded, Follower, kind, context)
            if made.name != name:
                raise PluginError(f"the follower {name!r} is {loaded!r}, which is not {kind}")
            return made

        return self._runner(f"follower {name}", make)

    def followers(self, *, at_close: bool = False) -> list[Runner[Follower]]:
        """The runners of the followers that plugins have registered; what cannot be used is named in the log.

        `at_close`: only of those that work when a kernel closes.
        """
        runners = []
        for name, spec in self.registry.followers().items():
            if name != SEMANTIC and (spec.at_close or not at_close):
                try:
                    runners.append(self.follower(name))
                except PluginError as error:
                    _log(str(error))
        return runners

    def catch_up(self, name: str, seconds: float = _CATCH_UP_SECONDS) -> int:
        """Let a follower take in what is new, before what it makes is read; returns how many changes it lacks.

        Where it cannot work now (the store is read-only, full or busy), or is not there, one reads what there is.
        """
        if name not in self.registry.followers():
            return 0
        runner = self.follower(name)
        try:
            return runner.catch_up(seconds)
        except (ReadOnly, NoSpace, StoreBusy, StoreReplaced):
            return runner.behind()

    def _act_for(self, follower: str, agent: str) -> Session:
        return self.open_session(Principal(agent, login(), door_of(follower)))

    def _runner(self, key: str, make: Callable[[Upkeep], Made]) -> Runner[Made]:
        store = self.store
        with self._mutex:
            upkeep = self._upkeep
            if upkeep is None or upkeep.store is not store:
                if upkeep is not None:
                    upkeep.close()
                in_memory = store is not self._store or store.location == MEMORY_LOCATION
                upkeep = self._upkeep = Upkeep(store, in_memory=in_memory)
            return upkeep.runner(key, lambda: make(upkeep))

    # --- summaries -------------------------------------------------------------------------------

    def summariser(self) -> Summariser:
        """What makes summaries, as configured. Raises PluginError."""
        settings = self.config.summariser
        loaded, kind = self.registry.load("summariser", settings.name), "a subclass of Summariser"
        made: Summariser = _made(
            f"the summariser {settings.name!r}", loaded, Summariser, kind, settings.config
        )
        return made

    # --- the end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Release the store, the handlers and the followers; later use raises StoreError."""
        with self._mutex:
            background, self._lasting = self._background, False
        self.providers.close()
        if background is not None:
            background.stop()
        if self._watch is not None:
            self._watch.stop()
        if self._changed:
            self._tend_quietly()
        with self._mutex:
            self._closed = True
            for session in list(self._sessions):
                session.forget()
            if self._upkeep is not None:
                self._upkeep.close()
                self._upkeep = None
            for store in (self._store, self._stand_in):
                if store is not None:
                    store.close()
            self._store = self._stand_in = None

    def _tend_quietly(self) -> None:
        """Tidy up at the end; what cannot be tidied now (another process is writing, no space) is the next time."""
        self._changed = False
        try:
            self.tend()
            self._follow()
        except (StoreError, ReadOnly, NoSpace):
            return

    def _follow(self) -> None:
        """Let followers take in what is new, for a little while; beginning with a large store is left to others."""
        if self._store is None or not self._store.writable:
            return
        for runner in self.followers(at_close=True):
            try:
                if runner.follower.cursor() is not None or runner.behind() <= BATCH:
                    runner.catch_up(_CLOSING_SECONDS)
            except VfsError:
                raise
            except Exception as error:  # noqa: BLE001 - a plugin may fail in any way, and closing goes on
                _log(f"the follower {runner.follower.name!r} failed: {type(error).__name__}: {error}")

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def after_fork(self) -> None:
        """In a forked child: let go of what must not be shared; it is opened again when needed."""
        self._mutex = threading.RLock()
        self._background = None
        _inherited.append((self._upkeep, self._stand_in))
        self._upkeep = None
        self.providers.after_fork()
        self._watch = self._watched()
        for session in list(self._sessions):
            session.after_fork()


def _made(what: str, loaded: Callable[..., object], expected: type, kind: str, *arguments: object) -> Any:
    """What a plugin's class makes, which must be an `expected`. Raises PluginError.

    `what` it is, and of what `kind` it should be, are for the error.
    """
    try:
        made = loaded(*arguments)
    except (Exception, SystemExit) as error:
        raise PluginError(f"{what} cannot be made: {type(error).__name__}: {error}") from error
    if not isinstance(made, expected):
        raise PluginError(f"{what} is {loaded!r}, which is not {kind}")
    return made


def _log(text: str) -> None:
    import logging

    logging.getLogger("avm").warning(text)


def _absolute(location: str) -> str:
    """A file's place, whatever directory the process goes to later; anything else (a database's address) as it is."""
    return location if location == MEMORY_LOCATION or "://" in location else str(Path(location).absolute())


_kernels: weakref.WeakSet[Kernel] = weakref.WeakSet()
_inherited: list[object] = []


def _after_fork() -> None:
    for kernel in list(_kernels):
        kernel.after_fork()


os.register_at_fork(after_in_child=_after_fork)
