"""`forget`: erases for good, and looks whether anything is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from avm_builtin.frontends.cli.output import counted, note, printable, put_json
from avm_builtin.frontends.cli.params import NotePath
from avm_builtin.frontends.cli.state import App

if TYPE_CHECKING:
    from vfs_core.forgetting import Forgotten, Trace

_LEFT = 8


@click.command()
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--verify", is_flag=True, help="Look in the raw bytes of every file whether anything is left.")
@click.option("--scrub", is_flag=True, help="Only clean what an earlier call could not.")
@click.option("--text", "texts", multiple=True, help="Only look for this text (may be repeated).")
@click.argument("path", type=NotePath(), required=False)
@click.pass_context
def forget(
    context: click.Context, yes: bool, verify: bool, scrub: bool, texts: tuple[str, ...], path: str | None
) -> None:
    """Erase the note at PATH, and what was removed there, for good: nothing brings it back.

    Its text, versions, title, path, tags and links go from the store, its index and free space; the journal keeps that
    something was, not what. Backups and exports that may still hold it are named.

    \b
    avm forget secrets.md --verify
    avm forget --text 'sk-live-1234'      is this anywhere in the store's files?
    """
    app = context.find_object(App)
    assert app is not None
    if (path is not None) + bool(texts) + scrub != 1:
        raise click.UsageError(
            "name a note to forget, or with --text what to look for, or clean with --scrub"
        )
    if scrub:
        clean = app.session.scrub()
        note("clean" if clean else "a program that reads the store still keeps it from being cleaned")
        context.exit(0 if clean else _LEFT)
    done: Forgotten | None = None
    if path is not None:
        if verify:
            app.session.traces(())  # who may not look is told before anything is erased
        if not yes:
            click.confirm(f"Erase {printable(path)} for good?", abort=True, err=True)
        done = app.session.forget_for_good(path)
    left = app.session.traces(texts or (done.texts if done else ())) if verify or texts else []
    if app.as_json:
        put_json(_json(done, left))
    else:
        _tell(done, left, verify or bool(texts))
    context.exit(_LEFT if left or (done is not None and not done.scrubbed) else 0)


def _tell(done: Forgotten | None, left: list[Trace], looked: bool) -> None:
    if done is not None:
        note(f"forgot {counted(done.nodes, 'node')}, and redacted {counted(done.rows, 'row')} of the journal")
        for copy in done.copies:
            note(f"may still be in the {copy.kind} {printable(copy.location)}")
        if not done.scrubbed:
            note(f"it is erased, but not yet cleaned away: {printable(done.why)}")
            note("finish it, as soon as that is over, with: avm forget --scrub")
    for trace in left:
        what = "could not be searched" if trace.unread else "left in"
        note(f"{what} {printable(trace.file)}: {printable(trace.text)[:80]}")
    if looked and not left:
        note("nothing is left of it in any file, but for what a note that is there says too")


def _json(done: Forgotten | None, left: list[Trace]) -> dict[str, object]:
    told: dict[str, object] = {
        "left": [{"file": each.file, "text": each.text, "unread": each.unread} for each in left]
    }
    if done is not None:
        told |= {
            "nodes": done.nodes,
            "rows": done.rows,
            "scrubbed": done.scrubbed,
            "why": done.why,
            "copies": [each.location for each in done.copies],
        }
    return told
