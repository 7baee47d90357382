"""`read` and `cat`: the content of notes, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from avm_builtin.frontends.cli.errors import describe, exit_code
from avm_builtin.frontends.cli.output import note, put_bytes, put_json
from avm_builtin.frontends.cli.params import Moment, NotePath
from avm_builtin.frontends.cli.state import App
from vfs_core.errors import VfsError
from vfs_core.rendering import content_json
from vfs_core.types import JSON

if TYPE_CHECKING:
    from vfs_core.types import Node


@click.command()
@click.option("--as-of", type=Moment(end=True), metavar="TIME", help="What was there then: 2026-03-20, 2h.")
@click.option("--version", type=click.IntRange(min=1), metavar="N", help="Its version N.")
@click.argument("path", type=NotePath())
@click.pass_obj
def read(app: App, as_of: int | None, version: int | None, path: str) -> None:
    """Print the note at PATH, byte for byte.

    \b
    avm read lesson.md
    avm read lesson.md --as-of 2026-03-20
    avm read lesson.md --version 3
    avm read lesson.md:tags       a virtual node beside it; lesson.md:info lists them
    """
    if as_of is not None and version is not None:
        raise click.UsageError("--as-of or --version, one of the two")
    if as_of is None and version is None:
        found = app.session.read(path)
    else:
        found = app.session.as_of(path, version=version, time=as_of)
    _announce(found)
    if app.as_json:
        put_json(node_json(found))
    else:
        put_bytes(found.data)


@click.command()
@click.argument("paths", type=NotePath(), nargs=-1, required=True, metavar="PATH...")
@click.pass_context
def cat(context: click.Context, paths: tuple[str, ...]) -> None:
    """Print the notes at each PATH, one after the other."""
    app = context.find_object(App)
    assert app is not None
    code = 0
    described: list[JSON] = []
    for path in paths:
        try:
            found = app.session.read(path)
        except VfsError as error:
            note(f"avm: {describe(error)}")
            code = code or exit_code(error)
            continue
        _announce(found)
        if app.as_json:
            described.append(node_json(found))
        else:
            put_bytes(found.data)
    if app.as_json:
        put_json(described)
    context.exit(code)


def node_json(node: Node) -> dict[str, JSON]:
    """A node as JSON: `content` if it is text, else `base64`."""
    return {
        "path": node.path,
        "version": node.version,
        **content_json(node.data),
        "meta": node.meta,
        "size": node.stat.size,
        "mode": f"{node.stat.mode:04o}",
        "owner": node.stat.owner,
        "modified": node.stat.modified.isoformat(),
    }


def _announce(node: Node) -> None:
    for notice in node.notices:
        note(notice)
