"""`import`: files or JSON lines become notes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avm_builtin.frontends.cli.commands.exporting import ARCHIVE_ENDINGS, LINES_ENDING, STREAM
from avm_builtin.frontends.cli.output import note, on_terminal, put_json
from avm_builtin.frontends.cli.params import NotePath
from avm_builtin.frontends.cli.progress import Progress
from avm_builtin.frontends.cli.state import App
from avm_builtin.frontends.cli.transfer.files import records_of
from avm_builtin.frontends.cli.transfer.intake import Intake
from avm_builtin.frontends.cli.transfer.lines import Record, parse_line
from avm_builtin.frontends.cli.transfer.outcome import Outcome
from vfs_core.errors import Invalid
from vfs_core.path import MEMORY

if TYPE_CHECKING:
    from vfs_core.session import Session


@click.command("import")
@click.argument("source", type=click.Path(exists=True, allow_dash=True))
@click.argument("path", type=NotePath(), required=False)
@click.option("-f", "--force", is_flag=True, help="Replace notes that are there and differ.")
@click.option(
    "--shares", is_flag=True, help="Of an archive: let those read again whom notes were shared with."
)
@click.option("--git", is_flag=True, help="Bring in .git directories, too.")
@click.pass_context
def import_(
    context: click.Context, source: str, path: str | None, force: bool, shares: bool, git: bool
) -> None:
    """Bring SOURCE in: a directory, a file, JSON lines (.jsonl, or '-') or an archive (.tar.gz).

    Files go below PATH (default: /memory), symbolic links are skipped. JSON lines and archives go where they say,
    below PATH if there is one. Notes that are there and differ are left as they are.
    """
    app = context.find_object(App)
    assert app is not None
    session = app.session
    with Progress("notes") as progress:
        outcome = Outcome(progress)
        intake = Intake(session, outcome, force=force)
        try:
            if source.endswith(ARCHIVE_ENDINGS) and Path(source).is_file():
                _unpack(session, outcome, source, path, force, shares)
            for record in _records(source, path, outcome, git):
                intake.take(record)
            intake.finish()
        except KeyboardInterrupt:
            progress.clear()
            note(f"{outcome.summary('imported')} so far; the same command goes on from there")
            raise
    if app.as_json:
        put_json(outcome.as_json())
    note(outcome.summary("imported"))
    context.exit(outcome.code)


def _unpack(
    session: Session, outcome: Outcome, source: str, path: str | None, force: bool, shares: bool
) -> None:
    from avm_builtin.frontends.cli.transfer.unpacking import Unpacking

    with Path(source).open("rb") as file:
        try:
            Unpacking(session, outcome, path, force=force, shares=shares).read(file)
        except Invalid as error:
            outcome.fail(source, error)


def _records(source: str, path: str | None, outcome: Outcome, git: bool) -> Iterable[Record]:
    if source.endswith(ARCHIVE_ENDINGS) and Path(source).is_file():
        return ()
    if source == STREAM:
        if on_terminal(sys.stdin):
            raise click.UsageError("there are no lines; type: avm import - < FILE.jsonl")
        return _parsed(sys.stdin.buffer, path, outcome)
    if source.endswith(LINES_ENDING) and Path(source).is_file():
        return _from_file(source, path, outcome)
    return records_of(Path(source), (path or MEMORY).rstrip("/") or "/", outcome, git=git)


def _from_file(source: str, path: str | None, outcome: Outcome) -> Iterator[Record]:
    with Path(source).open("rb") as file:
        yield from _parsed(file, path, outcome)


def _parsed(lines: Iterable[bytes], path: str | None, outcome: Outcome) -> Iterator[Record]:
    base = (path or "").rstrip("/")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = parse_line(line)
        except Invalid as error:
            outcome.fail(f"line {number}", error)
            continue
        links = tuple(
            link._replace(source=base + link.source, target=base + link.target) for link in record.links
        )
        yield replace(record, path=base + record.path, links=links) if base else record
