"""Where a store lies: SQLite's WAL needs memory that all who use the file share, which no network file system gives.

Its index is a file that every process maps. Two machines that mount one directory have two copies of that map, take
each other's locks late or never, and damage the database without a word. So such places are refused, by the
type of the file system in Linux's table of mounts; elsewhere nothing is known, and nothing refused.

Decided, for what is in between:

- overlay, tmpfs, FUSE over local files: one kernel, one map. Fine.
- 9p, virtiofs, the shared folders of virtual machines: often the only disk of a container or sandbox (gVisor's
  root is 9p), where one kernel sees them and WAL works; or a host's directory, where it works until the host opens the
  database too. That cannot be told apart here, so they are used, and `avm doctor` warns.
- cluster file systems that keep maps coherent by their own account (OCFS2, GFS2): the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from vfs_core.errors import StoreError
from vfs_core.storage import Finding

_MOUNTS = Path("/proc/self/mountinfo")

NETWORK = frozenset(
    {
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "coda", "ceph", "glusterfs", "lustre", "beegfs", "gpfs",
        "orangefs", "pvfs2", "wekafs", "davfs", "fuse.sshfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.glusterfs",
        "fuse.juicefs", "fuse.moosefs", "fuse.mfs", "fuse.lizardfs", "fuse.seaweedfs", "fuse.smbnetfs", "fuse.nfs",
        "fuse.rclone", "fuse.s3fs", "fuse.s3ql", "fuse.gcsfuse", "fuse.goofys", "fuse.mount-s3", "fuse.mountpoint-s3",
        "fuse.blobfuse", "fuse.blobfuse2", "fuse.davfs", "fuse.davfs2", "fuse.curlftpfs", "fuse.gvfsd-fuse",
        "fuse.google-drive-ocamlfuse", "fuse.onedriver",
    }
)  # fmt: skip
"""Types of file systems, as Linux names them, that other machines may have mounted too."""

SHARED = frozenset(
    {
        "9p",
        "virtiofs",
        "vboxsf",
        "prl_fs",
        "fuse.vmhgfs-fuse",
        "fuse.virtiofs",
        "fuse.grpcfuse",
        "ocfs2",
        "gfs2",
    }
)
"""Types that may be a host's directory, or another machine's, and may be this kernel's alone."""


def type_at(path: str, mountinfo: str) -> str | None:
    """The type of the file system that an absolute path without links lies on, by the text of a mount table.

    The text is that of /proc/self/mountinfo (proc(5)). Of several mounts on one place the last is the one seen. None
    if no line fits.
    """
    found, longest = None, -1
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) < 5 or not kinds:
            continue
        at = _unescape(fields[4]).rstrip("/")
        if len(at) >= longest and (path == at or path.startswith(at + "/")):
            found, longest = kinds[0], len(at)
    return found


def file_system(path: str) -> str | None:
    """The type of the file system that a database lies on, or would be made on; None where it cannot be known."""
    try:
        mountinfo = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        return type_at(str(Path(path).resolve()), mountinfo)
    except (OSError, RuntimeError):  # no /proc (macOS, a bare chroot), or a circle of links
        return None


def check_place(path: str) -> None:
    """Refuse a database on a network file system. Raises StoreError."""
    kind = file_system(path)
    if kind in NETWORK:
        raise StoreError(
            f"{path} is on a network file system ({kind}), where several machines can damage an SQLite database: "
            f"name a file on a local disk with --db, or let the machines share a store in PostgreSQL"
        )


def doubts(path: str) -> Iterator[Finding]:
    """What `avm doctor` says of a place that may be shared with another machine."""
    kind = file_system(path)
    if kind in SHARED:
        yield Finding(
            "place",
            "warn",
            f"{path} is on {kind}: safe only while no other machine (nor this one's host) opens it",
            "move it to a local disk if another does",
        )


def _unescape(field: str) -> str:
    """A field of the table, where space, tab, newline and backslash are written as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda digits: chr(int(digits[1], 8)), field)
