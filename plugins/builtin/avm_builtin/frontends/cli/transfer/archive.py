"""An archive of notes with everything that goes with them: a tar file, written and read as a stream.

Format (docs/archive.md): `manifest.json`, then for each node `nodes/N.json` followed by `bodies/N/V` for each version V
that is kept, oldest first; at the end `links/K.jsonl` and `journal/K.jsonl`. One node is in memory at a time, and of a
body one block; of an old version all of it.

Others may write meanwhile. So nothing of a node is written before all of it has been gathered, each body has the hash
that its version says, and what changes on the way is gathered anew: what has been begun in a tar cannot be taken back.
"""

from __future__ import annotations

import base64
import io
import json
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING, NamedTuple

from avm_builtin.frontends.cli.transfer.outcome import Outcome
from vfs_core.content import content_hash, leaf_hash, root_hash, split_chunks
from vfs_core.errors import CorruptStore, NotFound, StoreBusy, VersionGone, VfsError
from vfs_core.path import is_within
from vfs_core.storage import Found
from vfs_core.types import JSON, MENTION, Kind, Version

if TYPE_CHECKING:
    from vfs_core.session import Session

FORMAT, VERSION = "avm-archive", 1
BLOCK = 1024 * 1024
_LINES = 1000
_TRIES = 5
"""How often a note is gathered that changes each time, before it is said to be too busy."""


class Contents(NamedTuple):
    """What an archive was made with."""

    nodes: int
    sequence: int
    """The journal's head when it was begun."""


def write(
    session: Session, file: IO[bytes], path: str, found_below: Iterator[Found], outcome: Outcome, spool: Path
) -> Contents:
    """Write what is below a path, as the session may see it, to a stream.

    A large body is gathered in a file without a name in the directory `spool`.
    """
    store = session.store
    head = store.head().sequence if session.kernel.has_store else 0
    with tarfile.open(fileobj=file, mode="w|gz", format=tarfile.PAX_FORMAT) as tar:
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "made_ns": time.time_ns(),
            "agent": session.principal.agent,
            "path": path,
            "store": store.uuid,
            "sequence": head,
        }
        _put_json(tar, "manifest.json", manifest)
        linked: set[int] = set()
        number = 0
        links: list[dict[str, JSON]] = []
        for found in found_below:
            stat = found.stat
            if stat is None or found.path == "/" or stat.id in linked:
                continue
            if stat.links > 1 and not stat.is_directory:
                linked.add(stat.id)
            try:
                _put_node(session, tar, number, found, path, spool, outcome)
                links += _links_of(session, found.path, path)
            except NotFound:
                continue  # removed while we were on our way
            except VfsError as error:
                outcome.fail(found.path, error)
                continue
            number += 1
            if stat.kind is Kind.FILE:
                outcome.written += 1
                outcome.progress.add()
            if len(links) >= _LINES:
                _put_lines(tar, f"links/{number}.jsonl", links)
                links = []
        _put_lines(tar, f"links/{number}.jsonl", links)
        _put_journal(session, tar, path, head)
    return Contents(number, head)


def _put_node(
    session: Session,
    tar: tarfile.TarFile,
    number: int,
    found: Found,
    path: str,
    spool: Path,
    outcome: Outcome,
) -> None:
    stat = found.stat
    assert stat is not None
    node: dict[str, JSON] = {
        "kind": str(stat.kind),
        "paths": [each for each in session.names(found.path) if is_within(each, path)] or [found.path],
        "mode": f"{stat.mode:04o}",
        "owner": stat.owner,
        "group": stat.group,
        "uid": stat.uid,
        "gid": stat.gid,
        "modified_ns": stat.modified_ns,
        "accessed_ns": stat.accessed_ns,
        "expires_ns": stat.expires_ns,
        "meta": json.loads(found.meta_json),
        "shares": session.shares(found.path),
        "attributes": {
            name: base64.b64encode(value).decode() for name, value in session.attributes(found.path).items()
        },
    }
    if stat.kind is Kind.SYMLINK:
        node["target"] = session.read_link(found.path)
    elif stat.kind in (Kind.BLOCK, Kind.CHARACTER):
        node["device"] = stat.device
    with SpooledTemporaryFile(max_size=BLOCK, dir=str(spool)) as bodies:
        versions = _gather(session, found.path, bodies, outcome) if stat.kind is Kind.FILE else []
        node["versions"] = [_version_json(version) for version in versions]
        _put_json(tar, f"nodes/{number}.json", node)
        bodies.seek(0)
        for version in versions:
            tar.addfile(_info(f"bodies/{number}/{version.version}", version.size), bodies)
            drop_entries(tar)


def _gather(session: Session, path: str, bodies: IO[bytes], outcome: Outcome) -> list[Version]:
    """Write the bodies of all versions that may be seen behind each other, oldest first, and say which.

    Raises NotFound, StoreBusy (it changed each time), CorruptStore.
    """
    for _ in range(_TRIES):
        bodies.seek(0)
        bodies.truncate()
        *older, present = session.history(path, 10**9)[::-1]
        kept = [version for version in older if _put_old(session, path, version, bodies, outcome)]
        if _put_present(session, path, present, bodies):
            return [*kept, present]
        if session.history(path, 1)[0] == present:
            raise CorruptStore(f"{path} has not the hash that it should have; see avm doctor")
    raise StoreBusy(f"{path} changes all the time; export again when it is quiet")


def _put_old(session: Session, path: str, version: Version, bodies: IO[bytes], outcome: Outcome) -> bool:
    """Write an old body, if it is kept and whole."""
    try:
        data = session.as_of(path, version=version.version).data
    except VersionGone:
        return False
    if content_hash(data) != version.content_hash:
        damaged = CorruptStore(
            f"version {version.version} of {path} is damaged, and left out; see avm doctor"
        )
        outcome.fail(path, damaged)
        return False
    bodies.write(data)
    return True


def _put_present(session: Session, path: str, version: Version, bodies: IO[bytes]) -> bool:
    """Write the present body block by block; whether it was this version from beginning to end."""
    leaves: list[bytes] = []
    for at in range(0, version.size, BLOCK):
        data = session.read_range(path, at, min(BLOCK, version.size - at))
        leaves += [leaf_hash(chunk) for chunk in split_chunks(data)]
        bodies.write(data)
    return root_hash(leaves) == version.content_hash


def _version_json(version: Version) -> dict[str, JSON]:
    """A version, with who wrote it and when; where it was imported, who and when that was said to be."""
    attributed = version.attributed or {}
    return {
        "version": version.version,
        "time_ns": attributed.get("time_ns", version.time_ns),
        "author": attributed.get("author", version.author),
        "change": attributed.get("change", version.operation),
        "size": version.size,
        "hash": version.content_hash.hex(),
    }


def _links_of(session: Session, source: str, path: str) -> list[dict[str, JSON]]:
    return [
        {"source": link.source, "kind": link.kind, "target": link.target, "weight": link.weight}
        for link in session.links(source)
        if link.source == source and link.kind != MENTION and is_within(link.target, path)
    ]


def _put_journal(session: Session, tar: tarfile.TarFile, path: str, head: int) -> None:
    """What happened below the path, newest first: for people; importing does not read it."""
    before: int | None = head + 1
    while rows := session.audit(path, before=before, limit=_LINES):
        before = rows[-1].sequence
        lines = [
            {
                "sequence": row.sequence,
                "time_ns": row.time_ns,
                "change": row.operation,
                "path": row.path,
                "old_path": row.old_path,
                "version": row.version,
                "agent": row.agent,
                "door": row.door,
            }
            for row in rows
        ]
        _put_lines(tar, f"journal/{before}.jsonl", lines)


def _put_json(tar: tarfile.TarFile, name: str, value: JSON) -> None:
    data = json.dumps(value, ensure_ascii=False, sort_keys=True).encode()
    tar.addfile(_info(name, len(data)), io.BytesIO(data))
    drop_entries(tar)


def _put_lines(tar: tarfile.TarFile, name: str, lines: list[dict[str, JSON]]) -> None:
    if lines:
        data = "".join(json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n" for line in lines).encode()
        tar.addfile(_info(name, len(data)), io.BytesIO(data))
        drop_entries(tar)


def drop_entries(tar: tarfile.TarFile) -> None:
    """Forget what has been written or read: otherwise the archive's whole table is kept in memory."""
    tar.members.clear()  # type: ignore[attr-defined]  # typeshed does not know it


def _info(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o600, 0
    return info
