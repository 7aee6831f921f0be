"""The apps of the Botify edition, each a plugin file of its own."""
