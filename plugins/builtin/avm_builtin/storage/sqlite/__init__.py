"""The embedded store: one SQLite database in WAL mode, through apsw.

`schema` the tables and their migrations · `connection` opening, locks, errors · `rows` from rows to
values · `contents` bodies, chunks and old versions · `classes` interned visibility · `transaction` every
change · `store` every read, and the contract as a whole · `check` what doctor asks.
"""
