"""`history`, `diff`, `blame`: what a note was, and who made it so."""

from __future__ import annotations

import click

from avm_builtin.frontends.cli.output import entry, put, put_bytes, put_json, table
from avm_builtin.frontends.cli.params import NotePath
from avm_builtin.frontends.cli.state import App
from vfs_core.rendering import blame_json, blame_line, local_time, version_json


@click.command()
@click.option("-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many.")
@click.option(
    "--before", type=click.IntRange(min=1), metavar="N", help="Versions below N, for the next page."
)
@click.argument("path", type=NotePath())
@click.pass_obj
def history(app: App, limit: int, before: int | None, path: str) -> None:
    """List the versions of the note at PATH, newest first.

    \b
    avm history plan.md
    avm read plan.md --version 3
    avm diff plan.md 3 5
    """
    found = app.session.history(path, limit, before=before)
    if app.as_json:
        put_json([version_json(version) for version in found])
        return
    rows = (
        (str(each.version), local_time(each.time_ns), each.author, each.operation, str(each.size))
        for each in found
    )
    table(("version", "time", "author", "change", "bytes"), rows)


@click.command()
@click.argument("path", type=NotePath())
@click.argument("old", type=click.IntRange(min=0), required=False)
@click.argument("new", type=click.IntRange(min=1), required=False)
@click.pass_obj
def diff(app: App, path: str, old: int | None, new: int | None) -> None:
    """Show what changed in the note at PATH between the versions OLD and NEW (default: the last two).

    OLD 0 is before there was anything.
    """
    text = app.session.diff(path, old, new)
    if app.as_json:
        put_json({"path": path, "diff": text})
    else:
        put_bytes(text.encode())


@click.command()
@click.argument("path", type=NotePath())
@click.pass_obj
def blame(app: App, path: str) -> None:
    """Print the note at PATH with the version, author and time that brought each line."""
    lines = app.session.blame(path)
    if app.as_json:
        put_json([blame_json(each) for each in lines])
        return
    for each in lines:
        put(blame_line(each, entry))
