"""`plugins`: what extends AVM, and what of it failed."""

from __future__ import annotations

from dataclasses import asdict

import click

from avm_builtin.frontends.cli.output import put_json, table
from avm_builtin.frontends.cli.state import App


@click.command()
@click.pass_obj
def plugins(app: App) -> None:
    """List the plugins: name, state, where each is from, what it supplies or why it failed."""
    found = app.registry.plugins()
    if app.as_json:
        put_json([asdict(each) for each in found])
        return
    rows = []
    for each in found:
        state = "failed" if each.failure else "disabled" if each.disabled else "ok"
        rows.append((each.name, state, each.source, each.failure or ", ".join(each.supplies)))
    table(("plugin", "state", "from", "supplies"), rows)
