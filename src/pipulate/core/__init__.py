"""Data and engines: fields, store, events, tools, runs, jobs. Knows no HTTP, no markup, no model."""
