"""The namespace of a note: a private space, a directory of the shared one, a directory below /memory or /."""

from __future__ import annotations

from vfs_core.path import MEMORY, SHARED, is_within, private_space, space_of

ARCHIVE = "archive"
"""The directory of a namespace for what is out of use."""


def namespace_of(path: str) -> str:
    """The directory that a note's namespace is."""
    space = space_of(path)
    if space is not None:
        return private_space(space)
    directories = path.split("/")[1:-1]
    fixed = 2 if is_within(path, SHARED) else 1 if is_within(path, MEMORY) else 0
    return "/" + "/".join(directories[: fixed + 1])
