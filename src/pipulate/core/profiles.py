"""Profiles: whose rows. The scope of everything is the profile named in the address."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from pipulate.core.problems import Missing, Problem
from pipulate.core.store import Database, now, quote

# Words that routes use; a profile may not be called so.
ROUTE_WORDS = frozenset(["mcp", "ws", "static", "events", "files", "share", "settings", "shell", "undo", "approvals"])


@dataclass(frozen=True)
class Profile:
    """One shelf of rows. `slug` is its address."""

    id: int
    slug: str
    name: str


class Profiles:
    """The profiles in their order; there is always at least one."""

    def __init__(self, db: Database):
        self.db = db
        self.table = db.table("profiles")
        if not self.all():
            self.db.execute("INSERT INTO profiles (slug, name, position) VALUES ('default', 'Default', 1)")

    def all(self) -> list[Profile]:
        rows = self.table("deleted_utc IS NULL", order_by="position, id")
        return [Profile(r["id"], r["slug"], r["name"]) for r in rows]

    def at(self, slug: str | None = None) -> Profile:
        """The profile of an address; without one the first. Raises Missing, with the new slug of a

        renamed profile in details["moved"]."""
        everyone = self.all()
        found = next((p for p in everyone if slug in (None, p.slug)), None)
        if found:
            return found
        old = self.db.one("SELECT profile_id AS id FROM old_slugs WHERE slug = ?", (slug,))
        moved = next((p.slug for p in everyone if old and p.id == old["id"]), None)
        names = ", ".join(p.slug for p in everyone[:12])
        raise Missing(f"There is no profile {slug!r}.", f"Profiles: {names}.", moved=moved)

    def add(self, name: str) -> Profile:
        name = self._name(name)
        last = max((r["position"] for r in self.table()), default=0.0)
        row = self.table.insert(slug=self._slug(name), name=name, position=last + 1)
        return Profile(row["id"], row["slug"], row["name"])

    def rename(self, profile: Profile, name: str) -> Profile:
        """Give a new name and slug; the old address redirects."""
        name = self._name(name)
        slug = self._slug(name, profile.id)
        if slug != profile.slug:
            sql = "INSERT OR REPLACE INTO old_slugs (slug, profile_id) VALUES (?, ?)"
            self.db.execute(sql, (profile.slug, profile.id))
            self.db.execute("DELETE FROM old_slugs WHERE slug = ?", (slug,))
        self.table.update(id=profile.id, name=name, slug=slug)
        return Profile(profile.id, slug, name)

    def move(self, profile: Profile, after: Profile | None) -> None:
        """Put a profile behind another, or first."""
        others = [p for p in self.all() if p.id != profile.id]
        at = others.index(after) + 1 if after in others else 0
        for position, p in enumerate([*others[:at], profile, *others[at:]], 1):
            self.table.update(id=p.id, position=float(position))

    def delete(self, profile: Profile) -> None:
        """Put a profile with all its rows out of sight; undo brings it back whole."""
        if len(self.all()) == 1:
            raise Problem("The last profile cannot be deleted.", "Add another one first.")
        self.table.update(id=profile.id, deleted_utc=now())

    def holdings(self, profile: Profile) -> dict[str, int]:
        """How many rows, runs and messages a profile has, by table; what a deletion would hide."""
        sql = "SELECT name FROM sqlite_master WHERE type = 'table'"
        names = [r["name"] for r in self.db.all(sql)]
        counts = {}
        for name in names:
            if name in ("events", "approvals") or "profile_id" not in self.db.columns(name):
                continue
            sql = f"SELECT count(*) AS n FROM {quote(name)} WHERE profile_id = ?"
            counts[name.removeprefix("app_")] = self.db.all(sql, (profile.id,))[0]["n"]
        return {name: n for name, n in counts.items() if n and name != "old_slugs"}

    @staticmethod
    def _name(name: str) -> str:
        if not name.strip() or len(name) > 60:
            raise Problem("A profile needs a name of 1 to 60 characters.", "Choose another name.")
        return name.strip()

    def _slug(self, name: str, own: int | None = None) -> str:
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
        base = re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "profile"
        taken: set[Any] = {r["slug"] for r in self.table() if r["id"] != own} | ROUTE_WORDS
        tries = (base if n == 1 else f"{base}-{n}" for n in range(1, 10_000))
        return next(slug for slug in tries if slug not in taken)
