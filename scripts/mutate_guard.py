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
GUARD = "src/pipulate/web/guard.py"
TESTS = ("tests/web/test_guard.py", "tests/web/test_routes.py")
KEPT = ("src", "tests", "pyproject.toml")
CHECKS = (
    "self.checks = [self.check_host, self.check_origin, self.check_credential, self.check_size]"
)
NOTHING = "(lambda scope, headers: None)"

# what is taken out: (the guard's own words, what stands there instead)
MUTATIONS = {
    "check_host": (CHECKS, CHECKS.replace("self.check_host", NOTHING)),
    "check_origin": (CHECKS, CHECKS.replace("self.check_origin", NOTHING)),
    "check_credential": (CHECKS, CHECKS.replace("self.check_credential", NOTHING)),
    "check_size": (CHECKS, CHECKS.replace("self.check_size", NOTHING)),
    "host: the port is compared": (
        "host[0].lower() not in self.hosts",
        'host[0].lower().split(":")[0] not in {h.split(":")[0] for h in self.hosts}',
    ),
    "host: exactly one": ("if len(host) != 1 or ", "if host and "),
    "origin of sockets": ("if origin != [own]:\n", "if False:\n"),
    "origin of sockets may be absent": (
        "if origin != [own]:\n",
        "if origin and origin != [own]:\n",
    ),
    "origin of changes": ("if origin is not None and origin != [own]:", "if False:"),
    "origin compared whole": (
        "if origin is not None and origin != [own]:",
        "if origin is not None and not origin[0].startswith(own):",
    ),
    "sec-fetch-site": ('if site not in (["same-origin"], ["none"]) and not visiting:', "if False:"),
    "sec-fetch-site: same-site": (
        '(["same-origin"], ["none"])',
        '(["same-origin"], ["same-site"], ["none"])',
    ),
    "navigation only reads": ('== ["navigate"] and scope["method"] in SAFE', '== ["navigate"]'),
    "referer": ('if origin is None and "sec-fetch-site" not in headers and referer:', "if False:"),
    "cookie is signed": (
        "if not any(n == self.cookie and self.keys.cookie_is_good(value)",
        "if not any(n == self.cookie",
    ),
    "cookie of this port": ("n == self.cookie and", 'n.startswith("pipulate_") and'),
    "cookie expires": ("max_age=COOKIE_SECONDS, ", ""),
    "cookie known to be good expires": (
        "self._good.get(value, 0) > time.time()",
        "value in self._good",
    ),
    "bearer": ('if not hmac.compare_digest(given, f"Bearer {token}".encode()):', "if False:"),
    "declared size": ("or int(length) > self._limit(scope):", "or False:"),
    "counted size": ("        if seen > limit:\n", "        if False:\n"),
    "header list": ("[*own, *fixed, *keep]", "[*own, *keep]"),
    "policy": ('[*HEADERS, (b"content-security-policy"', '[*HEADERS, (b"x-nothing"'),
    "framing": ("    \"frame-ancestors 'none'\"\n", "    \"frame-ancestors 'self'\"\n"),
    "launch token works once": ("self._launch.pop(known) > ", "self._launch[known] > "),
    "launch token expires": (
        "self._launch.pop(known) > time.monotonic()",
        "self._launch.pop(known) > 0",
    ),
    "cookie is HttpOnly": ("Path=/; HttpOnly; ", "Path=/; "),
    "cookie is SameSite=Strict": ("SameSite=Strict; ", ""),
    "a fault keeps its text": (
        "Something went wrong here. Reference {reference}",
        "{error!r} {reference}",
    ),
}


def mutant(old: str, new: str) -> list[str]:
    """The names of the guard tests that fail when `old` became `new`."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in KEPT:
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / name)
        text = (copy / GUARD).read_text()
        assert text.count(old) == 1, f"{GUARD} has not this once: {old!r}"
        (copy / GUARD).write_text(text.replace(old, new))
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
