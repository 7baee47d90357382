"""A configuration as text: `${variables}` in values, secrets that are never shown, the file to begin with."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from vfs_core.errors import ConfigError, Problem
from vfs_core.types import JSON

if TYPE_CHECKING:
    from vfs_core.config import Config

MASK = "***"
"""What is shown instead of a secret."""

_SECRET_KEY = re.compile(
    r"token|secret|passw|pwd|authorization|credential|cookie|signature|api[-_]?key", re.IGNORECASE
)
_SECRET_NAMES = frozenset({"key", "sig", "auth"})
"""Names that are secret as a whole, and common in others."""
_SENT = frozenset({"headers", "query", "env"})
"""Settings whose values are for somebody else's eyes: nobody knows which of them are secret."""
_URL_LOGIN = re.compile(r"(://)[^/@\s]*@")
_URL_SECRET = re.compile(rf"([?&][^=&\s]*(?:{_SECRET_KEY.pattern})[^=&\s]*=)[^&\s]*", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(\$?)\{([^{}]*)\}")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def expand(
    value: JSON, parameters: Mapping[str, str], environ: Mapping[str, str], *, where: str = "", key: str = ""
) -> JSON:
    """A copy of `value` with `${name}` replaced in all its strings.

    A parameter of the pattern wins over an environment variable of the same name. What is put in is never
    expanded again. `$${name}` stands for a literal `${name}`. `where` and `key` say, in errors, where in
    the configuration the value is.

    Raises ConfigError naming every variable that is missing.
    """
    problems: list[Problem] = []
    expanded = _expand(value, parameters, environ, key, where, problems)
    if problems:
        raise ConfigError(problems)
    return expanded


class Template(str):
    """A string of a rule's configuration that names parameters of its pattern: filled in for each request."""

    __slots__ = ()

    def fill(self, parameters: Mapping[str, str], environ: Mapping[str, str]) -> str:
        """The text with its variables replaced, once. Encode the parameters for their place first."""
        filled: str = expand(str(self), parameters, environ)
        return filled


def prepare(value: JSON, names: Collection[str], environ: Mapping[str, str], *, where: str, key: str) -> JSON:
    """A rule's configuration as its handler gets it.

    Strings that name one of the pattern's parameters become Templates, as written; in all others the environment
    is expanded. So nothing is ever expanded twice. Raises ConfigError.
    """
    if isinstance(value, str):
        if any(found.group(2) in names for found in _VARIABLE.finditer(value)):
            return Template(value)
        return expand(value, {}, environ, where=where, key=key)
    if isinstance(value, Mapping):
        return {
            name: prepare(each, names, environ, where=where, key=f"{key}.{name}")
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [
            prepare(each, names, environ, where=where, key=f"{key}[{index}]")
            for index, each in enumerate(value)
        ]
    return value


def _expand(
    value: JSON,
    parameters: Mapping[str, str],
    environ: Mapping[str, str],
    key: str,
    where: str,
    problems: list[Problem],
) -> JSON:
    def put_in(match: re.Match[str]) -> str:
        escaped, name = match.groups()
        if escaped:
            return "${" + name + "}"
        if name in parameters:
            return parameters[name]
        if not _VARIABLE_NAME.fullmatch(name):
            what = f"{match.group()!r} is not a variable: a name has letters, digits and '_'"
            problems.append(Problem(where, key, what, f"for the text itself write ${match.group()}"))
        elif name in environ:
            return environ[name]
        else:
            what = f"the variable {name} is not set"
            problems.append(Problem(where, key, what, f"set {name} in the environment of AVM"))
        return ""

    if isinstance(value, str):
        return _VARIABLE.sub(put_in, value) if "${" in value else value
    if isinstance(value, Mapping):
        return {
            name: _expand(each, parameters, environ, f"{key}.{name}" if key else str(name), where, problems)
            for name, each in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [
            _expand(each, parameters, environ, f"{key}[{position}]", where, problems)
            for position, each in enumerate(value)
        ]
    return value


# --- secrets -------------------------------------------------------------------------------------


def is_secret(key: str) -> bool:
    """Whether the value of a key of this name must not be shown."""
    return _SECRET_KEY.search(key) is not None or key.lower() in _SECRET_NAMES


def mask_text(text: str) -> str:
    """The text without the login and the keys of URLs in it."""
    return _URL_SECRET.sub(rf"\g<1>{MASK}", _URL_LOGIN.sub(rf"\g<1>{MASK}@", text))


def mask(value: JSON) -> JSON:
    """A copy of `value` in which whatever stands under a secret's key, and all that is sent along, is `***`."""
    if isinstance(value, Mapping):
        return {
            key: MASK if is_secret(str(key)) else _mask_sent(each) if key in _SENT else mask(each)
            for key, each in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [mask(each) for each in value]
    return mask_text(value) if isinstance(value, str) else value


def _mask_sent(value: JSON) -> JSON:
    """Headers and the like: what is wholly made of variables is shown as it is written."""
    if not isinstance(value, Mapping):
        return MASK
    return {
        key: each if isinstance(each, str) and not _VARIABLE.sub("", each) else MASK
        for key, each in value.items()
    }


def config_summary(config: Config) -> dict[str, JSON]:
    """The configuration as JSON, for `avm config show`, without secrets.

    Variables are shown as written, never with their values.
    """
    users = None
    if config.users is not None:
        users = {
            user.name: {
                "groups": list(user.groups),
                "capabilities": None if user.capabilities is None else sorted(user.capabilities),
            }
            for user in config.users.values()
        }
    return {
        "source": None if config.source is None else str(config.source),
        "providers": [
            {
                "pattern": rule.pattern,
                "handler": rule.handler,
                "config": mask(rule.config),
                "ttl": rule.ttl,
                "timeout": rule.timeout,
                "where": rule.where,
            }
            for rule in config.providers
        ],
        "permissions": [
            {"pattern": rule.pattern, "access": rule.access, "where": rule.where}
            for rule in config.permissions
        ],
        "default_access": config.default_access,
        "users": users,
        "plugins": {
            "load": list(config.plugins.load),
            "disable": list(config.plugins.disable),
            "override": list(config.plugins.override),
        },
        "storage": {
            "engine": config.storage.engine,
            "path": None if config.storage.path is None else mask_text(config.storage.path),
            "durability": config.storage.durability,
        },
        "search": {"backend": config.search.backend, "config": mask(config.search.config)},
        "embedding": {"model": config.embedding.model, "config": mask(config.embedding.config)},
        "vectors": {"backend": config.vectors.backend, "config": mask(config.vectors.config)},
        "summariser": {"name": config.summariser.name, "config": mask(config.summariser.config)},
        "history": {
            "days": config.history.days,
            "versions": config.history.versions,
            "trash_days": config.history.trash_days,
        },
        "cache": {"entries": config.cache.entries, "bytes": config.cache.bytes},
        "warnings": [str(problem) for problem in config.warnings],
    }


# --- the file to begin with ----------------------------------------------------------------------

_TEMPLATE = """\
# The configuration of AVM. Every setting is optional and shown with an example or its default:
# remove the '#' at the start of its lines to use it. `avm config check` says whether the file is right.

# What serves which paths, beside the store. The first rule that matches a path serves it. In patterns
# here and below, {name} and * match within one component of a path, ** and a final /* match any depth.
# In `config`, ${name} is the pattern's parameter, or else a variable of the environment; $${name} is
# the text itself. `ttl` is for how many seconds a result may be reused, `timeout` how many a caller waits (30).
# `avm plugins` lists the handlers.
#providers:
#  - pattern: "/live/prices/{symbol}"
#    handler: http
#    config:
#      url: "https://api.example.com/prices/${symbol}"
#      headers:
#        Authorization: "Bearer ${API_KEY}"
#    ttl: 60

# A ceiling on what any agent may do: none (as if it were not there), ro or rw. The first rule that
# matches a path counts. Without a rule, what the store serves is rw and what providers serve is ro.
# Agents' own spaces below /memory/private are opened by shares only, never by a rule.
#permissions:
#  - pattern: "/memory/*"
#    access: rw
#  - pattern: "/live/*"
#    access: ro

# What holds for the paths that no permission matches.
#default_access: ro

# The agents. With this section, agents that are not in it may do nothing.
# Without `capabilities` an agent holds the ordinary ones; an empty list means none.
#users:
#  akashi:
#    groups: [research]
#  auditor:
#    capabilities: [read, search_all]

# Plugins beside the installed ones: modules to load, plugins not to use, and names (of handlers and
# so on) that a later plugin may replace.
#plugins:
#  load: []
#  disable: []
#  override: []

# Where the notes are kept. A relative path is relative to this file; without one it is avm/avm.db in
# the XDG data directory. With `normal` the last writes may be lost in a power failure, not in a crash.
#storage:
#  engine: sqlite
#  path: "~/.local/share/avm/avm.db"
#  durability: full

# How notes are found by their words.
#search:
#  backend: auto
#  config: {}

# The model by which notes are found by what they mean: auto (the best that is installed), minilm,
# multilingual, sentence-transformers (with `config: {model: ...}`: a directory or a name in the cache of
# Hugging Face) or none. With another model everything is embedded anew.
#embedding:
#  model: auto
#  config: {}

# How the nearest vectors are found: auto (by size), sqlite (exact, with numpy) or faiss.
#vectors:
#  backend: auto
#  config: {}

# What makes summaries of old notes (`avm consolidate`). `extractive` takes sentences of the notes themselves.
#summariser:
#  name: extractive
#  config: {}

# How long the past is kept: what was replaced so many days ago is dropped, but for the newest versions of
# each note, and what was deleted so many days ago.
#history:
#  days: 90
#  versions: 20
#  trash_days: 30

# What each session keeps of what it has read: nodes, and bytes of content.
#cache:
#  entries: 8192
#  bytes: 33554432
"""


def template() -> str:
    """The `config.yaml` that `avm init` writes: all in comments, so it changes nothing by itself."""
    return _TEMPLATE
