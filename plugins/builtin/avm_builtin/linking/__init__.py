"""Links that follow from what notes say: reading them, what they lead to, and keeping them up with the notes."""
