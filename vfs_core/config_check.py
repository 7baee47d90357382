"""What is wrong with a configuration: against its schema, its patterns and names, and what plugins supply.

It looks at documents as they were read, so that all problems are found at once, whatever else is wrong.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from vfs_core.config_document import Document, dotted
from vfs_core.config_schema import Checker, Locate, ValidBefore, digest_of, near
from vfs_core.errors import Invalid, PluginError, Problem
from vfs_core.names import check_agent_name
from vfs_core.path import Pattern, compile_pattern
from vfs_core.pattern_tree import UNREACHABLE_CURE, explain_unreachable, never_matches
from vfs_core.types import JSON

if TYPE_CHECKING:
    from vfs_core.plugins import Registry


DEFAULT_ENGINE = "sqlite"
DEFAULT_BACKEND = "auto"
DEFAULT_EMBEDDER = "auto"
DEFAULT_VECTORS = "auto"
DEFAULT_SUMMARISER = "extractive"

NAMED_SECTIONS = (
    ("search", "search", "backend", DEFAULT_BACKEND),
    ("embedder", "embedding", "model", DEFAULT_EMBEDDER),
    ("vectors", "vectors", "backend", DEFAULT_VECTORS),
    ("summariser", "summariser", "name", DEFAULT_SUMMARISER),
)
"""The sections that name one thing and say what it takes: its kind, the section, the key of the name, the default."""
_WORDS = {
    "handler": "handler", "store": "storage engine", "search": "search backend", "embedder": "embedder",
    "vectors": "vector backend", "summariser": "summariser",
}  # fmt: skip
"""What people call each kind."""


class Use(NamedTuple):
    """Something that plugins supply and a configuration names: a handler, an engine, a backend.

    `at` makes problems at its place in the configuration; `name_key` is where, below that, its name stands.
    """

    kind: str
    name: str
    config: Mapping[str, JSON]
    name_key: str
    at: Locate

    @property
    def supplied(self) -> str:
        """What it is, for people: `handler 'http'`."""
        return f"{self.kind} {self.name!r}"


def document_problems(document: Document, data: bytes, valid_before: ValidBefore) -> list[Problem]:
    """Whatever is wrong with the document by itself; by `data`, the file, a valid one is remembered."""
    problems = list(document.problems)
    problems += _schema_problems(document, data, valid_before)
    for section in ("providers", "permissions"):
        for position, text in patterns_in(document, section):
            what = _pattern_problem(text)
            if what:
                problems.append(document.problem([section, position, "pattern"], *what))
    problems += _user_problems(document)
    storage = _mapping(_top(document).get("storage"))
    path = storage.get("path")
    if isinstance(path, str) and "\0" not in path and os.path.expanduser(path).startswith("~"):  # noqa: PTH111
        problems.append(document.problem(["storage", "path"], f"there is no home directory for {path!r}"))
    return problems


def unreachable_problems(document: Document) -> list[Problem]:
    """The rules, of providers and of permissions, that earlier ones leave nothing to match."""
    problems: list[Problem] = []
    for section in ("providers", "permissions"):
        positions: list[int] = []
        patterns: list[Pattern] = []
        for position, text in patterns_in(document, section):
            if not _pattern_problem(text):
                positions.append(position)
                patterns.append(compile_pattern(text))
        for index, what in explain_unreachable(patterns):
            keys = [section, positions[index], "pattern"]
            problems.append(document.problem(keys, what, UNREACHABLE_CURE))
    return problems


def patterns_in(document: Document, section: str) -> Iterator[tuple[int, str]]:
    """The positions and texts of the patterns in a list of rules."""
    for position, rule in enumerate(_list(_top(document).get(section))):
        pattern = _mapping(rule).get("pattern")
        if isinstance(pattern, str):
            yield position, pattern


def uses_in(document: Document) -> Iterator[Use]:
    """What a document names that plugins supply."""
    top = _top(document)
    for position, rule in enumerate(_list(top.get("providers"))):
        handler = _mapping(rule).get("handler")
        if isinstance(handler, str):
            config = _mapping(_mapping(rule).get("config"))
            yield Use("handler", handler, config, "handler", locate(document, ["providers", position]))
    storage = _mapping(top.get("storage"))
    engine = storage.get("engine", DEFAULT_ENGINE)
    if storage and isinstance(engine, str):
        yield Use("store", engine, {}, "engine", locate(document, ["storage"]))
    for kind, section, key, default in NAMED_SECTIONS:
        given = _mapping(top.get(section))
        name = given.get(key, default)
        if given and isinstance(name, str):
            yield Use(kind, name, _mapping(given.get("config")), key, locate(document, [section]))


def supplied_problems(
    uses: Iterable[Use], registry: Registry, valid_before: ValidBefore
) -> tuple[list[Problem], list[Problem]]:
    """`(errors, warnings)`: settings that do not fit what they are for, and names that nobody supplies.

    A missing plugin is a warning, because everything that does not need it still works.
    """
    errors: list[Problem] = []
    warnings: list[Problem] = []
    schemas: dict[str, Mapping[str, JSON] | None] = {}
    to_check: list[Use] = []
    supplied = {kind: registry.specs(kind) for kind in _WORDS}
    for use in uses:
        spec = supplied[use.kind].get(use.name)
        if spec is None:
            warnings.append(_nobody_supplies(use, registry))
            continue
        if use.kind == "store":  # an engine has no `config` in the file
            continue
        if use.supplied not in schemas:
            try:
                schemas[use.supplied] = spec.schema()
            except PluginError as error:
                schemas[use.supplied] = None
                warnings.append(use.at([use.name_key], str(error), spec.requires))
        if schemas[use.supplied] is not None:
            to_check.append(use)
    known = {name: schema for name, schema in schemas.items() if schema is not None}
    digest = digest_of([[use.kind, use.name, use.config] for use in to_check], known)
    if not to_check or digest in valid_before:
        return errors, warnings
    checkers = {name: Checker(schema, f"the {name}") for name, schema in known.items()}
    for use in to_check:
        errors += checkers[use.supplied].check(dict(use.config), _below(use.at, "config"))
    if not errors:
        valid_before.add(digest)
    return errors, warnings


def merged_schema(schema: Mapping[str, JSON], registry: Registry) -> dict[str, JSON]:
    """The schema of config.yaml with what each installed plugin takes in its `config`, for editors.

    `schema` is that of the file alone. Plugins whose schema cannot be read are left out.
    """
    merged: dict[str, Any] = json.loads(json.dumps(schema))
    places = [("handler", merged["$defs"]["provider"], "handler")]
    places += [(kind, merged["properties"][section], key) for kind, section, key, _ in NAMED_SECTIONS]
    for kind, place, key in places:
        for name, spec in sorted(registry.specs(kind).items()):
            try:
                taken = spec.schema()
            except PluginError:
                continue
            if taken is not None:
                named = {"properties": {key: {"const": name}}, "required": [key]}
                place.setdefault("allOf", []).append(
                    {"if": named, "then": {"properties": {"config": dict(taken)}}}
                )
    return merged


def locate(document: Document | None, keys: list[str | int], otherwise: str = "") -> Locate:
    """What makes problems at places below `keys` in the document; without one they are `otherwise`."""
    if document is None:
        return lambda below, what, cure: Problem(otherwise, dotted([*keys, *below]), what, cure)
    return lambda below, what, cure: document.problem([*keys, *below], what, cure)


def _below(at: Locate, key: str) -> Locate:
    return lambda keys, what, cure: at([key, *keys], what, cure)


def _nobody_supplies(use: Use, registry: Registry) -> Problem:
    what = f"there is no {_WORDS[use.kind]} {use.name!r}"
    known = registry.names(use.kind)
    failures = "; ".join(f"the plugin {each.name} failed: {each.failure}" for each in registry.failures())
    cure = near(use.name, known)
    if cure.startswith("did"):
        cure += f" There are: {', '.join(sorted(known))}"
    return use.at([use.name_key], what, f"{cure}; {failures}" if failures else cure)


def _schema_problems(document: Document, data: bytes, valid_before: ValidBefore) -> list[Problem]:
    from avm_schemas import load

    schema = load("config")
    digest = digest_of(data, schema)
    if digest in valid_before:
        return []
    problems = Checker(schema, "config.yaml").check(document.value, locate(document, []))
    if not problems and not document.problems:
        valid_before.add(digest)
    return problems


def _pattern_problem(text: str) -> tuple[str, str] | None:
    """What is wrong with a pattern, and the cure."""
    try:
        pattern = compile_pattern(text)
    except Invalid as error:
        return str(error), "write it as a path: /live/prices/{symbol}, /live/*"
    reason = never_matches(pattern)
    if not reason:
        return None
    cure = "write /memory" + text if text.startswith(("/shared", "/private")) else "write the path itself"
    return f"the pattern {text!r} never matches: {reason}", cure


def _user_problems(document: Document) -> Iterator[Problem]:
    for name, user in _mapping(_top(document).get("users")).items():
        try:
            check_agent_name(name)
        except Invalid as error:
            yield document.problem(["users", name], str(error))
        for position, group in enumerate(_list(_mapping(user).get("groups"))):
            if isinstance(group, str):
                try:
                    check_agent_name(group)
                except Invalid as error:
                    what = str(error).replace("an agent's name", "a group's name")
                    yield document.problem(["users", name, "groups", position], what)


def _top(document: Document) -> Mapping[str, JSON]:
    return _mapping(document.value)


def _mapping(value: JSON) -> Mapping[str, JSON]:
    return value if isinstance(value, dict) else {}


def _list(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []
