"""`doctor`: a line for everything that can be wrong, with what mends it."""

from __future__ import annotations

from dataclasses import asdict

import click

from avm_builtin.frontends.cli.output import entry, note, on_terminal, put, put_json
from avm_builtin.frontends.cli.state import App

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@click.option("--mend", is_flag=True, help="First make anew what is derived, where it is wrong.")
@click.pass_context
def doctor(context: click.Context, mend: bool) -> None:
    """Look for what is wrong with installation, configuration, store and index, and say what mends it.

    It reads the whole store. Without --mend it changes nothing but the index, which it brings up to the store. The
    exit code is 1 if anything fails.
    """
    import sys

    from avm_builtin.frontends.cli.checks import findings

    app = context.find_object(App)
    assert app is not None
    if mend:
        _mend(app)
    failed = False
    collected = []
    for finding in findings(app):
        failed = failed or finding.level == "fail"
        if app.as_json:
            collected.append(asdict(finding))
            continue
        level = f"{finding.level:<4}"
        if on_terminal(sys.stdout):
            level = click.style(level, fg=_COLOURS.get(finding.level))
        cure = f"  -> {entry(finding.cure)}" if finding.cure else ""
        put(f"{level}  {entry(finding.subject)}: {entry(finding.message)}{cure}")
        sys.stdout.flush()
    if app.as_json:
        put_json(collected)
    context.exit(int(failed))


def _mend(app: App) -> None:
    """Mend, and say what; where a store is too damaged for that, say so, and let the findings tell where."""
    from avm_builtin.frontends.cli.errors import describe
    from vfs_core.errors import CorruptStore

    try:
        mended = app.session.mend()
    except CorruptStore as error:
        note(f"not everything could be mended: {describe(error)}")
        return
    for what, count in mended.items():
        note(f"mended {count:,} {what}")
    if not mended:
        note("nothing that can be mended was wrong")
