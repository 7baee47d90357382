"""Remember: a note is made where it belongs, named after what it says, with what is known of it.

The same text is not stored twice in a space, and what resembles it is linked and reported, never dropped.
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from unicodedata import normalize

from avm_builtin.memory.projects import project_of
from avm_builtin.memory.redaction import Redacted, redact
from avm_builtin.memory.resemblance import ALIKE, NEARLY, shingles, similarity
from avm_builtin.search import text as analyser
from vfs_core.errors import Conflict, Denied, Exists, Invalid, NotFound, Unsupported
from vfs_core.path import join
from vfs_core.storage import Operation
from vfs_core.types import JSON, Link

if TYPE_CHECKING:
    from vfs_core.session import Session

_TITLE_WORDS = 8
_NAME_BYTES = 60
_TRIES = 20
"""Names that are tried with a number; then one with random letters is taken."""
_LOOKED_AT = 20
"""Notes that are compared with a new one: those that a search for its text finds first."""
_QUERY_CHARACTERS = 2000
_NOT_IN_NAMES = re.compile(r"[^\w\u00b7]+|_+")


class Similar(NamedTuple):
    """A note that says nearly the same: how much of it, in [0, 1]."""

    path: str
    similarity: float


@dataclass(frozen=True)
class Remembered:
    """What was stored: where, and what it resembles. `stored` False: the same text was there already."""

    path: str
    stored: bool
    version: int
    similar: tuple[Similar, ...] = ()
    redacted: tuple[str, ...] = ()
    """The kinds of secrets that were taken out."""


def remember(
    session: Session,
    content: str,
    *,
    title: str | None = None,
    importance: float = 0.5,
    tags: Sequence[str] = (),
    namespace: str | None = None,
    source: str | None = None,
    derived_from: Sequence[str] = (),
    supersedes: str | None = None,
    keep_secrets: bool = False,
) -> Remembered:
    """Store a note. `namespace` None is the agent's private space, `shared` and what lies below it the shared one.

    `derived_from` and `supersedes` are paths. `keep_secrets` stores what looks like a secret too.
    Raises Invalid, NotFound, Denied before anything is stored.
    """
    if not content.strip():
        raise Invalid("there is nothing to remember: the text is empty")
    if isinstance(importance, bool) or not 0 <= importance <= 1 or not math.isfinite(importance):
        raise Invalid(f"importance is from 0 to 1, not {importance!r}")
    space = space_for(session, namespace)
    sources = [session.require_stored(path, Operation.READ).path for path in derived_from]
    replaced = None if supersedes is None else session.require_stored(supersedes, Operation.READ).path
    clean = Redacted(content, ()) if keep_secrets else redact(content)
    similar = _alike(session, clean.text, space)
    for each in similar:
        if each.similarity == 1.0 and each.path != replaced:
            version = session.stat(each.path).version
            return Remembered(each.path, False, version, (), clean.kinds)
    meta: dict[str, JSON] = {
        "title": title, "importance": importance, "tags": list(tags) or None, "source": source,
        "author": session.principal.agent, "project": project_of(),
    }  # fmt: skip
    path, version = _store(session, space, title or _title(clean.text), clean.text, meta)
    near = tuple(each for each in similar if each.path != replaced)
    links = [Link(path, "derived", each, 1.0) for each in sources]
    links += [Link(path, "related", each.path, each.similarity) for each in near]
    if replaced is not None:
        links.append(Link(path, "supersedes", replaced, 1.0))
    if links:
        session.link_many(links)
    if replaced is not None:
        _mark_superseded(session, replaced, path)
    return Remembered(path, True, version, near, clean.kinds)


def space_for(session: Session, namespace: str | None) -> str:
    """The directory that a namespace stands for."""
    if namespace is None or namespace == "private":
        return session.absolute("/private")
    if namespace.startswith("/"):
        return session.absolute(namespace)
    if namespace == "shared":
        return "/memory/shared"
    name = namespace.removeprefix("shared/").strip("/")
    return session.absolute(f"/memory/shared/{name}")


def _title(text: str) -> str:
    """The first words of a text."""
    line = next((line for line in text.splitlines() if line.strip(" \t#*->`")), text).strip()
    return " ".join(line.split()[:_TITLE_WORDS])


def file_name(title: str) -> str:
    """A name for a file: the letters and digits of a title, in lower case, with `_` between."""
    words = _NOT_IN_NAMES.sub("_", normalize("NFKC", title).lower()).strip("_")
    name = words.encode()[:_NAME_BYTES].decode("utf-8", "ignore").rstrip("_")
    return name or "note"


def _store(session: Session, space: str, title: str, text: str, meta: dict[str, JSON]) -> tuple[str, int]:
    """Write a new file under the first name that is free."""
    name = file_name(title)
    for number in range(1, _TRIES + 2):
        ending = "" if number == 1 else f"_{number}" if number <= _TRIES else f"_{secrets.token_hex(6)}"
        path = join(space, f"{name}{ending}.md")
        try:
            return path, session.write(path, text, meta, base_version=0).version
        except (Conflict, Exists):
            continue
        except Denied:
            if number > _TRIES or not session.exists(space):
                raise
    raise Conflict(f"no free name was found for {name!r} in {space}")


def _mark_superseded(session: Session, old: str, new: str) -> None:
    """Say so on the old note, where the agent may; the link says so in any case."""
    try:
        session.update_meta(old, {"superseded_by": new})
    except (Denied, NotFound, Unsupported):
        return


def _alike(session: Session, text: str, space: str) -> list[Similar]:
    """Notes of a space that say the same (1.0) or nearly so, most alike first."""
    if not session.exists(space):
        return []
    mine = shingles(text)
    found = []
    for name, _ in session.rank(text[:_QUERY_CHARACTERS], _LOOKED_AT, only=session.filter(under=space)).names:
        assert name.stat is not None
        if name.stat.size > analyser.MAX_TEXT:
            continue
        try:
            other = session.read(name.path).text
        except (NotFound, Denied):
            continue
        if other == text:
            found.append(Similar(name.path, 1.0))
            continue
        share = similarity(mine, shingles(other))
        if share >= ALIKE:
            found.append(Similar(name.path, min(share, NEARLY)))
    return sorted(found, key=lambda each: (-each.similarity, each.path))
