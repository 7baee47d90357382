"""What arguments mean: paths below /memory, agents, content from an option or from standard input.

Completion goes through a session like everything else, so it never shows what the agent may not know of.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from avm_builtin.frontends.cli.output import on_terminal, printable
from avm_builtin.frontends.cli.state import App
from vfs_core.errors import VfsError
from vfs_core.moments import parse_moment
from vfs_core.path import MEMORY
from vfs_core.types import JSON

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from vfs_core.session import Session

    _TextParam = click.ParamType[str]
else:
    _TextParam = click.ParamType  # generic since click 8.5 only

_MOST_COMPLETIONS = 200


def resolve(path: str) -> str:
    """The path that is meant: a relative one is below /memory."""
    if not path:
        raise click.UsageError("a path is empty; name a note such as lesson.md")
    return path if path[0] in "/@" else f"{MEMORY}/{path}"


class NotePath(_TextParam):
    """A path in AVM; a relative one is below /memory."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The absolute path."""
        return resolve(str(value))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """What the agent may know of and begins with what was typed."""
        from click.shell_completion import CompletionItem

        app = ctx.find_object(App)
        if app is None:
            return []
        try:
            return [CompletionItem(path) for path in _completions(app.session, incomplete)]
        except (VfsError, click.ClickException, OSError):
            return []  # a completion that fails has nothing to offer, and no place to say so


def _completions(session: Session, incomplete: str) -> Iterator[str]:
    shown, _, start = incomplete.rpartition("/")
    shown = incomplete[: len(incomplete) - len(start)]
    found = list(_names(session, shown, start))
    if len(found) == 1 and found[0].endswith("/"):
        found += _names(session, found[0], "")  # so that the shell goes on in it, without a space
    yield from found


def _names(session: Session, shown: str, start: str) -> Iterator[str]:
    directory = resolve(shown or ".")
    if start and session.exists(directory.rstrip("/") + "/" + start):
        yield shown + start + ("/" if session.stat(directory.rstrip("/") + "/" + start).is_directory else "")
    for entry in session.list(directory, limit=_MOST_COMPLETIONS, after=start):
        if not entry.name.startswith(start):
            return
        if entry.name == printable(entry.name):
            yield shown + entry.name + ("/" if entry.is_directory else "")


if TYPE_CHECKING:
    _MomentParam = click.ParamType[int]
else:
    _MomentParam = click.ParamType


class Moment(_MomentParam):
    """A time: ISO 8601, or a duration ago. A bare date is its first moment, with `end` its last."""

    name = "time"

    def __init__(self, *, end: bool = False) -> None:
        self._end = end

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Nanoseconds since the epoch."""
        try:
            return value if isinstance(value, int) else parse_moment(str(value), end=self._end)
        except VfsError as error:
            self.fail(str(error), param, ctx)


class AgentName(_TextParam):
    """An agent."""

    name = "agent"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The agents that the store knows."""
        from click.shell_completion import CompletionItem

        app = ctx.find_object(App)
        if app is None:
            return []
        try:
            names = app.kernel.store.users()
        except (VfsError, OSError):
            return []  # as for paths
        return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


def content(given: str | None, example: str) -> bytes:
    """The content that was given with `--content`, else all of standard input.

    Raises UsageError, with `example` of what to type, if that is a terminal.
    """
    if given is not None:
        return given.encode("utf-8", "surrogateescape")
    stdin = sys.stdin
    if stdin is None or on_terminal(stdin):
        raise click.UsageError(
            f"there is no content; type: {example} --content TEXT, or pipe it: echo TEXT | {example}"
        )
    return stdin.buffer.read()


def metadata(given: tuple[str, ...]) -> dict[str, JSON]:
    """`key=value` pairs; a value that is JSON is that, nothing removes the key."""
    patch: dict[str, JSON] = {}
    for pair in given:
        key, equals, text = pair.partition("=")
        if not key or not equals:
            raise click.UsageError(f"--meta takes KEY=VALUE, such as importance=0.8, not {pair!r}")
        patch[key] = _value(text)
    return patch


def _value(text: str) -> JSON:
    if not text:
        return None
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(constant: str) -> None:
    raise ValueError(constant)  # NaN and Infinity are words, not JSON


def utf8_arguments(arguments: list[str]) -> list[str]:
    """The arguments as UTF-8, whatever the locale decoded them with."""
    if sys.getfilesystemencoding().lower().replace("-", "") == "utf8":
        return arguments
    return [os.fsencode(each).decode("utf-8", "surrogateescape") for each in arguments]
