"""Finding notes by what they mean: parts of notes become vectors, are kept, and are compared.

chunks.py       the parts of a note that are embedded, each by itself
tables.py       the side file: the truth of all vectors, and what still waits for one
work.py         embedding what waits, in batches
base.py         the immutable files that processes share, made of the vectors now and then
building.py     making them
renewing.py     when they are made, and whether they can be used
others.py       the files of other models
state.py        what a process has in mind of both: one entry for each name of each part
seen.py         which of the entries an agent sees
answer.py       the answer to one query
index.py        the index: all of that together, following the journal
products.py     inner products
scales.py       scores of one scale, comparable with those of others
brute_force.py  comparing with every vector, by numpy
faiss_index.py  comparing by FAISS
by_size.py      which of the two, by how many vectors there are
"""
