"""Memory: what the assistant shall remember from one conversation to the next."""

import re

from pipulate import CrudApp, Invalid, Text

WORD = r"(?:pass(?:word|phrase|code|wort)|kennwort|mot de passe|token|pin"
WORD += r"|(?:api|secret|private|access)[ _-]?key)"
OF = r"(?:\s+(?:for|of|to|on|at|in|from|für|von|zu|zum|pour)\s[^.!?\n]{1,60}?)?"
SECRET = (
    r"\b(?=\w*\d)(?=\w*[a-z])[\w-]{24,}\b",  # as tokens look
    r"://[^/\s:@]+:[^/\s@]+@",  # in an address
    rf"\b{WORD}\b{OF}\s*(?:\b(?:is|was|ist|lautet|est)\b|[:=–—→])",  # a word for one, and it
    rf"\b{WORD}\b\s+[\"'“‘«„]|\b{WORD}\b\W{{1,3}}(?=\S*\d)\S",
    rf"\b(?:is|as|be)\s+(?:\w+\s+){{0,2}}{WORD}\b(?=\W*(?:$|[.,;!?)]|(?:for|of|to|on|at)\s))",
)


class Memory(CrudApp):
    """What the assistant notes for later; read, change or delete it here."""

    plural, menu_icon, menu_place = "memories", "❖", 60
    secret = re.compile("|".join(SECRET), re.I)  # a summary of the talk leaves out such, too
    note: Text

    def check(self):
        if self.secret.search(self.note or ""):
            what = "That looks like a secret, and notes go to the model."
            raise Invalid(what, "Leave it out.", fields={"note": "looks like a secret"})
