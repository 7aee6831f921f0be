"""What coding assistants read in this repository: .cursorrules and AGENTS.md.

    python scripts/rules.py             write both
    python scripts/rules.py --check     exit 1 when one is not what would be written

Both hold the contract of plugins, which `pipulate context` prints, and what is said below.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONTRACT = ROOT / "src/pipulate/plugins/contract.md"
FILES = [ROOT / ".cursorrules", ROOT / "AGENTS.md"]
HEAD = "<!-- Written by scripts/rules.py from src/pipulate/plugins/contract.md -->\n\n"
REPOSITORY = """
## Working on Pipulate itself

- Read `docs/inside.md`, then the files you touch, whole. `pipulate context --for all` prints the
  source.
- Layers: core → apps → ai → web, doors. A file imports its own folder or one to its left;
  `plugins` and `botify` stand on the public names. `tests/test_architecture.py` enforces this,
  and the sizes.
- Every change is a tool call: `door → tools.call (check, class, approval) → one transaction
  (rows, event) → live`.
- Files of 80 to 250 lines, functions under 20, lines of at most 100 columns. Write the least code
  that does it.
- Bad input raises `Problem(what, next_step)`. SQL values are parameters. No `**kwargs` on public
  signatures.
- A test for each fault that was mended, named after the symptom; tests mirror the tree.
  Documentation is executed.
- `make check` lints and types, `make test` runs the suite. `python scripts/reference.py` and
  `python scripts/rules.py` write what is generated.
"""


def rules() -> str:
    """The text of both files."""
    return HEAD + CONTRACT.read_text("utf-8") + REPOSITORY


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 when stale")
    check = parser.parse_args().check
    for path in FILES:
        if check and (not path.exists() or path.read_text("utf-8") != rules()):
            sys.exit(f"{path.name} is stale: run python scripts/rules.py")
        if not check:
            path.write_text(rules(), "utf-8")


if __name__ == "__main__":
    main()
