"""Where things are and how the program was started, read once."""

import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from pipulate.core.problems import Problem

FOLDERS = ("apps", "quarantine", "files", "models", "backups", "logs", "locks")


@dataclass(frozen=True)
class Settings:
    """How a program serves a home, the folder that holds everything the user owns."""

    home: Path
    port: int = 5001
    browser: bool = True
    plugins: bool = True
    model_url: str = ""  # an OpenAI-compatible base URL; empty means: look for Ollama
    model: str = ""
    ollama_url: str = "http://127.0.0.1:11434"
    ollama_named: bool = False  # by OLLAMA_HOST
    edition: str = ""  # a package whose plugin files come along; the home remembers it

    @property
    def database(self) -> Path:
        return self.home / "pipulate.db"

    def folder(self, name: str) -> Path:
        return self.home / name

    def make_home(self) -> None:
        """Create it and its folders, owner-only. Raises Problem."""
        try:
            for folder in map(self.folder, ("", *FOLDERS)):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                folder.chmod(0o700)
        except OSError as error:
            what = f"The home folder {self.home} cannot be written ({error.strerror})."
            raise Problem(what, "Choose another with --home DIR, or make it writable.") from error

    def secret(self, name: str) -> str:
        """A random key kept in the home (0600), made at first use. 256 bits, hexadecimal."""
        if not (path := self.home / f"{name}.key").exists():
            write_private(path, secrets.token_hex(32))
        return path.read_text()


def read_settings(home: str | None = None, **options: object) -> Settings:
    """Settings from options, then the environment, then defaults."""
    os.umask(0o077)  # every file this process makes is for its owner alone
    folder = Path(home or os.environ.get("PIPULATE_HOME") or Path.home() / "pipulate")
    named, model = os.environ.get("OLLAMA_HOST", ""), os.environ.get("PIPULATE_MODEL_URL", "")
    return Settings(
        home=folder.expanduser().absolute(),
        model_url=(model if "://" in model or not model else f"http://{model}").rstrip("/"),
        model=os.environ.get("PIPULATE_MODEL", ""),
        ollama_url=_ollama(named),
        ollama_named=bool(named),
        edition=os.environ.get("PIPULATE_EDITION", ""),
        **options,  # type: ignore[arg-type]
    )


def _ollama(said: str) -> str:
    """As Ollama reads it: scheme, host and port may be missing; where it binds to all is here."""
    scheme, _, at = said.strip(" \"'").rstrip("/").rpartition("://")
    at = re.sub(r"^(0\.0\.0\.0|\[::\])?(?=:|$)", "127.0.0.1", at)
    port = "" if scheme or re.search(r":\d+$", at) else ":11434"
    return f"{scheme or 'http'}://{at}{port}"


def write_private(path: Path, text: str) -> None:
    """Replace a small file in one step: temporary neighbour, 0600, fsync, rename."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
