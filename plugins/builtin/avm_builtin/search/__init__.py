"""Full-text search: one analyser for index and query, and the backend that keeps an index by it.

text.py       words out of any text, terms out of any query, the snippet of a hit
contents.py   reading many files of a store
documents.py  what of a node is indexed
side.py       a SQLite file of derived data beside the store, thrown away rather than repaired
tables.py     what that file says: which documents there are, and where their words are
scoring.py    what a match scores, wherever its words are
fts5.py       the FTS5 table: all of a small index, the newest of a large one
engine.py     the tantivy index of a large one; places.py has its directories, question.py asks it
tiers.py      searching both; running.py is one search as it goes on
words.py      the backend
"""
