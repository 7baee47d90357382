"""The object that a `plugin` rule names: found by import, looked at once, called as its methods want to be.

Modules are found as those under `plugins: load:` are: on Python's path, by the ordinary import.
"""

from __future__ import annotations

import importlib
import inspect
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from vfs_core.errors import Invalid, PluginError
from vfs_core.handler import BaseHandler, Context
from vfs_core.types import JSON

_ARGUMENTS = {
    "read": ("path",),
    "write": ("path", "data"),
    "append": ("path", "data"),
    "list": ("path",),
    "stat": ("path",),
    "delete": ("path",),
    "rename": ("old", "new"),
}
"""What each method takes before the context."""


@dataclass(frozen=True)
class Method:
    """A function of a plugin, and whether it wants the context behind its other arguments."""

    function: Callable[..., Any]
    takes_context: bool

    def __call__(self, context: Context, *arguments: object) -> Any:  # the kernel looks at what comes back
        """Call the function with the arguments, and the context if it takes it."""
        return self.function(*arguments, context) if self.takes_context else self.function(*arguments)


def find(name: str, options: Mapping[str, JSON] | None) -> tuple[object, bool]:
    """What `package.module` or `package.module:attribute` names, and whether it was made here, from a class.

    `options` are for the class. Raises PluginError, Invalid and whatever a class raises when an object is made.
    """
    module_name, colon, attribute = name.partition(":")
    found = _imported(name, module_name)
    for part in attribute.split(".") if colon else ():
        if not hasattr(found, part):
            raise PluginError(f"the plugin {name!r} cannot be used: {module_name} has no {attribute!r}")
        found = getattr(found, part)
    if not callable(getattr(found, "read", None)):
        raise PluginError(
            f"the plugin {name!r} cannot be used: {_kind(found)} has no function 'read'; "
            "it wants read(path, context), or a class that has it"
        )
    if isinstance(found, type):
        if issubclass(found, BaseHandler):
            return found(options or {}), True
        make: Callable[..., object] = found
        return (make() if options is None else make(options)), True
    if options is not None:
        raise Invalid(
            f"the plugin {name!r} takes no config.config: {_kind(found)} is not a class to be made with it"
        )
    return found, False


def methods_of(found: object) -> dict[str, Method]:
    """The methods of the contract that an object has. Raises PluginError where one cannot be called."""
    if isinstance(found, BaseHandler):
        offered = found.capabilities()
        return {
            name: Method(getattr(found, name), True)
            for name in _ARGUMENTS
            if name == "read" or getattr(offered, name)
        }
    functions = {name: getattr(found, name, None) for name in _ARGUMENTS}
    return {
        name: Method(function, _takes_context(name, function))
        for name, function in functions.items()
        if callable(function) and (name == "read" or _is_own(found, function))
    }


def described(error: BaseException) -> str:
    """An error's type, text and the line of the plugin where it came up."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and not frame.filename.startswith("<frozen ")
    ]
    # The outermost of them is the handler that called.
    return f"{text} ({frames[-1].filename}:{frames[-1].lineno})" if len(frames) > 1 else text


def _imported(name: str, module_name: str) -> object:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        cause = described(error)
        if error.name and f"{module_name}.".startswith(f"{error.name}."):
            cause = (
                f"there is no module {error.name!r} on Python's path; "
                "install it, or add the directory that it is in to PYTHONPATH"
            )
        raise PluginError(f"the plugin {name!r} cannot be imported: {cause}") from error
    except (Exception, SystemExit) as error:
        raise PluginError(f"the plugin {name!r} cannot be imported: {described(error)}") from error


def _is_own(found: object, function: object) -> bool:
    """Whether a module's function is its own: with `from os import rename`, a plugin does not offer to rename."""
    if not isinstance(found, ModuleType):
        return True
    home = getattr(function, "__module__", None) or ""
    return home.partition(".")[0] == found.__name__.partition(".")[0]


def _takes_context(name: str, function: Callable[..., object]) -> bool:
    """Whether the function takes the context behind its other arguments."""
    wanted = ", ".join(_ARGUMENTS[name])
    right = f"it is called as {name}({wanted}, context), or as {name}({wanted})"
    if inspect.iscoroutinefunction(function):
        raise PluginError(f"its {name} is async; {right}")
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return True  # some functions in C have none
    by_position = [
        each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
    takes_all = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    required = [each for each in by_position if each.default is each.empty]
    named = [each for each in parameters if each.kind is each.KEYWORD_ONLY and each.default is each.empty]
    before = len(_ARGUMENTS[name])
    enough = takes_all or len(by_position) >= before
    if not enough or len(required) > before + 1 or named:
        raise PluginError(f"its {name}{inspect.signature(function)} cannot be called; {right}")
    if len(by_position) <= before:
        return takes_all
    following = by_position[before]
    return following.default is following.empty or following.name == "context"


def _kind(found: object) -> str:
    if isinstance(found, ModuleType):
        return f"the module {found.__name__}"
    if isinstance(found, type):
        return f"the class {found.__qualname__}"
    return f"the {type(found).__name__}"
