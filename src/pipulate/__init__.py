"""Pipulate: define an app or a pipeline once, use it from page, model, MCP, shell and notebook."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Public names and where they live; loaded when asked for, so that a worker process starts fast.
_HOMES = {
    "BarChart": ("apps.markup", "bar_chart"),
    "Between": ("core.fields", "Between"),
    "Choices": ("core.fields", "Choices"),
    "CrudApp": ("apps.crud", "CrudApp"),
    "CsvFile": ("apps.base", "csv_file"),
    "DataTable": ("apps.markup", "data_table"),
    "DictLikeDB": ("core.tables", "DictLikeDB"),
    "Email": ("core.fields", "Email"),
    "File": ("core.fields", "File"),
    "Invalid": ("core.problems", "Invalid"),
    "Pipeline": ("apps.steps", "Pipeline"),
    "Problem": ("core.problems", "Problem"),
    "Ref": ("core.kinds", "Ref"),
    "Renamed": ("core.kinds", "Renamed"),
    "Secret": ("core.kinds", "Secret"),
    "Text": ("core.fields", "Text"),
    "Url": ("core.fields", "Url"),
    "fetch": ("core.fetch", "fetch"),
    "read_sheet": ("core.sheets", "read_sheet"),
    "tool": ("core.tools", "tool"),
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pipulate' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(f"pipulate.{module}"), attribute)
