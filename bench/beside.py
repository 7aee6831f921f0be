"""Programs that stand beside ours in the bench: each in a folder of the bench's own, never a

dependency of Pipulate."""

from __future__ import annotations

import subprocess
import sys
import venv
from functools import cache
from pathlib import Path


@cache
def python_with(folder: str, *packages: str) -> Path | None:
    """The Python of bench/.folder, with these packages; installed when one of them is not there.

    None, and the reason told, when that cannot be done."""
    place = Path(__file__).parent / f".{folder}"
    python, installed = place / "bin" / "python", place / "installed.txt"
    if installed.is_file() and installed.read_text().split() == [*packages]:
        return python
    venv.create(place, with_pip=True, clear=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "-q", "install"]
    done = subprocess.run([*pip, *packages], capture_output=True, text=True)
    if done.returncode:
        print(f"{folder} is not here: {done.stderr.strip()[-200:]}", file=sys.stderr)
        return None
    installed.write_text("\n".join(packages))
    return python
