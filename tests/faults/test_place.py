"""A store on a network file system is refused, with the reason and with nothing made; others are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from avm_builtin.storage.sqlite import place
from avm_builtin.storage.sqlite.place import NETWORK, SHARED, file_system, type_at
from vfs_core.errors import StoreError
from vfs_core.kernel import Kernel

TABLE = r"""
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:21 / /proc rw,nosuid shared:12 - proc proc rw
30 22 0:40 / /home rw,relatime shared:20 master:1 - nfs4 server:/export/home rw,vers=4.2,addr=10.0.0.1
31 30 0:41 / /home/ann/local\040disk rw - xfs /dev/sdb1 rw
32 22 0:42 / /mnt/a\011tab rw - cifs //server/share rw
33 22 0:43 / /mnt/back\134slash rw - fuse.sshfs ann@server: rw
34 22 0:44 / /srv rw - ext4 /dev/sdc rw
35 34 0:45 / /srv rw - nfs server:/srv rw
36 22 0:46 / /var/lib/docker/overlay2/abc/merged rw - overlay overlay rw,lowerdir=/a - b
37 22 0:47 / /mnt/c rw - 9p drvfs rw
cut short
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/avm.db", "ext4"),
        ("/home", "nfs4"),
        ("/home/ann/avm.db", "nfs4"),
        ("/homestead/avm.db", "ext4"),
        ("/home/ann/local disk/avm.db", "xfs"),
        ("/home/ann/local disks/avm.db", "nfs4"),
        ("/mnt/a\ttab/avm.db", "cifs"),
        ("/mnt/back\\slash/avm.db", "fuse.sshfs"),
        pytest.param("/srv/avm.db", "nfs", id="the last of two mounts on one place"),
        ("/var/lib/docker/overlay2/abc/merged/avm.db", "overlay"),
        ("/mnt/c/Users/avm.db", "9p"),
    ],
)
def test_the_type_is_that_of_the_nearest_mount(path: str, kind: str) -> None:
    assert type_at(path, TABLE) == kind


def test_an_empty_table_tells_nothing() -> None:
    assert type_at("/avm.db", "") is None


def test_what_is_common_on_one_machine_is_neither_refused_nor_doubted() -> None:
    local = {
        "ext4",
        "xfs",
        "btrfs",
        "zfs",
        "tmpfs",
        "overlay",
        "f2fs",
        "apfs",
        "fuse.mergerfs",
        "fuse.gocryptfs",
    }
    assert not local & (NETWORK | SHARED)
    assert not NETWORK & SHARED


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory whose type of file system `_mount` can say; until it does there is no table of mounts."""
    monkeypatch.setattr(place, "_MOUNTS", tmp_path / "mountinfo")
    directory = tmp_path / "here"
    directory.mkdir()
    return directory


def _mount(directory: Path, kind: str) -> None:
    line = f"1 0 0:1 / {directory.resolve()} rw - {kind} server rw\n"
    (directory.parent / "mountinfo").write_text(f"0 0 0:0 / / rw - ext4 disk rw\n{line}")


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "ceph"])
def test_a_store_on_a_network_file_system_is_refused(mounted: Path, kind: str) -> None:
    _mount(mounted, kind)
    with Kernel(None, mounted / "deep" / "avm.db") as kernel:
        session = kernel.session("owner")
        told = rf"avm\.db is on a network file system \({kind}\).*damage.*local disk with --db.*PostgreSQL"
        with pytest.raises(StoreError, match=told):
            session.write("/memory/shared/note.md", "x")
        with pytest.raises(StoreError, match=told):
            session.read("/memory/shared/note.md")
    assert list(mounted.iterdir()) == []


def test_a_link_to_a_network_file_system_does_not_hide_it(mounted: Path) -> None:
    _mount(mounted, "nfs")
    link = mounted.parent / "link"
    link.symlink_to(mounted)
    assert file_system(str(link / "avm.db")) == "nfs"


@pytest.mark.parametrize("kind", ["9p", "virtiofs"])
def test_a_place_that_may_be_shared_is_used_and_doctor_warns(mounted: Path, kind: str) -> None:
    _mount(mounted, kind)
    with Kernel(None, mounted / "avm.db") as kernel:
        kernel.session("owner").write("/memory/shared/note.md", "x")
        warned = [finding for finding in kernel.store.verify() if finding.level != "ok"]
    assert [(finding.subject, finding.level) for finding in warned] == [("place", "warn")]
    assert kind in warned[0].message


def test_without_a_table_of_mounts_a_store_is_opened(mounted: Path) -> None:
    assert file_system(str(mounted / "avm.db")) is None
    with Kernel(None, mounted / "avm.db") as kernel:
        kernel.session("owner").write("/memory/shared/note.md", "x")
        assert {finding.level for finding in kernel.store.verify()} == {"ok"}
