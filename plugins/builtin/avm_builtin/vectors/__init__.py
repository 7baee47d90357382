"""Search by meaning: what the vectors of notes and questions say of each other."""
