"""`consolidate`: old notes fade, are merged and summed up, all of which can be taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from avm_builtin.frontends.cli.output import counted, note, printable, put_json, table
from avm_builtin.frontends.cli.params import NotePath
from avm_builtin.frontends.cli.progress import Progress
from avm_builtin.frontends.cli.state import App
from avm_builtin.memory.agent import AgentMemory
from avm_builtin.memory.consolidation.actions import Summarise
from avm_builtin.memory.consolidation.carrying_out import Listener
from avm_builtin.memory.consolidation.plan import KINDS
from vfs_core.types import JSON

if TYPE_CHECKING:
    from avm_builtin.memory.consolidation.actions import Action, Kind

_SOME_LEFT = 5


@click.command()
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--older-than", default="30d", show_default=True, metavar="DURATION",
              help="Leave alone what was changed since: 7d, 12w.")  # fmt: skip
@click.option("--only", type=click.Choice(KINDS), multiple=True, help="Only this. Repeatable.")
@click.argument("directory", type=NotePath(), required=False, metavar="[DIR]")
@click.pass_context
def consolidate(
    context: click.Context,
    dry_run: bool,
    older_than: str,
    only: tuple[Kind, ...],
    directory: str | None,
) -> None:
    """Tidy up old notes in your private space, or below DIR.

    Of notes that say nearly the same the newest stays; eight and more about the same (a tag, a session) get a summary
    of sentences from them; what is old, unimportant and not linked loses importance and in the end goes to the
    archive. Nothing is deleted, no text changes, and nobody can read more than before. Pinned notes (importance 0.9
    and more, or `pinned`) and those with a time to live are left alone.

    \b
    avm consolidate --dry-run
    avm consolidate shared/market --older-than 90d --only merge
    avm undo --run 4711-9f2c1a        take one run back: it says its name
    """
    app = context.find_object(App)
    assert app is not None
    with Progress("notes read") as reading, Progress("changes") as changing:

        def begins(run: str, count: int) -> None:
            reading.clear()
            changing.expect(count)
            note(f"run {run}; to take it back: avm undo --run {run}")

        report = AgentMemory(app.session).consolidate(
            directory,
            older_than=older_than,
            only=only or KINDS,
            dry_run=dry_run,
            listener=Listener(reading.add, begins, changing.add),
        )
    if app.as_json:
        put_json(
            {
                "run": report.run or None,
                "dry_run": dry_run,
                "done": [_as_json(each) for each in report.done],
                "skipped": [{**_as_json(each.action), "why_not": each.reason} for each in report.skipped],
            }
        )
    else:
        rows = ((each.verb, each.path, each.target or "", each.reason) for each in report.done)
        table(("what", "note", "to", "why"), rows)
        for each in report.skipped:
            note(f"left alone: {each.action.verb} {printable(each.action.path)}: {printable(each.reason)}")
        note(f"{'would make' if dry_run else 'made'} {counted(len(report.done), 'change')}")
    context.exit(_SOME_LEFT if report.skipped else 0)


def _as_json(action: Action) -> dict[str, JSON]:
    sources = {"sources": [source.path for source in action.sources]} if isinstance(action, Summarise) else {}
    return {
        "what": action.verb,
        "path": action.path,
        "to": action.target,
        "why": action.reason,
        **sources,
    }
