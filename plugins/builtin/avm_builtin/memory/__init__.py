"""What agents remember and recall: notes with provenance, within a budget of tokens."""
