"""Names of agents and groups: what may be one, checked in one place.

An agent's name is a directory below `/memory/private`, a word in commands and a recipient of messages,
so it must not look like a path, a pattern, an option, a suffix or `@all`.
"""

from __future__ import annotations

from vfs_core.errors import Invalid
from vfs_core.path import NAME_MAX

AGENT_NAME_MAX = 64
"""Characters in an agent's name."""

_RESERVED = "/:?*{},\"'\\"
_RESERVED_FIRST = ".-@"


def check_agent_name(name: str) -> str:
    """The name itself, if it may name an agent (or a group). Letters of every script are fine.

    Raises Invalid saying what is wrong and what would be right.
    """
    wrong = _what_is_wrong(name)
    if wrong:
        raise Invalid(f"{name[:80]!r} cannot be an agent's name: {wrong}")
    return name


def _what_is_wrong(name: str) -> str:
    if not name:
        return "it is empty; give it at least one character"
    if len(name) > AGENT_NAME_MAX:
        return f"it has {len(name)} characters; use at most {AGENT_NAME_MAX}"
    for character in name:
        if character in _RESERVED:
            return f"it contains {character!r}; use letters, digits, '-', '_' or '.'"
        if character.isspace() or not character.isprintable():
            return f"it contains {character!r}, a space or control character; use '-' or '_' instead"
    if name[0] in _RESERVED_FIRST:
        return f"it starts with {name[0]!r}; start with a letter or digit"
    if len(name.encode()) > NAME_MAX:
        return f"it has over {NAME_MAX} bytes in UTF-8; use fewer characters"
    return ""
