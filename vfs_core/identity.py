"""Who is calling: the login, the agent it names, and whether it owns the store."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from vfs_core.names import check_agent_name
from vfs_core.types import Origin, Principal


def login() -> str:
    """The agent named like the OS login; `uid-1000` where the uid has no passwd entry."""
    uid = os.geteuid()
    try:
        return check_agent_name(pwd.getpwuid(uid).pw_name)
    except (KeyError, ValueError):
        return f"uid-{uid}"


def named_agent(explicit: str | None) -> str:
    """The agent that is asked for: by argument, else `AVM_AGENT`, else the login. Raises Invalid."""
    if explicit is not None:
        return check_agent_name(explicit)
    name = os.environ.get("AVM_AGENT")
    return check_agent_name(name) if name else login()


def owns(location: str) -> bool:
    """Whether this process's user owns the store's file (or would, because it is not there yet)."""
    try:
        return Path(location).stat().st_uid == os.geteuid()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False


def origin_of(principal: Principal) -> Origin:
    """What a principal's changes are journalled with."""
    return Origin(principal.agent, principal.actor, principal.door, os.geteuid(), os.getegid())
