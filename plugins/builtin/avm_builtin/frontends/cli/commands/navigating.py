"""`topics`, `browse`, `fetch`, `timeline`, `recent` and `explore`: one's way without a keyword."""

from __future__ import annotations

from dataclasses import asdict

import click

from avm_builtin.frontends.cli.errors import NO_HITS
from avm_builtin.frontends.cli.following import follow
from avm_builtin.frontends.cli.output import entry, note, put, put_json
from avm_builtin.frontends.cli.params import NotePath
from avm_builtin.frontends.cli.state import App
from avm_builtin.memory import navigation
from avm_builtin.memory.navigation import Noted, Timeline
from vfs_core.reactor import LINKS
from vfs_core.types import as_datetime

_MOST = 10_000


@click.command()
@click.pass_obj
def topics(app: App) -> None:
    """Print what there is, by category (the first directory) and by tag, most first."""
    found = navigation.topics(app.session)
    if app.as_json:
        put_json({"categories": found.categories, "tags": found.tags})
    else:
        put(str(found))


@click.command()
@click.argument("path", type=NotePath(), default="/memory")
@click.option("--depth", type=click.IntRange(1, 100), default=2, show_default=True, metavar="N",
              help="So many levels of directories.")  # fmt: skip
@click.option("-q", "--query", metavar="TEXT", help="Instead of the tree: notes below PATH that match.")
@click.option("-n", "--limit", type=click.IntRange(1, _MOST), default=20, show_default=True,
              help="At most so many notes that match.")  # fmt: skip
@click.pass_context
def browse(context: click.Context, path: str, depth: int, query: str | None, limit: int) -> None:
    """Print the directories below PATH with how many notes each holds, and the notes of PATH itself.

    With a query: the paths of the notes that match, with what they begin with; `avm fetch` then gets the chosen ones.
    """
    app = context.find_object(App)
    assert app is not None
    if query is None:
        tree = navigation.tree(app.session, path, depth)
        if app.as_json:
            put_json({**asdict(tree), "files": _as_json(tree.files)})
        else:
            put(str(tree))
        return
    found = navigation.browse(app.session, query, limit, path)
    if app.as_json:
        put_json(
            [{"path": each.path, "score": round(each.score, 4), "summary": each.summary} for each in found]
        )
    else:
        for each in found:
            put(f"[{each.score:.2f}] {entry(each.path)}\n    {each.summary}")
    if not found:
        note("nothing found")
        context.exit(NO_HITS)


@click.command()
@click.argument("paths", type=NotePath(), nargs=-1, required=True, metavar="PATH...")
@click.option("--max-tokens", type=click.IntRange(1), default=4000, show_default=True, metavar="N",
              help="At most so many tokens (o200k).")  # fmt: skip
@click.pass_obj
def fetch(app: App, paths: tuple[str, ...], max_tokens: int) -> None:
    """Print the notes at PATH... as recall does, each with its share of a budget of tokens."""
    text = navigation.fetch(app.session, paths, max_tokens)
    if app.as_json:
        put_json({"text": text})
    else:
        put(text.rstrip("\n"))


@click.command()
@click.option(
    "--days", type=click.FloatRange(0, min_open=True), default=7, show_default=True, help="How far back."
)
@click.option(
    "-n", "--limit", type=click.IntRange(1, _MOST), default=10, show_default=True, help="At most so many."
)
@click.pass_obj
def timeline(app: App, days: float, limit: int) -> None:
    """Print what happened in the last days, last first: when a note says it happened, else when it was written."""
    _put_timeline(app, navigation.timeline(app.session, days, limit))


@click.command()
@click.option(
    "-n", "--limit", type=click.IntRange(1, _MOST), default=10, show_default=True, help="At most so many."
)
@click.pass_obj
def recent(app: App, limit: int) -> None:
    """Print what was written last, whenever that was."""
    _put_timeline(app, navigation.recent(app.session, limit))


@click.command()
@click.argument("path", type=NotePath())
@click.option(
    "--depth", type=click.IntRange(1, 20), default=2, show_default=True, metavar="N", help="So many hops."
)
@click.pass_obj
def explore(app: App, path: str, depth: int) -> None:
    """Print what the links of the note at PATH lead to, nearest first."""
    follow(app, LINKS)
    found = navigation.explore(app.session, path, depth)
    if app.as_json:
        put_json({"start": found.start, "reached": [each._asdict() for each in found.reached]})
    else:
        put(str(found))


def _put_timeline(app: App, found: Timeline) -> None:
    if app.as_json:
        put_json(_as_json(found.notes))
    else:
        put(str(found))


def _as_json(notes: tuple[Noted, ...]) -> list[dict[str, str]]:
    return [
        {"path": each.path, "time": as_datetime(each.time_ns).isoformat(), "summary": each.summary}
        for each in notes
    ]
