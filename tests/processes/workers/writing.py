"""What each of several writing processes does (test_writers.py)."""

from __future__ import annotations

from common import main, open_kernel, ready

from vfs_core.errors import Conflict


def distinct(db: str, durability: str, me: int, count: int) -> list[tuple[str, int]]:
    """Write notes that nobody else writes; returns what was acknowledged, with the sequences."""
    with open_kernel(db, durability) as kernel:
        session = kernel.session(f"agent{me}")
        acknowledged = []
        ready()
        for number in range(count):
            path = f"/memory/shared/of-{me}/note-{number:04}.md"
            acknowledged.append((path, session.write(path, f"{me}:{number}\n" + "x" * 400).sequence))
        return acknowledged


def append(db: str, durability: str, me: int, count: int) -> list[int]:
    """Append lines to the one note; returns the versions that they made."""
    with open_kernel(db, durability) as kernel:
        session = kernel.session(f"agent{me}")
        ready()
        return [
            session.append("/memory/shared/log.md", f"{me}:{number}\n").version for number in range(count)
        ]


def increment(db: str, durability: str, me: int, count: int) -> list[int]:
    """Add 1 to the number in the one note, so often; returns the numbers that were written."""
    with open_kernel(db, durability) as kernel:
        session = kernel.session(f"agent{me}")
        written = []
        ready()
        for _ in range(count):
            while True:
                node = session.read("/memory/shared/counter.md")
                number = int(node.text) + 1
                try:
                    session.write("/memory/shared/counter.md", str(number), base_version=node.version)
                except Conflict:
                    continue
                written.append(number)
                break
        return written


def make_stores(directory: str, durability: str, me: int, count: int) -> int:
    """Write a note into one store after the other, which nobody has made, or somebody is about to."""
    ready()
    for number in range(count):
        with open_kernel(f"{directory}/{number}.db", durability) as kernel:
            kernel.session("founder").write(f"/memory/shared/of-{me}.md", "here")
    return count


if __name__ == "__main__":
    main({"distinct": distinct, "append": append, "increment": increment, "make_stores": make_stores})
