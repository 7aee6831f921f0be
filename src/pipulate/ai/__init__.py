"""The assistant: model servers, the turn loop, slash commands. Knows tools, not HTTP routes."""
