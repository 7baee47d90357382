"""`python -m avm_builtin.frontends.mcp`: as `avm-mcp`."""

import sys

from avm_builtin.frontends.mcp.main import main

if __name__ == "__main__":
    sys.exit(main())
