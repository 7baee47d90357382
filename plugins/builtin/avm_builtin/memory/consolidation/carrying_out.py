"""Carrying a plan out: one transaction for each action, all of them one run; what cannot be done is skipped and told.

A run that is killed has done some of it, and what it has done is whole: run it again, or take it back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from avm_builtin.memory.consolidation.actions import Action, Kind
from avm_builtin.memory.consolidation.plan import KINDS, make_plan
from vfs_core.errors import Conflict, Denied, Exists, Invalid, NotADirectory, NotFound
from vfs_core.moments import parse_duration
from vfs_core.undoing import new_run

if TYPE_CHECKING:
    from vfs_core.session import Session

_SKIPPED = (Conflict, Denied, Exists, Invalid, NotADirectory, NotFound)
"""What may befall one note; whatever else goes wrong ends the run."""


class Skipped(NamedTuple):
    """An action that could not be carried out, and why."""

    action: Action
    reason: str


@dataclass(frozen=True)
class Consolidated:
    """What a consolidation did, or (with `dry_run`) would do. `run` is what `undo` takes back; "" if it did nothing."""

    run: str
    dry_run: bool
    done: tuple[Action, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True)
class Listener:
    """Who wants to know how far it has come: a note was read; a run begins with so many actions; one was tried."""

    looked_at: Callable[[], None] = lambda: None
    begins: Callable[[str, int], None] = lambda run, count: None
    tried: Callable[[], None] = lambda: None


def consolidate(
    session: Session,
    under: str | None = None,
    *,
    older_than: str = "30d",
    only: Collection[Kind] = KINDS,
    dry_run: bool = False,
    listener: Listener | None = None,
) -> Consolidated:
    """Consolidate what is at and below a path, by default in the agent's private space.

    `older_than` is a duration: younger notes are left alone. Raises Invalid, NotFound, Denied, PluginError.
    """
    unknown = set(only) - set(KINDS)
    if unknown:
        raise Invalid(f"a consolidation is of {', '.join(KINDS)}, not {', '.join(sorted(unknown))}")
    told = listener or Listener()
    older_than_ns = parse_duration(older_than)
    if under is None:
        path = session.absolute("/private")
        if not session.exists(path):
            return Consolidated("", dry_run, (), ())
    else:
        path = session.absolute(under)
        session.stat(path)
    plan = make_plan(
        session, path, older_than_ns=older_than_ns, now_ns=time.time_ns(), only=only, looked_at=told.looked_at
    )
    if dry_run or not plan:
        return Consolidated("", dry_run, tuple(plan), ())
    return _carry_out(session, plan, told)


def _carry_out(session: Session, plan: list[Action], told: Listener) -> Consolidated:
    run = new_run(session)
    told.begins(run, len(plan))
    done: list[Action] = []
    skipped: list[Skipped] = []
    for action in plan:
        try:
            with session.transaction() as tx:
                tx.part_of = run
                action.carry_out(session, tx)
        except _SKIPPED as error:
            skipped.append(Skipped(action, str(error)))
        else:
            done.append(action)
        told.tried()
    return Consolidated(run, False, tuple(done), tuple(skipped))
