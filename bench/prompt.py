"""What a turn costs before the model is asked: its prompt, from 10,000 messages and 500 notes."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path

from bench.figures import Figure, medians
from pipulate.ai.chat import Chat
from pipulate.ai.complete import connect
from pipulate.apps.house import House
from pipulate.core.settings import read_settings
from pipulate.core.store import now

MESSAGES, NOTES, TIMES = 10_000, 500, 20
CONTEXTS = (8_192, 32_768)


def fill(house: House) -> None:
    """A conversation of questions, calls, results and answers; notes of some sentences."""
    profile, call = house.profiles.at().id, {"name": "task_list", "arguments": "{}"}
    rows = []
    for n in range(MESSAGES // 4):
        kept = json.dumps([call | {"id": f"c{n}"}])
        rows += [("user", f"What of the milk of day {n}? " * 4, None), ("assistant", "", kept)]
        rows += [("tool", json.dumps({"rows": ["milk"] * 200}), kept)]
        rows += [("assistant", "There is milk in the fridge. " * 20, None)]
    sql = "INSERT INTO messages (profile_id, role, text, calls, state, at_utc) VALUES"
    house.db.execute_many(f"{sql} ({profile}, ?, ?, ?, 'done', '{now()}')", rows)
    notes = house.shelf.crud("memory").plain(house.caller("system"))
    for n in range(NOTES):
        notes.insert(
            note=f"Note {n}: the milk of day {n} stands in the fridge. " + "And so on. " * 20
        )


async def once(folder: Path) -> dict[str, float]:
    """Milliseconds of CPU and of the clock, by context."""
    house, found = House(read_settings(str(folder))), {}
    chat = Chat(house, connect(house), lambda *said: None)
    fill(house)
    profile = house.profiles.at()
    chat.table(profile.id).insert(role="user", text="Is there milk?", state="done", at_utc=now())
    for context in CONTEXTS:
        chat.prompt(profile, "/default/tasks", context)  # warm
        cpu, clock = time.process_time(), time.perf_counter()
        for _ in range(TIMES):
            chat.prompt(profile, "/default/tasks", context)
        name = f"prompt of {context:,} tokens"
        found[f"{name}, CPU"] = (time.process_time() - cpu) * 1_000 / TIMES
        found[f"{name}, wall"] = (time.perf_counter() - clock) * 1_000 / TIMES
    await house.close()
    return found


def run(rounds: int) -> list[Figure]:
    found = []
    for _ in range(min(rounds, 3)):
        with tempfile.TemporaryDirectory() as name:
            found.append(asyncio.run(once(Path(name) / "home")))
    bounds = {f"prompt of {context:,} tokens, CPU": (5.0, 10.0) for context in CONTEXTS}
    return [
        Figure(what, "ms", value, None, *bounds.get(what, (None, None)))
        for what, value in medians(found).items()
    ]
