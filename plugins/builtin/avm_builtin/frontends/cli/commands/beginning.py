"""`context`, `pin` and `unpin`: what an agent has before it when a session starts."""

from __future__ import annotations

import click

from avm_builtin.frontends.cli.errors import NO_HITS
from avm_builtin.frontends.cli.output import note, put, put_json
from avm_builtin.frontends.cli.params import NotePath
from avm_builtin.frontends.cli.progress import Progress
from avm_builtin.frontends.cli.state import App
from avm_builtin.memory import context as contexts


@click.command()
@click.option("--budget", "--max-tokens", type=click.IntRange(1), default=2000, show_default=True, metavar="N",
              help="At most so many tokens (o200k).")  # fmt: skip
@click.pass_context
def context(click_context: click.Context, budget: int) -> None:
    """Print what you should know at the start of a session, within a budget of tokens.

    Pinned notes, those of this project, the last and the most important, and what else there is to ask for. The exit
    code is 6 if there is nothing.
    """
    app = click_context.find_object(App)
    assert app is not None
    with Progress("notes") as progress:
        found = contexts.context(app.session, budget, progress.add)
    if app.as_json:
        notes = [{"path": each.path, "author": each.author, "text": each.text} for each in found.frames]
        put_json({"text": found.text, "tokens": found.tokens, "notes": notes})
    else:
        put(found.text.rstrip("\n"))
    if not found.frames:
        click_context.exit(NO_HITS)


@click.command()
@click.argument("paths", type=NotePath(), nargs=-1, required=True, metavar="PATH...")
@click.pass_obj
def pin(app: App, paths: tuple[str, ...]) -> None:
    """Have the notes at PATH... in every context of whoever may read them."""
    _set(app, paths, True)


@click.command()
@click.argument("paths", type=NotePath(), nargs=-1, required=True, metavar="PATH...")
@click.pass_obj
def unpin(app: App, paths: tuple[str, ...]) -> None:
    """Take the notes at PATH... out of contexts again."""
    _set(app, paths, None)


def _set(app: App, paths: tuple[str, ...], value: bool | None) -> None:
    for path in paths:
        app.session.update_meta(path, {contexts.PINNED: value})
        note(f"{path} {'pinned' if value else 'not pinned'}")
    if app.as_json:
        put_json([{"path": path, "pinned": bool(value)} for path in paths])
