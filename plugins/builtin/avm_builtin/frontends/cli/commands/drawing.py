"""`graph`: notes and their links, for something that draws."""

from __future__ import annotations

import click

from avm_builtin.frontends.cli.following import follow
from avm_builtin.frontends.cli.output import note, put, put_json
from avm_builtin.frontends.cli.params import NotePath
from avm_builtin.frontends.cli.progress import Progress
from avm_builtin.frontends.cli.state import App
from avm_builtin.memory import graph as graphs
from vfs_core.reactor import LINKS


@click.command()
@click.argument("path", type=NotePath(), default="/memory")
@click.option(
    "--depth", type=click.IntRange(0, 20), default=2, show_default=True, metavar="N", help="So many hops."
)
@click.option("--format", "wanted", type=click.Choice(graphs.FORMATS), default="mermaid", show_default=True,
              help="For what.")  # fmt: skip
@click.option("-n", "--limit", type=click.IntRange(1, 10_000), default=graphs.LIMIT, show_default=True,
              help="At most so many notes.")  # fmt: skip
@click.pass_obj
def graph(app: App, path: str, depth: int, wanted: graphs.Format, limit: int) -> None:
    """Print the note at PATH, or the linked notes below it, and what is near by links in either direction.

    \b
    avm graph lesson.md --depth 1
    avm graph --format dot | dot -Tsvg > memory.svg
    """
    follow(app, LINKS)
    with Progress("notes") as progress:
        found = graphs.graph(app.session, path, depth, limit, progress.add)
    if app.as_json:
        put_json(graphs.as_json(found))
    else:
        put(graphs.drawn(found, wanted).rstrip("\n"))
    if found.remark:
        note(found.remark)
