"""Memory consolidation: old notes fade, say what they say once, and are summed up.

What is done is planned first (`plan`), from what there is and without a change, and then carried out note by note
(`carrying_out`), each in one transaction and all as one run that `undo` takes back. Nothing is deleted, no text
changes, `modified` times stay, and nobody reads anything more than before.
"""
