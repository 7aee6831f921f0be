"""axe-core, which looks for what keeps people out of a page: python scripts/axe.py ADDRESS …

ADDRESS is a page of a running server; the first may be the launch address (`pipulate open
--no-browser` prints one). Prints each finding; exits 1 when one is serious or critical.
The checker comes from npm in the pinned version, its hash checked, into build/ (never kept).
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

VERSION = "4.14.1"
INTEGRITY = (  # sha512 of the archive, as npm writes it
    "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
)
KEPT = Path(__file__).resolve().parents[1] / "build" / f"axe-{VERSION}.js"
GRAVE = ("serious", "critical")
RUN = """async only => {
    // an animation that ends with its element is over, too
    await Promise.allSettled(document.getAnimations().map(animation => animation.finished));
    const options = {resultTypes: ["violations"], ...(only.length ? {runOnly: only} : {})};
    const said = await axe.run(document, options);
    return said.violations.map(found => [
        found.impact, found.id, found.nodes[0].failureSummary.split("\\n")[1] || found.help,
        found.nodes.map(node => node.target.join(" "))]);
}"""


class NotHere(Exception):
    """axe-core could not be had: why."""


def axe() -> str:
    """The checker's source, fetched once. Raises NotHere; ends when the hash is not the pinned."""
    if KEPT.is_file():
        return KEPT.read_text("utf-8")
    if not (npm := shutil.which("npm")):
        raise NotHere("npm is not on the PATH")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", "--ignore-scripts", f"axe-core@{VERSION}"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise NotHere(f"npm could not fetch it: {done.stderr.strip()[-300:]}")
        archive = next(Path(folder).glob("*.tgz"))
        digest = hashlib.sha512(archive.read_bytes()).digest()
        if base64.b64encode(digest).decode() != INTEGRITY:
            sys.exit(f"axe-core {VERSION} is not what {Path(__file__).name} pins.")
        with tarfile.open(archive) as tar:
            source = tar.extractfile("package/axe.min.js")
            assert source
            KEPT.parent.mkdir(exist_ok=True)
            KEPT.write_bytes(source.read())
    return KEPT.read_text("utf-8")


def findings(page: Page, *only: str) -> list[tuple[str, str]]:
    """(impact, "rule: why, where") of what is wrong with the page as it stands.

    `only`: the rules that are asked, else all. The page has axe() as its init script."""
    return [
        (impact, f"{rule}: {why.strip()} ({len(where)}×: {', '.join(where[:3])})")
        for impact, rule, why, where in page.evaluate(RUN, only)
    ]


def main() -> None:
    grave = False
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page()
        page.add_init_script(axe())
        for address in sys.argv[1:]:
            page.goto(address)
            page.wait_for_selector("main")
            for impact, said in findings(page):
                grave = grave or impact in GRAVE
                print(f"{page.url}: {impact} {said}")
    sys.exit(grave)


if __name__ == "__main__":
    main()
