"""What events changed, row by row: {table, id, before, after}; None is a row that is not there."""

import json
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from pipulate.core.fields import dumps
from pipulate.core.tables import Row

PART = 1_000  # images kept together: what is read to show the first, and held at once to undo


def pack(images: list[Row]) -> Iterator[str | bytes]:
    """The images in parts, as JSON; a long part is deflated."""
    for start in range(0, len(images), PART):
        text = dumps(images[start : start + PART])
        yield zlib.compress(text.encode(), 1) if len(text) > 2_000 else text


def unpack(body: str | bytes) -> list[Row]:
    """The images of one part."""
    return json.loads(zlib.decompress(body) if isinstance(body, bytes) else body)


def fold(images: Iterable[Row]) -> list[Row]:
    """One image per row, from the first to the last, with `fields`: {name: (before, after)}.

    Rows that ended as they were are left out."""
    rows: dict[tuple[str, Any], Row] = {}
    for image in images:
        row = rows.setdefault((image["table"], image["id"]), {**image, "fields": {}})
        row["after"] = image["after"]
        before, after = image["before"] or {}, image["after"] or {}
        for name in changed(image):
            first, _ = row["fields"].get(name, (before.get(name), None))
            row["fields"][name] = first, after.get(name)
    for row in rows.values():
        row["fields"] = {n: pair for n, pair in row["fields"].items() if pair[0] != pair[1]}
    return [row for row in rows.values() if row["fields"]]


def changed(image: Row) -> list[str]:
    """The columns that differ (of a row at one end only: all), but for `version`."""
    before, after = image["before"] or {}, image["after"] or {}
    return [n for n in before | after if n != "version" and before.get(n, ...) != after.get(n, ...)]
