"""The `sqlite` handler: parameters are bound, one statement of one kind passes, and nothing is endless."""

import base64
import csv
import io
import json
import math
import os
import string
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avm_handlers.sqlite import SqliteHandler
from avm_handlers.tables import csv_table, distinct, json_list, markdown_table
from vfs_core.errors import (
    ConfigError,
    Denied,
    Invalid,
    NotFound,
    PluginError,
    ReadOnly,
    TimedOut,
    TooLarge,
    VfsError,
)
from vfs_core.handler import BaseHandler, Capabilities, Context
from vfs_core.kernel import Kernel
from vfs_core.session import Session
from vfs_core.testing import HandlerTests
from vfs_core.testing.handlers import PRINCIPAL, MakeContext

SCHEMA = """
    CREATE TABLE note (name TEXT PRIMARY KEY, body);
    CREATE TABLE price (symbol TEXT, day TEXT, close REAL);
    INSERT INTO price VALUES ('NVDA', '2026-03-20', 172.5), ('NVDA', '2026-03-21', 171), ('局势', '2026-03-21', NULL);
"""
BY_NAME = "SELECT body FROM note WHERE name = :name"
KEEP = "INSERT INTO note (name, body) VALUES (:name, :content) ON CONFLICT (name) DO UPDATE SET body = excluded.body"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "their.db"
    run(path, SCHEMA)
    return path


def run(path: Path, sql: str, *bindings: object) -> list[tuple]:
    connection = apsw.Connection(str(path))
    try:
        return connection.execute(sql, bindings).fetchall()
    finally:
        connection.close()


def context(session: object = None, deadline: float | None = None, **parameters: str) -> Context:
    return Context(PRINCIPAL, session, parameters, deadline=deadline)  # type: ignore[arg-type]


def reader(database: Path, query: str, **config: object) -> SqliteHandler:
    return SqliteHandler({"database": str(database), "query": query, **config})


def read(database: Path, query: str, /, parameters: dict | None = None, **config: object) -> bytes | None:
    handler = reader(database, query, **config)
    try:
        return handler.read("/db/x", context(**(parameters or {})))
    finally:
        handler.close()


class TestSqliteHandler(HandlerTests):
    @pytest.fixture
    def config(self, database: Path) -> dict:
        run(database, "INSERT INTO note VALUES ('here', ?)", b"teddy\0\xff")
        return {"database": str(database), "query": BY_NAME, "format": "value"}

    @pytest.fixture
    def handler(self, config: dict) -> Iterator[BaseHandler]:
        handler = SqliteHandler(config)
        yield handler
        handler.close()

    @pytest.fixture
    def present(self) -> tuple[str, bytes]:
        return "/db/here", b"teddy\0\xff"

    @pytest.fixture
    def absent(self) -> str:
        return "/db/absent"

    @pytest.fixture
    def make_context(self) -> MakeContext:
        return lambda path: context(name=path.removeprefix("/db/"))


class TestSqliteHandlerThatWrites(TestSqliteHandler):
    @pytest.fixture
    def config(self, database: Path) -> dict:
        run(database, "INSERT INTO note VALUES ('here', ?)", b"teddy\0\xff")
        return {
            "database": str(database),
            "query": BY_NAME,
            "format": "value",
            "write": KEEP,
            "writable": True,
        }

    def test_it_offers_to_write(self, offers: Capabilities):
        assert offers == Capabilities(write=True)


# --- through a session ---------------------------------------------------------------------------


@pytest.fixture
def opened(tmp_path: Path, database: Path) -> Iterator[Callable[..., Session]]:
    kernels: list[Kernel] = []

    def open_session(config: dict, pattern: str = "/db/{symbol}", access: str = "ro") -> Session:
        file = tmp_path / "config.yaml"
        document = {
            "providers": [
                {"pattern": pattern, "handler": "sqlite", "config": {"database": str(database), **config}}
            ],
            "permissions": [{"pattern": "/**", "access": access}],
        }
        file.write_text(json.dumps(document))
        kernels.append(Kernel(file, tmp_path / "avm.db"))
        return kernels[-1].session("akashi")

    yield open_session
    for kernel in kernels:
        kernel.close()


PRICES = "SELECT day, close FROM price WHERE symbol = :symbol ORDER BY day"


def test_rows_are_read_by_path_in_each_format(opened):
    assert opened({"query": PRICES}).read("/db/NVDA").text == (
        '[\n{"day": "2026-03-20", "close": 172.5},\n{"day": "2026-03-21", "close": 171.0}\n]\n'
    )
    assert opened({"query": PRICES, "format": "csv"}).read("/db/NVDA").text == (
        "day,close\r\n2026-03-20,172.5\r\n2026-03-21,171.0\r\n"
    )
    assert opened({"query": PRICES, "format": "markdown"}).read("/db/局势").text == (
        "| day | close |\n| --- | --- |\n| 2026-03-21 |  |\n"
    )
    last = {"query": f"{PRICES} DESC LIMIT 1", "one": True}
    assert opened(last).read("/db/NVDA").text == '{"day": "2026-03-21", "close": 171.0}\n'
    value = {"query": "SELECT count(*) FROM price WHERE symbol = :symbol", "format": "value"}
    assert opened(value).read("/db/NVDA").text == "2"


def test_no_row_is_an_empty_list_or_not_found_as_configured(opened):
    assert opened({"query": PRICES}).read("/db/none").text == "[]\n"
    assert opened({"query": PRICES, "format": "csv"}).read("/db/none").text == "day,close\r\n"
    for more in ({"one": True}, {"one": True, "format": "csv"}, {"format": "value"}):
        session = opened({"query": PRICES.replace("day, close", "close"), **more})
        with pytest.raises(NotFound, match=r"^/db/none: not found$"):
            session.read("/db/none")
        assert not session.exists("/db/none")
    with pytest.raises(NotFound):
        opened({"query": PRICES.replace("day, close", "close"), "format": "value"}).read("/db/局势")


def test_one_row_is_not_one_of_several(opened):
    with pytest.raises(
        Invalid, match=r"^/db/NVDA: config\.query gives more than one row; LIMIT 1 takes the first$"
    ):
        opened({"query": PRICES, "one": True}).read("/db/NVDA")
    with pytest.raises(Invalid, match="gives 2 columns; with the format 'value' it is one"):
        opened({"query": PRICES, "format": "value"}).read("/db/NVDA")


def test_writes_need_the_configuration_and_the_permission(opened, database: Path):
    config = {"query": "SELECT body FROM note WHERE name = :symbol", "format": "value"}
    write = {"write": KEEP.replace(":name", ":symbol"), "writable": True}
    with pytest.raises(Denied):
        opened({**config, **write}).write("/db/a", "x")
    with pytest.raises(ReadOnly, match="this path is read-only"):
        opened(config, access="rw").write("/db/a", "x")
    assert run(database, "SELECT * FROM note") == []
    session = opened({**config, **write}, access="rw")
    session.write("/db/a", "局势 'x'; DROP TABLE note; --")
    session.write("/db/b", b"\xff\0")
    assert session.read("/db/a").text == "局势 'x'; DROP TABLE note; --"
    assert session.read("/db/b").data == b"\xff\0"
    assert run(database, "SELECT name, typeof(body) FROM note ORDER BY name") == [
        ("a", "text"),
        ("b", "blob"),
    ]
    assert session.list("/db") == []


@pytest.mark.parametrize("config", [{"write": KEEP}, {"writable": True}, {"write": KEEP, "writable": False}])
def test_half_a_permission_to_write_is_refused(database: Path, config: dict):
    with pytest.raises(Invalid, match=r"where both config\.write and config\.writable are given"):
        reader(database, BY_NAME, **config)


def test_a_write_that_matches_nothing_says_so(database: Path):
    handler = reader(
        database, BY_NAME, write="UPDATE note SET body = :content WHERE name = :name", writable=True
    )
    for _ in range(2):
        with pytest.raises(NotFound, match=r"^/db/no: config\.write has changed no row$"):
            handler.write("/db/no", b"x", context(name="no"))
        run(database, "INSERT OR IGNORE INTO note VALUES ('a', 'before')")
        handler.write("/db/a", b"after", context(name="a"))
    assert run(database, "SELECT * FROM note") == [("a", "after")]
    handler.close()


def test_a_write_through_a_view_counts(database: Path):
    run(
        database,
        "CREATE VIEW seen AS SELECT * FROM note; CREATE TRIGGER t INSTEAD OF INSERT ON seen "
        "BEGIN INSERT INTO note VALUES (new.name, new.body); END",
    )
    write = "INSERT INTO seen VALUES (:name, :content)"
    handler = reader(database, BY_NAME, write=write, writable=True, format="value")
    handler.write("/db/a", b"x", context(name="a"))
    assert handler.read("/db/a", context(name="a")) == b"x"
    with pytest.raises(Invalid, match="the database refuses the values: UNIQUE constraint failed"):
        handler.write("/db/a", b"y", context(name="a"))
    handler.close()


def test_a_database_that_cannot_be_written_is_read_only(database: Path):
    handler = reader(database, BY_NAME, write=KEEP, writable=True)
    if os.geteuid() == 0:
        run(database, "CREATE TRIGGER never BEFORE INSERT ON note BEGIN SELECT RAISE(ABORT, 'never'); END")
        with pytest.raises(Invalid, match="never"):
            handler.write("/db/a", b"x", context(name="a"))
    else:
        database.chmod(0o444)
        with pytest.raises(ReadOnly, match=r"their\.db cannot be written"):
            handler.write("/db/a", b"x", context(name="a"))
    handler.close()


# --- what is bound -------------------------------------------------------------------------------

HOSTILE = [
    "' OR '1'='1",
    "'; DROP TABLE price; --",
    "\"; ATTACH '/tmp/x' AS x; --",
    "NVDA' --",
    "NVDA'/*",
    "*/ UNION SELECT * FROM note --",
    ":symbol",
    "?1",
    "@symbol",
    "$symbol",
    "${symbol}",
    "${HOME}",
    "x'00'",
    "%",
    "_",
    "\\",
    "NULL",
    "1; SELECT 1",
    "char(0)",
    "\u2028\u202e",
    "\x01\x1f\x7f",
    "a" * 250,
    "🦊" * 60,
]


@pytest.mark.parametrize("name", [*HOSTILE, *(c for c in string.printable if c != "/")])
def test_a_parameter_is_a_value_whatever_it_looks_like(opened, database: Path, name: str):
    run(database, "INSERT INTO note VALUES (?, ?)", f"<{name}>", "found")
    query = "SELECT name, :symbol AS asked FROM note WHERE name = :symbol"
    found = [{"name": f"<{name}>", "asked": f"<{name}>"}]
    assert json.loads(read(database, query, {"symbol": f"<{name}>"}) or b"") == found
    assert json.loads(read(database, query, {"symbol": name}) or b"") == []
    if "/" not in name:  # which no component of a path has
        assert json.loads(opened({"query": query}).read(f"/db/<{name}>").data) == found
    assert run(database, "SELECT count(*) FROM price") == [(3,)]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_any_text_comes_back_as_it_was_bound(tmp_path_factory: pytest.TempPathFactory, name: str):
    path = tmp_path_factory.getbasetemp() / "empty.db"
    path.touch()
    answer = read(path, "SELECT :x AS x, typeof(:x) AS kind", {"x": name})
    assert json.loads(answer or b"") == [{"x": name, "kind": "text"}]


@pytest.mark.parametrize("key", ["query", "write"])
def test_a_parameter_that_would_be_pasted_is_refused_with_what_to_write(opened, key: str):
    config = {"query": PRICES, "write": KEEP, "writable": True, key: "SELECT '${symbol}'"}
    with pytest.raises(
        Invalid,
        match=rf"config\.{key} of the handler 'sqlite' names a parameter as \$\{{name\}}; write :name",
    ):
        opened(config).read("/db/NVDA")


def test_variables_of_the_environment_are_the_configurations_own(opened, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TABLE", "price")
    config = {"query": "SELECT count(*) AS n FROM ${TABLE} WHERE symbol = :symbol", "one": True}
    assert opened(config).read("/db/NVDA").text == '{"n": 2}\n'


def test_params_are_bound_and_may_name_those_of_the_pattern(opened):
    query = (
        "SELECT symbol, :least AS least, :none AS none, :yes AS yes FROM price "
        "WHERE symbol LIKE :like AND close > :least"
    )
    session = opened(
        {"query": query, "params": {"like": "%${symbol}%", "least": 172, "none": None, "yes": True}}
    )
    assert json.loads(session.read("/db/VD").data) == [
        {"symbol": "NVDA", "least": 172, "none": None, "yes": 1}
    ]
    assert json.loads(session.read("/db/${HOME}").data) == []


def test_a_parameter_that_nobody_gives_is_named_with_those_that_there_are(database: Path):
    with pytest.raises(
        Invalid, match=r"has a parameter :nosuch, which neither .*; there are: :symbol, :more$"
    ):
        read(database, "SELECT :nosuch", {"symbol": "x"}, params={"more": 1})
    for query in ("SELECT ?", "SELECT ?1"):
        with pytest.raises(Invalid, match="parameter"):
            read(database, query)
    with pytest.raises(Invalid, match="cannot be bound"):
        read(database, "SELECT :big", params={"big": 2**70})


# --- what is refused -----------------------------------------------------------------------------

REFUSED = [
    "ATTACH '{other}' AS other",
    "DETACH main",
    "PRAGMA table_info(note)",
    "PRAGMA writable_schema = 1",
    "PRAGMA journal_mode = DELETE",
    "SELECT * FROM pragma_database_list",
    "SELECT * FROM pragma_table_info('note')",
    "INSERT INTO note VALUES ('x', 'y')",
    "INSERT INTO note VALUES ('x', 'y') RETURNING *",
    "UPDATE note SET body = 'x'",
    "DELETE FROM note",
    "DROP TABLE note",
    "CREATE TABLE x (y)",
    "CREATE TEMP TABLE x (y)",
    "CREATE VIRTUAL TABLE temp.x USING fts5(y)",
    "ALTER TABLE note RENAME TO other",
    "VACUUM",
    "VACUUM INTO '{other}'",
    "REINDEX",
    "ANALYZE",
    "BEGIN",
    "BEGIN IMMEDIATE",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT x",
    "EXPLAIN SELECT 1",
    "EXPLAIN QUERY PLAN SELECT 1",
    "SELECT load_extension('x')",
    "SELECT readfile('/etc/passwd')",
    "SELECT writefile('{other}', 'x')",
    "SELECT edit('x')",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE note",
    "SELECT 1; ATTACH '{other}' AS other",
    "SELECT 1; /* */ -- x\n DELETE FROM note",
    "SELECT 1 /* ; */ ; x",
    "WITH x AS (SELECT 1) DELETE FROM note",
    ";",
    "-- nothing",
    "/* SELECT 1 */",
    "SELEC",
    "SELECT * FROM nosuch",
    "SELECT",
    "SELECT '",
    'SELECT "x',
    ".tables",
]


@pytest.mark.parametrize("query", REFUSED)
def test_anything_but_one_select_is_refused_and_changes_nothing(
    opened, database: Path, tmp_path: Path, query: str
):
    run(database, "INSERT INTO note VALUES ('a', 'b')")
    before = database.read_bytes()
    other = tmp_path / "other.db"
    session = opened({"query": query.replace("{other}", str(other))})
    for _ in range(2):
        with pytest.raises(Invalid, match=r"^/db/x: config\.query "):
            session.read("/db/x")
    assert database.read_bytes() == before
    assert not other.exists()


def test_what_is_refused_is_named(database: Path):
    for query, named in (
        ("ATTACH 'x' AS y", "ATTACH x"),
        ("PRAGMA user_version", "PRAGMA user_version"),
        ("DROP TABLE note", "DELETE sqlite_master"),
        ("INSERT INTO note VALUES (1, 2)", "INSERT note"),
    ):
        with pytest.raises(Invalid, match=f"config.query is not a SELECT: {named} is refused"):
            read(database, query)
    with pytest.raises(Invalid, match="is more than one statement"):
        read(database, "SELECT 1; SELECT 2")


@pytest.mark.parametrize(
    "write",
    [
        *(each for each in REFUSED if not each.startswith(("INSERT", "UPDATE", "DELETE", "WITH"))),
        "DELETE FROM note; DELETE FROM price",
        "INSERT INTO note VALUES (1, 2); ATTACH '{other}' AS o",
        "DELETE FROM sqlite_master",
        "UPDATE sqlite_schema SET sql = 'x'",
        "SELECT body FROM note",
        "INSERT INTO nosuch VALUES (:content)",
    ],
)
def test_a_write_is_one_insert_update_or_delete(database: Path, tmp_path: Path, write: str):
    run(database, "INSERT INTO note VALUES ('a', 'b')")
    before = database.read_bytes()
    other = tmp_path / "other.db"
    handler = reader(database, BY_NAME, write=write.replace("{other}", str(other)), writable=True)
    with pytest.raises(Invalid, match=r"^/db/x: config\.write "):
        handler.write("/db/x", b"text", context(name="a"))
    handler.close()
    assert database.read_bytes() == before
    assert not other.exists()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1 AS n",
        "SELECT 1 AS n;",
        "  ; SELECT 1 AS n ; ; ",
        "-- first\nSELECT 1 AS n -- last",
        "/* ; */ SELECT 1 AS n; /* a */ -- b\n /* c **/ ;",
        "SELECT 1 AS n; /* open",
        "WITH x AS (SELECT 1 AS n) SELECT n FROM x",
        "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x LIMIT 1) SELECT n FROM x",
        "SELECT value AS n FROM json_each('[1]')",
        "SELECT n FROM (VALUES (1)) JOIN (SELECT 1 AS n)",
        "SELECT count(*) AS n FROM sqlite_schema WHERE name = 'note'",
        "SELECT rowid AS n FROM word WHERE word MATCH 'hello'",
    ],
)
def test_what_only_reads_passes(database: Path, query: str):
    run(database, "CREATE VIRTUAL TABLE word USING fts5(x); INSERT INTO word VALUES ('hello world')")
    assert json.loads(read(database, query) or b"") == [{"n": 1}]


def test_comments_after_a_query_are_looked_at_in_no_time(database: Path):
    assert read(database, "SELECT 1 AS n;" + "/* * */" * 20_000) == b'[\n{"n": 1}\n]\n'
    with pytest.raises(Invalid, match="more than one statement"):
        read(database, "SELECT 1;" + "/* * */" * 20_000 + "x")


def test_full_text_can_be_written_too(database: Path):
    run(database, "CREATE VIRTUAL TABLE word USING fts5(x)")
    handler = reader(
        database,
        "SELECT x FROM word WHERE word MATCH :name",
        format="value",
        write="INSERT INTO word VALUES (:content)",
        writable=True,
    )
    handler.write("/db/hello", b"hello world", context(name="hello"))
    assert handler.read("/db/hello", context(name="hello")) == b"hello world"
    handler.close()


def test_an_r_tree_is_refused_and_not_half_read(database: Path):
    """SQLite prepares to write when it opens one; `docs/handlers/sqlite.md` says so."""
    run(database, "CREATE VIRTUAL TABLE box USING rtree(id, x0, x1); INSERT INTO box VALUES (1, 1, 2)")
    with pytest.raises(Invalid, match="INSERT box_node is refused"):
        read(database, "SELECT id FROM box")


def test_what_the_schema_would_call_is_not_trusted(database: Path):
    run(database, "CREATE VIEW evil AS SELECT load_extension('x') AS x")
    with pytest.raises(Invalid):
        read(database, "SELECT * FROM evil")


# --- which file ----------------------------------------------------------------------------------


def test_a_store_of_avm_is_refused_with_what_to_use(opened, tmp_path: Path):
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "avm.db")
    for database in (tmp_path / "avm.db", link, tmp_path / "avm.index.db"):
        config = {"database": str(database), "query": "SELECT * FROM sqlite_schema"}
        session = opened(config, access="rw")
        session.write("/private/a", "secret")
        session.search("secret")
        with pytest.raises(
            Denied, match="is a database of AVM, which is read through AVM alone; the handler 'memory'"
        ):
            session.read("/db/x")
        keep = reader(database, "SELECT 1", write="DELETE FROM node", writable=True)
        with pytest.raises(Denied, match="is a database of AVM"):
            keep.write("/db/x", b"", context())
        session.write("/private/b", "still works")
        assert session.read("/private/a").text == "secret"


def test_a_missing_file_is_not_found_and_not_made(opened, tmp_path: Path):
    for missing in (tmp_path / "no.db", tmp_path / "no" / "no.db", tmp_path / "their.db" / "no.db"):
        session = opened({"database": str(missing), "query": "SELECT 1"})
        with pytest.raises(NotFound, match=f"there is no file {missing}"):
            session.read("/db/x")
        assert not missing.exists()
    handler = reader(tmp_path / "no.db", "SELECT 1", write=KEEP, writable=True)
    with pytest.raises(NotFound):
        handler.write("/db/x", b"", context(name="x"))
    assert not (tmp_path / "no.db").exists()


def test_what_is_no_database_is_refused(tmp_path: Path):
    text = tmp_path / "text.db"
    text.write_text("hello " * 1000)
    os.mkfifo(tmp_path / "fifo.db")
    (tmp_path / "loop.db").symlink_to("loop.db")
    for path, cause in (
        (text, "is not an SQLite database"),
        (tmp_path, "is not a file"),
        (tmp_path / "fifo.db", "is not a file"),
        (Path("/dev/zero"), "is not a file"),
        (tmp_path / "loop.db", "symbolic links"),
    ):
        with pytest.raises(Invalid, match=cause):
            read(path, "SELECT 1")


def test_a_damaged_database_is_named(database: Path):
    run(
        database,
        "CREATE TABLE big (x); INSERT INTO big SELECT hex(randomblob(500)) FROM json_each('[1,2,3,4,5,6,7,8,9]')",
    )
    content = bytearray(database.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    database.write_bytes(content)
    with pytest.raises(Invalid, match=r"their\.db is damaged"):
        read(database, "SELECT * FROM big")


@pytest.mark.parametrize("name", ["", "their.db", ":memory:", "file:their.db?mode=rw", "a\0b", None, 7])
def test_a_database_is_one_absolute_path(name: object):
    with pytest.raises(Invalid, match="database"):
        SqliteHandler({"database": name, "query": "SELECT 1"})


def test_no_parameter_chooses_the_file(opened, tmp_path: Path):
    session = opened({"database": f"{tmp_path}/${{symbol}}.db", "query": "SELECT 1"})
    with pytest.raises(Invalid, match="one file without parameters"):
        session.read("/db/their")


def test_a_path_may_begin_with_the_home_directory_and_have_odd_characters(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("HOME", str(tmp_path))
    run(tmp_path / "a?b=c #%20&d.db", "CREATE TABLE t (x); INSERT INTO t VALUES (1)")
    assert read(Path("~/a?b=c #%20&d.db"), "SELECT x FROM t", format="value") == b"1"
    assert read(tmp_path / "a?b=c #%20&d.db", "SELECT x FROM t", format="value") == b"1"


def test_a_file_that_is_replaced_is_read_anew(database: Path, tmp_path: Path):
    handler = reader(database, "SELECT count(*) FROM price", format="value")
    assert handler.read("/db/x", context()) == b"3"
    run(tmp_path / "new.db", "CREATE TABLE price (x)")
    (tmp_path / "new.db").replace(database)
    assert handler.read("/db/x", context()) == b"0"
    run(database, "INSERT INTO price VALUES (1); ALTER TABLE price ADD COLUMN y")
    assert handler.read("/db/x", context()) == b"1"
    database.unlink()
    with pytest.raises(NotFound):
        handler.read("/db/x", context())
    handler.close()


def test_new_columns_are_shown_by_a_connection_that_did_not_know_them(database: Path):
    handler = reader(database, "SELECT * FROM note")
    run(database, "INSERT INTO note VALUES ('a', 'b')")
    assert json.loads(handler.read("/db/x", context()) or b"") == [{"name": "a", "body": "b"}]
    run(database, "ALTER TABLE note ADD COLUMN more DEFAULT 7")
    assert json.loads(handler.read("/db/x", context()) or b"") == [{"name": "a", "body": "b", "more": 7}]
    handler.close()


# --- limits --------------------------------------------------------------------------------------

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "


def test_an_endless_query_is_interrupted(database: Path):
    with pytest.raises(
        TimedOut, match=r"^/db/x: config\.query: not done within 0\.2 seconds; an index may help"
    ):
        read(database, ENDLESS + "SELECT count(*) FROM n", timeout=0.2)
    handler = reader(database, ENDLESS + "SELECT count(*) FROM n")
    with pytest.raises(TimedOut):
        handler.read("/db/x", context(deadline=time.monotonic() + 0.2))
    handler.close()


def test_a_connection_is_fine_after_an_interruption(database: Path):
    handler = reader(
        database,
        ENDLESS + "SELECT i FROM n WHERE i > CASE :n WHEN 'a' THEN 0 ELSE 9e18 END LIMIT 1",
        timeout=0.1,
    )
    for _ in range(3):
        with pytest.raises(TimedOut):
            handler.read("/db/x", context(n="b"))
        assert json.loads(handler.read("/db/x", context(n="a")) or b"") == [{"i": 1}]
    handler.close()


def test_endless_rows_are_cut_off_by_number_and_by_size(database: Path):
    with pytest.raises(
        TooLarge, match=r"gives more than config\.max_rows, 10000 rows; LIMIT takes the first"
    ):
        read(database, ENDLESS + "SELECT i FROM n")
    for kind in ("json", "csv", "markdown"):
        with pytest.raises(TooLarge, match=r"gives more than config\.max_bytes, 100000 bytes"):
            read(
                database,
                ENDLESS + "SELECT hex(zeroblob(100)) FROM n",
                max_bytes=100_000,
                max_rows=10**9,
                format=kind,
            )
    assert len(json.loads(read(database, ENDLESS + "SELECT i FROM n LIMIT 10000") or b"")) == 10_000


@pytest.mark.parametrize(
    "value",
    [
        "zeroblob(900000000)",
        "hex(zeroblob(60000))",
        "(SELECT group_concat(i) FROM (SELECT i FROM n LIMIT 99999))",
    ],
)
def test_a_huge_value_is_refused_while_it_is_made(database: Path, value: str):
    for kind in ("json", "value"):
        with pytest.raises(TooLarge, match=r"config\.max_bytes"):
            read(database, f"{ENDLESS}SELECT {value}", max_bytes=100_000, format=kind)


def test_a_small_limit_holds_for_a_value_too(database: Path):
    with pytest.raises(TooLarge):
        read(database, "SELECT 'abcdef'", max_bytes=5, format="value")
    assert read(database, "SELECT 'abcde'", max_bytes=5, format="value") == b"abcde"
    handler = reader(database, BY_NAME, write=KEEP, writable=True, max_bytes=5)
    with pytest.raises(TooLarge, match=r"6 bytes are over config\.max_bytes, 5"):
        handler.write("/db/a", b"abcdef", context(name="a"))
    handler.close()


def test_a_database_that_another_has_locked_is_waited_for_and_no_longer(database: Path):
    other = apsw.Connection(str(database))
    other.execute("BEGIN EXCLUSIVE")
    handler = reader(database, PRICES, timeout=0.1, write=KEEP, writable=True)
    with pytest.raises(TimedOut, match=r"their\.db was locked by others for 0\.1 seconds"):
        handler.read("/db/x", context(symbol="NVDA"))
    with pytest.raises(TimedOut):
        handler.write("/db/x", b"x", context(name="x"))
    other.execute("COMMIT")
    other.close()
    assert handler.read("/db/x", context(symbol="NVDA"))
    handler.close()


def test_nothing_stays_locked_behind_a_read_or_an_error(database: Path):
    handler = reader(database, "SELECT i FROM (VALUES (1), (2), (3)) JOIN (SELECT 1 AS i), price", max_rows=2)
    with pytest.raises(TooLarge):
        handler.read("/db/x", context())
    connection = apsw.Connection(str(database))
    connection.execute("BEGIN EXCLUSIVE; COMMIT")
    connection.close()
    handler.close()


# --- values --------------------------------------------------------------------------------------


def test_values_of_each_kind_in_json(database: Path):
    query = (
        "SELECT NULL AS n, 9223372036854775807 AS i, 0.1 AS r, 9e999 AS inf, -9e999 AS ninf, "
        "'a\"b\\\n局' AS t, x'00ff' AS b, '' AS e"
    )
    assert json.loads(read(database, query, one=True) or b"") == {
        "n": None,
        "i": 2**63 - 1,
        "r": 0.1,
        "inf": "Infinity",
        "ninf": "-Infinity",
        "t": 'a"b\\\n局',
        "b": {"base64": "AP8="},
        "e": "",
    }


def test_values_of_each_kind_in_tables(database: Path):
    query = "SELECT NULL AS \"a|b\", -9e999 AS i, 'x|y\\\r\n<b>&' AS t, x'00ff' AS b"
    assert read(database, query, format="markdown") == (
        b"| a\\|b | i | t | b |\n| --- | --- | --- | --- |\n|  | -Infinity | x\\|y\\\\<br>&lt;b>&amp; | AP8= |\n"
    )
    assert read(database, query, format="csv") == b'a|b,i,t,b\r\n,-Infinity,"x|y\\\r\n<b>&",AP8=\r\n'


def test_text_that_is_not_utf_8_is_told(database: Path):
    run(database, "INSERT INTO note VALUES ('a', CAST(x'ff' AS TEXT))")
    with pytest.raises(Invalid, match=r"gives text that is not UTF-8: CAST\(\.\.\. AS BLOB\)"):
        read(database, "SELECT body FROM note")
    assert read(database, "SELECT CAST(body AS BLOB) FROM note", format="value") == b"\xff"


@pytest.mark.parametrize(
    ("names", "told_apart"),
    [
        (["a", "b"], ["a", "b"]),
        (["a", "a", "a"], ["a", "a_2", "a_3"]),
        (["a", "a_2", "a"], ["a", "a_2", "a_3"]),
        (["a", "a", "a_2"], ["a", "a_3", "a_2"]),
        (["", "", ""], ["", "_2", "_3"]),
        ([], []),
    ],
)
def test_columns_of_one_name_are_told_apart(names: list[str], told_apart: list[str]):
    assert distinct(names) == told_apart


VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
)
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.tuples(
        st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=width, max_size=width).map(
            distinct
        ),
        st.lists(st.lists(VALUES, min_size=width, max_size=width), max_size=5),
    )
)


@given(TABLES)
def test_json_and_csv_can_be_read_back_and_markdown_keeps_its_shape(table: tuple[list[str], list[list]]):
    columns, rows = table

    def in_json(value: object) -> object:
        if isinstance(value, bytes):
            return {"base64": base64.b64encode(value).decode()}
        if isinstance(value, float) and math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        return value

    assert len(set(columns)) == len(columns)
    expected = [{name: in_json(value) for name, value in zip(columns, row, strict=True)} for row in rows]
    assert json.loads("".join(json_list(columns, rows))) == expected

    texts = [
        [
            "" if value is None else value["base64"] if isinstance(value, dict) else str(value)
            for value in row.values()
        ]
        for row in expected
    ]
    found = list(csv.reader(io.StringIO("".join(csv_table(columns, rows)), newline="")))
    assert found == [columns, *texts]

    lines = "".join(markdown_table(columns, rows)).removesuffix("\n").split("\n")
    assert len(lines) == 2 + len(rows)
    for line in lines:
        assert "\r" not in line
        assert line.replace("\\\\", "").replace("\\|", "").count("|") == len(columns) + 1


# --- life ----------------------------------------------------------------------------------------


def test_threads_share_a_handler(database: Path):
    handler = reader(database, BY_NAME, write=KEEP, writable=True, format="value", timeout=60)
    failures: list[object] = []

    def work(name: str) -> None:
        for number in range(30):
            handler.write("/db/x", f"{name}{number}".encode(), context(name=name))
            if handler.read("/db/x", context(name=name)) != f"{name}{number}".encode():
                failures.append((name, number))

    threads = [threading.Thread(target=work, args=(str(each),)) for each in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert run(database, "SELECT count(*) FROM note") == [(6,)]
    handler.close()


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_connections_of_its_own(database: Path):
    run(database, "PRAGMA journal_mode = WAL")
    handler = reader(database, BY_NAME, write=KEEP, writable=True, format="value")
    handler.write("/db/x", b"parent", context(name="a"))
    assert handler.read("/db/x", context(name="a")) == b"parent"
    child = os.fork()
    if child == 0:
        status = 1
        try:
            same = handler.read("/db/x", context(name="a")) == b"parent"
            handler.write("/db/x", b"child", context(name="a"))
            handler.close()
            status = 0 if same else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert handler.read("/db/x", context(name="a")) == b"child"
    handler.write("/db/x", b"again", context(name="a"))
    assert handler.read("/db/x", context(name="a")) == b"again"
    handler.close()
    assert run(database, "PRAGMA integrity_check") == [("ok",)]


def test_a_reader_sees_what_another_process_has_committed(database: Path):
    handler = reader(database, "SELECT count(*) FROM price", format="value")
    for number in range(3, 6):
        assert handler.read("/db/x", context()) == str(number).encode()
        run(database, "INSERT INTO price VALUES ('x', 'y', 1)")
    handler.close()


# --- the configuration ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"query": ""}, "query"),
        ({"query": "SELECT 1", "format": "xml"}, "format"),
        ({"query": "SELECT 1", "max_rows": 0}, "max_rows"),
        ({"query": "SELECT 1", "max_bytes": "1MB"}, "max_bytes"),
        ({"query": "SELECT 1", "timeout": 0}, "timeout"),
        ({"query": "SELECT 1", "params": {"a": [1]}}, "params"),
        ({"query": "SELECT 1", "writable": "yes"}, "writable"),
        ({"query": "SELECT 1", "attach": "x"}, "attach"),
    ],
)
def test_what_is_wrong_in_the_file_is_named_when_it_is_loaded(opened, config: dict, key: str):
    with pytest.raises(ConfigError, match=rf"providers\[0\]\.config\.?.*{key}"):
        opened(config)


@pytest.mark.parametrize("query", [None, "", "  ", 7, "SELECT '\0'"])
def test_a_query_is_needed(database: Path, query: object):
    with pytest.raises(Invalid, match=r"the handler 'sqlite' needs config\.query, one statement of SQL"):
        SqliteHandler({"database": str(database), "query": query})


def test_errors_are_of_our_tree_whatever_the_statement(database: Path):
    """What SQLite itself says of odd statements is told, and nothing else escapes."""
    for query in (
        "SELECT abs(-9223372036854775808)",
        "SELECT json('{')",
        "SELECT 1 LIKE 'x' ESCAPE 'ab'",
        "SELECT date(:x",
    ):
        with pytest.raises(VfsError) as caught:
            read(database, query, {"x": "y"})
        assert not isinstance(caught.value, PluginError)
