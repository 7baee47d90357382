"""`mv`: moves a note, a directory, or everything that begins with a prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from avm_builtin.frontends.cli.output import counted, note, printable, put_json
from avm_builtin.frontends.cli.params import NotePath
from avm_builtin.frontends.cli.state import App
from vfs_core.errors import Exists, NotADirectory, NotFound
from vfs_core.types import Stat

if TYPE_CHECKING:
    from vfs_core.session import Session

_PREFIX_ENDINGS = ("-", "_", ".")


@click.command()
@click.option("--prefix", is_flag=True, help="Move everything whose path begins with OLD.")
@click.option("-f", "--force", is_flag=True, help="Replace what is at NEW.")
@click.argument("old", type=NotePath())
@click.argument("new", type=NotePath())
@click.pass_obj
def mv(app: App, prefix: bool, force: bool, old: str, new: str) -> None:
    """Move OLD to NEW: a note, or a directory with all that is in it. Links, tags and shares stay.

    A NEW that is a directory, or ends in a slash, is moved into. Two operands that end in '-', '_' or '.'
    move everything that begins so, all or nothing.

    \b
    avm mv /memory/old-name.md /memory/new-name.md
    avm mv /memory/news- /memory/archive/news-
    avm mv /memory/2024/ /archive/2024/
    """
    session = app.session
    several = prefix or (_is_prefix(old) and _is_prefix(new))
    target = new
    if several:
        if force:
            raise click.UsageError(
                "--force does not go with a prefix: nothing is replaced where several move"
            )
        moved = session.rename_prefix(old, new)
    else:
        source = session.stat(old)
        if old.endswith("/") and not source.is_directory:
            raise NotADirectory(f"{old} names a directory, and there is a file")
        target = _target(session, source, old, new)
        moved = session.rename(old, target, replace=force)
    if app.as_json:
        put_json({"moved": moved.nodes, "paths": [{"from": start, "to": end} for start, end in moved.paths]})
    elif several:
        note(f"moved {counted(moved.nodes, 'name')}")
    else:
        note(f"{printable(old)} -> {printable(target)}")


def _is_prefix(operand: str) -> bool:
    name = operand.rpartition("/")[2]
    return name.endswith(_PREFIX_ENDINGS) and name not in (".", "..")


def _target(session: Session, source: Stat, old: str, new: str) -> str:
    """Where a node goes: into a directory that is there, as `mv` does everywhere."""
    try:
        there: Stat | None = session.stat(new)
    except NotFound:
        there = None
    if there is not None and there.id == source.id:
        raise Exists(f"{old} and {new} are the same")
    into = there is not None and there.is_directory
    if there is None and new.endswith("/") and not source.is_directory:
        into = True
    if there is not None and new.endswith("/") and not there.is_directory:
        raise NotADirectory(f"{new} names a directory, and there is a file")
    return f"{new.rstrip('/')}/{old.rstrip('/').rpartition('/')[2]}" if into else new
