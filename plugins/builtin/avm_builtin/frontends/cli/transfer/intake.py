"""Bringing notes in: in batches, each one transaction; where a batch fails, its notes one by one."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from avm_builtin.frontends.cli.transfer.lines import Record
from avm_builtin.frontends.cli.transfer.outcome import Outcome
from vfs_core.errors import Conflict, NotFound, VfsError
from vfs_core.path import join, split, split_suffix
from vfs_core.types import JSON, Draft, Link

if TYPE_CHECKING:
    from vfs_core.session import Session

_NOTES = 200
"""In a batch: enough that the commit costs little, few enough that other writers wait briefly."""
_BYTES = 8 * 1024 * 1024


class Intake:
    """Takes records and writes them. What is there and differs is left alone, unless `force`."""

    def __init__(self, session: Session, outcome: Outcome, *, force: bool) -> None:
        self._session = session
        self._outcome = outcome
        self._force = force
        self._batch: list[tuple[Record, Draft]] = []
        self._size = 0
        self._links: list[Link] = []

    def take(self, record: Record) -> None:
        """One record, which is written now or with the next batch."""
        record = self._renamed(record)
        try:
            if record.data is None:
                self._make_directory(record)
            else:
                self._consider(record, record.data)
        except VfsError as error:
            self._outcome.fail(record.path, error)
        self._links += record.links

    def finish(self) -> None:
        """Write what is left, then the links, whose ends must be there."""
        self.flush()
        known: dict[str, set[tuple[str, str]]] = {}
        wanted, self._links = self._links, []
        for link in wanted:
            with suppress(VfsError):  # said below, of each of its links
                known[link.source] = {(each.kind, each.target) for each in self._session.links(link.source)}
        for link in wanted:
            try:
                if (link.kind, link.target) not in known.get(link.source, ()):
                    self._session.link(link.source, link.target, link.kind, link.weight)
            except VfsError as error:
                self._outcome.fail(f"{link.source} -> {link.target}", error)

    def flush(self) -> None:
        """Write the batch."""
        batch, self._batch, self._size = self._batch, [], 0
        if not batch:
            return
        try:
            self._session.write_many([draft for _, draft in batch])
        except VfsError:
            for record, draft in batch:
                self._write_alone(record, draft)
        else:
            for record, _ in batch:
                self._written(record)

    # --- one record ------------------------------------------------------------------------------

    def _consider(self, record: Record, data: bytes) -> None:
        """Put a record into the batch, unless there is nothing to do or something in the way."""
        try:
            there = self._session.read(record.path)
        except NotFound:
            draft = Draft(record.path, data, record.meta, base_version=0)
        else:
            patch = _difference(there.meta, record.meta)
            if there.data == data and not patch:
                self._outcome.unchanged += 1
                self._outcome.progress.add()
                return
            if not self._force:
                self._outcome.differs(record.path)
                self._outcome.progress.add()
                return
            draft = Draft(record.path, data, patch, base_version=there.version)
        self._batch.append((record, draft))
        self._size += len(data)
        if len(self._batch) >= _NOTES or self._size >= _BYTES:
            self.flush()

    def _write_alone(self, record: Record, draft: Draft) -> None:
        try:
            self._session.write_many([draft])
        except Conflict:
            self._outcome.differs(record.path)  # it has been written since we looked
            self._outcome.progress.add()
        except VfsError as error:
            self._outcome.fail(record.path, error)
            self._outcome.progress.add()
        else:
            self._written(record)

    def _written(self, record: Record) -> None:
        self._outcome.written += 1
        self._outcome.progress.add()
        self._set_mode(record)

    def _make_directory(self, record: Record) -> None:
        self._session.mkdir(record.path, parents=True, exist_ok=True)
        self._set_mode(record)

    def _set_mode(self, record: Record) -> None:
        try:
            if record.mode is not None and self._session.stat(record.path).mode & 0o777 != record.mode:
                self._session.set_mode(record.path, record.mode)
        except VfsError as error:
            self._outcome.fail(record.path, error)

    def _renamed(self, record: Record) -> Record:
        path = free_path(record.path, self._session.kernel.suffix_names)
        if path == record.path:
            return record
        self._outcome.rename(record.path, path, "because such an ending is reserved for virtual nodes")
        links = tuple(link._replace(source=path) for link in record.links)
        return Record(path, record.data, record.meta, record.mode, links)


def free_path(path: str, suffixes: frozenset[str]) -> str:
    """The path with an underscore for each colon that would make a name a virtual node."""
    if ":" not in path:
        return path
    parent, name = split(path)
    while (found := split_suffix(name, suffixes)) is not None:
        name = f"{found[0]}_{name[len(found[0]) + 1 :]}"
    return join("/" if parent == "/" else free_path(parent, suffixes), name)


def _difference(held: dict[str, JSON], wanted: object) -> dict[str, JSON] | None:
    """What turns the metadata that is held into that which is wanted; None if nothing does."""
    if not isinstance(wanted, dict):
        return None
    patch = {key: value for key, value in wanted.items() if held.get(key) != value}
    patch |= dict.fromkeys(held.keys() - wanted.keys())
    return patch or None
