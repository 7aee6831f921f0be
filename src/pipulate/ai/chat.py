"""The conversation of a profile: messages in the store, one turn at a time, each a task."""

from asyncio import CancelledError, Lock, Task, create_task, current_task, shield
from asyncio import sleep, to_thread, wait
from contextlib import suppress
from time import monotonic, time_ns
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

from pipulate.ai import prompt
from pipulate.ai.calls import Call, printed, whole
from pipulate.ai.complete import REPAIRS, complete
from pipulate.ai.memory import discreet, masked, recalled
from pipulate.ai.models import GO_ON, Model, Thought
from pipulate.ai.servers import Choice, none_found
from pipulate.ai.slash import slash, without_secrets
from pipulate.apps.base import made
from pipulate.apps.house import House
from pipulate.core.fields import dumps
from pipulate.core.logs import problem_of
from pipulate.core.problems import Invalid, Missing, NeedsApproval, Problem, Unknown
from pipulate.core.profiles import Profile
from pipulate.core.store import Row, now
from pipulate.core.tools import BULK, Caller

ROUNDS, SAME, RESULT = 10, 3, 8_000  # rounds of tools a turn, equal calls, characters of a result
TURN, ASIDE = 180.0, 20.0  # seconds in which a turn may begin calls; after which one goes on aside
CALLS = BULK  # tool calls a turn: as many rows as one call may change without an approval
HISTORY, UNTOLD = 200, 30  # messages the prompt is made of, those its summary may lack
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


def told(result: Any) -> str:
    """As JSON; a long one in part, which says so first."""
    said = dumps(result)
    head = f"(The first {RESULT:,} of {len(said):,} characters: narrow it, or page.) "
    return head * (len(said) > RESULT) + said[:RESULT]


class Chat:
    """publish(profile_id, kind, message): kind is message, token, final, gone (it said nothing)

    or anew (what was said changed)."""

    def __init__(self, house: House, choice: Choice, publish: Callable[[int, str, Row], None]):
        self.house, self.choice, self.publish = house, choice, publish
        # by profile id: the task at work, the message being written, what the user said while it
        # is being saved, the event told last, the tools found, the moment of a remark
        self.turns: dict[int, Task[None]] = {}
        self.streaming: dict[int, Row] = {}
        self.said: dict[int, Task[Row]] = {}
        self.told: dict[int, int] = {}
        self.found = defaultdict[int, set[str]](set)
        self.remarked: dict[int, float] = {}
        self.unheard = set[int]()  # profile ids: an approval was decided during the turn
        self.aside = set[Task[Any]]()  # calls that outlived the turn's patience
        self.native = set[str]()  # models that have called a tool by the protocol
        self._saying, self.known = Lock(), ({}, [], {})
        self.there = bool(house.settings.model_url)  # whether there is somebody to talk to
        house.db.execute("UPDATE messages SET state = 'cut off' WHERE state = 'streaming'")

    async def look(self):
        self.there = bool(await self.choice.model(self.house.profiles.at().id))

    def table(self, profile_id: int):
        messages = self.house.db.table("messages", scoped=True, logged=False)
        return messages.xtra(profile_id=profile_id)

    def history(self, profile_id: int, limit: int = 100, before: int = 2**62) -> list[Row]:
        """The newest messages (before that one), oldest first."""
        rows = self.table(profile_id)("id < ?", [before], "id DESC", limit)[::-1]
        live = self.streaming.get(profile_id)
        return [live if live and live["id"] == row["id"] else row for row in rows]

    async def _add(self, profile: Profile, role: str, text: str, **more) -> Row:
        values = {"role": role, "text": text, "state": "done", "at_utc": now(), **more}
        await self._heard(profile)
        row = await self._keep(profile.id, values)
        self.publish(profile.id, "message", row)
        return row

    async def _heard(self, profile: Profile):
        if said := self.said.get(profile.id):
            await shield(said)

    async def _keep(self, profile_id: int, row: Row) -> Row:
        def keep() -> Row:
            # half an answer is on its way already: it waits for no disk
            with self.house.db.change(soft=row["state"] == "streaming"):
                return self.table(profile_id).upsert(row)

        await sleep(0.0015 * (row["role"] == "user"))  # a question leaves first
        return await to_thread(keep)

    async def say(self, profile: Profile, text: str, at: str = ""):
        """Take a user's message: begin a command or a turn."""
        if text := text.strip():
            await self.stop(profile.id)  # at once, though one before is still being saved
            async with self._saying:  # of messages that come at the same time the last is answered
                await self._say(profile, text, at)

    async def _say(self, profile: Profile, text: str, at: str):
        """The model is asked while this is saved; it is shown, and answered, once it is."""
        row = {"role": "user", "text": text, "state": "done", "at_utc": now()}
        work = partial(self._turn, at=at, said=row)
        if text.startswith("/"):
            row["text"] = without_secrets(text, self.house.tools)
            work = partial(self._command, text=text, kept=row["text"])

        await self.stop(profile.id)
        self._begin(profile, work)
        saving = self.said[profile.id] = create_task(self._keep(profile.id, row))
        try:
            self.publish(profile.id, "message", await saving)
        except Exception:
            await self.stop(profile.id)
            raise
        finally:
            del self.said[profile.id]

    def _begin(self, profile: Profile, work):
        self.turns[profile.id] = create_task(self._guarded(profile, work))

    async def stop(self, profile_id: int):
        """End the running turn; what came is kept."""
        while task := self.turns.pop(profile_id, None):  # a remark may begin meanwhile
            task.cancel()
            await wait([task], timeout=2)

    async def _guarded(self, profile: Profile, work):
        try:
            await work(profile)
        except Exception as error:
            said = masked(self.house)(str(problem_of(error)))  # a server may repeat its key
            note = {"role": "note", "text": said, "state": "failed"}
            if self.turns.get(profile.id) is not current_task():
                return  # it was stopped
            try:
                await self._add(profile, **note)
            except Problem:  # that cannot be saved, either
                self.publish(profile.id, "message", {"id": 0, "calls": None, **note})
        finally:
            if self.turns.get(profile.id) is current_task():
                del self.turns[profile.id]
                self._hear(profile)

    async def _command(self, profile: Profile, text: str, kept: str):
        calls = None
        await self._heard(profile)
        try:
            said = await slash(text, self.house.tools, Caller("user", profile))
        except NeedsApproval as needed:
            call = {"name": kept, "arguments": "", "approval": needed.details["approval"]}
            said, calls = "This cannot simply be undone.", dumps([call])
        await self._add(profile, "note", said, calls=calls)

    async def _turn(self, profile: Profile, at: str, said: Row | None = None):
        wanted, unfit, end = list[str](), 0, monotonic() + TURN
        model, asked = said and self.choice.known(profile.id), None
        if model:
            asked = self.prompt(profile, at, model.context, said)  # at once: a thread costs more
        else:
            model = await self.choice.model(profile.id)
        self.there = bool(model)
        if model is None:
            return await self._add(profile, "note", none_found(self.house.settings))
        caller = Caller("model", profile, turn=f"turn-{time_ns():x}")
        for _ in range(ROUNDS):
            calls = await self._answer(caller, model, at, asked)
            asked = None
            if not calls:
                return await self._summarise(profile, model)
            wanted += [f"{call.name} {call.arguments}" for call in calls]
            over = f"wants over {CALLS} calls at once" if len(wanted) > CALLS else ""
            if monotonic() > end:
                over = f"took over {TURN / 60:.0f} minutes"
            if over:
                raise Problem(f"The model {over}; its last calls were not made.", GO_ON)
            if max(map(wanted.count, wanted)) >= SAME:
                what = "The model repeats the same call; it was stopped."
                raise Problem(what, "Ask another way.")
            fitting = [await self._run_call(call, caller) for call in calls]
            unfit = 0 if any(fitting) else unfit + 1
            if unfit > REPAIRS:
                what = f"The model's calls do not fit, {unfit} times in a row."
                raise Problem(what, "Ask another way, or choose another model in Settings.")
        raise Problem(f"The model used its {ROUNDS} rounds of tools.", GO_ON)

    async def _answer(self, caller: Caller, model: Model, at: str, asked=None) -> list[Call]:
        profile = caller.profile
        self.unheard.discard(profile.id)  # the prompt tells it
        if not asked:
            await self._heard(profile)
            asked = await to_thread(self.prompt, profile, at, model.context)
        row, calls = await self._stream(caller, model, *asked)
        if calls:
            self.native.add(model.name)  # of such a model text is text
        elif model.name not in self.native and (
            calls := printed(row["text"], self.house.tools.by_name)
        ):
            row |= {"text": "", "calls": dumps([*map(vars, calls)])}
            await self._keep(profile.id, row)
            self.publish(profile.id, "final", row)
        return calls

    async def _stream(self, caller: Caller, model: Model, *asked) -> tuple[Row, list[Call]]:
        """(the message, its calls), saved every second, and however it ends."""
        profile, calls, state, row = caller.profile, list[Call](), "cut off", {}
        begun = self._add(profile, "assistant", "", state="streaming", turn=caller.turn)
        adding, saved = create_task(begun), monotonic()  # while the model is asked
        try:
            async for piece in model.stream(*asked):
                self.streaming[profile.id] = row = row or await shield(adding)
                if isinstance(piece, Call):
                    calls.append(piece)
                    continue
                text, kind = whole(piece), "thinking" if isinstance(piece, Thought) else "text"
                row[kind] += text
                self.publish(profile.id, "token", {"id": row["id"], "text": text, "kind": kind})
                if monotonic() - saved > 1:
                    saved = monotonic()
                    await self._keep(profile.id, {**row})
            state = "done"
        except CancelledError:
            state = "stopped"
            raise
        except Problem as problem:
            if problem.details:  # broken, or refused
                self.choice.forget()
            raise
        finally:
            self.streaming[profile.id] = row = await adding
            row |= {"state": state, "calls": dumps([*map(vars, calls)]) if calls else None}
            self.publish(profile.id, "final", row)
            keeping = create_task(self._keep(profile.id, row))
            try:
                await wait([keeping])  # no Stop cuts it short
            finally:
                self.streaming.pop(profile.id, None)
                await keeping
        return row, calls

    async def _run_call(self, call: Call, caller: Caller) -> bool:
        made.set(events := [])
        result = Problem("Stopped before its end.", "See history for what it did.")
        try:
            result = await self._patiently(call, caller)
        finally:  # what was stopped may be done all the same
            problem = result if isinstance(result, Problem) else None
            approval = problem and problem.details.get("approval")
            calls = dumps([{**vars(call), "approval": approval, "events": events}])
            said = told(problem.as_dict() if problem else result)
            await self._add(caller.profile, "tool", said, calls=calls, turn=caller.turn)
        if call.name == "find_tool" and not problem:
            self.found[caller.profile.id] |= {tool["name"] for tool in result}
        return not isinstance(problem, Invalid | Unknown)

    async def _patiently(self, call: Call, caller: Caller) -> Any:
        """The result of a call; one that takes long goes on, and Stop ends it no more."""
        task = create_task(self._result(call, caller))
        try:
            await wait([task], timeout=ASIDE)
        except CancelledError:
            task.cancel()
            raise
        if task.done():
            return task.result()
        self.aside.add(task)
        task.add_done_callback(self.aside.discard)
        return {"state": "at work", "next_step": "It goes on; run_get tells how far it is."}

    async def _result(self, call: Call, caller: Caller) -> Any:
        try:
            return await self.house.tools.call(call.name, call.values(), caller)
        except Exception as error:
            return problem_of(error)

    async def decided(self, profile: Profile, approval: str, result, actor: str = "model"):
        """Offer it no more; a model that asked hears the outcome, and goes on."""
        sql = "UPDATE messages SET calls = json_replace(calls, '$[0].approval', '')"
        sql += " WHERE ? IN (turn, calls ->> '$[0].approval')"
        await to_thread(self.house.db.execute, sql, (approval,))
        if actor == "model":
            text = f"Approval {approval} was decided. Result: {told(result)}"
            await self._add(profile, "note", text)
            self.unheard.add(profile.id)
            self._hear(profile)

    def _hear(self, profile: Profile):
        if profile.id in self.unheard and profile.id not in self.turns:
            self.unheard.discard(profile.id)
            self._begin(profile, partial(self._turn, at=""))

    def prompt(
        self, profile: Profile, at: str, context: int, said: Row | None = None
    ) -> tuple[list[Row], list[Row]]:
        """(the messages, the tools) sent: within so many tokens, the answer's included.

        `said`: what is still to be saved."""
        house, key, tail = self.house, profile.id, f" ORDER BY id DESC LIMIT {HISTORY}"
        rows = self.table(key).select("id, role, text, calls", tail=tail)[::-1]
        rows += [{"id": 0, "calls": None, **said}] if said else []
        asked = next((row["text"] for row in reversed(rows) if row["role"] == "user"), "")
        notes = [note["note"] for note in recalled(house, profile, asked)]
        before = self._summary(profile).get("text", "")
        done = house.events.recent(key, prompt.EVENTS)
        fresh = [event for event in done if event["id"] > self.told.get(key, 0)] or done[:3]
        first = prompt.system(house, profile, at, fresh, notes, before)
        first = prompt.cut(first, int(context * prompt.ABOUT))
        self.told[key] = done[0]["id"] if done else 0
        tools, sizes = self._known()
        own, most = prompt.own(house, at), int(context * prompt.TOOLS)
        used = {event["verb"] for event in done}
        tools = prompt.offered(tools, own, self.found[key], most, sizes, used)
        room = context - min(2 * prompt.ANSWER, max(context // 4, 1)) - prompt.tokens(first)
        room -= sum(sizes[tool["name"]] for tool in tools)
        if prompt.tokens(asked) > room:
            what = f"That is too long for {context:,} tokens, which is all that the model reads."
            raise Problem(what, "Say it shorter, attach it as a file, or choose another model.")
        hide, sent = masked(house), [{"role": "system", "content": first}]
        sent += prompt.talk(rows, room)[0]
        return [{**message, "content": hide(message["content"])} for message in sent], tools

    def _known(self) -> tuple[list[Row], dict[str, int]]:
        if self.known[0] is not (by_name := self.house.tools.by_name):
            listing = self.house.tools.listing()
            self.known = by_name, listing, {tool["name"]: prompt.tokens(tool) for tool in listing}
        return self.known[1:]

    def _summary(self, profile: Profile) -> Row:
        """{text, upto: the last message in it} of what was said long ago."""
        return self.house.settings_of(profile.id).get("summary", {})

    async def _summarise(self, profile: Profile, model: Model):
        kept = self._summary(profile)
        rows = await to_thread(self.history, profile.id, HISTORY)
        first = prompt.talk(rows, model.context // 2)[1]
        where = "id > ? AND id < ? AND role IN ('user', 'assistant') AND text != ''"
        most = max(UNTOLD, model.context // 250)  # as many as the question has room for
        gone = self.table(profile.id)(where, (kept.get("upto", 0), first), "id", most)
        if len(gone) < UNTOLD:
            return
        said = "\n".join(f"{row['role']}: {row['text'][:500]}" for row in gone)
        hide = discreet(self.house)
        asked = hide(SHORTER.format(kept.get("text", "nothing"), said[: model.context * 2]))
        with suppress(Problem):  # the next turn tries it again
            text = hide(await complete(model, asked))[:2_000]
            self.house.settings_of(profile.id)["summary"] = {"text": text, "upto": gone[-1]["id"]}

    def remark(self, profile: Profile, size: str, what: str, at: str = ""):
        """Say a word about what happened (size: key or small), if the profile wants it."""
        wanted = self.house.settings_of(profile.id).get("remarks") or "key"
        late = self.remarked.get(profile.id, -PAUSE) + PAUSE < monotonic()
        if self.there and late and profile.id not in self.turns and size in REMARKS[wanted]:
            self.remarked[profile.id] = monotonic()
            self._begin(profile, partial(self._remark, what=what, at=at))
            self.turns[profile.id].set_name("remark")

    async def _remark(self, profile: Profile, what: str, at: str):
        if not (model := await self.choice.model(profile.id)):
            return
        done = self.house.events.recent(profile.id, prompt.EVENTS)
        first = await to_thread(prompt.system, self.house, profile, at, done)
        told = {"system": masked(self.house)(first), "user": REMARK.format(what)}
        asked = [{"role": role, "content": text} for role, text in told.items()]
        caller, said = Caller("model", profile, turn=f"remark-{time_ns():x}"), ""
        with suppress(Problem):  # nobody asked
            try:
                row, _ = await self._stream(caller, model, asked, [])
                said = row["text"].strip(" -–—.\n")
            finally:
                table = self.table(profile.id)
                for row in () if said else table("turn = ?", (caller.turn,)):
                    table.delete(row["id"])
                    self.publish(profile.id, "gone", row)

    async def again(self, profile: Profile, message: int = 0, text: str = "", at: str = ""):
        """Say a message (0: the last) anew, or `text` instead; what came after it goes."""
        async with self._saying:  # what another tab says meanwhile is not taken along
            await self.stop(profile.id)
            table = self.table(profile.id)
            if not (found := table("role = 'user' AND ? IN (id, 0)", (message,), "id DESC", 1)):
                raise Missing("Only a message of yours can be said again.", "Choose another.")
            said = found[0]
            if not text and said["text"].startswith("/") and "…" in said["text"]:
                raise Problem("A secret in it was not kept.", "Type the command again.")
            await to_thread(table.delete_many, "id >= ?", (said["id"],))
            self.publish(profile.id, "anew", said)
            await self._say(profile, text or said["text"], at)
