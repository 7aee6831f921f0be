"""How big the source is, against its budgets; exits 1 beyond a stop value.

    python scripts/sizes.py [FRAMEWORK_LIMIT]      tokens the framework may have, default 38000

Tokens are characters ÷ 3.6, counted over every tracked text file and every Python file that is
not tracked yet. The framework is core, apps, ai, web and doors.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bundle import ROOT, git_files, is_text, tokens

SOURCE = "src/pipulate"
FRAMEWORK = ("core", "apps", "ai", "web", "doors")
BRANCHES = (
    ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar,
    ast.Match,
)  # fmt: skip
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass
class Measure:
    """One thing measured: `where` it is, `what` it is, `size`, and whether that is too much."""

    where: str
    what: str
    size: int
    limit: int
    stop: int

    @property
    def too_much(self) -> bool:
        return self.size > self.stop

    def __str__(self) -> str:
        mark = f"  STOP at {self.stop}" if self.too_much else ""
        return f"  {self.size:>6,}  {self.what}  {self.where}{mark}"


def source_files(root: Path) -> dict[str, bytes]:
    """{path: content} of the text files that count."""
    places = [SOURCE, "botifython.py"]
    paths = set(git_files(root, "--", *places))
    fresh = git_files(root, "--others", "--exclude-standard", "--", *places)
    paths |= {path for path in fresh if path.endswith(".py")}
    contents = {path: (root / path).read_bytes() for path in sorted(paths)}
    return {path: content for path, content in contents.items() if is_text(content)}


def folder_of(path: str) -> str:
    """`core`, `plugins` … or the file's own name when it lies in no folder of the package."""
    parts = path.removeprefix(SOURCE + "/").split("/")
    return parts[0]


def depth(node: ast.AST) -> int:
    """The deepest nesting of branches in `node`; an elif is no deeper than its if."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*FUNCTIONS, ast.ClassDef, ast.Lambda)):
            continue
        is_elif = isinstance(node, ast.If) and node.orelse == [child] and isinstance(child, ast.If)
        step = isinstance(child, BRANCHES) and not is_elif
        deepest = max(deepest, depth(child) + step)
    return deepest


def measure_functions(path: str, content: bytes) -> Iterator[Measure]:
    """Length and nesting of every function of a Python file."""
    for node in ast.walk(ast.parse(content, filename=path)):
        if isinstance(node, FUNCTIONS):
            where = f"{path}:{node.lineno} {node.name}"
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            yield Measure(where, "lines in function", length, 40, 60)
            yield Measure(where, "deep nesting in", depth(node), 3, 4)


def measure_file(path: str, content: bytes) -> Iterator[Measure]:
    """Everything that has a limit in one file."""
    lines = content.decode("utf-8").splitlines()
    yield Measure(path, "lines in file", len(lines), 250, 400)
    for number, line in enumerate(lines, 1):
        yield Measure(f"{path}:{number}", "columns in line", len(line), 100, 120)
    if path.endswith(".py"):
        yield from measure_functions(path, content)


def count_tokens(files: dict[str, bytes]) -> Counter[str]:
    """Tokens by folder, in the order of the files."""
    counted: Counter[str] = Counter()
    for path, content in files.items():
        counted[folder_of(path)] += tokens(content)
    return counted


def report_tokens(counted: Counter[str], framework: int, limit: int) -> None:
    for folder, count in counted.items():
        print(f"  {count:>6,}  {folder}")
    print(f"  {framework:>6,}  the framework ({', '.join(FRAMEWORK)}), limit {limit:,}")
    print(f"  {counted.total():>6,}  in all")


def report_largest(files: dict[str, bytes]) -> None:
    print("Largest files")
    largest = sorted(files, key=lambda path: tokens(files[path]), reverse=True)
    for path in largest[:5]:
        lines = len(files[path].splitlines())
        print(f"  {tokens(files[path]):>6,}  tokens, {lines} lines  {path}")


def report_measures(measures: Iterable[Measure]) -> int:
    """Print what is beyond a limit; the number of things beyond a stop value."""
    beyond = [measure for measure in measures if measure.size > measure.limit]
    if beyond:
        print("Beyond the limits")
    for measure in beyond:
        print(measure)
    return sum(measure.too_much for measure in beyond)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("framework_limit", nargs="?", type=int, default=38_000)
    limit = parser.parse_args().framework_limit
    files = source_files(ROOT)
    counted = count_tokens(files)
    framework = sum(counted[folder] for folder in FRAMEWORK)
    print("Tokens")
    report_tokens(counted, framework, limit)
    report_largest(files)
    measures = (one for path, content in files.items() for one in measure_file(path, content))
    stops = report_measures(measures) + (framework > limit)
    if stops:
        sys.exit(f"{stops} beyond a stop value.")
    print("All within the stop values.")


if __name__ == "__main__":
    main()
