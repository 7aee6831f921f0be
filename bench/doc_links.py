"""CSV files of links to measure: the real ones of an installed HTML documentation, or made ones.

    python bench/doc_links.py docs links.csv [--root /usr/share/doc/python3.11/html] [--external]
    python bench/doc_links.py made links.csv [--pages 100000] [--links 1000000] [--seed 1]
    python bench/doc_links.py measure links.csv      CPU seconds and peak memory, in one process
    python bench/doc_links.py export links.csv.gz    the same of an export as Botify makes it

A made file whose name ends with .gz is such an export. The real links come from Debian's package
python3-doc.
"""

import argparse
import csv
import gzip
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

PLACES = ("/usr/share/doc/python3*/html", "/usr/share/doc/python3*-doc/html")
BASE = "http://docs.invalid/"  # stands for the root, so that urljoin resolves ".."


class Anchors(HTMLParser):
    """Collects the href of every <a> of one page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href")
        if tag == "a" and href:
            self.found.append(href)


def links_of(root: Path, page: Path, external: bool) -> Iterator[tuple[str, str]]:
    """(source, target) of one page, as paths below root; fragments dropped, missing files too."""
    source = page.relative_to(root).as_posix()
    anchors = Anchors()
    anchors.feed(page.read_text(encoding="utf-8", errors="replace"))
    for href in anchors.found:
        address = urldefrag(urljoin(BASE + source, href.strip())).url
        if not address.startswith(BASE):
            if external and urlsplit(address).scheme in ("http", "https"):
                yield source, address
            continue
        target = unquote(urlsplit(address).path).lstrip("/") or "index.html"
        if (root / target).is_file() and target.endswith((".html", ".htm")):
            yield source, target


def doc_links(root: Path, out: Path, external: bool = False) -> tuple[int, int]:
    """Writes all links between the pages below root; returns (pages read, links written)."""
    pages = sorted(page for page in root.rglob("*.html") if page.is_file())
    count = 0
    with open(out, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("source", "target"))
        for page in pages:
            for link in links_of(root, page, external):
                writer.writerow(link)
                count += 1
    return len(pages), count


def made_links(out: Path, pages: int = 100_000, links: int = 1_000_000, seed: int = 1) -> None:
    """Links in random order (hard on caches) whose targets follow a power law, as on the web."""
    import numpy as np

    random = np.random.default_rng(seed)
    weight = np.arange(1, pages + 1) ** -0.8
    targets = random.choice(pages, links, p=weight / weight.sum())
    sources = random.integers(0, pages, links)
    name = "https://example.com/section-{:02d}/page-{:06d}.html"
    names = np.array([name.format(n % 50, n) for n in range(pages)], object)
    packed = out.suffix == ".gz"
    with (
        gzip.open(out, "wt", 6) if packed else open(out, "w", encoding="utf-8", newline="") as file
    ):
        file.write("sep=,\nFull URL,Internal Outlinks URL\n" if packed else "source,target\n")
        pairs = zip(names[sources], names[targets], strict=True)
        file.writelines(f"{source},{target}\n" for source, target in pairs)


def measure(path: Path) -> dict[str, object]:
    """The pipeline's steps called plainly; adds CPU seconds and peak MB of this process."""
    from pipulate import File
    from pipulate.plugins import links

    before = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        job = SimpleNamespace(progress=lambda *_: None, files=Path(folder))
        source = links.source(File(path))
        ends = links.origin_columns(source)[0], links.target_columns(source)[0]
        result = links.measure(source, links.columns(source, *ends), job)
    return result | spent_since(before)


def measure_export(path: Path) -> dict[str, object]:
    """An export unpacked, loaded and measured, as the pipeline Link graph does it."""
    from pipulate.botify.load import load

    before = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        load(path, Path(folder), [])
        return measure(Path(folder) / "edges.csv") | spent_since(before)


def spent_since(before: float) -> dict[str, object]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = used.ru_maxrss >> (20 if sys.platform == "darwin" else 10)
    return {"cpu_seconds": round(time.process_time() - before, 2), "peak_mb": peak}


def find_root() -> Path:
    """The newest installed Python documentation."""
    found = sorted(path for place in PLACES for path in Path("/").glob(place[1:]))
    if not found:
        sys.exit("No HTML documentation found. Install python3-doc or name a folder by --root.")
    return found[-1].resolve()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("docs", "made", "measure", "export"))
    parser.add_argument("csv", type=Path)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--external", action="store_true", help="links to other sites too")
    for name, default in (("--pages", 100_000), ("--links", 1_000_000), ("--seed", 1)):
        parser.add_argument(name, type=int, default=default)
    said = parser.parse_args()
    if said.what == "docs":
        root = said.root or find_root()
        pages, count = doc_links(root, said.csv, said.external)
        print(f"{pages:,} pages, {count:,} links from {root} in {said.csv}")
    elif said.what == "made":
        made_links(said.csv, said.pages, said.links, said.seed)
        print(f"{said.links:,} links between {said.pages:,} pages in {said.csv}")
    else:
        measured = measure_export(said.csv) if said.what == "export" else measure(said.csv)
        for key, value in measured.items():
            if isinstance(value, int | float | str):
                print(f"{key:18} {value}")


if __name__ == "__main__":
    main()
