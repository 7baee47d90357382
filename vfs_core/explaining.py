"""Explaining the policy: who may do what with a path, and by which rule (`avm access PATH`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vfs_core.errors import VfsError
from vfs_core.path import space_of, split
from vfs_core.permissions import Judge
from vfs_core.storage import Operation
from vfs_core.types import Access, Principal

if TYPE_CHECKING:
    from vfs_core.session import Session

_SHOWN = (Operation.READ, Operation.WRITE, Operation.DELETE, Operation.SHARE)


@dataclass(frozen=True)
class AgentAccess:
    """What one agent may do with a path: the operations that are allowed, and why the others are not."""

    agent: str
    allowed: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class AccessReport:
    """Who may do what with a path. `mode` is octal text, `rule` the configuration's ceiling if there is one."""

    path: str
    owner: str
    group: str
    mode: str
    space: str | None
    rule: str
    shares: dict[str, Access]
    agents: tuple[AgentAccess, ...]


def explain(session: Session, path: str) -> AccessReport:
    """A report on a path that the asker may read, over the agents that the store knows."""
    store, policy = session.store, session.kernel.policy
    matched = session.kernel.routes.match(path)
    agents = sorted({*store.users(), *(policy.declared or {}), session.principal.agent})
    rule = policy.ceiling(path, session.principal.agent).rule
    if session.is_provided(path):
        session.judge.check_provided(Operation.READ, path)
        where = matched.route.rule.where if matched else ""
        served = tuple(_provided(session, agent, path) for agent in agents)
        return AccessReport(path, "", "", "", None, rule or where, {}, served)
    found = store.find(path)._replace(directory=store.find(split(path)[0]).own)
    session.judge.check(Operation.READ, found)
    assert found.stat is not None
    own = store.node_class(found.own)
    inherited = {grant.agent: grant.access for grant in store.directory_class(found.within).grants}
    shown = []
    for agent in agents:
        judge = Judge(policy, Principal(agent, agent), store)
        verdicts = {operation: judge.judge(operation, found) for operation in _SHOWN}
        allowed = tuple(str(operation) for operation, verdict in verdicts.items() if verdict.error is None)
        reasons = [verdict.reason for verdict in verdicts.values() if verdict.error is not None]
        hidden = Operation.READ not in {op for op, v in verdicts.items() if v.error is None}
        shown.append(AgentAccess(agent, allowed, _why(reasons, hidden and not reasons[0])))
    return AccessReport(
        path, own.owner, own.group, f"{own.mode:04o}", space_of(path), rule,
        {**inherited, **own.shares}, tuple(shown),
    )  # fmt: skip


def _provided(session: Session, agent: str, path: str) -> AgentAccess:
    judge = Judge(session.kernel.policy, Principal(agent, agent), session.store)
    allowed, reason = [], ""
    for operation in _SHOWN[:3]:
        try:
            judge.check_provided(operation, path)
            allowed.append(str(operation))
        except VfsError as error:
            reason = reason or str(error)
    return AgentAccess(agent, tuple(allowed), reason)


def _why(reasons: list[str], hidden: bool) -> str:
    if hidden:
        return "does not know of it"
    return reasons[0] if reasons else ""
