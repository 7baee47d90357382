"""Embedding models: text to vectors, on this machine. Which one is for what: docs/decisions/0009-embedders.md."""
