"""`export`: what an agent may take out, as files or as JSON lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO, TYPE_CHECKING, TextIO

import click

from avm_builtin.frontends.cli.output import note, put_json
from avm_builtin.frontends.cli.params import NotePath
from avm_builtin.frontends.cli.progress import Progress
from avm_builtin.frontends.cli.state import App
from avm_builtin.frontends.cli.transfer.outcome import Outcome
from vfs_core.errors import Exists, NotFound, VfsError
from vfs_core.path import MEMORY
from vfs_core.storage import Found, Operation
from vfs_core.types import MENTION, Kind

if TYPE_CHECKING:
    from vfs_core.session import Session

LINES_ENDING = ".jsonl"
ARCHIVE_ENDINGS = (".tar.gz", ".tgz")
STREAM = "-"


@click.command()
@click.argument("dest", type=click.Path(allow_dash=True))
@click.argument("path", type=NotePath(), required=False)
@click.option("-f", "--force", is_flag=True, help="Replace files that are there and differ.")
@click.pass_context
def export(context: click.Context, dest: str, path: str | None, force: bool) -> None:
    """Write the notes below PATH to DEST: a directory, JSON lines (.jsonl, or '-'), or an archive (.tar.gz).

    A directory gets the contents only, of what is below /memory unless PATH says otherwise. JSON lines have tags,
    metadata, links and modes too, and all that you may export; an archive also versions, links of every kind, special
    nodes, attributes and times. `avm import` reads all three.
    """
    app = context.find_object(App)
    assert app is not None
    if not dest:
        raise click.UsageError(
            "DEST is empty; name a directory, a file that ends in .jsonl or .tar.gz, or '-'"
        )
    session = app.session
    with Progress("notes") as progress:
        outcome = Outcome(progress)
        if dest == STREAM or dest.endswith(LINES_ENDING):
            with _lines_file(dest, force) as file:
                _export_lines(session, file, path or "/", outcome)
        elif dest.endswith(ARCHIVE_ENDINGS):
            _export_archive(session, dest, path or "/", force, outcome)
        else:
            _export_tree(session, Path(dest), path or MEMORY, force, outcome)
    if app.as_json and dest != STREAM:
        put_json(outcome.as_json())
    note(outcome.summary("exported"))
    context.exit(outcome.code)


def _export_lines(session: Session, file: TextIO, path: str, outcome: Outcome) -> None:
    from avm_builtin.frontends.cli.transfer.lines import directory_line, node_line

    for found in _exportable(session, path, outcome):
        stat = found.stat
        assert stat is not None
        try:
            if stat.is_directory:
                if found.path != "/":
                    file.write(directory_line(found.path, stat) + "\n")
                continue
            made = [
                link for link in session.links(found.path) if link.kind != MENTION
            ]  # the text says the rest
            line = node_line(session.read(found.path), made)
        except NotFound:
            continue  # removed while we were on our way
        except VfsError as error:
            outcome.fail(found.path, error)
            continue
        file.write(line + "\n")
        outcome.written += 1
        outcome.progress.add()


def _export_archive(session: Session, dest: str, path: str, force: bool, outcome: Outcome) -> None:
    from avm_builtin.frontends.cli.transfer.archive import write

    top = session.require_stored(path, Operation.STAT)
    session.judge.check(Operation.EXPORT, top)
    with _new_file(dest, force) as file:
        found_below = session.walk(top.path, Operation.EXPORT)
        contents = write(session, file, top.path, found_below, outcome, Path(dest).absolute().parent)
    session.record_export(dest, contents.sequence)


def _export_tree(session: Session, dest: Path, path: str, force: bool, outcome: Outcome) -> None:
    from avm_builtin.frontends.cli.transfer.tree import Put, Tree

    found_below = _exportable(session, path, outcome)
    top = next(found_below, None)
    if top is None or top.stat is None:
        return
    if top.stat.is_directory:
        cut = len(top.path.rstrip("/")) + 1
    else:
        cut, found_below = top.path.rindex("/") + 1, iter((top,))
    tree = Tree(dest, force=force)
    try:
        for found in found_below:
            stat = found.stat
            assert stat is not None
            parts = found.path[cut:].split("/")
            shown = os.fspath(dest.joinpath(*parts))
            try:
                if stat.is_directory:
                    tree.directory(parts, stat.mode & 0o777)
                    continue
                put = tree.put(parts, session.read(found.path).data, stat.mode & 0o777)
            except NotFound:
                continue  # removed while we were on our way
            except (OSError, ValueError, VfsError) as error:
                outcome.fail(shown, error)
                continue
            outcome.progress.add()
            if put is Put.WRITTEN:
                outcome.written += 1
            elif put is Put.UNCHANGED:
                outcome.unchanged += 1
            else:
                outcome.differs(shown)
    finally:
        tree.close()


def _exportable(session: Session, path: str, outcome: Outcome) -> Iterator[Found]:
    """What may be exported at and below a path. Raises NotFound, Denied, Unsupported where that is nothing.

    Links and special nodes are left out, and said to be.
    """
    top = session.require_stored(path, Operation.STAT)
    session.judge.check(Operation.EXPORT, top)
    for found in session.walk(path, Operation.EXPORT):
        if found.stat is not None and found.stat.kind in (Kind.FILE, Kind.DIRECTORY):
            yield found
        elif found.stat is not None:
            outcome.skip(found.path, f"a {found.stat.kind} is not exported")


@contextmanager
def _lines_file(dest: str, force: bool) -> Iterator[TextIO]:
    """A file to write lines to, which appears under its name when it is complete."""
    if dest == STREAM:
        yield sys.stdout
        sys.stdout.flush()  # before anything is said of what was written
        return
    with _new_file(dest, force) as raw:
        file = TextIOWrapper(raw, encoding="utf-8", newline="")
        yield file
        file.detach()


@contextmanager
def _new_file(dest: str, force: bool) -> Iterator[IO[bytes]]:
    """A file to write to, which appears under its name when it is complete."""
    target = Path(dest)
    if target.exists() and not force:
        raise Exists(f"{dest} exists already; --force replaces it")
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            yield file
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
