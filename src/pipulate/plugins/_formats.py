"""A measured link graph as GEXF or GraphML, for Gephi and its kin.

Written line by line, so memory holds the names of pages only. A page is called by its place in the
table and labelled by its name; each column is an attribute: `long` or `double` where all its cells
are numbers, else `string`. Empty cells are left out; what XML cannot have becomes U+FFFD.
"""

import re
from xml.sax.saxutils import escape

from pipulate import File, Problem
from pipulate.plugins._picture import rows_of

WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})")
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")
ODD = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
BLANKS = {'"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
FORMS = {  # the text around columns, pages and links; and each of these
    "gexf": {
        "columns": '<gexf xmlns="http://gexf.net/1.3" version="1.3">\n'
        '<graph defaultedgetype="directed">\n<attributes class="node">\n',
        "column": '<attribute id="{n}" title="{name}" type="{kind}"/>\n',
        "pages": "</attributes>\n<nodes>\n",
        "page": '<node id="{n}" label="{name}"><attvalues>{values}</attvalues></node>\n',
        "value": '<attvalue for="{n}" value="{value}"/>',
        "links": "</nodes>\n<edges>\n",
        "link": '<edge id="{n}" source="{a}" target="{b}" weight="{count}"/>\n',
        "end": "</edges>\n</graph>\n</gexf>\n",
    },
    "graphml": {
        "columns": '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
        '<key id="weight" for="edge" attr.name="weight" attr.type="long"/>\n'
        '<key id="label" for="node" attr.name="label" attr.type="string"/>\n',
        "column": '<key id="c{n}" for="node" attr.name="{name}" attr.type="{kind}"/>\n',
        "pages": '<graph edgedefault="directed">\n',
        "page": '<node id="p{n}"><data key="label">{name}</data>{values}</node>\n',
        "value": '<data key="c{n}">{value}</data>',
        "links": "",
        "link": '<edge source="p{a}" target="p{b}"><data key="weight">{count}</data></edge>\n',
        "end": "</graph>\n</graphml>\n",
    },
}


def save_as(form, nodes, edges, folder):
    """The graph of two CSV files (paths) as graph.gexf or graph.graphml, whole or not at all."""
    path = folder / f"graph.{form}"
    part = path.with_suffix(".part")
    with open(part, "w", encoding="utf-8", newline="") as out:
        out.writelines(lines(FORMS[form], nodes, edges))
    return File(part.replace(path))


def lines(form, nodes, edges):
    """The file in parts: columns, pages, links. `nodes`, `edges`: the CSV files."""
    kinds, ids, rows = columns(nodes), {}, rows_of(nodes)
    yield '<?xml version="1.0" encoding="UTF-8"?>\n' + form["columns"]
    for n, name in enumerate(next(rows)[1:]):
        yield form["column"].format(n=n, name=safe(name), kind=kinds[n])
    yield form["pages"]
    value = form["value"].format
    for place, (name, *cells) in enumerate(rows):
        ids[name] = place
        values = (value(n=n, value=safe(cell)) for n, cell in enumerate(cells) if cell)
        yield form["page"].format(n=place, name=safe(name), values="".join(values))
    yield form["links"]
    link, rows = form["link"].format, rows_of(edges)
    next(rows)
    for place, (source, target, count) in enumerate(rows):
        if source not in ids or target not in ids:
            what = f"{edges.name} has a link whose pages {nodes.name} lacks: {source}, {target}."
            raise Problem(what[:500], "Run the step that measures again.")
        yield link(n=place, a=ids[source], b=ids[target], count=count)
    yield form["end"]


def columns(nodes):
    """What each column behind the first holds: "long", "double" or "string"."""
    rows = rows_of(nodes)
    kinds = ["long"] * (len(next(rows)) - 1)
    for _, *cells in rows:
        for n, cell in enumerate(cells):
            if cell and kinds[n] == "long" and not WHOLE.fullmatch(cell):
                kinds[n] = "double"
            if cell and kinds[n] == "double" and not NUMBER.fullmatch(cell):
                kinds[n] = "string"
    return kinds


def safe(text):
    """A text for XML: escaped, without the characters it cannot hold."""
    return escape(ODD.sub("\ufffd", text), BLANKS)
