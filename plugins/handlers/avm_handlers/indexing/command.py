"""`avm index scan|status|sigs|watch NAME`: a project's code, what has changed in it and what it defines.

Scanning writes the index, as whoever runs the command; what is shown is read through the session, and so by its rights.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from posixpath import normpath
from typing import Protocol

import click

from avm_handlers.index import SIGNATURES, STATUS, printable, signature_text, status_text
from avm_handlers.indexing.scan import Scanned, scan
from vfs_core.errors import NotFound
from vfs_core.kernel import Kernel
from vfs_core.path import compile_pattern, join
from vfs_core.session import Session
from vfs_core.types import JSON

_HANDLER = "index"
_PLACE = "/index"
_QUIET_SECONDS = 1.0
_STEP_SECONDS = 0.1


class _App(Protocol):
    """What the command line gives to its commands."""

    as_json: bool

    @property
    def kernel(self) -> Kernel: ...

    @property
    def session(self) -> Session: ...


@click.group()
def index() -> None:
    """Track a project's code: which files have changed, and what they define.

    Signatures come from the parsers of Python, JavaScript, TypeScript, Go and Rust; .gitignore is respected.
    """


@index.command(name="scan")
@click.argument("name")
@click.argument("path", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.pass_obj
def scan_command(app: _App, name: str, path: Path | None) -> None:
    """Read what has changed since the last scan. PATH, the project's directory, is needed the first time."""
    with _Progress() as progress:
        done = scan(name, path, progress.reach)
    _warn(done)
    if app.as_json:
        _put_json(vars(done))
        return
    changes = f"{len(done.added)} added, {len(done.changed)} changed, {len(done.removed)} removed"
    click.echo(
        f"{printable(done.root)}: {done.files} files, {changes}; {done.read} read, {done.parsed} parsed"
    )


@index.command(name="status")
@click.argument("name")
@click.pass_obj
def status_command(app: _App, name: str) -> None:
    """Show which files are dirty (changed or new since the scan) or missing, and how many are clean."""
    data = _read(app, name, f"{STATUS}.json")
    _put_json(data) if app.as_json else click.echo(status_text(data), nl=False)


@index.command(name="sigs")
@click.argument("name")
@click.argument("path", default="")
@click.pass_obj
def sigs_command(app: _App, name: str, path: str) -> None:
    """Print functions, classes, methods and types with their lines: of all files, or of PATH within the project."""
    wanted = normpath(path).strip("/") if path.strip("./") else ""
    found = {
        file: signatures
        for file, signatures in _read(app, name, f"{SIGNATURES}.json").items()
        if not wanted or file == wanted or file.startswith(f"{wanted}/")
    }
    if wanted and not found:
        raise NotFound(
            f"the index {name!r} has no code at {path!r}; `avm index status {name}` shows what it is behind"
        )
    if app.as_json:
        _put_json(found)
        return
    for file, signatures in found.items():
        if signatures:
            click.echo(printable(file))
            for each in signatures:
                click.echo(signature_text(**each))


@index.command(name="watch")
@click.argument("name")
@click.argument("path", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--interval", default=2.0, show_default=True, type=click.FloatRange(0.05), help="Seconds between scans."
)
@click.option(
    "--rounds", type=click.IntRange(1), help="Stop after so many scans.  [default: when interrupted]"
)
@click.pass_obj
def watch_command(app: _App, name: str, path: Path | None, interval: float, rounds: int | None) -> None:
    """Scan again and again, and print each file that was added, changed or removed."""
    number = 0
    while rounds is None or number < rounds:
        if number:
            time.sleep(interval)
        done = scan(name, path if not number else None)
        if not number:
            _warn(done)
        for what in ("added", "changed", "removed"):
            for file in getattr(done, what):
                line = json.dumps({"event": what, "path": file}, ensure_ascii=False)
                click.echo(line if app.as_json else f"{what:<7}  {printable(file)}")
        sys.stdout.flush()
        number += 1


def _read(app: _App, name: str, what: str) -> dict[str, JSON]:
    """What the handler gives, mounted for this command where the configuration does not."""
    rule = next((rule for rule in app.kernel.config.providers if rule.handler == _HANDLER), None)
    if rule is None:
        app.kernel.provide(f"{_PLACE}/**", _HANDLER)
    place = _PLACE if rule is None else compile_pattern(rule.pattern).prefix
    try:
        data: dict[str, JSON] = json.loads(app.session.read(join(join(place, name), what)).data)
    except NotFound:
        from avm_handlers.indexing import index_file

        with index_file.reading(name):  # says what there is, if there is no such index
            raise
    return data


def _warn(done: Scanned) -> None:
    for path in done.skipped:
        click.echo(
            f"skipped, because it cannot be read or its name is not UTF-8: {printable(path)}", err=True
        )


def _put_json(value: JSON) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


class _Progress:
    """A line on a terminal, once a scan has taken a second."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _QUIET_SECONDS
        self._drawn = False

    def reach(self, done: int, total: int) -> None:
        """So many of so many files are read."""
        if sys.stderr.isatty() and time.monotonic() >= self._next:
            self._next = time.monotonic() + _STEP_SECONDS
            self._drawn = True
            click.echo(f"\r\x1b[K{done:,} of {total:,} files", err=True, nl=False)

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            click.echo("\r\x1b[K", err=True, nl=False)
