"""The other ways in: the command line and MCP. Each is a thin face on the tool registry."""
