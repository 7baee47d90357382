"""The kernel of a plugin-driven virtual filesystem: routes, policy, storage contract, journal, sessions.

It imports nothing of what is built on it. Start reading at `session` (the one door), then `storage`,
`permissions`, `plugins`.
"""
