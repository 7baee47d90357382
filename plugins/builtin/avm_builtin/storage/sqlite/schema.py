"""The tables, and how an older database becomes a newer one.

Migrations are numbered from 1; `user_version` says how many have been applied. A migration, once released,
is never changed. Later features add tables by adding migrations.

Notes on the tables:

- `directory.path` is unique and full, so that a read is two indexed lookups; the root is named '' in itself.
- A node's id is the sequence of the journal row that made it: never reused, and no counter to keep.
- `node.body` holds content of at most one chunk; larger content is in `chunk`.
- `old_body` and `old_chunk` hold only what is no longer current. A row is keyed by the journal row of the
  last version that had this content; an old body is whole (`prefix` NULL) or a reverse delta against the next, an
  old chunk is whole (`start` NULL) or what was from `start` on in what is otherwise as in the next.
- `commitment` is NULL until a row is redacted: until then it follows from salt and fields.
- A deleted node keeps its row (`links` = 0, `deleted_sequence` set) until retention purges it.
- `name.since` is the journal row that gave the name (0: the one that made the node). With `old_name`, which holds
  what rename and delete took away, it tells every name at every moment: a directory is its node id in both.
- `gap` holds ranges of journal rows of a node whose contents are not kept (coalesced, or purged by retention).
- `copy` remembers the backups and exports that were made, so that `forget` can name what it cannot reach.
"""

from __future__ import annotations

from collections.abc import Callable

import apsw

from avm_builtin.storage.sqlite.migrating import names_of_the_past

APPLICATION_ID = 0x41564D31
"""'AVM1', in the database header: the file is one of ours."""

_V1 = """
CREATE TABLE info (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE visibility (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('directory', 'node')),
    key TEXT NOT NULL,
    UNIQUE (kind, key)
) STRICT;

CREATE TABLE user (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    capabilities TEXT               -- JSON list; NULL: the ordinary ones
) STRICT;

CREATE TABLE "group" (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

CREATE TABLE membership (
    user INTEGER NOT NULL REFERENCES user,
    "group" INTEGER NOT NULL REFERENCES "group",
    PRIMARY KEY (user, "group")
) STRICT, WITHOUT ROWID;

CREATE TABLE node (
    id INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,          -- index into rows.KINDS
    mode INTEGER NOT NULL,          -- permission bits, set-id and sticky
    owner INTEGER NOT NULL REFERENCES user,
    "group" INTEGER NOT NULL REFERENCES "group",
    size INTEGER NOT NULL,
    version INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    changed_ns INTEGER NOT NULL,
    created_ns INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    gid INTEGER NOT NULL,
    links INTEGER NOT NULL,         -- names that point here
    expires_ns INTEGER,
    visibility INTEGER NOT NULL REFERENCES visibility,
    content_sequence INTEGER NOT NULL,      -- journal row that committed the present content
    widened_sequence INTEGER NOT NULL,      -- journal row that last widened who may read
    deleted_sequence INTEGER,
    accessed_ns INTEGER,
    device INTEGER,
    hash BLOB,
    meta TEXT NOT NULL,
    body BLOB                       -- NULL: in chunk
) STRICT;

CREATE TABLE directory (
    id INTEGER PRIMARY KEY REFERENCES node,
    path TEXT NOT NULL UNIQUE,
    visibility INTEGER NOT NULL REFERENCES visibility,
    widened_sequence INTEGER NOT NULL
) STRICT;

CREATE TABLE name (
    directory INTEGER NOT NULL REFERENCES directory,
    name TEXT NOT NULL,
    node INTEGER NOT NULL REFERENCES node,
    PRIMARY KEY (directory, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX name_node ON name (node);

CREATE TABLE chunk (
    node INTEGER NOT NULL REFERENCES node,
    position INTEGER NOT NULL,
    hash BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX chunk_position ON chunk (node, position);

CREATE TABLE old_body (
    sequence INTEGER PRIMARY KEY,
    prefix INTEGER,
    suffix INTEGER,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE old_chunk (
    node INTEGER NOT NULL REFERENCES node,
    position INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX old_chunk_position ON old_chunk (node, position, sequence);

CREATE TABLE journal (
    sequence INTEGER PRIMARY KEY,
    time_ns INTEGER NOT NULL,
    operation TEXT NOT NULL,
    node INTEGER NOT NULL,
    path TEXT NOT NULL,
    old_path TEXT,
    version INTEGER NOT NULL,
    size INTEGER NOT NULL,
    hash BLOB,
    agent INTEGER NOT NULL,
    actor INTEGER NOT NULL,
    door TEXT NOT NULL,
    details TEXT,
    salt BLOB,
    commitment BLOB,
    chain BLOB NOT NULL
) STRICT;
CREATE INDEX journal_node ON journal (node, version);

CREATE TABLE tag (
    node INTEGER NOT NULL REFERENCES node,
    name TEXT NOT NULL,
    PRIMARY KEY (node, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX tag_name ON tag (name);

CREATE TABLE link (
    source INTEGER NOT NULL REFERENCES node,
    kind TEXT NOT NULL,
    target INTEGER NOT NULL REFERENCES node,
    weight REAL NOT NULL,
    PRIMARY KEY (source, kind, target)
) STRICT, WITHOUT ROWID;
CREATE INDEX link_target ON link (target);

CREATE TABLE share (
    node INTEGER NOT NULL REFERENCES node,
    user INTEGER NOT NULL REFERENCES user,
    access TEXT NOT NULL CHECK (access IN ('r', 'rw')),
    PRIMARY KEY (node, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX share_user ON share (user);
"""

_V2 = """
ALTER TABLE name ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE old_chunk ADD COLUMN start INTEGER;

CREATE TABLE old_name (
    directory INTEGER NOT NULL,     -- node id of a directory, which may be deleted
    name TEXT NOT NULL,
    until INTEGER NOT NULL,         -- journal row that took the name away
    node INTEGER NOT NULL,
    since INTEGER NOT NULL,         -- journal row that gave it
    PRIMARY KEY (directory, name, until, node)
) STRICT, WITHOUT ROWID;
CREATE INDEX old_name_node ON old_name (node, until);

CREATE TABLE gap (
    node INTEGER NOT NULL REFERENCES node,
    low INTEGER NOT NULL,
    high INTEGER NOT NULL,
    PRIMARY KEY (node, high)
) STRICT, WITHOUT ROWID;

CREATE TABLE xattr (
    node INTEGER NOT NULL REFERENCES node,
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (node, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE copy (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('backup', 'export')),
    location TEXT NOT NULL,
    time_ns INTEGER NOT NULL,
    sequence INTEGER NOT NULL       -- the journal's head when it was made
) STRICT;

CREATE INDEX node_deleted ON node (deleted_sequence) WHERE deleted_sequence IS NOT NULL;
CREATE INDEX node_expires ON node (expires_ns) WHERE expires_ns IS NOT NULL;
"""

MIGRATIONS: tuple[tuple[str, Callable[[apsw.Connection], None] | None], ...] = (
    (_V1, None),
    (_V2, names_of_the_past),
)
"""Each brings a database from the version of its index to the next: statements, then what they cannot do."""

VERSION = len(MIGRATIONS)
