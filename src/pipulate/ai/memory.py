"""What the assistant remembers: notes, which are rows of an app of the user's, and the talk."""

import re
from collections import Counter
from collections.abc import Callable
from functools import reduce

from pipulate.apps.house import House
from pipulate.core.fields import dumps
from pipulate.core.problems import Problem, Refused
from pipulate.core.profiles import Profile
from pipulate.core.store import Row
from pipulate.core.tools import Caller, tool

APP, APPS = "memory", "memories"
SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
MOST = 20_000  # notes looked through, newest first
TOLD, WORDS = 6, 40  # notes recalled for one message, by so many of its words


class AssistantTools:
    """Tools for the model's own use, there for everybody as all are."""

    def __init__(self, house: House):
        self.house = house

    @tool(kind="read")
    def find_tool(self, caller: Caller, words: str):
        """Find tools by words of their names or descriptions, such as: import csv."""
        wanted, tools = _words(words), self.house.tools.by_name
        hits = {n: len(wanted & _words(f"{n} {one.description}")) for n, one in tools.items()}
        return [tools[name].as_dict() for name, some in Counter(hits).most_common(8) if some]

    @tool
    def remember(self, caller: Caller, note: str):
        """Note something for later conversations, in a sentence. Never a password or a token."""
        if masked(self.house)(note) != note:
            raise Refused("That is a secret kept here.", "Secrets are never remembered.")
        return self.house.shelf.crud(APP)._add(caller, note=note)

    @tool(kind="read")
    def recall(self, caller: Caller, words: str):
        """Find notes made earlier that fit these words, best first."""
        return recalled(self.house, caller.profile, words, 20)

    @tool
    def forget(self, caller: Caller, id: int):
        """Delete a note by its id; can be undone."""
        return self.house.shelf.crud(APP)._delete(caller, id)

    @tool(kind="read")
    def talk_search(self, caller: Caller, words: str):
        """Find messages of the whole conversation that hold these words, newest first."""
        mine = self.house.db.table("messages").xtra(profile_id=caller.profile.id)
        tests = words.lower().split()[:8]
        where = "role IN ('user', 'assistant')" + " AND instr(lower(text), ?)" * len(tests)
        what = "id, role, at_utc, substr(text, 1, 500) AS text"
        return mine.select(what, where, tests, " ORDER BY id DESC LIMIT 20")


def recalled(house: House, profile: Profile, text: str, most: int = TOLD) -> list[Row]:
    """[{id, note}] of notes that hold words of a text, best first: a rare word says more."""
    try:
        table = house.shelf.crud(APP).plain(Caller("system", profile))
        rows = table.select("id, note", tail=f" ORDER BY id DESC LIMIT {MOST}")
    except Problem:  # the app is gone
        return []
    notes, score = [row["note"].lower() for row in rows], Counter[int]()
    for word in sorted(_words(text), key=len)[-WORDS:]:
        hits = [n for n, note in enumerate(notes) if word in note]
        score.update(dict.fromkeys(hits, 1 / max(1, len(hits))))
    return [rows[n] for n, _ in score.most_common(most)]


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"\w+", text.lower().replace("_", " ")) if len(word) > 2}


def masked(house: House) -> Callable[[str], str]:
    """A function that hides every secret kept here in a text."""
    both = "SELECT value FROM secrets UNION ALL SELECT value ->> '$' FROM store WHERE secret"
    values = [str(row["value"]) for row in house.db.all(both)]
    forms = {form for value in values if len(value) > 5 for form in (value, dumps(value)[1:-1])}
    ordered = sorted(forms, key=len, reverse=True)
    return lambda text: reduce(lambda said, form: said.replace(form, "…"), ordered, text)


def discreet(house: House) -> Callable[[str], str]:
    """The same, and without sentences that seem to tell one; for what is kept."""
    hide, app = masked(house), house.shelf.apps.get(APPS)
    if not (secret := getattr(getattr(app, "model", None), "secret", None)):
        return hide
    return lambda text: SENTENCE.sub(lambda s: "…" if secret.search(s[0]) else s[0], hide(text))
