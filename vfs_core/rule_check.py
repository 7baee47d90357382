"""Rules of providers that can never work, as their handlers say (`BaseHandler.check`). For `avm config check`."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from vfs_core.config_check import Use, patterns_in, uses_in
from vfs_core.config_document import Document
from vfs_core.config_text import prepare
from vfs_core.errors import ConfigError, Invalid, MissingExtra, PluginError, Problem, VfsError
from vfs_core.handler import BaseHandler
from vfs_core.path import Pattern, compile_pattern

if TYPE_CHECKING:
    from vfs_core.plugins import Registry


def rule_problems(
    document: Document, registry: Registry, known: Collection[Problem]
) -> tuple[list[Problem], list[Problem]]:
    """`(errors, warnings)`: rules that can never work, and what is missing here and now to say so.

    Rules whose `config` is wrong already by a `known` problem are left out. Raises nothing.
    """
    errors: list[Problem] = []
    warnings: list[Problem] = []
    for use, pattern in _rules(document, registry):
        whole = use.at(["config"], "", "")
        if any(_is_at(each.key, whole.key) for each in known):
            continue
        try:
            config = prepare(dict(use.config), pattern.names, os.environ, where=whole.where, key="config")
        except ConfigError as error:  # the environment of this process may not be that of another
            above = whole.key.removesuffix("config")
            warnings += [
                Problem(each.where, above + each.key, each.what, each.cure) for each in error.problems
            ]
            continue
        try:
            handler = registry.load("handler", use.name)
            if not (isinstance(handler, type) and issubclass(handler, BaseHandler)):
                raise PluginError(f"the handler {use.name!r} is {handler!r}, no subclass of BaseHandler")
        except PluginError as error:
            warnings.append(use.at(["handler"], str(error), ""))
            continue
        try:
            handler.check(config, pattern.text)
        except MissingExtra as error:
            warnings.append(use.at(["handler"], str(error), ""))
        except VfsError as error:
            errors.append(use.at(["config"], str(error), ""))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may fail in any way
            what = f"the handler {use.name!r} failed to check it: {type(error).__name__}: {error}"
            errors.append(use.at(["config"], what, ""))
    return errors, warnings


def _rules(document: Document, registry: Registry) -> Iterator[tuple[Use, Pattern]]:
    """The rules with a pattern that is one and a handler that there is."""
    patterns = {
        f"providers[{position}].handler": text for position, text in patterns_in(document, "providers")
    }
    supplied = registry.handlers()
    for use in uses_in(document):
        text = patterns.get(use.at(["handler"], "", "").key)
        if use.kind != "handler" or text is None or use.name not in supplied:
            continue
        try:
            pattern = compile_pattern(text)
        except Invalid:
            continue
        yield use, pattern


def _is_at(key: str, above: str) -> bool:
    """Whether a key is that of `above`, or below it."""
    return key == above or key.startswith((f"{above}.", f"{above}["))
