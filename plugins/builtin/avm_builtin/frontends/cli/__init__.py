"""The command line: `app` runs it, `catalogue` lists the commands, `commands/` holds them."""
