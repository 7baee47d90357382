"""A store that appears, or is replaced, in the middle of an operation: each answer is of one store or the other.

Until a process has written, reads are of an empty store in memory. Class ids mean different things in the two, so
what is read from one must never be judged by the other.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vfs_core.errors import NotFound
from vfs_core.kernel import Kernel
from vfs_core.session import Session
from vfs_core.storage import Operation, Store

NOTE = "/memory/shared/in/note.md"


class Late(Kernel):
    """A kernel whose store is made by another process just before it looks for the store the n-th time."""

    def __init__(self, db: Path, looks: int) -> None:
        super().__init__(None, db)
        self.looks = looks

    @property
    def store(self) -> Store:
        self.looks -= 1
        if self.looks == 0:
            with Kernel(None, self.location) as other:
                session = other.session("other")
                session.write(NOTE, "quokka", {"tags": ["odd"]})
                session.set_mode(NOTE, 0o640)  # a class that the empty store does not know
                session.share(NOTE, "owner", "r")
        return super().store


READS: dict[str, tuple[Callable[[Session], object], object]] = {
    "read": (lambda session: session.read(NOTE).text, "quokka"),
    "stat": (lambda session: session.stat(NOTE).mode, 0o640),
    "list": (lambda session: [entry.path for entry in session.list("/memory/shared/in")], [NOTE]),
    "walk": (
        lambda session: [found.path for found in session.walk("/memory/shared/in", Operation.READ)][1:],
        [NOTE],
    ),
    "search": (lambda session: [hit.path for hit in session.search("quokka")], [NOTE]),
    "shares": (lambda session: dict(session.shares(NOTE)), {"owner": "r"}),
    "tags": (lambda session: session.tag_counts(), {"odd": 1}),
}
NOTHING: tuple[object, ...] = ("absent", [], {})


@pytest.mark.parametrize("looks", range(1, 12))
@pytest.mark.parametrize("name", READS)
def test_a_store_that_appears_is_seen_whole_or_not_at_all(tmp_path: Path, name: str, looks: int) -> None:
    operate, expected = READS[name]
    with Late(tmp_path / "avm.db", looks + 1) as kernel:
        session = kernel.session("owner")
        session.exists(NOTE)
        kernel.looks = looks
        try:
            seen = operate(session)
        except NotFound:
            seen = "absent"
        assert seen == expected or seen in NOTHING
        while kernel.looks > 0:
            kernel.store  # noqa: B018
        assert operate(session) == expected
