"""Bundled plugins: one file each, on the public names only."""
