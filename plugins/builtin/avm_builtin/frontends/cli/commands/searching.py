"""`search`, `semantic` and `retrieve`: notes by their words, by what they mean, by both."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from avm_builtin.frontends.cli.errors import NO_HITS
from avm_builtin.frontends.cli.output import counted, entry, note, printable, put, put_json
from avm_builtin.frontends.cli.params import Moment, NotePath
from avm_builtin.frontends.cli.progress import Progress
from avm_builtin.frontends.cli.state import App

if TYPE_CHECKING:
    from vfs_core.searching import Mode, Results
    from vfs_core.semantic import Embedded

_MOST = 1_000_000
_MODES = ("lexical", "semantic", "hybrid")
_Command = Callable[..., Any]


def _limit(command: _Command) -> _Command:
    option = click.option(
        "-n", "--limit", type=click.IntRange(1, _MOST), default=10, show_default=True, help="At most so many."
    )
    return option(command)


def _filters(command: _Command) -> _Command:
    """The options that say what a hit must be beside a match."""
    for option in (
        click.option("--until", metavar="WHEN", help="Only what happened until."),
        click.option("--since", metavar="WHEN", help="Only what happened since: 7d, 2026-03-20."),
        click.option("--author", default="", metavar="NAME", help="Only what NAME wrote."),
        click.option(
            "--in", "under", type=NotePath(), default="/", metavar="DIR", help="Only below this directory."
        ),
        click.option(
            "--tag", "tags", multiple=True, metavar="TAG", help="Only what has this tag. Repeatable."
        ),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="QUERY...")
@click.option("--mode", type=click.Choice(_MODES), default="lexical", show_default=True,
              help="By words, by what is meant, or by both.")  # fmt: skip
@click.option("--as-of", type=Moment(end=True), metavar="TIME",
              help="Among what there was then, by words: 2026-03-20, 2h.")  # fmt: skip
@_limit
@_filters
@click.pass_context
def search(
    context: click.Context,
    /,
    words: tuple[str, ...],
    mode: Mode,
    as_of: int | None,
    limit: int,
    **only: Any,
) -> None:
    """Find notes that say any of the words, best first: score, path and what it says.

    Any text is a valid query; put '--' before one that begins with '-'. The exit code is 6 if nothing is found.
    """
    session, query = _app(context).session, " ".join(words)
    if as_of is None:
        _show(context, session.search(query, limit, mode, **only))
        return
    with Progress("notes") as progress:
        results = session.at(as_of, progress.add).search(query, limit, mode, session.filter(**only))
    _show(context, results)


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="QUERY...")
@_limit
@_filters
@click.pass_context
def semantic(context: click.Context, /, words: tuple[str, ...], limit: int, **only: Any) -> None:
    """Find notes by what they mean, whatever their words and language, nearest first.

    The exit code is 6 if nothing is found.
    """
    _show(context, _app(context).session.search(" ".join(words), limit, "semantic", **only))


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="QUERY...")
@_limit
@click.option("--expand", type=click.IntRange(0, 10), default=0, show_default=True, metavar="N",
              help="Also what the hits' links lead to, in N steps.")  # fmt: skip
@click.pass_context
def retrieve(context: click.Context, words: tuple[str, ...], limit: int, expand: int) -> None:
    """Find notes by their words and by what they mean, best first, and what they are linked to.

    The exit code is 6 if nothing is found.
    """
    _show(context, _app(context).session.retrieve(" ".join(words), limit, expand))


def note_lag(behind: int, embedded: Embedded | None) -> None:
    """Say what an answer could not take into account."""
    if behind:
        note(f"the index has not seen the last {counted(behind, 'change')} yet")
    if embedded is not None and embedded.waiting:
        note(
            f"{embedded.done:,} of {counted(embedded.total, 'note')} embedded; the others are found by their words only"
            " until `avm reindex`, or the next searches, have embedded them"
        )


def _app(context: click.Context) -> App:
    app = context.find_object(App)
    assert app is not None
    return app


def _show(context: click.Context, results: Results) -> None:
    note_lag(results.behind, results.embedded)
    if _app(context).as_json:
        put_json(
            [{"path": hit.path, "score": round(hit.score, 4), "snippet": hit.snippet} for hit in results]
        )
    else:
        for hit in results:
            put(f"[{hit.score:.2f}] {entry(hit.path)}")
            if hit.snippet:
                put(f"    {printable(hit.snippet)}")
    if not results:
        note("nothing found")
        context.exit(NO_HITS)
