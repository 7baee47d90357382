"""`backup`: copies of the whole store, and putting one back."""

from __future__ import annotations

from pathlib import Path

import click

from avm_builtin.frontends.cli.output import note, printable, put, put_json, table
from avm_builtin.frontends.cli.progress import Progress
from avm_builtin.frontends.cli.state import App
from vfs_core.rendering import local_time
from vfs_core.types import as_datetime


class _MakeByDefault(click.Group):
    """A group whose command is `make` where none of its commands is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = next((each for each in args if not each.startswith("-")), None)
        if named not in self.commands and "--help" not in args:
            args = ["make", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_MakeByDefault)
def backup() -> None:
    """Copy the whole store to a new file while it is in use, or put a copy back.

    \b
    avm backup                      into backups/ beside the store, named after the time
    avm backup /mnt/usb/avm.db      to this file
    avm backup list                 those that were made
    avm backup restore FILE         after backing up what is there
    """


@backup.command()
@click.argument("target", required=False, type=click.Path(path_type=Path), metavar="[FILE]")
@click.pass_obj
def make(app: App, target: Path | None) -> None:
    """Copy the store to FILE, and verify the copy. This is what `avm backup [FILE]` does."""
    with Progress("pages") as progress:
        done = 0

        def step(pages: int, total: int) -> None:
            nonlocal done
            progress.expect(total)
            progress.add(pages - done)
            done = pages

        made = app.session.backup(target, step)
    if app.as_json:
        put_json({"path": str(made.path), "sequence": made.head.sequence, "chain": made.head.chain.hex()})
    else:
        put(str(made.path))
        note(f"backed up to row {made.head.sequence:,} of the journal, and verified")


@backup.command("list")
@click.pass_obj
def list_(app: App) -> None:
    """List the backups and exports that were made, newest first."""
    copies = app.session.copies()
    if app.as_json:
        put_json(
            [
                {
                    "kind": each.kind,
                    "path": each.location,
                    "time": as_datetime(each.time_ns).isoformat(),
                    "sequence": each.sequence,
                    "there": Path(each.location).exists(),
                }
                for each in copies
            ]
        )
        return
    rows = (
        (local_time(each.time_ns), each.kind, "" if Path(each.location).exists() else "gone", each.location)
        for each in copies
    )
    table(("time", "kind", "", "path"), rows)


@backup.command()
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.argument("source", type=click.Path(path_type=Path), metavar="FILE")
@click.pass_obj
def restore(app: App, yes: bool, source: Path) -> None:
    """Put the backup FILE in the store's place. What is there is backed up first; every process notices."""
    session = app.session
    if not yes:
        click.confirm(
            f"Everything written to {session.store.location} since {source} was made goes out of sight "
            "(it is backed up first). Go on?",
            abort=True,
            err=True,
        )
    kept = session.restore_backup(source)
    if app.as_json:
        put_json({"restored": str(source), "kept": str(kept.path)})
    else:
        note(f"restored {printable(str(source))}; what was there is in {printable(str(kept.path))}")
