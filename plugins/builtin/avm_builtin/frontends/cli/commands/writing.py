"""`write`, `append` and `mkdir`: what makes notes and directories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from avm_builtin.frontends.cli.output import note, printable, put_json
from avm_builtin.frontends.cli.params import NotePath, content, metadata
from avm_builtin.frontends.cli.state import App

if TYPE_CHECKING:
    from vfs_core.types import Version


@click.command()
@click.argument("path", type=NotePath())
@click.option("--content", "text", metavar="TEXT", help="The content; without it standard input is read.")
@click.option("--base-version", type=click.IntRange(0), metavar="N",
              help="Only if the note is at version N (0: does not exist).")  # fmt: skip
@click.option("--meta", multiple=True, metavar="KEY=VALUE", help="Set metadata; KEY= removes it. Repeatable.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Make these its tags. Repeatable.")
@click.pass_obj
def write(
    app: App,
    path: str,
    text: str | None,
    base_version: int | None,
    meta: tuple[str, ...],
    tags: tuple[str, ...],
) -> None:
    """Write the note at PATH, replacing what it said; missing directories are made.

    \b
    avm write lesson.md --content "New lesson"
    date | avm write log/today.md
    """
    patch = metadata(meta)
    if tags:
        patch["tags"] = list(tags)
    data = content(text, "avm write PATH")
    _report(app, app.session.write(path, data, patch or None, base_version=base_version), path)


@click.command()
@click.argument("path", type=NotePath())
@click.option("--content", "text", metavar="TEXT", help="What to add; without it standard input is read.")
@click.pass_obj
def append(app: App, path: str, text: str | None) -> None:
    """Add to the end of the note at PATH, making it if need be. Appends of several agents never lose each other."""
    data = content(text, "avm append PATH")
    _report(app, app.session.append(path, data), path)


@click.command()
@click.option("-p", "--parents", is_flag=True, help="Make what is missing above it; be content if it exists.")
@click.argument("paths", type=NotePath(), nargs=-1, required=True, metavar="PATH...")
@click.pass_obj
def mkdir(app: App, parents: bool, paths: tuple[str, ...]) -> None:
    """Make a directory at each PATH."""
    for path in paths:
        app.session.mkdir(path, parents=parents, exist_ok=parents)


def _report(app: App, version: Version, path: str) -> None:
    if app.as_json:
        put_json(
            {
                "path": version.path,
                "version": version.version,
                "size": version.size,
                "author": version.author,
                "time": version.time.isoformat(),
            }
        )
    elif version.version:
        note(f"{printable(version.path)} version {version.version}")
    else:
        note(f"{printable(path)} written")
