"""`access`: who may do what with a path, and why."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from avm_builtin.frontends.cli.output import entry, put, put_json, table
from avm_builtin.frontends.cli.params import NotePath
from avm_builtin.frontends.cli.state import App

if TYPE_CHECKING:
    from vfs_core.explaining import AccessReport


@click.command()
@click.argument("path", type=NotePath())
@click.pass_obj
def access(app: App, path: str) -> None:
    """Print who may do what with PATH, and by which rule: agent, what it may, what keeps it from more.

    With --agent it is that agent who asks, and it learns nothing of what it may not know of.
    """
    report = app.session.access(path)
    if app.as_json:
        put_json(asdict(report))
        return
    for line in _head(report):
        put(line)
    table(
        ("agent", "may", "why not more"),
        [(each.agent, " ".join(each.allowed) or "nothing", each.reason) for each in report.agents],
    )


def _head(report: AccessReport) -> list[str]:
    lines = [entry(report.path)]
    if report.owner:
        lines.append(f"owner {entry(report.owner)}, group {entry(report.group)}, mode {report.mode}")
    if report.space is not None:
        lines.append(f"in the private space of {entry(report.space)}")
    if report.rule:
        lines.append(f"rule: {entry(report.rule)}")
    for agent, granted in sorted(report.shares.items()):
        lines.append(f"shared with {entry(agent)} ({granted})")
    return lines
