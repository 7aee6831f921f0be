"""The conversation of a profile: messages in the store, one turn at a time, tools with approvals.

The model is told where the user is and what was just done; its text is data, shown as markdown.
No handler waits for it: a turn is a task of its own that publishes what happens.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from pipulate.ai import prompt
from pipulate.ai.calls import Call, printed, whole
from pipulate.ai.complete import REPAIRS, complete
from pipulate.ai.memory import discreet, masked, recalled
from pipulate.ai.models import Model, Thought
from pipulate.ai.servers import NONE_FOUND, Choice
from pipulate.ai.slash import slash, without_secrets
from pipulate.apps.base import made
from pipulate.apps.house import House
from pipulate.core.fields import dumps
from pipulate.core.logs import problem_of
from pipulate.core.problems import Invalid, Missing, NeedsApproval, Problem, Unknown
from pipulate.core.profiles import Profile
from pipulate.core.store import Row, now
from pipulate.core.tools import BULK, Caller, Tool

ROUNDS, SAME, RESULT = 10, 3, 8_000  # rounds of tools a turn, equal calls, characters of a result
TURN, ASIDE = 180.0, 20.0  # seconds in which a turn may begin calls; after which one goes on aside
CALLS = BULK  # tool calls a turn: as many rows as one call may change without an approval
HISTORY = 200  # messages looked at for the prompt; those before are in its summary
UNTOLD = 30  # messages that the summary may lack before it is written anew
REMARKS = {"quiet": (), "key": ("key",), "talkative": ("key", "small")}
PAUSE = 20.0  # seconds between two remarks
REMARK = (
    "(Not from the user.) This just happened: {}. Tell the user in one or two short sentences what "
    "it means or what comes next. If there is nothing worth saying, answer with a dash alone."
)
SHORTER = (
    "Write down in at most 150 words what matters later in this conversation, as plain notes: "
    "facts, wishes, decisions, what is open.\n\nSo far: {}\n\nThen:\n{}"
)


class Chat:
    """publish(profile_id, kind, message): kind is message, token, final, gone (it said nothing)

    or anew (what was said changed)."""

    def __init__(self, house: House, choice: Choice, publish: Callable[[int, str, Row], None]):
        self.house, self.choice, self.publish = house, choice, publish
        self.turns: dict[int, asyncio.Task[None]] = {}  # profile id → the task at work
        self.streaming: dict[int, Row] = {}  # profile id → the message being written
        self.aside = set[asyncio.Task[Any]]()  # calls that outlived the turn's patience
        self.known: tuple[dict[str, Tool], list[Row], dict[str, int]] = {}, [], {}
        self.told: dict[int, int] = {}  # profile id → the event that the model was told last
        self.found: dict[int, set[str]] = {}  # profile id → tools that find_tool named
        self.remarked: dict[int, float] = {}
        self.native: set[str] = set()  # models that have called a tool by the protocol
        self._saying = asyncio.Lock()
        self.there = bool(house.settings.model_url)  # whether there is somebody to talk to
        house.db.execute("UPDATE messages SET state = 'cut off' WHERE state = 'streaming'")

    async def look(self):
        """Whether some model answers."""
        self.there = bool(await self.choice.model(self.house.profiles.at().id))

    def table(self, profile_id: int):
        messages = self.house.db.table("messages", scoped=True, logged=False)
        return messages.xtra(profile_id=profile_id)

    def history(self, profile_id: int, limit: int = 100, before: int = 2**62) -> list[Row]:
        """The newest messages (before that one), oldest first; the one being written so far."""
        rows = self.table(profile_id)("id < ?", [before], "id DESC", limit)[::-1]
        live = self.streaming.get(profile_id)
        return [live if live and live["id"] == row["id"] else row for row in rows]

    async def _add(self, profile: Profile, role: str, text: str, **more) -> Row:
        values = {"role": role, "text": text, "state": "done", "at_utc": now(), **more}
        row = await asyncio.to_thread(self.table(profile.id).insert, values)
        self.publish(profile.id, "message", row)
        return row

    async def say(self, profile: Profile, text: str, at: str = ""):
        """Take a user's message: run a slash command, or begin a turn. Returns without waiting."""
        text = text.strip()[:50_000]
        if not text:
            return
        command = text.startswith("/")
        kept = without_secrets(text, self.house.tools) if command else text
        work = partial(self._command, text=text) if command else partial(self._turn, at=at)
        async with self._saying:  # of messages that come at the same time the last is answered
            await self.stop(profile.id)
            await self._add(profile, "user", kept)
            self._begin(profile, work)

    def _begin(self, profile: Profile, work):
        self.turns[profile.id] = asyncio.create_task(self._guarded(profile, work))

    async def stop(self, profile_id: int):
        """End the running turn at once and free the upstream request; what came is kept."""
        if task := self.turns.pop(profile_id, None):
            task.cancel()
            await asyncio.wait([task], timeout=2)

    async def _guarded(self, profile: Profile, work):
        try:
            await work(profile)
        except Exception as error:
            await self._add(profile, "note", str(problem_of(error)), state="failed")
        finally:
            if self.turns.get(profile.id) is asyncio.current_task():
                del self.turns[profile.id]

    async def _command(self, profile: Profile, text: str):
        try:
            said, calls = await slash(text, self.house.tools, Caller("user", profile)), None
        except NeedsApproval as needed:
            name, key = without_secrets(text, self.house.tools), needed.details["approval"]
            calls = dumps([{"name": name, "arguments": "", "approval": key}])
            said = "This cannot simply be undone."
        await self._add(profile, "note", said, calls=calls)

    async def _turn(self, profile: Profile, at: str):
        model = await self.choice.model(profile.id)
        if model is None:
            await self._add(profile, "note", NONE_FOUND)
            return
        caller = Caller("model", profile, turn=f"turn-{time.time_ns():x}")
        asked, unfit, end = list[str](), 0, time.monotonic() + TURN
        for _ in range(ROUNDS):
            calls = await self._answer(caller, model, at)
            if not calls:
                return await self._summarise(profile, model)
            if time.monotonic() > end:
                what = f"The model took over {TURN / 60:.0f} minutes; its last calls were not made."
                raise Problem(what, "Say “go on” to continue.")
            asked += [f"{call.name} {call.arguments}" for call in calls]
            if len(asked) > CALLS:
                what = f"The model wants over {CALLS} calls at once; the last were not made."
                raise Problem(what, "Say “go on” to continue.")
            if any(asked.count(call) >= SAME for call in asked):
                what = "The model repeats the same call; it was stopped."
                raise Problem(what, "Ask another way.")
            fitting = [await self._run_call(call, caller) for call in calls]
            unfit = 0 if any(fitting) else unfit + 1
            if unfit > REPAIRS:
                what = f"The model's calls do not fit, {unfit} times in a row."
                raise Problem(what, "Ask another way, or choose another model in Settings.")
        raise Problem(f"The model used its {ROUNDS} rounds of tools.", "Say “go on” to continue.")

    async def _answer(self, caller: Caller, model: Model, at: str) -> list[Call]:
        """Let the model speak; what it printed as text alone, though it is a call, is one."""
        messages, tools = await asyncio.to_thread(self.prompt, caller.profile, at, model.context)
        row, calls = await self._stream(caller, model, messages, tools)
        if calls:
            self.native.add(model.name)  # of such a model text is text
        elif model.name in self.native:
            return []
        elif calls := printed(row["text"], self.house.tools.by_name):
            row |= {"text": "", "calls": dumps([*map(vars, calls)])}
            await asyncio.to_thread(self.table(caller.profile.id).update, row)
            self.publish(caller.profile.id, "final", row)
        return calls

    async def _stream(
        self, caller: Caller, model: Model, messages: list[Row], tools: list[Row]
    ) -> tuple[Row, list[Call]]:
        """(the message, its calls); its words are saved every second, and however it ends."""
        profile, calls, state = caller.profile, list[Call](), "cut off"
        row = await self._add(profile, "assistant", "", state="streaming", turn=caller.turn)
        self.streaming[profile.id], saved = row, time.monotonic()
        save = self.table(profile.id).update
        try:
            async for piece in model.stream(messages, tools):
                if isinstance(piece, Call):
                    calls.append(piece)
                    continue
                text, kind = whole(piece), "thinking" if isinstance(piece, Thought) else "text"
                row[kind] += text
                self.publish(profile.id, "token", {"id": row["id"], "text": text, "kind": kind})
                if time.monotonic() - saved > 1:
                    saved = time.monotonic()
                    await asyncio.to_thread(save, {**row})
            state = "done"
        except asyncio.CancelledError:
            state = "stopped"
            raise
        except Problem as problem:
            if "broken" in problem.details:
                self.choice.forget()
            raise
        finally:
            del self.streaming[profile.id]
            row |= {"state": state, "calls": dumps([*map(vars, calls)]) if calls else None}
            save(row)
            self.publish(profile.id, "final", row)
        return row, calls

    async def _run_call(self, call: Call, caller: Caller) -> bool:
        """Whether it was a call that fits a tool, whatever came of it."""
        about, fits = {**vars(call), "approval": None}, True
        made.set(events := [])
        try:
            result = await self._patiently(self.house.tools.call(call.name, call.values(), caller))
        except Exception as error:
            problem = problem_of(error)
            result, fits = problem.as_dict(), not isinstance(error, Invalid | Unknown)
            about["approval"] = problem.details.get("approval")
        if call.name == "find_tool" and isinstance(result, list):
            self.found.setdefault(caller.profile.id, set()).update(t["name"] for t in result)
        said, calls = dumps(result)[:RESULT], dumps([about | {"events": events}])
        await self._add(caller.profile, "tool", said, calls=calls, turn=caller.turn)
        return fits

    async def _patiently(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of a call; one that takes long goes on, however the talk does. Stop ends it

        before."""
        task = asyncio.create_task(work)
        try:
            await asyncio.wait([task], timeout=ASIDE)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if task.done():
            return task.result()
        self.aside.add(task)
        task.add_done_callback(self._ended)
        return {"state": "at work", "next_step": "It goes on; run_get tells how far it is."}

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.aside.discard(task)
        if not task.cancelled() and (error := task.exception()):
            problem_of(error)  # of a run that failed its page tells

    async def decided(self, profile: Profile, approval: str, result):
        """Put the outcome of an approval into the conversation and let the model go on."""
        text = f"Approval {approval} was decided. Result: {dumps(result)[:RESULT]}"
        await self._add(profile, "note", text)
        if profile.id not in self.turns:
            self._begin(profile, partial(self._turn, at=""))

    def prompt(self, profile: Profile, at: str, context: int) -> tuple[list[Row], list[Row]]:
        """(the messages, the tools) sent: within so many tokens, the answer's included."""
        rows, key = self.history(profile.id, HISTORY), profile.id
        asked = next((row["text"] for row in reversed(rows) if row["role"] == "user"), "")
        notes = [note["note"] for note in recalled(self.house, profile, asked)]
        summary = self._summary(profile)
        since = self.told.get(key) or 0
        first = prompt.system(self.house, profile, at, since, notes, summary.get("text", ""))
        first = prompt.cut(first, int(context * prompt.ABOUT))
        newest = self.house.events.recent(key, 1)
        self.told[key] = newest[0]["id"] if newest else 0
        room = context - min(2 * prompt.ANSWER, max(context // 4, 1)) - prompt.tokens(first)
        app = self.house.shelf.apps.get(prompt.place(at)[0])
        named = getattr(app, "name", getattr(app, "slug", ""))
        tools, sizes = self._known()
        most = int(context * prompt.TOOLS)
        tools = prompt.offered(tools, named, self.found.get(key, ()), most, sizes)
        room -= sum(sizes[tool["name"]] for tool in tools)
        if prompt.tokens(asked) > room:
            what = f"That is too long for {context:,} tokens, which is all that the model reads."
            raise Problem(what, "Say it shorter, attach it as a file, or choose another model.")
        told, hide = prompt.talk(rows, room)[0], masked(self.house)
        said = [{"role": "system", "content": first}, *told]
        return [{**message, "content": hide(message["content"])} for message in said], tools

    def _known(self) -> tuple[list[Row], dict[str, int]]:
        """All tools, and how many tokens each takes: reckoned anew when a plugin changed them."""
        if self.known[0] is not (by_name := self.house.tools.by_name):
            listing = self.house.tools.listing()
            self.known = by_name, listing, {tool["name"]: prompt.tokens(tool) for tool in listing}
        return self.known[1:]

    def _summary(self, profile: Profile) -> Row:
        """{text, upto: the last message in it} of what was said long ago."""
        return self.house.settings_of(str(profile.id)).get("summary") or {}

    async def _summarise(self, profile: Profile, model: Model):
        """Sum up what has left the prompt, when that is much; the talk itself stays as it is."""
        kept = self._summary(profile)
        rows = await asyncio.to_thread(self.history, profile.id, HISTORY)
        first = prompt.talk(rows, model.context // 2)[1]
        where = "id > ? AND id < ? AND role IN ('user', 'assistant') AND text != ''"
        most = max(UNTOLD, model.context // 250)  # as many as the question has room for
        gone = self.table(profile.id)(where, (kept.get("upto", 0), first), "id", most)
        if len(gone) < UNTOLD:
            return
        said = "\n".join(f"{row['role']}: {row['text'][:500]}" for row in gone)
        hide = discreet(self.house)
        asked = hide(SHORTER.format(kept.get("text", "nothing"), said[: model.context * 2]))
        try:
            text = await complete(model, asked, {"type": "string"}, bool)
        except Problem:
            return  # the next turn tries it again
        upto = {"text": hide(text)[:2_000], "upto": gone[-1]["id"]}
        self.house.settings_of(str(profile.id))["summary"] = upto

    # -- saying something unasked, and saying it again

    def remark(self, profile: Profile, size: str, what: str, at: str = ""):
        """Say a word about something that happened (size: key or small), as far as the profile

        wants it: never while somebody talks, and dropped when the user does something else."""
        wanted = self.house.settings_of(str(profile.id)).get("remarks") or "key"
        late = self.remarked.get(profile.id, -PAUSE) + PAUSE < time.monotonic()
        if self.there and late and profile.id not in self.turns and size in REMARKS[wanted]:
            self.remarked[profile.id] = time.monotonic()
            self._begin(profile, partial(self._remark, what=what, at=at))

    async def _remark(self, profile: Profile, what: str, at: str):
        model = await self.choice.model(profile.id)
        if model is None:
            return
        first = await asyncio.to_thread(prompt.system, self.house, profile, at, 0, (), "")
        told = {"system": masked(self.house)(first), "user": REMARK.format(what)}
        asked = [{"role": role, "content": text} for role, text in told.items()]
        said, known = False, self.history(profile.id, 1)
        with contextlib.suppress(Problem):  # nobody asked
            try:
                row, _ = await self._stream(Caller("model", profile), model, asked, [])
                said = bool(row["text"].strip(" -–—.\n"))
            finally:
                for row in self.history(profile.id, 1):
                    if not said and row["id"] not in [old["id"] for old in known]:
                        self.table(profile.id).delete(row["id"])
                        self.publish(profile.id, "gone", row)

    async def again(self, profile: Profile, message: int = 0, text: str = "", at: str = ""):
        """Say a message of the user's (0: the last) again, or in other words; what came after it

        goes."""
        await self.stop(profile.id)
        table = self.table(profile.id)
        found = table("role = 'user' AND ? IN (id, 0)", (message,), "id DESC", 1)
        if not found:
            raise Missing("Only a message of yours can be said again.", "Choose another.")
        said = found[0]
        if not text and said["text"].startswith("/") and "…" in said["text"]:
            raise Problem("A secret in it was not kept.", "Type the command again.")
        await asyncio.to_thread(table.delete_many, "id >= ?", (said["id"],))
        self.publish(profile.id, "anew", said)
        await self.say(profile, text or said["text"], at)
