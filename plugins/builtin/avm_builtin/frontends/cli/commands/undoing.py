"""`undo`, `trash`, `restore`, `ttl`: taking back, bringing back, and letting go in time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from avm_builtin.frontends.cli.output import counted, entry, note, printable, put, put_json, table
from avm_builtin.frontends.cli.params import AgentName, Moment, NotePath
from avm_builtin.frontends.cli.state import App
from vfs_core.moments import NEVER, format_duration, parse_duration
from vfs_core.rendering import local_time
from vfs_core.types import JSON, as_datetime

if TYPE_CHECKING:
    from vfs_core.undoing import Undone


@click.command()
@click.option("--since", type=Moment(), metavar="TIME", help="Everything since then: 2h, 2026-03-20T14:30.")
@click.option("--by", "by", type=AgentName(), help="Only what this agent changed (with --since).")
@click.option(
    "--run", "run", metavar="RUN", help="Everything that a run did: 'avm consolidate' names its own."
)
@click.option("--steps", type=click.IntRange(min=1), default=1, show_default=True, help="How many changes.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be undone.")
@click.argument("path", type=NotePath(), required=False)
@click.pass_context
def undo(
    context: click.Context,
    since: int | None,
    by: str | None,
    run: str | None,
    steps: int,
    dry_run: bool,
    path: str | None,
) -> None:
    """Take back the last change of the note at PATH, all changes since a time (below PATH, by an agent), or a run.

    What others have changed since stays and is reported. An undo is a change like any other: nothing is lost, and
    undoing again goes one change further back.

    \b
    avm undo plan.md                        the last change; a removed note comes back
    avm undo projects --since 1h            a whole tree
    avm undo --by codex --since yesterday   what one agent did, wherever you may change it
    avm undo --run 4711-9f2c1a              what one consolidation did
    """
    app = context.find_object(App)
    assert app is not None
    if path is None and since is None and run is None:
        raise click.UsageError("name a note, or a time with --since: avm undo --by codex --since 1h")
    report = app.session.undo(path, agent=by, since=since, run=run, steps=steps, dry_run=dry_run)
    if app.as_json:
        put_json(
            {
                "dry_run": dry_run,
                "undone": [_json(each) for each in report.undone],
                "skipped": [_json(each) for each in report.skipped],
            }
        )
    else:
        for each in report.undone:
            put(f"{each.operation}\t{entry(each.path)}")
        for each in report.skipped:
            note(f"left alone: {each.operation} {printable(each.path)}: {printable(each.reason)}")
        note(f"{'would undo' if dry_run else 'undid'} {counted(len(report.undone), 'change')}")
    context.exit(5 if report.skipped else 0)


def _json(each: Undone) -> dict[str, JSON]:
    return {
        "sequence": each.sequence,
        "change": each.operation,
        "path": each.path,
        "agent": each.agent,
        "time": as_datetime(each.time_ns).isoformat(),
        **({"reason": each.reason} if each.reason else {}),
    }


@click.command()
@click.option("-n", "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="How many.")
@click.pass_obj
def trash(app: App, limit: int) -> None:
    """List what you can restore: what you owned or removed, last removed first."""
    found = app.session.trash(limit)
    if app.as_json:
        put_json(
            [
                {
                    "id": each.stat.id,
                    "path": each.path,
                    "kind": str(each.stat.kind),
                    "size": each.stat.size,
                    "owner": each.stat.owner,
                    "deleted": each.deleted,
                    "by": each.by,
                }
                for each in found
            ]
        )
        return
    rows = ((local_time(each.time_ns), each.by, str(each.stat.size), each.path) for each in found)
    table(("removed", "by", "bytes", "path"), rows)


@click.command()
@click.option("--to", type=NotePath(), metavar="PATH", help="Bring it back here instead.")
@click.argument("path", type=NotePath())
@click.pass_obj
def restore(app: App, to: str | None, path: str) -> None:
    """Bring back what was removed last at PATH, with its history, links, tags and shares.

    A directory comes back with everything that was removed with it.
    """
    moved = app.session.restore(path, to=to)
    if app.as_json:
        put_json({"restored": [{"from": old, "to": new} for old, new in moved.paths]})
    else:
        note(f"restored {counted(moved.nodes, 'name')}: {printable(moved.paths[0][1])}")


@click.command()
@click.argument("path", type=NotePath())
@click.argument("duration", required=False)
@click.pass_obj
def ttl(app: App, path: str, duration: str | None) -> None:
    """Show how long the note at PATH lives, or let it expire after DURATION (5m, 2h, 1d, never).

    What has expired is in the trash.
    """
    if duration is not None:
        expires = None if duration == NEVER else time.time_ns() + parse_duration(duration)
        app.session.set_expiry(path, expires)
    held = app.session.stat(path).expires_ns
    if app.as_json:
        put_json({"path": path, "expires": None if held is None else as_datetime(held).isoformat()})
    else:
        put(NEVER if held is None else format_duration(held - time.time_ns()))
