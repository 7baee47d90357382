"""Full-text search: one analyser for index and query, and the backends that keep an index by it.

text.py       words out of any text, terms out of any query, the snippet of a hit
documents.py  what of a node is indexed
side.py       a SQLite file of derived data beside the store, thrown away rather than repaired
fts5.py       the backend on SQLite's FTS5
"""
