"""Decay: a note that is old and that nothing is linked with loses importance, and in the end its place.

Nobody records what is read, so what counts is the age of the text, the importance that was given, and links. Of its
importance a note keeps half for each 90 days beyond the first 30; for each other note that it is linked with, up
to four, that takes another 90. Once the text is changed the importance is again what it was.
"""

from __future__ import annotations

from typing import Any

from avm_builtin.memory.consolidation.notes import Note, Ties
from avm_builtin.memory.recalling import importance_of
from vfs_core.moments import DAY_NS
from vfs_core.types import JSON

GRACE_NS = 30 * DAY_NS
HALF_LIFE_NS = 90 * DAY_NS
ARCHIVED_BELOW = 0.15
ARCHIVED_AFTER_NS = 180 * DAY_NS
_MOST_LINKS = 4
_STEPS = 20
"""Importance fades in steps of a twentieth, so that a note is not changed every day."""


def given_importance(meta: dict[str, Any]) -> float:
    """The importance before it faded: as recorded with what it faded to, unless somebody has set another since."""
    decay = meta.get("decay")
    if isinstance(decay, dict) and "to" in decay and decay["to"] == meta.get("importance"):
        return importance_of({} if decay.get("from") is None else {"importance": decay["from"]})
    return importance_of(meta)


def faded_importance(given: float, age_ns: int, links: int) -> float:
    """What is left of an importance at an age."""
    if age_ns <= GRACE_NS:
        return given
    half_life = HALF_LIFE_NS * (1 + min(links, _MOST_LINKS))
    left: float = given * 0.5 ** ((age_ns - GRACE_NS) / half_life)
    return round(left * _STEPS) / _STEPS


def fading(note: Note, ties: Ties) -> dict[str, JSON]:
    """The change of a note's metadata that records what is left of its importance; empty if nothing changes."""
    meta = note.meta
    given = given_importance(meta)
    left = min(given, faded_importance(given, note.age_ns, ties.links))
    if left == importance_of(meta):
        return {}
    recorded = meta.get("decay") if given != importance_of(meta) else None
    first = recorded["from"] if isinstance(recorded, dict) else meta.get("importance")
    if left == given:
        return {"importance": first, "decay": None}
    return {"importance": left, "decay": {"from": first, "to": left}}


def has_faded(note: Note, patch: dict[str, JSON]) -> bool:
    """Whether a note is to be archived once `patch` is merged into its metadata."""
    return note.age_ns >= ARCHIVED_AFTER_NS and importance_of({**note.meta, **patch}) < ARCHIVED_BELOW
