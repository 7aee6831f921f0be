"""The files that the stand-in lets people download: every form that an export may have."""

import csv
import gzip
import io
import json
import zipfile
from dataclasses import dataclass

from pipulate.botify.bql import GRAPH
from pipulate.botify.made_up import HOST

VERBOSE = {"url": "Full URL", GRAPH: "Internal Outlinks URL", "http_code": "HTTP Code"}
SHOP = f"https://{HOST}"
# What nobody hopes to find in a file: cells that a spreadsheet runs, markup, line breaks, length.
HOSTILE = (
    ("=HYPERLINK(1)", "@SUM(1+1)"),
    (f"{SHOP}/<script>alert(1)</script>", f"{SHOP}/"),
    (f"{SHOP}/line\nbreak", f'{SHOP}/"quoted"'),
    (f"{SHOP}/{'x' * 6_000}", f"{SHOP}/"),
    (f"{SHOP}/alone",),
    (" ", f"{SHOP}/nobody"),
)


@dataclass
class Form:
    """How a file is made and sent. `header`: None, as the export asked for; else whether it has

    one. `resets`: after how many bytes each download breaks off. `cut`: bytes that it lacks.
    `lost_rows`: rows that are announced and missing. `expired`: how many links are refused.

    `pause`: seconds after each 4 kB."""

    container: str = "gzip"
    header: bool | None = None
    sep: bool | None = None
    wording: str = ""
    bom: bool = False
    line_end: str = "\n"
    hostile: bool = False
    ranges: bool = True
    etag: bool = True
    length: bool = True
    cut: int = 0
    short: int = 0
    lost_rows: int = 0
    expired: int = 0
    redirect: str = ""
    resets: tuple[int, ...] = ()
    pause: float = 0


def write(form, payload, rows):
    """The rows as bytes in this form, packed as it says, for the query of an export (payload)."""
    asked, out = payload.get("formatter_config") or {}, io.StringIO()
    inner = payload["query"]["query"]
    names = [*inner["dimensions"], *(inner.get("metrics") or [])]
    if form.sep if form.sep is not None else asked.get("print_delimiter", True):
        out.write(f"sep=,{form.line_end}")
    writer = csv.writer(out, lineterminator=form.line_end)
    if form.header if form.header is not None else asked.get("print_header", True):
        wording = form.wording or asked.get("header_format", "verbose")
        writer.writerow([_head(str(name), wording) for name in names])
    cells = [[*row["dimensions"], *row["metrics"]] for row in rows]
    writer.writerows(cells[: len(cells) - form.lost_rows])
    for row in HOSTILE if form.hostile else ():
        writer.writerow([*row, *[""] * (len(names) - 2)][: max(len(row), 1)])
    text = out.getvalue().encode("utf-8-sig" if form.bom else "utf-8")
    return _packed(text, form.container)


def _head(name, wording):
    bare = name.split(".", 2)[2] if name.startswith("crawl.") else name
    if wording == "collection_slug":
        return name
    return bare if wording == "slug" else VERBOSE.get(bare, bare.replace(".", " ").title())


def _packed(text, container):
    if container == "gzip":
        return gzip.compress(text, 1, mtime=0)
    if container == "zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("export.csv", text)
        return packed.getvalue()
    return json.dumps({"error": "no such file"}).encode() if container == "json" else text
