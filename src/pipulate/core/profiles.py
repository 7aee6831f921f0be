"""Profiles: whose rows. The scope of everything is the profile named in the address."""

import re
import time
import unicodedata
from dataclasses import dataclass
from itertools import chain, count

from pipulate.core.problems import Missing, Problem
from pipulate.core.store import Database, Row, now

# Words that routes use; a profile may not be called so.
ROUTE_WORDS = {"mcp", "ws", "static", "events", "files", "share", "settings", "shell"}
ROUTE_WORDS |= {"undo", "approvals", "docs"}


@dataclass(frozen=True)
class Profile:
    """One shelf of rows. `slug` is its address."""

    id: int
    slug: str
    name: str


class Profiles:
    """The profiles in their order; there is always at least one."""

    def __init__(self, db: Database):
        self.db, self._changes = db, 0
        self._kept: tuple[int, float, list[Profile]] = (-1, 0.0, [])
        db.on_event.append(self._heard)
        self.table = db.table("profiles", row=lambda r: Profile(r["id"], r["slug"], r["name"]))
        if not self.all():
            sql = "INSERT INTO profiles (slug, name, position) VALUES ('default', 'Default', 1)"
            self.db.execute(f"{sql} ON CONFLICT (slug) DO UPDATE SET deleted_utc = NULL")

    def all(self) -> list[Profile]:
        """Every request asks: kept until they change; what another process did, for 1 s."""
        changes, until, kept = self._kept
        if self.db.current or changes != self._changes or until < time.monotonic():
            changes = self._changes
            kept = self.table("deleted_utc IS NULL", order_by="position, id")
            if kept and not self.db.current:
                self._kept = changes, time.monotonic() + 1, kept
        return [*kept]

    def _heard(self, event: Row) -> None:
        self._changes += any(image["table"] == "profiles" for image in event["images"])

    def at(self, slug: str | None = None) -> Profile:
        """The profile of an address; without one the first. Raises Missing, with the new slug of a

        renamed profile in details["moved"]."""
        everyone = self.all()
        for profile in everyone:
            if slug in (None, profile.slug):
                return profile
        old = self.db.one("SELECT profile_id AS id FROM old_slugs WHERE slug = ?", (slug,))
        renamed = old and self.of(old["id"])
        moved = renamed and renamed.slug
        names = ", ".join(p.slug for p in everyone[:12])
        raise Missing(f"There is no profile {slug!r}.", f"Profiles: {names}.", moved=moved)

    def of(self, key: int | None) -> Profile | None:
        """The profile of an id, None if deleted."""
        return next((profile for profile in self.all() if profile.id == key), None)

    def add(self, name: str) -> Profile:
        last = self.db.all("SELECT max(position) AS place FROM profiles")[0]["place"]
        return self.table.insert(**self._names(name), position=last + 1)

    def rename(self, profile: Profile, name: str) -> Profile:
        """Give a new name and slug; the old address redirects."""
        new = self._names(name, profile.id)
        if new["slug"] != profile.slug:
            sql = "INSERT OR REPLACE INTO old_slugs VALUES (?, ?)"
            self.db.execute(sql, (profile.slug, profile.id))
            self.db.execute("DELETE FROM old_slugs WHERE slug = ?", (new["slug"],))
        return self.table.update(id=profile.id, **new)

    def move(self, profile: Profile, after: Profile | None) -> None:
        """Put a profile behind another, or first."""
        others = [p for p in self.all() if p.id != profile.id]
        others.insert(others.index(after) + 1 if after in others else 0, profile)
        for position, p in enumerate(others, 1):
            self.table.update(id=p.id, position=float(position))

    def delete(self, profile: Profile) -> None:
        """Put a profile with all its rows out of sight; undo brings it back whole."""
        self.table.update(id=profile.id, deleted_utc=now())
        if not self.all():  # checked with the write lock held; the change is rolled back
            raise Problem("The last profile cannot be deleted.", "Add another one first.")

    def holdings(self, profile: Profile) -> dict[str, int]:
        """How many rows, runs and messages a deletion would hide, by table; files stay on disk."""
        sql = """SELECT t.name FROM sqlite_master t, pragma_table_info(t.name) c
            WHERE t.type = 'table' AND c.name = 'profile_id'
            AND t.name NOT IN ('events', 'approvals', 'old_slugs', 'files', 'app_files')"""
        tables = (self.db.table(r["name"]).xtra(profile_id=profile.id) for r in self.db.all(sql))
        return {t.name.removeprefix("app_"): n for t in tables if (n := t.count())}

    def _names(self, name: str, own: int | None = None) -> dict[str, str]:
        """{name, slug}; the slug is one that nobody else has, nor had before a deletion."""
        name = name.strip()
        if not name or len(name) > 60:
            raise Problem("A profile needs a name of 1 to 60 characters.", "Choose another name.")
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
        base = re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "profile"
        taken = ROUTE_WORDS | {p.slug for p in self.table() if p.id != own}
        slugs = chain([base], (f"{base}-{n}" for n in count(2)))
        return {"name": name, "slug": next(slug for slug in slugs if slug not in taken)}
