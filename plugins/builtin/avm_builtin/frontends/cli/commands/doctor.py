"""`doctor`: a line for everything that can be wrong, with what mends it."""

from __future__ import annotations

from dataclasses import asdict

import click

from avm_builtin.frontends.cli.output import entry, on_terminal, put, put_json
from avm_builtin.frontends.cli.state import App

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@click.pass_context
def doctor(context: click.Context) -> None:
    """Look for what is wrong with installation, configuration, store and index, and say what mends it.

    It changes nothing, and reads the whole store. The exit code is 1 if anything fails.
    """
    import sys

    from avm_builtin.frontends.cli.checks import findings

    app = context.find_object(App)
    assert app is not None
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
