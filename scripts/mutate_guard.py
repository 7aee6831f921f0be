"""Take each check out of the guard, one at a time, and see that a test notices.

Works on copies of the tree. Prints: what was taken out, how many guard tests fail, their names.
Exits 1 if nobody notices one of them, or if a line it takes out is not there any more.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GUARDS = ("web/guard.py", "web/share.py", "plugins/_cosmograph.py")
TESTS = ("tests/web/test_guard.py", "tests/web/test_routes.py", "tests/web/test_share.py")
KEPT = ("src", "tests", "pyproject.toml")
CHECKS = ("host", "origin", "launch", "credential", "size")
# what is taken out: (the guard's own words, what stands there instead)
MUTATIONS = {
    **{f"check_{name}": (f"self.check_{name}(scope, headers)", "pass") for name in CHECKS},
    "host: the port is compared": (
        "host[0].lower() not in self.hosts",
        'host[0].lower().split(":")[0] not in {h.split(":")[0] for h in self.hosts}',
    ),
    "host: exactly one": ("if len(host) != 1 or ", "if host and "),
    "origin of sockets": ("good = origin == own\n", "good = True\n"),
    "origin of sockets may be absent": ("good = origin == own\n", "good = origin in ([], own)\n"),
    "origin of changes": (" and origin in ([], own)", ""),
    "origin compared whole": (
        "origin in ([], own)",
        "(not origin or origin[0].startswith(own[0]))",
    ),
    "sec-fetch-site of reads": (
        'site in OURS or headers.getlist("sec-fetch-mode") == ["navigate"]',
        "True",
    ),
    "sec-fetch-site of changes": ("site in OURS and origin", "origin"),
    "sec-fetch-site: same-site": (
        '["same-origin"], ["none"])',
        '["same-origin"], ["same-site"], ["none"])',
    ),
    "navigation only reads": (
        "site in OURS and origin",
        '(site in OURS or headers.getlist("sec-fetch-mode") == ["navigate"]) and origin',
    ),
    "referer": ('f"{referer}/".lower().startswith(f"{own[0]}/")', "True"),
    "referer compared to its end": ('.startswith(f"{own[0]}/")', ".startswith(own[0])"),
    "cookie is signed": (" and self.keys.cookie_is_good(value)", ""),
    "cookie of this port": ("n == self.cookie and", 'n.startswith("pipulate_") and'),
    "cookie expires": (", max_age=COOKIE_SECONDS", ""),
    "cookie known to be good expires": (
        "self._good.get(value, 0) < moment",
        "value not in self._good",
    ),
    "bearer": ('if not hmac.compare_digest(given, f"Bearer {token}".encode()):', "if False:"),
    "declared size": ("or int(length) > limit:", "or False:"),
    "counted size": ("        if seen > limit:\n", "        if False:\n"),
    "header list": (", *fixed]", "]"),
    "nothing is kept": ('elif "no-store" not in own:', "elif False:"),
    "policy": ('[*HEADERS, (b"content-security-policy"', '[*HEADERS, (b"x-nothing"'),
    "framing": ("    \"frame-ancestors 'none'\"\n", "    \"frame-ancestors 'self'\"\n"),
    "launch token works once": ("self._launch.pop(next", "self._launch.get(next"),
    "launch token expires": ('""), 0) > time.monotonic()', '""), 0) > 0'),
    "launch token is taken only at the root": (
        '(scope.get("method"), scope["path"]) != ("GET", "/")',
        'scope["type"] != "http"',
    ),
    "cookie is HttpOnly": ("Path=/; HttpOnly; ", "Path=/; "),
    "cookie is SameSite=Strict": ("SameSite=Strict; ", ""),
    "share expires for the guard": (" and share.until > time.monotonic()", ""),
    "share expires for the cookie, too": ("or share.until < time.monotonic() ", ""),
    "share: pages of that site only": ("origin in [[site] for site in SITES]", "True"),
    "share: reading only": ('scope.get("method") == "GET" and origin in', "origin in"),
    "share: its path only": (
        'self.kept.get(scope["path"])',
        "next(iter(self.kept.values()), None)",
    ),
    "share is read by that site only": ("in SITES:\n", "is not None:\n"),
    "share is taken back": ("shares.kept.clear()", "pass"),
    "share is not guessed": ("token_urlsafe(32)", "token_urlsafe(8)"),
    "a fault keeps its text": ("str(problem_of(error))", "repr(error) + str(problem_of(error))"),
}


def place(old: str) -> Path:
    """The file of the guard that has this, once."""
    files = [Path("src/pipulate", file) for file in GUARDS]
    counts = {file: (ROOT / file).read_text().count(old) for file in files}
    assert sum(counts.values()) == 1, f"The guard has not this once: {old!r}"
    return max(counts, key=lambda file: counts[file])


def mutant(old: str, new: str) -> list[str]:
    """The names of the guard tests that fail when `old` became `new`."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in KEPT:
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / name)
        at = copy / place(old)
        at.write_text(at.read_text().replace(old, new))
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--tb=no",
            "-p",
            "no:cacheprovider",
            *TESTS,
        ]
        env = {**os.environ, "PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True)
        assert done.returncode in (0, 1), done.stdout[-2_000:] + done.stderr[-2_000:]
        return re.findall(r"^(?:FAILED|ERROR) \S+?::(\w+)", done.stdout, re.MULTILINE)


def main() -> None:
    """Print the table; exit 1 when a row of it is empty."""
    rows = {"(nothing)": ("class Guard:", "class Guard:"), **MUTATIONS}
    for old, _ in rows.values():
        place(old)  # at once: the rest takes minutes
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip(rows, pool.map(mutant, *zip(*rows.values(), strict=True)), strict=True))
    if broken := found.pop("(nothing)"):
        sys.exit(f"The guard tests fail as it is: {', '.join(broken)}")
    print("| taken out | failing | tests |\n| --- | ---: | --- |")
    for name, failing in found.items():
        print(
            f"| {name} | {len(failing)} | {', '.join(dict.fromkeys(failing)) or 'NOBODY NOTICED'} |"
        )
    sys.exit(not all(found.values()))


if __name__ == "__main__":
    main()
