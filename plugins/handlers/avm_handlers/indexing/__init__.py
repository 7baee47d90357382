"""The index of a project's code: which files there are, whether they have changed, and what they define."""
