"""What is handed out: from the source distribution a wheel, in an empty environment, offline.

The network is off where this system lets a process have one of its own (`unshare -rn`); elsewhere
pip is told to ask no index, and the rest is as it is.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
OFF = ["unshare", "-rn"]
SCRIPT = """
import fcntl, http.cookiejar, json, re, socket, struct, subprocess, sys, urllib.request

python, source, home, off = sys.argv[1:]
if off:  # of a network of its own a process has not even the loopback before it is up
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any:
        fcntl.ioctl(any, 0x8914, struct.pack("16sh14x", b"lo", 0x1))
try:
    socket.create_connection(("192.0.2.1", 80), 0.5)
    reached = "connected"
except OSError as error:
    reached = error.strerror or "no answer"

def run(*command, cwd=None):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return done.stdout

run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", cwd=source)
(wheel,) = run("sh", "-c", "ls dist/*.whl", cwd=source).split()
pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
run(*pip, "install", "-qq", "--no-index", "--no-deps", "--no-compile", wheel, cwd=source)
program = python.replace("python", "pipulate")
where = run(python, "-c", "import pipulate; print(pipulate.__file__)").strip()
words = [program, "--home", home, "--port", "0", "--no-browser", "--json"]
server = subprocess.Popen(words, stdout=subprocess.PIPE)
try:
    info = json.loads(server.stdout.readline())
    jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    browser = urllib.request.build_opener(urllib.request.ProxyHandler({}), jar)

    def get(path):
        return browser.open(info["url"].partition("/?")[0] + path, timeout=30)

    browser.open(info["url"], timeout=30)
    page = get("/default/tasks").read().decode()
    files = {at: get(at).status for at in re.findall(r'(?:href|src)="(/static/[^"]+)"', page)}
    doctor = json.loads(run(program, "doctor", "--json", "--home", home))
finally:
    server.terminate()
said = {"reached": reached, "where": where, "tasks": "Tasks" in page, "wheel": wheel}
print(json.dumps(said | {"files": files, "doctor": doctor, "end": server.wait(20)}))
"""


def build(target: str, folder: Path) -> Path:
    """What `make dist` builds of that kind."""
    words = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    return next(folder.iterdir())


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked."""
    folder = tmp_path_factory.mktemp("source")
    packed = build("sdist", tmp_path_factory.mktemp("sdist"))
    subprocess.run(["tar", "xzf", str(packed), "-C", str(folder)], check=True)
    return next(folder.iterdir())


def test_the_source_distribution_holds_all_that_a_build_without_a_network_needs(
    source: Path,
) -> None:
    names = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    for wanted in ("flake.nix", "requirements.lock", "hatch_build.py", "assets.lock.json"):
        assert wanted in names
    assert "src/pipulate/web/assets/htmx.min.js" in names
    assert not [name for name in names if name.endswith((".pyc", ".db", ".key"))]


def test_from_it_a_wheel_is_built_installed_and_run_with_the_network_off(
    source: Path, tmp_path: Path
) -> None:
    env, allowed = tmp_path / "env", subprocess.run([*OFF, "true"], capture_output=True)
    off = OFF if not allowed.returncode else []
    venv.create(env, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(env)}))
    (packages / "needs.pth").write_text(sysconfig.get_path("purelib"))  # what a wheel asks for
    words = [sys.executable, "-c", SCRIPT, str(env / "bin/python"), str(source)]
    done = subprocess.run(
        [*off, *words, str(tmp_path / "home"), "off" if off else ""],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=tmp_path,
    )
    assert not done.returncode, done.stderr
    said = json.loads(done.stdout)
    assert said["reached"] == "Network is unreachable" or not off
    assert said["where"].startswith(str(packages)), "not the repository's own"
    assert said["tasks"] and set(said["files"].values()) == {200}
    assert {"htmx.min.js", "pico.min.css", "icon-192.png"} <= {
        at.split("/")[-1].split("?")[0] for at in said["files"]
    }
    assert said["doctor"]["assets"] is True and said["doctor"]["store"] == "ok"
    assert said["doctor"]["server"] and said["end"] == 0
    with zipfile.ZipFile(source / said["wheel"]) as wheel:
        assert not [name for name in wheel.namelist() if "test" in name or name.endswith(".db")]
        assert "pipulate/docs/start.md" in wheel.namelist()


def test_setting_up_says_each_long_thing_before_it_does_it():
    lines = (ROOT / "Makefile").read_text("utf-8").splitlines()
    long = r"\t@\$\((PIP|PYTHON)\) (install .*-[er] |-m venv)"
    told = [before for before, line in zip(lines, lines[1:], strict=False) if re.match(long, line)]
    assert len(told) == 4
    assert all(re.match(r'\t@echo "  .* \(about .*\) \.\.\."', line) for line in told), told


def test_make_sets_up_again_when_an_update_took_its_python_away(tmp_path: Path) -> None:
    for name in ("requirements.lock", "pyproject.toml", "hatch_build.py", "assets.lock.json"):
        (tmp_path / name).touch()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to(sys.executable)
    (tmp_path / ".venv/.installed").touch()
    words = ["make", "-n", "-f", str(ROOT / "Makefile"), "run", "PYTHON=python3"]
    assert "install" not in subprocess.check_output(words, cwd=tmp_path, text=True)
    (tmp_path / ".venv/bin/python").unlink()
    (tmp_path / ".venv/bin/python").symlink_to(tmp_path / "gone")
    told = subprocess.check_output(words, cwd=tmp_path, text=True)
    assert "venv --clear .venv" in told and "install --require-hashes" in told


def test_the_default_install_is_53_packages_and_140_mb():
    """The budget is 45 packages, NOT met: FastHTML is 25, mcp 17 more. A new one has to pay."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pinned = [Requirement(line.rstrip(" \\")) for line in lines if re.match(r"[\w-]+==", line)]
    names = [one.name for one in pinned if not one.marker or one.marker.evaluate()]
    paths = (Path(file.locate()) for name in names for file in metadata.files(name) or [])
    sizes = [path.stat().st_size for path in paths if path.suffix != ".pyc" and path.is_file()]
    assert 40 < len(names) <= 53
    assert 100 < sum(sizes) / 1e6 <= 140
