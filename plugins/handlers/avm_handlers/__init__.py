"""AVM plugins."""
