"""The commands, a module for each family. None is imported before it is used."""
