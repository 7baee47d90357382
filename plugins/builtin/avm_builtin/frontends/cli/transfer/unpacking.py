"""Bringing an archive in: nodes with their versions, one after the other as they come, then their links.

What is brought in is the importing agent's writing. Who wrote it where it came from, and when, is kept with each
version as what was said of it (`Version.attributed`), not as what this store has seen.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any

from avm_builtin.frontends.cli.transfer.archive import BLOCK, FORMAT, VERSION, drop_entries
from avm_builtin.frontends.cli.transfer.intake import free_path
from avm_builtin.frontends.cli.transfer.outcome import Outcome
from vfs_core.errors import Conflict, Exists, Invalid, NotFound, VfsError
from vfs_core.types import JSON, Kind, Link

if TYPE_CHECKING:
    from vfs_core.session import Session

_NODE_MAX = 64 * 1024 * 1024
"""Bytes of what an archive may say of one node, and of a file of links."""


class Unpacking:
    """Reads one archive into one session. Files that are there and differ are left alone, unless `force`."""

    def __init__(
        self, session: Session, outcome: Outcome, base: str | None, *, force: bool, shares: bool
    ) -> None:
        self._session = session
        self._outcome = outcome
        self._base = (base or "").rstrip("/")
        self._force = force
        self._shares = shares

    def read(self, file: IO[bytes]) -> None:
        """Take everything in. Raises Invalid where it is no whole archive; what came before it is kept."""
        try:
            # By gzip, which verifies its checksum at the end; tarfile's own stream does not.
            with gzip.GzipFile(fileobj=file) as unzipped, tarfile.open(fileobj=unzipped, mode="r|") as tar:
                entries = self._entries(tar)
                _check_manifest(next(entries, None), tar)
                for info in entries:
                    if info.name.startswith("nodes/"):
                        self._node(_json_of(tar, info), entries, tar)
                    elif info.name.startswith("links/"):
                        self._links(tar, info)
                while unzipped.read(BLOCK):
                    continue
        except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
            raise Invalid(f"the archive is damaged or cut off: {error}") from None

    @staticmethod
    def _entries(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
        for info in tar:
            yield info
            drop_entries(tar)

    def _node(
        self, node: Mapping[str, Any], entries: Iterator[tarfile.TarInfo], tar: tarfile.TarFile
    ) -> None:
        """One node. Its bodies are read even where it is left alone: they come next in the stream."""
        try:
            kind = Kind(node["kind"])
            paths = [self._place(str(path)) for path in node["paths"]]
            versions = list(node.get("versions") or ())
            path = paths[0]
        except (KeyError, ValueError, TypeError, IndexError):
            raise Invalid("the archive says of a node what no archive says") from None
        bodies = _Bodies(tar, entries, len(versions))
        try:
            if kind is Kind.DIRECTORY:
                self._session.mkdir(path, parents=True, exist_ok=True)
                self._dress(path, node)
            elif kind is Kind.FILE:
                self._file(path, node, versions, bodies)
            else:
                self._special(path, kind, node)
            for name in paths[1:]:
                if not self._session.exists(name):
                    self._session.hard_link(path, name)
        except VfsError as error:
            self._outcome.fail(path, error)
        finally:
            bodies.skip()

    def _file(self, path: str, node: Mapping[str, Any], versions: list[Any], bodies: _Bodies) -> None:
        self._outcome.progress.add()
        there = self._present(path)
        if there is not None:
            if versions and there == versions[-1].get("hash"):
                self._outcome.unchanged += 1
                return
            if not self._force:
                self._outcome.differs(path)
                return
        parent = path.rpartition("/")[0] or "/"
        if not self._session.exists(parent):
            self._session.mkdir(parent, parents=True, exist_ok=True)
        try:
            with self._session.transaction() as transaction:
                for version in versions:
                    transaction.attributed = {
                        "author": str(version.get("author", "")),
                        "time_ns": int(version.get("time_ns", 0)),
                        "change": str(version.get("change", "")),
                    }
                    last = version is versions[-1]
                    made = transaction.write_blocks(
                        self._session.writable_path(path),
                        bodies.next(),
                        patch=node.get("meta") if last else None,
                    )
                    if made.content_hash.hex() != version.get("hash"):
                        raise Invalid(f"the archive is damaged: {path} has other bytes than it had")
        except Conflict:
            self._outcome.differs(path)
            return
        self._outcome.written += 1
        self._dress(path, node)

    def _present(self, path: str) -> str | None:
        """The hash of what a file says, None if there is none."""
        try:
            known = self._session.history(path, 1)
        except NotFound:
            return None
        return known[0].content_hash.hex() if known else ""

    def _special(self, path: str, kind: Kind, node: Mapping[str, Any]) -> None:
        try:
            if kind is Kind.SYMLINK:
                self._session.symlink(str(node["target"]), path)
            else:
                self._session.make_special(path, kind, int(node.get("device", 0)))
        except Exists:
            self._outcome.unchanged += 1
            return
        self._dress(path, node)

    def _dress(self, path: str, node: Mapping[str, Any]) -> None:
        """Mode, attributes, times, expiry, and metadata of what is no file; shares only where they are asked for."""
        session, stat = self._session, self._session.stat(path)
        mode = int(str(node.get("mode", "")) or "0", 8)
        if node.get("mode") and stat.mode != mode:
            session.set_mode(path, mode)
        if node.get("kind") != str(Kind.FILE) and node.get("meta"):
            session.update_meta(path, node["meta"])
        for name, value in dict(node.get("attributes") or {}).items():
            session.set_attribute(path, name, _decoded(value))
        if self._shares:
            for agent, access in dict(node.get("shares") or {}).items():
                session.share(path, agent, access)
        if node.get("expires_ns") is not None:
            session.set_expiry(path, int(node["expires_ns"]))
        if not stat.is_directory and node.get("modified_ns") is not None:
            session.set_times(path, int(node.get("accessed_ns", 0)), int(node["modified_ns"]))

    def _links(self, tar: tarfile.TarFile, info: tarfile.TarInfo) -> None:
        for line in _read(tar, info).decode("utf-8", "replace").splitlines():
            try:
                given = json.loads(line)
                link = Link(
                    self._place(given["source"]),
                    given["kind"],
                    self._place(given["target"]),
                    float(given["weight"]),
                )
                if link not in self._session.links(link.source):
                    self._session.link(*link[:1], link.target, link.kind, link.weight)
            except VfsError as error:
                self._outcome.fail("a link", error)
            except (KeyError, ValueError, TypeError):
                raise Invalid(f"the archive holds no link in {info.name}") from None

    def _place(self, path: str) -> str:
        """Where a path of the archive goes; under another name if a suffix has taken it."""
        wanted = self._base + path
        free = free_path(wanted, self._session.kernel.suffix_names)
        if free != wanted:
            self._outcome.rename(wanted, free, "because such an ending is reserved for virtual nodes")
        return free


class _Bodies:
    """The bodies that follow a node in the stream, each as blocks."""

    def __init__(self, tar: tarfile.TarFile, entries: Iterator[tarfile.TarInfo], count: int) -> None:
        self._tar = tar
        self._entries = entries
        self._left = count

    def next(self) -> Iterator[bytes]:
        """The blocks of the next body."""
        self._left -= 1
        info = next(self._entries, None)
        file = None if info is None or not info.name.startswith("bodies/") else self._tar.extractfile(info)
        if file is None:
            raise Invalid("the archive lacks a body")
        while block := file.read(BLOCK):
            yield block

    def skip(self) -> None:
        """Pass over what was not asked for."""
        while self._left > 0:
            self._left -= 1
            next(self._entries, None)


def _check_manifest(info: tarfile.TarInfo | None, tar: tarfile.TarFile) -> None:
    manifest = _json_of(tar, info) if info is not None and info.name == "manifest.json" else {}
    if manifest.get("format") != FORMAT:
        raise Invalid("this is no archive of notes: avm export NAME.tar.gz makes one")
    if manifest.get("version") != VERSION:
        raise Invalid(
            f"the archive has version {manifest.get('version')!r}, and this AVM reads {VERSION}: upgrade it"
        )


def _json_of(tar: tarfile.TarFile, info: tarfile.TarInfo) -> dict[str, JSON]:
    try:
        found = json.loads(_read(tar, info))
    except ValueError as error:
        raise Invalid(f"{info.name} in the archive is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise Invalid(f"{info.name} in the archive is no JSON object")
    return found


def _read(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(info) if info.size <= _NODE_MAX else None
    if file is None:
        raise Invalid(f"{info.name} in the archive is no file, or too large")
    return file.read()


def _decoded(value: object) -> bytes:
    try:
        return base64.b64decode(str(value), validate=True)
    except binascii.Error:
        raise Invalid("an attribute in the archive is not base64") from None
