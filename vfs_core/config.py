"""The configuration: where `config.yaml` is, what it says, and what holds without it.

A file is read once, checked as a whole (every problem at once, each with its line) and becomes one immutable
`Config`. What plugins supply is checked by `resolve`, because the file itself says which plugins to load.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from vfs_core.config_check import (
    DEFAULT_BACKEND,
    DEFAULT_EMBEDDER,
    DEFAULT_ENGINE,
    DEFAULT_SUMMARISER,
    DEFAULT_VECTORS,
    NAMED_SECTIONS,
    Use,
    document_problems,
    locate,
    supplied_problems,
    unreachable_problems,
    uses_in,
)
from vfs_core.config_document import MAX_BYTES, Document, parse_document
from vfs_core.config_places import default_config_path as default_config_path
from vfs_core.config_places import default_store_path as default_store_path
from vfs_core.config_places import find_config as find_config
from vfs_core.config_places import unreadable, xdg
from vfs_core.config_schema import ValidBefore
from vfs_core.config_text import config_summary as config_summary
from vfs_core.config_text import expand as expand
from vfs_core.config_text import template as template
from vfs_core.errors import ConfigError, Problem
from vfs_core.types import JSON, User

if TYPE_CHECKING:
    from vfs_core.plugins import Registry

RuleAccess: TypeAlias = Literal["none", "ro", "rw"]
"""What a permission rule allows at most: nothing, not even to know of it; reading; reading and writing."""

IN_PYTHON = "python"
"""The `where` of a rule that was not read from a file."""


PROVIDER_SECONDS = 30.0
"""For how long a caller waits for a handler, where its rule does not say."""


@dataclass(frozen=True)
class ProviderRule:
    """Which handler serves the paths of a pattern.

    `config` is as written: `${variables}` are expanded by `expand`, when it is used. `ttl` is for how many
    seconds a result may be reused; None: not at all. `timeout` is how many a caller waits. `where` is `file:line`.
    """

    pattern: str
    handler: str
    config: Mapping[str, JSON] = field(default_factory=dict)
    ttl: float | None = None
    timeout: float = PROVIDER_SECONDS
    where: str = IN_PYTHON


@dataclass(frozen=True)
class PermissionRule:
    """A ceiling on what anyone may do with the paths of a pattern."""

    pattern: str
    access: RuleAccess
    where: str = IN_PYTHON


@dataclass(frozen=True)
class PluginSettings:
    """Modules to load as plugins, plugins not to use, names that a later plugin may replace."""

    load: tuple[str, ...] = ()
    disable: tuple[str, ...] = ()
    override: tuple[str, ...] = ()


@dataclass(frozen=True)
class StorageSettings:
    """Where nodes are kept. `path` None means `default_store_path()`; one from a file is absolute."""

    engine: str = DEFAULT_ENGINE
    path: str | None = None
    durability: Literal["full", "normal"] = "full"


@dataclass(frozen=True)
class SearchSettings:
    """What finds nodes by their words."""

    backend: str = DEFAULT_BACKEND
    config: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True)
class EmbeddingSettings:
    """The model that finds notes by what they mean."""

    model: str = DEFAULT_EMBEDDER
    config: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True)
class VectorSettings:
    """What finds the nearest vectors."""

    backend: str = DEFAULT_VECTORS
    config: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True)
class SummariserSettings:
    """What makes summaries of notes."""

    name: str = DEFAULT_SUMMARISER
    config: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True)
class HistorySettings:
    """How long the past is kept.

    A replaced content is dropped `days` after it was replaced, unless it is one of the newest `versions` of its note;
    what was deleted is dropped after `trash_days`.
    """

    days: int = 90
    versions: int = 20
    trash_days: int = 30


@dataclass(frozen=True)
class CacheSettings:
    """The cache of hot reads that each session keeps: at most so many nodes and bytes of content."""

    entries: int = 8192
    bytes: int = 32 * 1024 * 1024


@dataclass(frozen=True)
class Config:
    """Everything that can be configured; `Config()` is what holds without a file.

    `default_access` None and `users` None mean that the file does not say. `warnings` names what rules need
    and no plugin supplies: their paths fail when they are used. `document` is kept for the lines in errors.
    """

    source: Path | None = None
    providers: tuple[ProviderRule, ...] = ()
    permissions: tuple[PermissionRule, ...] = ()
    default_access: RuleAccess | None = None
    users: Mapping[str, User] | None = None
    plugins: PluginSettings = PluginSettings()
    storage: StorageSettings = StorageSettings()
    search: SearchSettings = field(default_factory=SearchSettings)
    embedding: EmbeddingSettings = field(default_factory=EmbeddingSettings)
    vectors: VectorSettings = field(default_factory=VectorSettings)
    summariser: SummariserSettings = field(default_factory=SummariserSettings)
    history: HistorySettings = HistorySettings()
    cache: CacheSettings = CacheSettings()
    warnings: tuple[Problem, ...] = ()
    document: Document | None = field(default=None, repr=False, compare=False)


# --- loading -------------------------------------------------------------------------------------


def load_config(path: Path | None, registry: Registry | None = None) -> Config:
    """Read and check a configuration file; None gives the defaults.

    With a registry, what plugins supply is checked as in `resolve`. Raises ConfigError with everything that
    is wrong, except that what no plugin supplies becomes `Config.warnings`.
    """
    if path is None:
        return Config()
    if _says_nothing(_read(path)):  # as `avm init` leaves it: not worth importing YAML for
        return Config(source=path)
    document, problems = _examine(path)
    if problems:
        if registry is not None:
            problems += supplied_problems(uses_in(document), registry, _valid_before())[0]
        raise ConfigError(_in_order(problems))
    config = _build(document, path)
    return config if registry is None else resolve(config, registry)


def check_config(path: Path | None, registry: Registry | None = None) -> list[Problem]:
    """Everything that is wrong with a file, warnings and rules that are never used included. Never raises."""
    if path is None:
        return []
    try:
        document, problems = _examine(path)
    except ConfigError as error:
        return list(error.problems)
    problems += unreachable_problems(document)
    if registry is not None:
        errors, warnings = supplied_problems(uses_in(document), registry, _valid_before())
        problems += errors + warnings
    return _in_order(problems)


def check_with_handlers(path: Path | None, registry: Registry) -> tuple[list[Problem], bool]:
    """As `check_config`, with what the handlers say of their rules; and whether a rule can never work.

    Imports the handlers that are named. Never raises.
    """
    from vfs_core.rule_check import rule_problems

    problems = check_config(path, registry)
    if path is None:
        return problems, False
    try:
        document = parse_document(_read(path), str(path))
    except ConfigError:
        return problems, False
    errors, warnings = rule_problems(document, registry, problems)
    return _in_order([*problems, *errors, *warnings]), bool(errors)


def resolve(config: Config, registry: Registry) -> Config:
    """The configuration checked against what plugins supply, with `warnings` for what they do not.

    For a configuration that named the plugins which the registry was made with, or that was completed in
    Python. Raises ConfigError where a handler's or backend's settings do not fit its schema.
    """
    errors, warnings = supplied_problems(_uses_of(config), registry, _valid_before())
    if errors:
        raise ConfigError(_in_order(errors))
    return replace(config, warnings=tuple(_in_order(warnings)))


def _examine(path: Path) -> tuple[Document, list[Problem]]:
    data = _read(path)
    document = parse_document(data, str(path))
    return document, document_problems(document, data, _valid_before())


def _says_nothing(data: bytes) -> bool:
    """Whether there are only comments and empty lines."""
    return data.isascii() and all(line[:1] in (b"", b"#") for line in data.splitlines())


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ConfigError([unreadable(path, error)]) from None


def _valid_before() -> ValidBefore:
    cache = xdg("XDG_CACHE_HOME", ".cache")
    return ValidBefore(None if cache is None else cache / "avm" / "validated")


def _in_order(problems: list[Problem]) -> list[Problem]:
    def line(problem: Problem) -> int:
        number = problem.where.rpartition(":")[2]
        return int(number) if number.isdecimal() else 0

    return sorted(problems, key=line)


def _build(document: Document, path: Path) -> Config:
    """The configuration that a document without problems says."""
    top = document.value or {}
    users = top.get("users")
    return Config(
        source=path,
        providers=tuple(
            ProviderRule(
                pattern=rule["pattern"],
                handler=rule["handler"],
                config=rule.get("config") or {},
                ttl=None if rule.get("ttl") is None else float(rule["ttl"]),
                timeout=float(rule.get("timeout", PROVIDER_SECONDS)),
                where=document.where(["providers", position]),
            )
            for position, rule in enumerate(top.get("providers") or ())
        ),
        permissions=tuple(
            PermissionRule(rule["pattern"], rule["access"], document.where(["permissions", position]))
            for position, rule in enumerate(top.get("permissions") or ())
        ),
        default_access=top.get("default_access"),
        users=None if users is None else {name: _user(name, given or {}) for name, given in users.items()},
        plugins=PluginSettings(
            **{name: tuple(values or ()) for name, values in (top.get("plugins") or {}).items()}
        ),
        storage=_storage(top.get("storage") or {}, path),
        search=SearchSettings(*_named(top.get("search") or {}, "backend", DEFAULT_BACKEND)),
        embedding=EmbeddingSettings(*_named(top.get("embedding") or {}, "model", DEFAULT_EMBEDDER)),
        vectors=VectorSettings(*_named(top.get("vectors") or {}, "backend", DEFAULT_VECTORS)),
        summariser=SummariserSettings(*_named(top.get("summariser") or {}, "name", DEFAULT_SUMMARISER)),
        history=HistorySettings(**{name: int(value) for name, value in (top.get("history") or {}).items()}),
        cache=CacheSettings(**{name: int(value) for name, value in (top.get("cache") or {}).items()}),
        document=document,
    )


def _user(name: str, given: Mapping[str, JSON]) -> User:
    capabilities = given.get("capabilities")
    return User(
        name,
        groups=tuple(given.get("groups") or ()),
        capabilities=None if capabilities is None else frozenset(capabilities),
    )


def _storage(given: Mapping[str, JSON], source: Path) -> StorageSettings:
    settings = StorageSettings(**given)
    if settings.path is None or "://" in settings.path:  # the address of a server
        return settings
    expanded = os.path.expanduser(settings.path)  # noqa: PTH111
    return replace(settings, path=os.path.abspath(source.parent / expanded))  # noqa: PTH100 - keeps symlinks


def _named(given: Mapping[str, JSON], key: str, default: str) -> tuple[str, Mapping[str, JSON]]:
    """What a section names, and what that takes."""
    return given.get(key, default), given.get("config") or {}


def _uses_of(config: Config) -> Iterator[Use]:
    """What the configuration names that plugins supply, as `uses_in` says it of a document."""
    document = config.document
    in_file = 0  # rules made in Python may stand between those of the file, which keep their order
    for position, rule in enumerate(config.providers):
        at = locate(None, ["providers", position], rule.where)
        if document is not None and document.where(["providers", in_file]) == rule.where:
            at = locate(document, ["providers", in_file])
            in_file += 1
        yield Use("handler", rule.handler, rule.config, "handler", at)
    if config.storage != StorageSettings():
        yield Use("store", config.storage.engine, {}, "engine", locate(document, ["storage"], IN_PYTHON))
    for kind, section, key, _ in NAMED_SECTIONS:
        settings = getattr(config, section)
        if settings != type(settings)():
            at = locate(document, [section], IN_PYTHON)
            yield Use(kind, getattr(settings, key), settings.config, key, at)
