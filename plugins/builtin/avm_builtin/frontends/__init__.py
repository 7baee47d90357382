"""The doors that ship with AVM. Each is a client of a session and has no rules of its own."""
