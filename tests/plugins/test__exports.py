"""Link exports of crawlers and of Gephi: known by their columns, and nothing left out unsaid."""

import csv
from types import SimpleNamespace

import pytest

from pipulate import File, Problem
from pipulate.plugins import links
from pipulate.plugins._exports import known

SHOP, ELSEWHERE = "https://shop.example", "https://elsewhere.example"
OLD = "Type,Source,Destination,Size (Bytes),Alt Text,Anchor,Status Code,Status,Follow"
MIDDLE = f"{OLD},Target,Rel,Path Type,Link Path,Link Position,Link Origin"
NEW = MIDDLE.replace("Status,Follow", "Status,Crawlability,Follow")
ROWS = [  # type, source, destination, status code, status, follow
    ("Hyperlink", f"{SHOP}/", f"{SHOP}/a", "200", "OK", "true"),
    ("Hyperlink", f"{SHOP}/", f"{SHOP}/gone", "404", "Not Found", "false"),
    ("Hyperlink", f"{SHOP}/a", f"{SHOP}/", "200", "OK", "true"),
    ("Hyperlink", f"{SHOP}/a", f"{ELSEWHERE}/", "", "", "true"),
    ("Hyperlink", "https://www.shop.example/b", f"{SHOP}/a", "200", "OK", "true"),
    ("Image", f"{SHOP}/", f"{SHOP}/logo.png", "200", "OK", "true"),
    ("Image", f"{SHOP}/a", f"{SHOP}/logo.png", "200", "OK", "true"),
    ("CSS", f"{SHOP}/a", f"{SHOP}/site.css", "200", "OK", "true"),
    ("Canonical", f"{SHOP}/a", f"{SHOP}/a", "200", "OK", "true"),
    ("", f"{SHOP}/a", f"{SHOP}/x", "200", "OK", "true"),
    ("Hyperlink", f"{SHOP}/a", "", "", "", "true"),
]


@pytest.fixture
def measured(tmp_path):
    """measured(text, encoding): (output of Source, of Columns, of Measure, its nodes by page)."""

    def measure(text, encoding="utf-8"):
        path, folder = tmp_path / "export.csv", tmp_path / "files"
        path.write_text(text, encoding)
        folder.mkdir(exist_ok=True)
        job = SimpleNamespace(files=folder, progress=lambda *_: None)
        source = links.source(File(path))
        ends = links.origin_columns(source)[0], links.target_columns(source)[0]
        chosen = links.columns(source, *ends)
        found = links.measure(source, chosen, job)
        with found["nodes"].path.open(encoding="utf-8", newline="") as table:
            return source, chosen, found, {row["page"]: row for row in csv.DictReader(table)}

    return measure


def frog(header, title="", kinds=("Hyperlink", "Image")):
    """A file as Screaming Frog writes it: everything in quotes, anchors with commas and breaks."""
    about = ("Type", "Source", "Destination", "Status Code", "Status", "Follow")
    named = dict(zip(("Hyperlink", "Image"), kinds, strict=True))
    lines = [title, header.split(",")] if title else [header.split(",")]
    for row in ROWS:
        cells = dict(zip(about, (named.get(row[0], row[0]), *row[1:]), strict=True))
        cells |= {"Anchor": 'Read ""more"", now', "Target": "_blank", "Link Position": "Content"}
        lines.append([cells.get(name, "") for name in header.split(",")])
    return "".join(
        f'"{line}"\n' if line is title else ",".join(f'"{c}"' for c in line) + "\n"
        for line in lines
    )


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (frog(OLD, "All Outlinks", ("AHREF", "IMG")), "utf-8"),
        (frog(OLD, "All Inlinks", ("HREF", "IMG")), "utf-8-sig"),
        (frog(MIDDLE), "utf-8"),
        (frog(NEW), "utf-8-sig"),
        (frog(NEW).replace('"Read ""more"", now"', "more").replace('"', ""), "utf-8"),
    ],
    ids=["old outlinks", "old inlinks", "2020", "24", "without quotes"],
)
def test_screaming_frog(measured, text, encoding):
    source, chosen, found, nodes = measured(text, encoding)
    assert source["program"] == "Screaming Frog"
    assert chosen == {"origin": "Source", "target": "Destination"}
    image = "IMG" if "IMG" in text else "Image"
    assert found["left_out"] == {image: 2, "CSS": 1, "Canonical": 1, "no type": 1, "external": 1}
    assert (found["links"], found["blank"], found["nofollow"]) == (4, 1, 1)
    assert len(ROWS) == sum((4, 1, *found["left_out"].values()))
    codes = {page: row["status_code"] for page, row in nodes.items()}
    www = "https://www.shop.example/b"
    assert codes == {f"{SHOP}/": "200", f"{SHOP}/a": "200", f"{SHOP}/gone": "404", www: ""}
    assert {row["page"]: row["status_code"] for row in found["top"]} == codes


def test_images_of_an_export_in_german_are_not_taken_for_pages(measured):
    german = {"Type": "Typ", "Source": "Quelle", "Destination": "Ziel", "Status Code": "Statuscode"}
    head, *rows = frog(MIDDLE, kinds=("Hyperlink", "Bild")).splitlines(keepends=True)
    for english, word in german.items():
        head = head.replace(f'"{english}"', f'"{word}"')
    source, chosen, found, _ = measured(head + "".join(rows).replace('"false"', '"Falsch"'))
    assert source["program"] == "Screaming Frog"
    assert chosen == {"origin": "Quelle", "target": "Ziel"}
    assert found["left_out"] == {"Bild": 2, "CSS": 1, "Canonical": 1, "no type": 1, "external": 1}
    assert (found["links"], found["nofollow"]) == (4, 1)


def test_the_words_of_sitebulb(measured):
    header = "Referring URL,Anchor Text,Target URL,Target HTTP Status Code,Nofollow,Location\n"
    rows = [f"{SHOP}/,A,{SHOP}/a,200,No,Header", f"{SHOP}/,B,{ELSEWHERE}/,200,Yes,Footer"]
    source, chosen, found, nodes = measured(header + "\n".join(rows))
    assert source["program"] == "Sitebulb"
    assert chosen == {"origin": "Referring URL", "target": "Target URL"}
    assert found["left_out"] == {"external": 1} and (found["links"], found["nofollow"]) == (1, 0)
    assert nodes[f"{SHOP}/a"]["status_code"] == "200"


def test_gephi(measured):
    header = "Source,Target,Type,Id,Label,timeset,Weight\n"
    source, chosen, found, nodes = measured(
        header + "n1,n2,Directed,0,,,1.0\nn2,n3,Undirected,1,,,2.0\n"
    )
    assert (source["program"], chosen) == ("Gephi", {"origin": "Source", "target": "Target"})
    assert (found["links"], found["undirected"], found["left_out"]) == (2, 1, {})
    assert "status_code" not in nodes["n1"]


def test_a_file_of_nothing_but_images_says_so(measured):
    text = "\n".join(line for line in frog(NEW).splitlines() if "Hyperlink" not in line)
    with pytest.raises(Problem, match="None of 5 rows names two pages. Left out, .*: 2 Image, 1 "):
        measured(text)


def test_a_million_kinds_are_not_told_one_by_one(measured):
    rows = [f"Kind {n},{SHOP}/,{SHOP}/{n},200,true" for n in range(500)]
    header = "Type,Source,Destination,Status Code,Follow\n"
    found = measured(header + "\n".join([*rows, f"Hyperlink,{SHOP}/,{SHOP}/a,200,true"]))[2]
    assert len(found["left_out"]) == 21 and sum(found["left_out"].values()) == 500


def test_what_was_left_out_is_shown(measured):
    from pipulate.apps.markup import html

    drawn = html(links.measure.draw(measured(frog(NEW))[2]))
    assert (
        "pages of the site: 2 Image, 1 CSS, 1 Canonical, 1 no type, 1 external." in drawn
        and "nofollow" in drawn
    )


@pytest.mark.parametrize(
    "columns",
    [
        ["source", "target"],
        ["Type", "Source", "Destination", "Anchor"],
        ["Source URL", "Target URL", "Anchor"],
        ["source", "target", "type"],
    ],
)
def test_other_files_are_taken_as_they_are(columns):
    assert known(columns) == ("", {})
