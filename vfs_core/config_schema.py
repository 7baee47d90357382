"""Checking values against JSON schemas, with errors that a person can act on.

jsonschema takes 60 ms to import, so it is imported only for content that has not been found valid before:
a marker file per (content, schema) in the user's cache directory remembers that.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vfs_core.config_document import Keys
from vfs_core.config_text import is_secret, mask_text
from vfs_core.errors import Problem
from vfs_core.types import JSON

if TYPE_CHECKING:
    from jsonschema import ValidationError

Locate = Callable[["list[str | int]", str, str], Problem]
"""Makes a problem of (keys below the value that is checked, what, cure)."""

_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}


class Checker:
    """Checks values against one schema. `owner` says whose schema it is, should that be broken itself."""

    def __init__(self, schema: Mapping[str, JSON], owner: str) -> None:
        import referencing
        from jsonschema import Draft202012Validator
        from jsonschema.validators import validator_for

        self._owner = owner
        self._broken = ""
        try:
            validator_class = validator_for(schema, default=Draft202012Validator)
            validator_class.check_schema(dict(schema))
            # The empty registry: a schema is never fetched from the network.
            self._validator = validator_class(dict(schema), registry=referencing.Registry())
        except Exception as error:  # noqa: BLE001 - a plugin's schema may be wrong in any way
            self._broken = type(error).__name__

    def check(self, value: JSON, locate: Locate) -> list[Problem]:
        """Everything wrong with a value."""
        errors: list[ValidationError] = []
        broken = self._broken
        if not broken:
            try:
                errors = list(self._validator.iter_errors(value))
            except Exception as error:  # noqa: BLE001 - a reference may lead nowhere
                broken = type(error).__name__
        if broken:
            what = f"it cannot be checked, because the schema of {self._owner} is broken: {broken}"
            return [locate([], what, f"report it to the author of {self._owner}")]
        return [problem for error in errors for problem in _explain(error, locate)]


def near(word: str, known: Iterable[str]) -> str:
    """A cure: the near match of `word`, or all that is known."""
    names = sorted(known)
    close = _closest(word, names)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"there are: {', '.join(names)}" if names else "there are none"


# --- sentences -----------------------------------------------------------------------------------


def _explain(error: Any, locate: Locate) -> Iterator[Problem]:
    """Problems for one jsonschema error (several unknown keys are one error there)."""
    path: list[str | int] = list(error.absolute_path)
    rule: JSON = error.validator_value
    got = f"got {shown(error.instance, path)}"
    match error.validator:
        case "additionalProperties" if isinstance(error.instance, dict) and rule is False:
            known = error.schema.get("properties", {})
            patterns = error.schema.get("patternProperties", {})
            for key in error.instance:
                if key not in known and not any(re.search(pattern, key) for pattern in patterns):
                    yield locate([*path, key], f"there is no setting {key!r} here", near(key, known))
        case "required":
            for key in rule:
                if key not in error.instance:
                    yield locate(path, f"{key!r} is missing", f"add {key}: ...")
        case "enum":
            choices = [choice if isinstance(choice, str) else json.dumps(choice) for choice in rule]
            what = f"expected one of {', '.join(choices)}, {got}"
            yield locate(path, what, _choose(error.instance, choices, path))
        case "const":
            yield locate(path, f"expected {json.dumps(rule)}, {got}", "")
        case "type":
            yield locate(path, f"expected {_types(rule)}, {got}", "")
        case "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum":
            words = {"minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most"}
            yield locate(path, f"expected {words.get(error.validator, 'less than')} {rule}, {got}", "")
        case "minLength" | "minItems" | "minProperties" if not error.instance:
            yield locate(path, "it is empty", "give it a value or remove it")
        case "pattern":
            yield locate(path, f"expected text that matches {rule}, {got}", "")
        case "anyOf" | "oneOf" if error.context:
            yield from _explain_alternatives(error, path, locate)
        case _:
            # Not error.message: it shows the value, which may hold a secret further down.
            yield locate(
                path, f"it breaks the rule {error.validator}: {_shorten(json.dumps(rule))}, {got}", ""
            )


def _explain_alternatives(error: Any, path: list[str | int], locate: Locate) -> Iterator[Problem]:
    """None of several shapes fits: name the shapes, or what is wrong with the one that nearly does."""
    here = [each for each in error.context if each.validator == "type" and not each.relative_path]
    if len(here) == len(error.context):
        wanted = " or ".join(dict.fromkeys(_types(each.validator_value) for each in here))
        yield locate(path, f"expected {wanted}, got {shown(error.instance, path)}", "")
        return
    wrong_shapes = {each.schema_path[0] for each in here}
    nearly = [each for each in error.context if each.schema_path[0] not in wrong_shapes] or error.context
    first = nearly[0].schema_path[0]
    for each in nearly:
        if each.schema_path[0] == first:
            yield from _explain(each, locate)


def shown(value: JSON, keys: Keys) -> str:
    """A value as an error message shows it: short, and not at all if a key says that it is a secret."""
    if _is_secret(keys):
        return "a value that is not shown"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    return _shorten(repr(mask_text(value)) if isinstance(value, str) else json.dumps(value, default=repr))


def _closest(word: str, known: list[str]) -> list[str]:
    import difflib  # only where something is wrong

    return difflib.get_close_matches(word, known, n=1)


def _is_secret(keys: Keys) -> bool:
    return any(isinstance(key, str) and is_secret(key) for key in keys)


def _shorten(text: str) -> str:
    return text if len(text) <= 120 else text[:120] + "..."


def _types(rule: JSON) -> str:
    names = [rule] if isinstance(rule, str) else [name for name in rule if name != "null"]
    return " or ".join(_TYPES.get(name, str(name)) for name in names)


_LONG_FORMS = {
    "readwrite": "rw",
    "read-write": "rw",
    "readonly": "ro",
    "read-only": "ro",
    "write": "rw",
    "read": "ro",
}


def _choose(value: JSON, choices: list[str], keys: Keys) -> str:
    name = next((key for key in reversed(keys) if isinstance(key, str)), "it")
    if value is False and "none" in choices:
        return f"write {name}: none (YAML reads a plain `no` or `off` as false)"
    word = str(value).lower()
    close = _closest(_LONG_FORMS.get(word, word), choices)
    return f"write {name}: {close[0]}" if close else ""


# --- what was valid before -----------------------------------------------------------------------


class ValidBefore:
    """Remembers contents that were found valid, as empty files named by a hash.

    Without a directory it remembers nothing.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def __contains__(self, digest: str) -> bool:
        # os.path.exists because, unlike Path.exists, it raises nothing for a directory that is closed to us.
        return self._directory is not None and os.path.exists(self._directory / digest)  # noqa: PTH110

    def add(self, digest: str) -> None:
        """Remember; best effort."""
        if self._directory is None:
            return
        # Without the marker the next start is slower, and that is all: no space, a read-only home and
        # the like are not worth an error.
        with contextlib.suppress(OSError):
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            (self._directory / digest).touch(mode=0o600)


def digest_of(*parts: bytes | JSON) -> str:
    """A hash over bytes and JSON values; what is not JSON (a setting made in Python) counts by its repr."""
    import hashlib  # only where there is a file

    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part if isinstance(part, bytes) else _as_text(part).encode()).digest())
    return digest.hexdigest()


def _as_text(value: JSON) -> str:
    try:
        return json.dumps(value, default=repr)
    except (TypeError, ValueError):  # keys that are not text, values that contain themselves
        return ascii(value)
