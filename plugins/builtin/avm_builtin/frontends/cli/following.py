"""Waiting for a follower before what it makes is read, with a progress bar where there is much to take in."""

from __future__ import annotations

from avm_builtin.frontends.cli.output import counted, note
from avm_builtin.frontends.cli.progress import Progress
from avm_builtin.frontends.cli.state import App

_STEP_SECONDS = 0.5


def follow(app: App, name: str) -> None:
    """Let a follower take in all that is new; where it cannot, say how much it lacks."""
    behind = app.kernel.catch_up(name, _STEP_SECONDS)
    if not behind:
        return
    follower = app.kernel.follower(name).follower
    position = 0
    with Progress("changes") as progress:
        while behind:
            cursor = follower.cursor()
            reached = 0 if cursor is None else cursor.sequence
            if reached == position:
                break  # it is read-only here, or another process is at it
            progress.expect(reached + behind)
            progress.add(reached - position)
            position = reached
            behind = app.kernel.catch_up(name, _STEP_SECONDS)
    if behind:
        note(f"what follows from the last {counted(behind, 'change')} is not there yet")
