"""`delta`, `mark` and `changes`: what is new, and how far one has read. The virtual nodes of these names say it."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import click

from avm_builtin.frontends.cli.output import put_bytes, put_json, table
from avm_builtin.frontends.cli.params import NotePath
from avm_builtin.frontends.cli.state import App

_session = click.option("--session", metavar="NAME", help="The mark of one of your sessions.")


def _asked(app: App, path: str, suffix: str, **options: object) -> str:
    """A reference to a virtual node, in the form that the command was asked for."""
    given = {key: str(value) for key, value in options.items() if value is not None}
    return f"{path}:{suffix}?{urlencode({**given, 'format': 'json' if app.as_json else 'text'})}"


@click.command()
@_session
@click.argument("path", type=NotePath())
@click.pass_obj
def delta(app: App, path: str, session: str | None) -> None:
    """Show what has changed in the note at PATH since you read it last by this command.

    The mark moves to the version that is shown; `avm mark` moves it back.
    """
    put_bytes(app.session.read(_asked(app, path, "delta", session=session)).data)


@click.command()
@_session
@click.argument("path", type=NotePath())
@click.argument("version", required=False)
@click.pass_obj
def mark(app: App, path: str, version: str | None, session: str | None) -> None:
    """Print up to which version you have read the note at PATH, after setting it to VERSION.

    VERSION is a number, `now`, or 0 to begin anew.
    """
    if version is not None:
        query = "" if session is None else f"?{urlencode({'session': session})}"
        app.session.write(f"{path}:mark{query}", version)
    put_bytes(app.session.read(_asked(app, path, "mark", session=session)).data)


@click.command()
@click.option("--since", metavar="TIME", help="Only since then: 2h, 2026-03-20.")
@click.option(
    "-n", "--limit", type=click.IntRange(1, 1_000_000), default=50, show_default=True, help="How many."
)
@click.argument("path", type=NotePath(), default="/memory")
@click.pass_obj
def changes(app: App, path: str, since: str | None, limit: int) -> None:
    """List the notes below PATH (default: /memory) by when they were last changed, last first."""
    shown = app.session.read(_asked(app, path, "changes", since=since, limit=limit)).text
    if app.as_json:
        put_json(json.loads(shown))
        return
    table(("time", "version", "author", "path"), [line.split("\t") for line in shown.split("\n") if line])
