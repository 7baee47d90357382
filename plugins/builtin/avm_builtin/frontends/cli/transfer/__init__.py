"""Notes outside of AVM: as a tree of files, and as JSON lines."""
