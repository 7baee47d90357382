"""Which project one is working on: the root of the git checkout that the working directory is in."""

from __future__ import annotations

from pathlib import Path


def project_of(directory: Path | None = None) -> str | None:
    """The path of the checkout around a directory (default: the working directory); None outside of any."""
    try:
        start = Path.cwd() if directory is None else directory.resolve()
        for each in (start, *start.parents):
            if (each / ".git").exists():
                return str(each)
    except OSError:
        return None
    return None
