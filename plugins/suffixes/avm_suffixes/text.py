"""What is written to a virtual node, as text."""

from __future__ import annotations

from vfs_core.errors import Invalid


def decode(data: bytes, name: str) -> str:
    """The text that was written to the virtual node `name`. Raises Invalid unless it is UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Invalid(f"{name} takes UTF-8 text") from None
