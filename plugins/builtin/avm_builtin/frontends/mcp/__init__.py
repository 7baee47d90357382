"""The MCP door: tools over an agent's session, for clients that speak the Model Context Protocol."""
