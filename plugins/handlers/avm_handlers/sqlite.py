"""The `sqlite` handler: the rows that one query of the configuration gives, as JSON, CSV or Markdown.

    providers:
      - pattern: "/db/prices/{symbol}"
        handler: sqlite
        config:
          database: "~/prices.db"
          query: "SELECT * FROM price WHERE symbol = :symbol ORDER BY day"

The pattern's parameters are bound, never pasted. What a statement may do is kept in `guarded_database`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from avm_handlers.guarded_database import GuardedDatabase, Statement
from avm_handlers.tables import Value, csv_table, json_list, json_object, limited, markdown_table, plain
from vfs_core.config_text import Template
from vfs_core.errors import Invalid, NotFound, TooLarge
from vfs_core.handler import BaseHandler, Capabilities, Context
from vfs_core.types import JSON

CONTENT = "content"
"""The parameter of `config.write` that is what was written."""
_FORMATS = {"json": json_list, "csv": csv_table, "markdown": markdown_table}
_VALUE = "value"
_MAX_ROWS = 10_000
_MAX_BYTES = 8 * 1024 * 1024
_TIMEOUT = 10.0
_SHORTEST_LIMIT = 64 * 1024
"""SQLite's own limit of a text is never set below this: the rows of its schema count as well."""


class SqliteHandler(BaseHandler):
    """Shows what a query on an SQLite database gives: as JSON, CSV, Markdown, or one value as it is.

    Read-only, unless the configuration has a statement `write` and says `writable: true`.
    """

    caching: ClassVar[Literal["all", "agent", "never"]] = "all"

    def __init__(self, config: Mapping[str, JSON] | None = None) -> None:
        super().__init__(config)
        self._query = self._statement("query")
        self._write = self._statement("write") if "write" in self.config else None
        if (self._write is not None) is not bool(self.config.get("writable")):
            raise Invalid("the handler 'sqlite' writes where both config.write and config.writable are given")
        self._format = self.config.get("format", "json")
        if self._format not in (*_FORMATS, _VALUE):
            raise Invalid(
                f"config.format of the handler 'sqlite' is json, csv, markdown or value, not {self._format!r}"
            )
        self._one = bool(self.config.get("one")) or self._format == _VALUE
        self._max_rows = int(self.config.get("max_rows", _MAX_ROWS))
        self._max_bytes = int(self.config.get("max_bytes", _MAX_BYTES))
        self._timeout = float(self.config.get("timeout", _TIMEOUT))
        self._params: Mapping[str, JSON] = self.config.get("params", {})
        database, longest = self._database(), max(self._max_bytes, _SHORTEST_LIMIT)
        self._reading = GuardedDatabase(database, writes=False, longest=longest)
        self._writing = GuardedDatabase(database, writes=True, longest=longest)
        # The instance offers what its configuration says; the class, asked by itself, what one may say.
        self.capabilities = self._offered  # type: ignore[method-assign]

    @classmethod
    def check(cls, config: Mapping[str, JSON], pattern: str) -> None:
        """Refuses what no instance can be made with."""
        cls(config).close()

    def read(self, path: str, context: Context) -> bytes | None:
        """What the query gives; None if it should be one row and there is none."""
        bindings = self._bindings(context)
        what = f"{path}: config.query"
        with self._reading.run(what, self._query, bindings, self._seconds(context)) as statement:
            rows = self._rows(what, statement)
            if self._format == _VALUE:
                return self._value(what, statement.columns, rows)
            if not self._one:
                pieces = _FORMATS[self._format](statement.columns, rows)
            else:
                only = list(rows)
                if not only:
                    return None
                make = json_object if self._format == "json" else _FORMATS[self._format]
                pieces = make(statement.columns, only)
            return limited(pieces, self._max_bytes, lambda: self._too_large(what))

    def write(self, path: str, data: bytes, context: Context) -> None:
        """Run the statement `write`, with the data as `:content`: text if they are UTF-8, else a blob."""
        if self._write is None:
            super().write(path, data, context)
        if len(data) > self._max_bytes:
            raise TooLarge(f"{path}: {len(data)} bytes are over config.max_bytes, {self._max_bytes}")
        bindings = {**self._bindings(context), CONTENT: _text_or_blob(data)}
        what = f"{path}: config.write"
        with self._writing.run(what, self._write or "", bindings, self._seconds(context)) as statement:
            changes = statement.changes()
        if not changes:
            raise NotFound(f"{what} has changed no row")

    def close(self) -> None:
        """Close the database."""
        self._reading.close()
        self._writing.close()

    def _offered(self) -> Capabilities:
        return Capabilities(write=self._write is not None)

    # --- the configuration -----------------------------------------------------------------------

    def _database(self) -> str:
        database = self.config.get("database")
        if not isinstance(database, str) or isinstance(database, Template) or "\0" in database:
            raise Invalid(
                f"the handler 'sqlite' needs config.database, one file without parameters, not {database!r}"
            )
        path = Path(database).expanduser()
        if not path.is_absolute():
            raise Invalid(f"config.database of the handler 'sqlite' begins with / or ~/, unlike {database!r}")
        return str(path)

    def _statement(self, key: str) -> str:
        sql = self.config.get(key)
        if not isinstance(sql, str) or not sql.strip() or "\0" in sql:
            raise Invalid(f"the handler 'sqlite' needs config.{key}, one statement of SQL")
        if isinstance(sql, Template):
            raise Invalid(
                f"config.{key} of the handler 'sqlite' names a parameter as ${{name}}; write :name, without quotes, "
                "so that it is bound and never part of the SQL"
            )
        return sql

    # --- one request -----------------------------------------------------------------------------

    def _bindings(self, context: Context) -> dict[str, Value]:
        params = {
            name: value.fill(context.parameters, os.environ) if isinstance(value, Template) else value
            for name, value in self._params.items()
        }
        return {**context.parameters, **params}

    def _seconds(self, context: Context) -> float:
        remaining = context.remaining()
        return self._timeout if remaining is None else min(self._timeout, remaining)

    def _rows(self, what: str, statement: Statement) -> Iterator[Sequence[Value]]:
        most = 1 if self._one else self._max_rows
        for number, row in enumerate(statement.cursor):
            if number >= most:
                if self._one:
                    raise Invalid(f"{what} gives more than one row; LIMIT 1 takes the first")
                raise TooLarge(f"{what} gives more than config.max_rows, {most} rows; LIMIT takes the first")
            yield row

    def _value(self, what: str, columns: Sequence[str], rows: Iterator[Sequence[Value]]) -> bytes | None:
        if len(columns) != 1:
            raise Invalid(f"{what} gives {len(columns)} columns; with the format 'value' it is one")
        for (value,) in list(rows):
            if value is not None:
                data = value if isinstance(value, bytes) else plain(value).encode()
                if len(data) > self._max_bytes:
                    raise self._too_large(what)
                return data
        return None

    def _too_large(self, what: str) -> TooLarge:
        return TooLarge(
            f"{what} gives more than config.max_bytes, {self._max_bytes} bytes; ask for less of it"
        )


def _text_or_blob(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data
