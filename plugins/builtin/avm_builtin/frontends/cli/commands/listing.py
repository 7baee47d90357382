"""`ls`: what is in a directory, a line for each name."""

from __future__ import annotations

import stat as stat_bits
import sys
from collections.abc import Iterator
from typing import NamedTuple

import click

from avm_builtin.frontends.cli.output import entry, on_terminal, put, put_json
from avm_builtin.frontends.cli.params import Moment, NotePath
from avm_builtin.frontends.cli.state import App
from vfs_core.rendering import local_time
from vfs_core.storage import Operation
from vfs_core.types import JSON, Stat


class _Row(NamedTuple):
    shown: str
    path: str
    stat: Stat


@click.command()
@click.option("-l", "long", is_flag=True, help="Mode, owner, size, time and version before each name.")
@click.option("-R", "recursive", is_flag=True, help="Everything below, too.")
@click.option("--as-of", type=Moment(end=True), metavar="TIME", help="What was there then: 2026-03-20, 2h.")
@click.argument("paths", type=NotePath(), nargs=-1, metavar="[PATH]...")
@click.pass_obj
def ls(app: App, long: bool, recursive: bool, as_of: int | None, paths: tuple[str, ...]) -> None:
    """List each PATH (default: /memory), a name on a line.

    A file lists itself. Line breaks and tabs in names are shown as escapes; --json has the names as they are.
    """
    rows = (
        row
        for path in paths or ("/memory",)
        for row in (
            _rows(app, path, recursive, len(paths) > 1)
            if as_of is None
            else _rows_then(app, path, recursive, as_of, path.rstrip("/") + "/" if len(paths) > 1 else "")
        )
    )
    if app.as_json:
        put_json([_json(row) for row in rows])
        return
    slash = on_terminal(sys.stdout)
    for row in rows:
        name = entry(row.shown) + ("/" if slash and row.stat.is_directory else "")
        put(_long(row.stat, name) if long else name)


def _rows(app: App, path: str, recursive: bool, several: bool) -> Iterator[_Row]:
    """The entries of a path, named below it, or as given where several paths are listed."""
    session = app.session
    top = session.stat(path)
    if not top.is_directory:
        yield _Row(path, path, top)
        return
    prefix = path.rstrip("/") + "/" if several else ""
    if not recursive:
        for each in session.list(path):
            yield _Row(prefix + each.name, each.path, each.stat)
        return
    found_below = session.walk(path, Operation.STAT)
    root = next(found_below, None)
    if root is None:
        return  # a directory of the providers: nothing of it is in the store
    cut = len(root.path.rstrip("/")) + 1
    for found in found_below:
        if found.stat is not None:
            yield _Row(prefix + found.path[cut:], found.path, found.stat)


def _rows_then(app: App, path: str, recursive: bool, as_of: int, prefix: str) -> Iterator[_Row]:
    """The entries of a path as they were, parents first."""
    waiting = [(prefix, path)]
    while waiting:
        before, directory = waiting.pop()
        for each in app.session.list_as_of(directory, as_of):
            yield _Row(before + each.name, each.path, each.stat)
            if recursive and each.is_directory:
                waiting.append((f"{before}{each.name}/", each.path))


def _long(stat: Stat, name: str) -> str:
    return (
        f"{stat_bits.filemode(stat.st_mode)} {entry(stat.owner) or '-':<10} {stat.size:>10} "
        f"{local_time(stat.modified_ns)} v{stat.version:<4} {name}"
    )


def _json(row: _Row) -> dict[str, JSON]:
    stat = row.stat
    return {
        "name": row.shown,
        "path": row.path,
        "kind": str(stat.kind),
        "size": stat.size,
        "version": stat.version,
        "mode": f"{stat.mode:04o}",
        "owner": stat.owner,
        "modified": stat.modified.isoformat(),
    }
