"""Workbooks as a spreadsheet saves them, made without one: {sheet: rows of cells}."""

from __future__ import annotations

import zipfile
from datetime import date, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKED = "http://schemas.openxmlformats.org/package/2006"
TYPES = f"""<Types xmlns="{PACKED}/content-types"><Default Extension="xml"
 ContentType="application/xml"/><Default Extension="rels"
 ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override
 PartName="/xl/workbook.xml" ContentType=
 "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>"""
STYLES = f"""<styleSheet xmlns="{MAIN}"><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/>
 <xf numFmtId="22"/></cellXfs></styleSheet>"""  # plain, a day, a moment


def workbook(path: Path, sheets: dict[str, list[list[Any]]], **parts: str) -> Path:
    """A file of these sheets. `parts`: the text of sheets instead, such as sheet1="<row …"."""
    numbered = list(enumerate(sheets, 1))
    listed = "".join(f'<sheet name="{s}" sheetId="{n}" r:id="r{n}"/>' for n, s in numbered)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("[Content_Types].xml", TYPES)
        file.writestr("_rels/.rels", links(officeDocument="xl/workbook.xml"))
        book = f'<workbook xmlns="{MAIN}" xmlns:r="{LINKS}"><sheets>{listed}</sheets></workbook>'
        file.writestr("xl/workbook.xml", book)
        targets = {f"worksheet{n}": f"worksheets/sheet{n}.xml" for n, _ in numbered}
        file.writestr("xl/_rels/workbook.xml.rels", links(**targets, styles="styles.xml"))
        file.writestr("xl/styles.xml", STYLES)
        for n, name in numbered:
            body = parts.get(f"sheet{n}") or "".join(map(row, sheets[name]))
            text = f'<worksheet xmlns="{MAIN}"><sheetData>{body}</sheetData></worksheet>'
            file.writestr(f"xl/worksheets/sheet{n}.xml", text)
    return path


def links(**targets: str) -> str:
    inner = "".join(
        f'<Relationship Id="r{kind[9:] or kind}" Type="{LINKS}/{kind.rstrip("0123456789")}"'
        f' Target="{target}"/>'
        for kind, target in targets.items()
    )
    return f'<Relationships xmlns="{PACKED}/relationships">{inner}</Relationships>'


def row(cells: list[Any]) -> str:
    return f"<row>{''.join(map(cell, cells))}</row>"


def cell(value: Any) -> str:
    if value is None:
        return "<c/>"
    if isinstance(value, bool):
        return f'<c t="b"><v>{int(value)}</v></c>'
    if isinstance(value, datetime):
        return f'<c s="2"><v>{days(value)}</v></c>'
    if isinstance(value, date):
        return f'<c s="1"><v>{days(datetime(*value.timetuple()[:3]))}</v></c>'
    if isinstance(value, int | float):
        return f"<c><v>{value!r}</v></c>"
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'


def days(moment: datetime) -> float:
    return (moment - datetime(1899, 12, 30)).total_seconds() / 86_400
