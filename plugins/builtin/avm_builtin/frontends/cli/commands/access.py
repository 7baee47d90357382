"""`access`: who may do what with a path, and why."""

from __future__ import annotations

from dataclasses import asdict

import click

from avm_builtin.frontends.cli.output import entry, put, put_json, table
from avm_builtin.frontends.cli.params import NotePath
from avm_builtin.frontends.cli.state import App
from vfs_core.rendering import access_head, access_rows


@click.command()
@click.argument("path", type=NotePath())
@click.pass_obj
def access(app: App, path: str) -> None:
    """Print who may do what with PATH, and by which rule: agent, what it may, what keeps it from more.

    With --agent it is that agent who asks, and it learns nothing of what it may not know of.
    """
    report = app.session.access(path)
    if app.as_json:
        put_json(asdict(report))
        return
    for line in access_head(report, entry):
        put(line)
    table(("agent", "may", "why not more"), access_rows(report))
