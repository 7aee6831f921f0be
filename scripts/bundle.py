"""The whole source as one document, to be read whole by a person or a language model.

    python scripts/bundle.py [--tests] [-o FILE]       write dist/pipulate-bundle.txt
    python scripts/bundle.py --unpack FILE FOLDER      make the same tree again, byte for byte

The document is bytes. Each file is one line `=====[ PATH | N bytes ]=====`, its N bytes, and a
newline. Because N is counted, no content of a file can be taken for a delimiter.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
CHARACTERS_PER_TOKEN = 3.6
WANTED = [
    "src", "docs", "scripts", "botifython.py", "README.md", "CONTRIBUTING.md", "CHANGELOG.md",
    "LICENSE", "Makefile", "pyproject.toml", "hatch_build.py", "assets.lock.json",
]  # fmt: skip
FIRST = [
    "core/problems.py", "core/fields.py", "core/store.py", "core/runs.py", "apps/crud.py",
    "apps/pipeline.py", "plugins/tasks.py", "web/server.py",
]  # fmt: skip
DELIMITER = re.compile(rb"=====\[ ([^\n]+) \| (\d+) bytes \]=====\n")


def git_files(root: Path, *arguments: str) -> list[str]:
    """The paths `git ls-files` gives for these arguments that exist, sorted.

    Exits with a sentence when `root` is not a git repository.
    """
    command = ["git", "-C", str(root), "ls-files", "-z", *arguments]
    done = subprocess.run(command, capture_output=True)
    if done.returncode:
        sys.exit(f"The list of files comes from git: {done.stderr.decode().strip()}")
    names = {name for name in done.stdout.decode().split("\0") if name}
    return sorted(name for name in names if (root / name).is_file())


def is_text(content: bytes) -> bool:
    """True for UTF-8 without a null character."""
    try:
        return "\0" not in content.decode("utf-8")
    except UnicodeDecodeError:
        return False


def tokens(content: bytes) -> int:
    """An estimate: characters divided by 3.6."""
    return round(len(content.decode("utf-8")) / CHARACTERS_PER_TOKEN)


def reading_order(path: str) -> tuple[int, str]:
    """The files that explain the rest come first, the others follow by name."""
    found = (n for n, name in enumerate(FIRST) if path == f"src/pipulate/{name}")
    return next(found, len(FIRST)), path


def read_source(root: Path, with_tests: bool) -> tuple[dict[str, bytes], list[str]]:
    """{path: content} of the tracked text files in reading order, and the paths left out."""
    wanted = [*WANTED, "tests"] if with_tests else WANTED
    paths = sorted(git_files(root, "--", *wanted), key=reading_order)
    contents = {path: (root / path).read_bytes() for path in paths}
    texts = {path: content for path, content in contents.items() if is_text(content)}
    return texts, [path for path in paths if path not in texts]


def pack(files: dict[str, bytes]) -> bytes:
    """One document; ValueError for a path with a line break."""
    parts: list[bytes] = []
    for path, content in files.items():
        if "\n" in path:
            raise ValueError(f"A path with a line break cannot be bundled: {path!r}")
        parts.append(f"=====[ {path} | {len(content)} bytes ]=====\n".encode() + content + b"\n")
    return b"".join(parts)


def unpack(document: bytes) -> dict[str, bytes]:
    """{path: content}; ValueError where the document is cut, changed or would leave its folder."""
    files: dict[str, bytes] = {}
    at = 0
    while at < len(document):
        head = DELIMITER.match(document, at)
        if not head:
            raise ValueError(f"No delimiter line at byte {at}: the document was changed.")
        path, end = head[1].decode(), head.end() + int(head[2])
        if document[end : end + 1] != b"\n":
            raise ValueError(f"{path} does not have the length its delimiter says.")
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise ValueError(f"{path} would be written outside the folder.")
        files[path] = document[head.end() : end]
        at = end + 1
    return files


def write_tree(files: dict[str, bytes], folder: Path) -> None:
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def write_bundle(output: Path, with_tests: bool) -> None:
    """Write the document and print what is in it."""
    files, left_out = read_source(ROOT, with_tests)
    if not files:
        sys.exit("git tracks none of the source files yet: commit or `git add` them first.")
    document = pack(files)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(document)
    print(f"{output}: {len(files)} files, {len(document):,} bytes, {tokens(document):,} tokens")
    for path in left_out:
        print(f"left out (not text): {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "dist/pipulate-bundle.txt")
    parser.add_argument("--tests", action="store_true", help="include the tests")
    parser.add_argument("--unpack", nargs=2, type=Path, metavar=("FILE", "FOLDER"))
    options = parser.parse_args()
    try:
        if options.unpack:
            document, folder = options.unpack
            write_tree(unpack(document.read_bytes()), folder)
        else:
            write_bundle(options.output, options.tests)
    except (OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
