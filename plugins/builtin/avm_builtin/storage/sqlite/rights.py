"""Who may: modes, owners, shares, agents; and what opens a node to more readers."""

from __future__ import annotations

import json
from collections.abc import Mapping

from avm_builtin.storage.sqlite.classes import refresh_tree
from avm_builtin.storage.sqlite.connection import Row
from avm_builtin.storage.sqlite.rows import DIRECTORY
from avm_builtin.storage.sqlite.unit import OWN, PARENT, WITHIN, Place, Unit
from vfs_core import journal
from vfs_core.errors import (
    Denied,
    Invalid,
    NotFound,
    NotOwner,
)
from vfs_core.path import PRIVATE, join, space_of, split
from vfs_core.storage import (
    Operation,
)
from vfs_core.types import JSON, Access, Stat, User
from vfs_core.visibility import NodeClass


def widens(unit: Unit, row: Row, place: Place) -> bool:
    """Whether somebody new may read the node once it is in `place`."""
    before = unit.classes.directory(row[WITHIN], unit.cursor)
    after = unit.classes.directory(place.within, unit.cursor)
    mode = unit.classes.node(row[OWN], unit.cursor).mode
    return before.widens_to(after, row[1] != DIRECTORY and mode & 0o444 == 0o444)


def judge_widening(unit: Unit, old: str, row: Row, place: Place) -> None:
    """A move that widens who may read is a share: of the node, and of others' nodes below it."""
    if not widens(unit, row, place):
        return
    unit.check(Operation.SHARE, unit.as_found(old, row))
    if row[1] == DIRECTORY:
        others = unit.execute(
            "SELECT d.path, m.name FROM directory d JOIN name m ON m.directory = d.id "
            "JOIN node n ON n.id = m.node WHERE (d.path = ?1 OR (d.path > ?2 AND d.path < ?3)) "
            "AND n.owner <> ?4 AND (n.expires_ns IS NULL OR n.expires_ns > ?5) LIMIT 1",
            (old, old + "/", old + "0", unit.agent(unit.origin.agent), unit.now),
        )
        for directory, name in others:
            path = join(directory, name)
            try:
                unit.check(Operation.SHARE, unit.as_found(path, unit.require(path)))
            except (NotFound, Denied):
                raise NotOwner(
                    f"{old} holds notes of others, whom alone it is for to let more agents read them"
                ) from None


def set_mode(unit: Unit, path: str, mode: int) -> Stat:
    """See `Transaction.set_mode`."""
    if not 0 <= mode <= 0o7777:
        raise Invalid(f"{mode:o} is not a mode: give 0 to 7777 (octal)")
    row = unit.require(path)
    unit.check(Operation.MODE, unit.as_found(path, row))
    _refuse_opening(path, mode)
    own = unit.classes.node(row[OWN], unit.cursor)
    new = NodeClass(own.owner, own.group, mode, own.shares)
    return _reclassify(unit, path, row, new, journal.MODE, {"mode": mode, journal.BEFORE: own.mode})


def set_owner(unit: Unit, path: str, owner: str | None = None, group: str | None = None) -> Stat:
    """See `Transaction.set_owner`."""
    row = unit.require(path)
    unit.check(Operation.MODE, unit.as_found(path, row))
    own = unit.classes.node(row[OWN], unit.cursor)
    if owner is not None and path == f"{PRIVATE}/{space_of(path)}":
        raise Invalid(f"{path} is a private space and belongs to its agent")
    new = NodeClass(owner or own.owner, group or own.group, own.mode, own.shares)
    unit.agent(new.owner)
    unit.group(new.group)
    before = {"owner": own.owner, "group": own.group}
    details = {"owner": new.owner, "group": new.group, journal.BEFORE: before}
    return _reclassify(unit, path, row, new, journal.OWNER, details)


def set_posix_owner(unit: Unit, path: str, uid: int | None = None, gid: int | None = None) -> Stat:
    """See `Transaction.set_posix_owner`."""
    row = unit.require(path)
    unit.check(Operation.MODE, unit.as_found(path, row))
    new = (row[10] if uid is None else uid, row[11] if gid is None else gid)
    if not all(0 <= number < 2**32 for number in new):
        raise Invalid(f"{path}: uid and gid are from 0 to 4,294,967,295")
    if new != (row[10], row[11]):
        details = {"uid": new[0], "gid": new[1], journal.BEFORE: {"uid": row[10], "gid": row[11]}}
        now, _ = unit.journal(journal.CHOWN, row[0], path, row[6], row[5], details=details)
        unit.execute("UPDATE node SET uid = ?, gid = ?, changed_ns = ? WHERE id = ?", (*new, now, row[0]))
        unit.touched += (row[0], row[PARENT])
    return unit.users.stat(unit.require(path))


def share(unit: Unit, path: str, agent: str, access: Access | None) -> None:
    """See `Transaction.share`."""
    if access not in ("r", "rw", None):
        raise Invalid(f"a share grants 'r' or 'rw', not {access!r}")
    row = unit.require(path)
    unit.check(Operation.SHARE, unit.as_found(path, row))
    own = unit.classes.node(row[OWN], unit.cursor)
    shares = {name: held for name, held in own.shares.items() if name != agent}
    user = unit.agent(agent)
    if access is None:
        unit.execute("DELETE FROM share WHERE node = ? AND user = ?", (row[0], user))
    else:
        shares[agent] = access
        unit.execute(
            "INSERT OR REPLACE INTO share (node, user, access) VALUES (?, ?, ?)", (row[0], user, access)
        )
    new = NodeClass(own.owner, own.group, own.mode, shares)
    details = {"agent": agent, "access": access, journal.BEFORE: own.shares.get(agent)}
    _reclassify(unit, path, row, new, journal.SHARE, details)


def _reclassify(
    unit: Unit, path: str, row: Row, new: NodeClass, operation: str, details: Mapping[str, JSON]
) -> Stat:
    """Give a node another class, and all below it if it is a directory."""
    old = unit.classes.node(row[OWN], unit.cursor)
    if new != old:
        own = unit.classes.intern(unit.cursor, new)
        now, sequence = unit.journal(operation, row[0], path, row[6], row[5], details=details)
        unit.execute(
            'UPDATE node SET mode = ?, owner = ?, "group" = ?, visibility = ?, changed_ns = ? WHERE id = ?',
            (
                new.mode,
                unit.users.user_ids[new.owner],
                unit.users.group_ids[new.group],
                own,
                now,
                row[0],
            ),
        )
        if operation != journal.MODE or new.mode & ~old.mode & 0o555:
            widened(unit, row[0], row[1], sequence)
        if row[1] == DIRECTORY:
            refresh_tree(unit.cursor, unit.classes, path)
            unit.forget_directories()
        if row[1] == DIRECTORY or operation == journal.SHARE:
            unit.everything = True
        unit.touched += (row[0], row[PARENT])
    return unit.users.stat(unit.require(path))


def widened(unit: Unit, node: int, kind: int, sequence: int) -> None:
    """See `Transaction.widened`."""
    unit.execute("UPDATE node SET widened_sequence = ? WHERE id = ?", (sequence, node))
    if kind == DIRECTORY:
        unit.execute("UPDATE directory SET widened_sequence = ? WHERE id = ?", (sequence, node))


def carry_widened(unit: Unit, node: int, path: str) -> None:
    """What leaves a directory takes along when it was last opened there, or its drafts would be seen elsewhere."""
    above = [path]
    while above[-1] != "/":
        above.append(split(above[-1])[0])
    unit.execute(
        "UPDATE node SET widened_sequence = (SELECT max(widened_sequence) FROM directory WHERE path IN "
        f"({', '.join('?' * len(above))})) WHERE id = ? AND widened_sequence < (SELECT "
        f"max(widened_sequence) FROM directory WHERE path IN ({', '.join('?' * len(above))}))",
        (*above, node, *above),
    )
    unit.execute(
        "UPDATE directory SET widened_sequence = (SELECT widened_sequence FROM node WHERE id = ?1) WHERE id = ?1",
        (node,),
    )


def put_user(unit: Unit, user: User) -> None:
    """See `Transaction.put_user`."""
    id = unit.agent(user.name)
    held = None if user.capabilities is None else json.dumps(sorted(user.capabilities))
    unit.execute("UPDATE user SET capabilities = ? WHERE id = ?", (held, id))
    unit.execute("DELETE FROM membership WHERE user = ?", (id,))
    for group in user.groups:
        unit.execute('INSERT INTO membership (user, "group") VALUES (?, ?)', (id, unit.group(group)))
    details = {
        "name": user.name,
        "groups": sorted(user.groups),
        "capabilities": None if user.capabilities is None else sorted(user.capabilities),
    }
    unit.journal(journal.USER, 0, "", 0, 0, details=details)
    unit.everything = True


def _refuse_opening(path: str, mode: int) -> None:
    if mode & 0o077 and path == f"{PRIVATE}/{space_of(path)}":
        raise Invalid(f"{path} is a private space: only a share opens it, no mode does")
