"""Collecting plugins: once, isolated, attributed, and lazily imported.

One `Registry` per kernel. Sources, in order: the distribution's own entry points, those of other
distributions (group `avm`), modules under `plugins: load:` in the configuration, and what
`register_handler` and its like were given in this process. A plugin that fails is recorded with its cause and
everything else works. Pluggy never runs in the path of a request.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from types import ModuleType
from typing import Any, TypeVar

import pluggy

from vfs_core import hookspecs
from vfs_core.errors import Invalid, MissingExtra, PluginError
from vfs_core.specs import (
    CommandSpec,
    DiscoverySpec,
    EmbedderSpec,
    FollowerSpec,
    HandlerSpec,
    SearchSpec,
    Spec,
    StoreSpec,
    SuffixSpec,
    SummariserSpec,
    VectorSpec,
)

AnySpec = TypeVar("AnySpec", bound=Spec | CommandSpec)

GROUP = "avm"
OWN_PACKAGES = ("avm_builtin", "avm_handlers", "avm_suffixes", "avm_discovery")
"""What the distribution itself registers comes first."""

HOOKS: dict[str, tuple[str, type]] = {
    "handler": ("avm_register_handlers", HandlerSpec),
    "suffix": ("avm_register_suffixes", SuffixSpec),
    "store": ("avm_register_stores", StoreSpec),
    "search": ("avm_register_search", SearchSpec),
    "embedder": ("avm_register_embedders", EmbedderSpec),
    "vectors": ("avm_register_vectors", VectorSpec),
    "summariser": ("avm_register_summarisers", SummariserSpec),
    "discovery": ("avm_register_discovery", DiscoverySpec),
    "follower": ("avm_register_followers", FollowerSpec),
    "command": ("avm_register_commands", CommandSpec),
}
"""What can be registered: kind -> (hook, the type of spec that it returns)."""


@dataclass(frozen=True)
class PluginInfo:
    """One plugin as `avm plugins` shows it.

    `source` says where it came from (`entry point of avm-redis 1.2`, `config`, `python`), `supplies`
    lists `kind name` for each thing registered, `failure` is the cause if it failed (then what it had
    registered before still counts), `disabled` is set by the configuration.
    """

    name: str
    source: str
    supplies: tuple[str, ...] = ()
    failure: str = ""
    disabled: bool = False


@dataclass
class _Collected:
    name: str
    told: str = ""
    point: metadata.EntryPoint | None = None
    module: object | None = None
    failure: str = ""
    disabled: bool = False
    supplies: list[str] = field(default_factory=list)

    @property
    def source(self) -> str:
        """Where it came from; a distribution's metadata are parsed only when somebody asks."""
        if self.point is None:
            return self.told
        dist = self.point.dist
        return f"entry point of {dist.name} {dist.version}" if dist else "an entry point"


_in_process: dict[str, dict[str, tuple[Spec, bool]]] = {}
"""What this process registered: kind -> name -> (spec, whether it may replace what plugins supply)."""


def _register(spec: Spec, kind: str, override: bool) -> None:
    known = _in_process.setdefault(kind, {})
    if spec.name in known and known[spec.name][0].target is not spec.target and not override:
        raise PluginError(
            f"a {kind} named {spec.name!r} is registered already in this process; "
            f"choose another name or pass override=True"
        )
    known[spec.name] = spec, override


def register_handler(name: str, handler: type, *, override: bool = False) -> None:
    """Make a handler class available to every kernel that this process opens from now on.

    With `override` it replaces what a plugin supplies under the name. Raises Invalid if it is not a handler,
    PluginError if this process has given the name to another one.
    """
    from vfs_core.handler import BaseHandler  # not for those who only look plugins up

    if not (isinstance(handler, type) and issubclass(handler, BaseHandler)):
        raise Invalid(f"{handler!r} is not a handler: subclass BaseHandler and implement read(path, context)")
    _register(HandlerSpec(name, handler), "handler", override)


def register_suffix(name: str, suffix: type, *, override: bool = False) -> None:
    """Make a suffix class available to every kernel that this process opens from now on, as `register_handler`."""
    from vfs_core.suffix import BaseSuffix

    if not (isinstance(suffix, type) and issubclass(suffix, BaseSuffix)):
        raise Invalid(f"{suffix!r} is not a suffix: subclass BaseSuffix and implement read(context)")
    _register(SuffixSpec(name, suffix), "suffix", override)


class Registry:
    """Everything that plugins supply, by kind and name.

    `load` lists modules to add, `disable` names plugins (not) to use, `override` names of things that
    a later plugin may replace.
    """

    def __init__(
        self, load: Sequence[str] = (), disable: Iterable[str] = (), override: Iterable[str] = ()
    ) -> None:
        self._override = frozenset(override)
        self._specs: dict[str, dict[str, tuple[Spec | CommandSpec, str]]] = {kind: {} for kind in HOOKS}
        self._targets: dict[tuple[str, str], Any] = {}
        self._plugins: list[_Collected] = []
        disabled = frozenset(disable)
        self._from_entry_points(disabled)
        self._from_modules(load, disabled)
        self._collect()
        self._from_process()

    def plugins(self) -> tuple[PluginInfo, ...]:
        """Every plugin that was found, whether it works or not."""
        return tuple(
            PluginInfo(p.name, p.source, tuple(p.supplies), p.failure, p.disabled) for p in self._plugins
        )

    def failures(self) -> tuple[PluginInfo, ...]:
        """The plugins that failed, with their causes."""
        return tuple(info for info in self.plugins() if info.failure)

    def names(self, kind: str) -> tuple[str, ...]:
        """The names of everything of a kind, in order of registration."""
        return tuple(self._specs[kind])

    def specs(self, kind: str) -> dict[str, Spec]:
        """Everything of a kind by name, commands apart."""
        return self._of(kind, Spec)

    def handlers(self) -> dict[str, HandlerSpec]:
        """The handlers by name."""
        return self._of("handler", HandlerSpec)

    def suffixes(self) -> dict[str, SuffixSpec]:
        """The suffixes by name."""
        return self._of("suffix", SuffixSpec)

    def stores(self) -> dict[str, StoreSpec]:
        """The storage engines by name."""
        return self._of("store", StoreSpec)

    def search(self) -> dict[str, SearchSpec]:
        """The search backends by name."""
        return self._of("search", SearchSpec)

    def embedders(self) -> dict[str, EmbedderSpec]:
        """The embedding models by name."""
        return self._of("embedder", EmbedderSpec)

    def vectors(self) -> dict[str, VectorSpec]:
        """The ways to find the nearest vectors by name."""
        return self._of("vectors", VectorSpec)

    def summarisers(self) -> dict[str, SummariserSpec]:
        """What makes summaries, by name."""
        return self._of("summariser", SummariserSpec)

    def discovery(self) -> dict[str, DiscoverySpec]:
        """The discovery strategies by name."""
        return self._of("discovery", DiscoverySpec)

    def followers(self) -> dict[str, FollowerSpec]:
        """The followers by name."""
        return self._of("follower", FollowerSpec)

    def commands(self) -> dict[str, CommandSpec]:
        """The CLI commands by name."""
        return self._of("command", CommandSpec)

    def load(self, kind: str, name: str) -> Any:
        """The class (or command) registered as `name`, imported if need be.

        Raises PluginError naming what is missing or failed and what to do, MissingExtra where an optional
        dependency is not installed.
        """
        key = (kind, name)
        if key not in self._targets:
            self._targets[key] = self._import(kind, name)
        return self._targets[key]

    # --- collecting ------------------------------------------------------------------------------

    def _from_entry_points(self, disabled: frozenset[str]) -> None:
        found = list(metadata.entry_points(group=GROUP))
        found.sort(key=lambda point: (point.value.partition(".")[0] not in OWN_PACKAGES, point.name))
        seen: set[tuple[str, str]] = set()
        for point in found:
            if (point.name, point.value) in seen:
                continue  # one distribution on the path twice
            seen.add((point.name, point.value))
            plugin = _Collected(point.name, point=point, disabled=point.name in disabled)
            self._plugins.append(plugin)
            if not plugin.disabled:
                self._load_module(plugin, point.value)

    def _from_modules(self, load: Sequence[str], disabled: frozenset[str]) -> None:
        for name in load:
            plugin = _Collected(name, "plugins.load in the configuration", disabled=name in disabled)
            self._plugins.append(plugin)
            if not plugin.disabled:
                self._load_module(plugin, name)

    @staticmethod
    def _load_module(plugin: _Collected, name: str) -> None:
        try:
            plugin.module = importlib.import_module(name)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may fail in any way; it is recorded
            plugin.failure = f"importing {name} failed: {_describe(error)}"

    def _collect(self) -> None:
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        by_name: dict[str, _Collected] = {}
        for plugin in self._plugins:
            if plugin.module is None:
                continue
            if plugin.name in by_name:
                plugin.failure = f"there is a plugin of this name already ({by_name[plugin.name].source})"
                continue
            try:
                manager.register(plugin.module, plugin.name)
                manager.check_pending()
            except Exception as error:  # noqa: BLE001 - recorded as the plugin's failure
                plugin.failure = _describe(error)
                if manager.has_plugin(plugin.name):
                    manager.unregister(name=plugin.name)
            else:
                by_name[plugin.name] = plugin
        order = {name: index for index, name in enumerate(by_name)}
        for kind, (hook, spec_type) in HOOKS.items():
            implementations = getattr(manager.hook, hook).get_hookimpls()
            for implementation in sorted(implementations, key=lambda each: order[each.plugin_name]):
                plugin = by_name[implementation.plugin_name]
                try:
                    for spec in implementation.function():
                        self._add(kind, spec, spec_type, plugin)
                except Exception as error:  # noqa: BLE001 - recorded as the plugin's failure
                    failure = f"{hook}: {_describe(error)}"
                    plugin.failure = f"{plugin.failure}; {failure}" if plugin.failure else failure

    def _from_process(self) -> None:
        for kind, specs in _in_process.items():
            for spec, override in specs.values():
                plugin = _Collected(spec.name, "registered in this process")
                self._plugins.append(plugin)
                try:
                    self._add(kind, spec, HOOKS[kind][1], plugin, override)
                except PluginError as error:
                    plugin.failure = str(error)

    def _add(
        self, kind: str, spec: object, expected: type, plugin: _Collected, override: bool = False
    ) -> None:
        if not isinstance(spec, (Spec, CommandSpec)) or not isinstance(spec, expected):
            raise PluginError(f"{spec!r} is not a {expected.__name__}")
        known = self._specs[kind].get(spec.name)
        if known is not None and not override and spec.name not in self._override:
            raise PluginError(
                f"the {kind} {spec.name!r} is supplied by {known[1]} already; rename it, disable one of the two "
                f"under plugins.disable, or allow it under plugins.override"
            )
        self._specs[kind][spec.name] = (spec, plugin.name)
        plugin.supplies.append(f"{kind} {spec.name}")

    # --- using -----------------------------------------------------------------------------------

    def _of(self, kind: str, spec_type: type[AnySpec]) -> dict[str, AnySpec]:
        return {name: spec for name, (spec, _) in self._specs[kind].items() if isinstance(spec, spec_type)}

    def _import(self, kind: str, name: str) -> Any:
        entry = self._specs[kind].get(name)
        if entry is None:
            raise PluginError(self._explain_missing(kind, name))
        spec, plugin = entry
        if not isinstance(spec.target, str):
            return spec.target
        module_name, _, attribute = spec.target.partition(":")
        try:
            target: Any = importlib.import_module(module_name)
            for part in attribute.split("."):
                target = getattr(target, part)
        except ModuleNotFoundError as error:
            if spec.requires and (error.name or "").partition(".")[0] != module_name.partition(".")[0]:
                raise MissingExtra(
                    f"the {kind} {name!r} needs {error.name}, which is not installed; type: {spec.requires}"
                ) from error
            raise PluginError(self._explain_broken(kind, name, plugin, error)) from error
        except Exception as error:
            raise PluginError(self._explain_broken(kind, name, plugin, error)) from error
        return target

    def _explain_broken(self, kind: str, name: str, plugin: str, error: Exception) -> str:
        return f"the {kind} {name!r} of the plugin {plugin!r} cannot be used: {_describe(error)}"

    def _explain_missing(self, kind: str, name: str) -> str:
        known = ", ".join(self.names(kind)) or "none"
        message = f"there is no {kind} named {name!r} (there are: {known})"
        broken = self.failures()
        if broken:
            message += "; plugins that failed: " + "; ".join(f"{p.name}: {p.failure}" for p in broken)
        off = [plugin.name for plugin in self._plugins if plugin.disabled]
        if off:
            message += f"; disabled in the configuration: {', '.join(off)}"
        return message


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def heavy_modules() -> list[str]:
    """Which of the modules that must not be imported before they are needed are imported; for tests."""
    heavy = ("torch", "sentence_transformers", "faiss", "numpy", "httpx", "mcp", "mfusepy", "onnxruntime")
    return [name for name in heavy if isinstance(sys.modules.get(name), ModuleType)]
