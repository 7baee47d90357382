"""`plugins`: what extends AVM, and what of it failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby

import click

from avm_builtin.frontends.cli.output import put_json, table
from avm_builtin.frontends.cli.state import App

_FEW = 4


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
        rows.append((each.name, state, each.source, each.failure or _in_short(each.supplies)))
    table(("plugin", "state", "from", "supplies"), rows)


def _in_short(supplies: Sequence[str]) -> str:
    """What a plugin supplies; of what it supplies many, their number."""
    parts = []
    for kind, names in groupby(supplies, key=lambda each: each.partition(" ")[0]):
        several = list(names)
        parts.append(", ".join(several) if len(several) <= _FEW else f"{len(several)} of the kind {kind}")
    return ", ".join(parts)
