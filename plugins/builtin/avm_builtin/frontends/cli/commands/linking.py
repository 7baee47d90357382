"""`link` and `links`: what belongs together."""

from __future__ import annotations

import click

from avm_builtin.frontends.cli.following import follow
from avm_builtin.frontends.cli.output import counted, entry, note, printable, put, put_json
from avm_builtin.frontends.cli.params import NotePath
from avm_builtin.frontends.cli.state import App
from vfs_core.errors import NotFound
from vfs_core.reactor import LINKS
from vfs_core.types import LINK_KINDS

_DEFAULT_KIND = "related"


@click.command()
@click.argument("source", type=NotePath())
@click.argument("target", type=NotePath())
@click.option("--kind", help=f"{', '.join(LINK_KINDS)}, or a word of your own (default: {_DEFAULT_KIND}).")
@click.option("--weight", type=float, default=1.0, show_default=True, help="How strong it is.")
@click.option("--remove", is_flag=True, help="Remove the link; of every kind, unless --kind names one.")
@click.pass_obj
def link(app: App, source: str, target: str, kind: str | None, weight: float, remove: bool) -> None:
    """Link the note SOURCE to the note TARGET."""
    if remove:
        removed = app.session.unlink(source, target, kind)
        if not removed:
            raise NotFound(f"{source} has no such link to {target}")
        message = f"removed {counted(removed, 'link')}"
    else:
        app.session.link(source, target, kind or _DEFAULT_KIND, weight)
        message = f"{source} -> {target} ({kind or _DEFAULT_KIND})"
    if app.as_json:
        put_json({"removed": removed} if remove else
                 {"source": source, "kind": kind or _DEFAULT_KIND, "target": target, "weight": weight})  # fmt: skip
    else:
        note(printable(message))


@click.command()
@click.argument("path", type=NotePath())
@click.pass_obj
def links(app: App, path: str) -> None:
    """List the links of the note at PATH: kind, path and weight, separated by tabs.

    Links of the kind 'mention' follow from what the note says: [[name]], or a Markdown link to a path.
    """
    follow(app, LINKS)
    found = app.session.links(path)
    if app.as_json:
        put_json([{"kind": each.kind, "target": each.target, "weight": each.weight} for each in found])
        return
    for each in found:
        put(f"{entry(each.kind)}\t{entry(each.target)}\t{each.weight:g}")
