"""A configured command -> the arguments of one request, with parameters put in where they can do no harm.

A command is split into arguments once, as a shell would, before any parameter is known; a parameter ends up inside
one argument, whatever it contains, and no shell ever sees it.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping

from vfs_core.config_text import Template
from vfs_core.errors import Invalid, PluginError
from vfs_core.types import JSON

SHELLS = frozenset(["sh", "ash", "bash", "dash", "zsh", "ksh", "mksh", "fish", "csh", "tcsh", "pwsh"])
"""Programs whose `-c` takes a text to run."""

_TAKES_A_TEXT = re.compile(r"-[a-z]*c[a-z]*", re.IGNORECASE)


class Command:
    """`config.KEY` of the handler `script`: a list of arguments, or a text to split. Raises Invalid."""

    def __init__(self, value: JSON, key: str, *, options: bool) -> None:
        self._key = key
        self._options = options
        self._arguments = _split(value, key)
        self.program = str(self._arguments[0])
        if isinstance(self._arguments[0], Template):
            raise Invalid(f"config.{key}: the program is fixed and names no parameters: {self.program!r}")
        self._refuse_pasting()

    def fill(self, path: str, parameters: Mapping[str, str]) -> list[str]:
        """The arguments for a request, the program first. Raises Invalid, ConfigError."""
        return [self._filled(path, argument, parameters) for argument in self._arguments]

    def _filled(self, path: str, argument: str, parameters: Mapping[str, str]) -> str:
        if not isinstance(argument, Template):
            return argument
        filled = argument.fill(parameters, os.environ)
        if "\0" in filled:
            raise Invalid(f"{path}: an argument of a command contains no NUL")
        if filled.startswith("-") and not argument.startswith("-") and not self._options:
            raise Invalid(
                f"{path}: {str(argument)!r} would become an option of {self.program!r}: what begins with '-' is "
                "refused there, unless the rule's config says options: true"
            )
        return filled

    def _refuse_pasting(self) -> None:
        """A parameter in the text of a shell would be run by it, however well the text is quoted."""
        shell = ""
        for before, argument in zip(self._arguments, self._arguments[1:], strict=False):
            name = before.rpartition("/")[2]
            shell = name if name in SHELLS else shell
            if shell and isinstance(argument, Template) and _TAKES_A_TEXT.fullmatch(before):
                raise Invalid(
                    f"config.{self._key}: {shell!r} would run what a parameter contains in the text after {before}; "
                    "write \"$1\" there, and after the text the arguments 'sh' and '${parameter}'"
                )


def find_program(program: str, key: str, cwd: str, search: str) -> str:
    """The file to run for a program's name. Raises PluginError saying what to install or write."""
    if "/" in program:
        found = os.path.join(cwd, os.path.expanduser(program))  # noqa: PTH111, PTH118
        if os.path.isfile(found) and os.access(found, os.X_OK):  # noqa: PTH113
            return found
        why = "cannot be executed; chmod +x it" if os.path.exists(found) else "is not there"  # noqa: PTH110
        raise PluginError(f"the program {found!r} of config.{key} {why}")
    where = shutil.which(program, path=search)
    if where is None:
        raise PluginError(
            f"the program {program!r} of config.{key} is not installed (not on PATH, {search}); "
            "install it, or write its full path"
        )
    return os.path.abspath(where)  # noqa: PTH100


def _split(value: JSON, key: str) -> list[str]:
    """The arguments; each that names parameters is a Template."""
    if isinstance(value, str):
        try:
            texts = shlex.split(value)
        except ValueError as error:
            raise Invalid(
                f"config.{key}: {str(value)!r} cannot be split: {error}; close the quote, or write a list"
            ) from None
        arguments = [
            Template(text) if isinstance(value, Template) and "${" in text else text for text in texts
        ]
    elif isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value):
        arguments = list(value)
    else:
        raise Invalid(f"config.{key} of the handler 'script' is a command, such as uptime or [date, +%s]")
    if not arguments or not arguments[0]:
        raise Invalid(f"config.{key} of the handler 'script' names no program; write one, such as uptime")
    if any("\0" in each for each in arguments):
        raise Invalid(f"config.{key}: an argument of a command contains no NUL")
    return arguments
