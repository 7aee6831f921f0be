"""Memory: what the assistant shall remember from one conversation to the next."""

import re

from pipulate import CrudApp, Invalid, Text

# as tokens look, or a word for one and what follows it
SECRET = r"\b(?=\w*\d)(?=\w*[a-z])[\w-]{24,}\b|\b(pass(word|phrase|code)|api[ _-]?key|token|pin)\b"
SECRET += r"\s*(\bis\b|[:=])"


class Memory(CrudApp):
    """What the assistant notes for later; read, change or delete it here."""

    plural, menu_icon, menu_place = "memories", "❖", 60
    note: Text

    def check(self):
        if re.search(SECRET, self.note or "", re.I):
            what = "That looks like a secret, and notes go to the model."
            raise Invalid(what, "Leave it out.", fields={"note": "looks like a secret"})
