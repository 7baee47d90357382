"""`stats`: the store in numbers, as far as the agent can see it."""

from __future__ import annotations

from dataclasses import asdict

import click

from avm_builtin.frontends.cli.output import counted, entry, put, put_json, size
from avm_builtin.frontends.cli.state import App


@click.command()
@click.pass_obj
def stats(app: App) -> None:
    """Print what you can see of the store, in numbers."""
    found = app.session.stats()
    if app.as_json:
        put_json(asdict(found))
        return
    index = f"{found.behind:,} changes behind" if found.behind else "up to date"
    for name, value in (
        ("agent", entry(found.agent)),
        (
            "store",
            entry(found.store) if app.kernel.has_store else f"none yet at {entry(app.kernel.location)}",
        ),
        ("notes", f"{found.notes:,} ({size(found.size)}), {found.private:,} of them private"),
        ("tags", counted(found.tags, "tag")),
        ("writable", "yes" if found.writable else "no"),
        ("durability", found.durability),
        ("search", f"{entry(found.search)}, {index}"),
        ("embedder", entry(found.embedder)),
        ("embedded", f"{found.embedded:,} of {counted(found.embeddable, 'note')} with text"),
    ):
        put(f"{name:<11} {value}")
