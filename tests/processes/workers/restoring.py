"""What processes do that have a store open while another puts a backup in its place (test_restored.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common import main, open_kernel, ready

from vfs_core.errors import StoreReplaced


def hold(db: str, agent: str) -> dict[str, Any]:
    """Have a note in the hot cache and in the index; when told, look again, and write."""
    with open_kernel(db, "normal") as kernel:
        session = kernel.session(agent)
        before = [session.read("/memory/note").text for _ in range(3)]
        found = [hit.path for hit in session.search("later")]
        ready()
        return {
            "before": before,
            "found before": found,
            "after": [session.read("/memory/note").text for _ in range(3)],
            "there": session.exists("/memory/later"),
            "found": [hit.path for hit in session.search("later")],
            "found restored": [hit.path for hit in session.search("old")],
            "written": session.write(f"/memory/by-{agent}", agent).sequence,
        }


def restore(db: str, source: str) -> list[Any]:
    """Put a backup back; returns where what was there is, and its last row."""
    with open_kernel(db, "normal") as kernel:
        session = kernel.session()
        ready()
        kept = session.restore_backup(source)
        return [str(kept.path), kept.head.sequence]


def write(db: str, agent: str, stop: str) -> list[str]:
    """Write notes of one's own until there is a file `stop`; returns those that were acknowledged."""
    with open_kernel(db, "normal") as kernel:
        session = kernel.session(agent)
        acknowledged = []
        ready()
        number = 0
        while not Path(stop).exists():
            number += 1
            path = f"/memory/{agent}-{number}"
            try:
                session.write(path, path)
            except StoreReplaced:
                continue
            acknowledged.append(path)
        return acknowledged


if __name__ == "__main__":
    main({"hold": hold, "restore": restore, "write": write})
