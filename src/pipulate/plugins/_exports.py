"""CSV files of links that crawlers and Gephi write: known by their columns, sifted by their marks.

Screaming Frog: All Inlinks and All Outlinks, also with the title line that old versions put first;
the words of other languages than English are a guess.
Sitebulb: by the words of its columns. Gephi: its table of edges.
"""

import re
from collections import Counter

EXPORTS = {  # what columns are called, in lower case; an export has all of them
    "Screaming Frog": {
        "origin": "source|quelle|fuente|origen|origine",
        "target": "destination|ziel|destino|destinazione",
        "type": "typ|type|tipo",
        "follow": "follow|folgen|suivre|seguir|segui",
        "status": "status[ -]?code|code (de statut|d.état)|código de estado|codice di stato",
    },
    "Sitebulb": {
        "origin": "(source|referring|from) url",
        "target": "(target|linked|destination|to) url",
        "nofollow": "no ?follow",
        "status": "(target )?(http )?status( code)?",
    },
    "Gephi": {"origin": "source", "target": "target", "direction": "type", "id": "id"},
}
PAGES = "hyperlink|hyperlien|hipervínculo|a?href"  # types that are a link to a page
COUNTED = {  # links that stay and are counted: by which words of a column
    "follow": ("nofollow", "false|no|falsch|nein|faux|non|falso"),
    "nofollow": ("nofollow", "true|yes|nofollow"),
    "direction": ("undirected", "undirected|mutual"),
}
MARKS = ("type", "status", *COUNTED)
KINDS = 20  # kinds of rows left out that are told apart
HOST = re.compile(r"\w+://([^/?#]+)")


def known(columns):
    """(the program that writes such columns, or ""; {what a column is: its name})."""
    for program, wanted in EXPORTS.items():
        found = {
            role: next((c for c in columns if re.fullmatch(name, c.strip().lower())), None)
            for role, name in wanted.items()
        }
        if all(found.values()):
            return program, found
    return "", {}


def fitting(mark, pattern):
    """Whether the word of each row fits; `mark`: words, the number of one in each row or -1."""
    import numpy as np

    words, codes = mark
    fits = [bool(re.fullmatch(pattern, word, re.IGNORECASE)) for word in words]
    return np.array([*fits, False])[codes]


def sifted(pages, links, marks):
    """(pages, links from page to page, {column: text of each page}, counts) of what was read.

    `marks`: {what a column is: its words, the number of one in each row or -1}."""
    import numpy as np

    from pipulate.plugins._pairs import Numbers, kept

    whole = keep = (links >= 0).all(1)
    left, more = Counter(), {}
    if "type" in marks:
        words, codes = marks["type"]
        keep = whole & fitting(marks["type"], PAGES)
        for code, rows in Counter(codes[whole & ~keep].tolist()).most_common():
            left[[*words, "no type"][code] if len(left) < KINDS else "other types"] += rows
    if "status" in marks:  # a crawler's; it reads pages of the site only, so what links is the site
        hosts = Numbers().of([host[1] if (host := HOST.match(page)) else "" for page in pages])
        outside = keep & ~np.isin(hosts, hosts[links[whole, 0]])[links[:, 1]]
        keep, left["external"] = keep & ~outside, int(outside.sum())
    marks = {role: (words, codes[keep]) for role, (words, codes) in marks.items()}
    pages, links = kept(pages, links, keep)
    if "status" in marks:
        words, codes = marks["status"]
        code = np.full(len(pages), -1)
        code[links[::-1, 1]] = codes[::-1]  # what the first link to a page says, counts
        more["status_code"] = np.array([*words, ""], object)[code]
    counts = {"blank": int((~whole).sum()), "left_out": dict(+left)}
    for role in COUNTED.keys() & marks.keys():
        name, pattern = COUNTED[role]
        counts[name] = int(fitting(marks[role], pattern).sum())
    return pages, links, more, counts
