"""Data and engines: fields, store, events, tools, runs, jobs. No HTTP, no markup, no model."""
