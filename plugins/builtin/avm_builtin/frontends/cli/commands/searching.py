"""`search`: notes by their words."""

from __future__ import annotations

import click

from avm_builtin.frontends.cli.errors import NO_HITS
from avm_builtin.frontends.cli.output import counted, entry, note, printable, put, put_json
from avm_builtin.frontends.cli.params import NotePath
from avm_builtin.frontends.cli.state import App

_MOST = 1_000_000


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="QUERY...")
@click.option(
    "-n", "--limit", type=click.IntRange(1, _MOST), default=10, show_default=True, help="At most so many."
)
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Only what has this tag. Repeatable.")
@click.option("--in", "under", type=NotePath(), default="/", metavar="DIR", help="Only below this directory.")
@click.pass_context
def search(
    context: click.Context, words: tuple[str, ...], limit: int, tags: tuple[str, ...], under: str
) -> None:
    """Find notes that say any of the words, best first: score, path and what it says.

    Any text is a valid query; put '--' before one that begins with '-'. The exit code is 6 if nothing is found.
    """
    app = context.find_object(App)
    assert app is not None
    results = app.session.search(" ".join(words), limit, tags=tags, under=under)
    if results.behind:
        note(f"the index has not seen the last {counted(results.behind, 'change')} yet")
    if app.as_json:
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
