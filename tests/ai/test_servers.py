"""Which servers are found, added and chosen; how much fits into a model; models being fetched."""

import json
from dataclasses import replace

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse

from model_server import ModelServer, Reply
from pipulate.ai import servers as found_by
from pipulate.ai.chat import Chat
from pipulate.ai.complete import connect
from pipulate.ai.models import Model
from pipulate.ai.servers import (
    ASSUMED,
    WAIT,
    Choice,
    Server,
    context,
    find,
    is_local,
    pull,
    servers,
)
from pipulate.core.problems import Problem
from pipulate.core.settings import Settings


@pytest.fixture
def choice(house):
    return Choice(house)


class Keyed(ModelServer):
    """A server that wants a key, and notes what it was given."""

    def __init__(self, *replies, key="sk-planted"):
        super().__init__(*replies)
        self.key, self.given = key, []

    async def _page(self, request: Request) -> JSONResponse:
        self.given.append(request.headers.get("authorization"))
        if self.given[-1] != f"Bearer {self.key}":
            return JSONResponse({"error": "no key"}, 401)
        return await super()._page(request)


class WithProps(ModelServer):
    """As llama.cpp's server, which tells its context."""

    def __init__(self, props, *replies):
        super().__init__(*replies)
        self.pages["/props"] = props


class RealOllama(ModelServer):
    """One that speaks OpenAI's protocol, too, with a model of somebody's own."""

    def __init__(self, *replies):
        super().__init__(*replies)
        models = [{"id": "stand-in", "object": "model", "owned_by": "hf.co"}]
        self.pages["/v1/models"] = {"object": "list", "data": models}
        self.pages["/api/ps"] = {"models": []}


# -- found by their address ----------------------------------------------------------------------


def test_the_server_of_the_setting_is_used_and_its_first_model(run, tmp_path):
    with ModelServer() as server:
        for url in (server.url, f"{server.url}/v1"):
            found = run(find(Settings(home=tmp_path, model_url=url)))
            assert found == Model(server.url, "stand-in", False)
        named = run(find(Settings(home=tmp_path, model_url=server.url, model="mine")))
        assert named.name == "mine"
        llama = run(find(Settings(home=tmp_path, ollama_url=server.url)))
        assert llama == Model(server.url, "stand-in", True)


def test_without_a_setting_the_usual_ports_are_looked_at_and_ollama_comes_first(
    run, tmp_path, monkeypatch
):
    with ModelServer() as llama, ModelServer() as studio, ModelServer() as ollama:
        monkeypatch.setattr(found_by, "USUAL", (llama.url, studio.url))
        settings = Settings(home=tmp_path, ollama_url=ollama.url)
        assert [s.url for s in run(servers(settings))] == [ollama.url, llama.url, studio.url]
        assert run(servers(settings))[0] == Server(ollama.url, True, ("stand-in",))
        named = replace(settings, ollama_named=True)
        assert [s.url for s in run(servers(named))] == [ollama.url]
        told = replace(settings, model_url=studio.url)
        assert [s.url for s in run(servers(told))] == [studio.url, ollama.url]


def test_the_usual_ports_are_those_of_llama_cpp_and_lm_studio():
    assert found_by.USUAL == ("http://127.0.0.1:8080", "http://127.0.0.1:1234")


ODD = [
    [],
    {},
    {"data": None},
    {"data": "x"},
    {"data": [None]},
    {"data": [5]},
    {"data": [{}]},
    5,
    None,
]


@pytest.mark.parametrize("page", ODD, ids=map(str, ODD))
def test_a_server_that_lists_no_models_is_no_model(run, tmp_path, page):
    with ModelServer() as server:
        server.pages["/v1/models"] = page
        assert run(find(Settings(home=tmp_path, model_url=server.url))) is None


def test_where_nobody_answers_there_is_no_model(run, settings):
    assert run(find(settings)) is None


def test_a_server_that_was_named_and_does_not_answer_is_named_before_one_is_recommended(settings):
    said = found_by.none_found(replace(settings, model_url="http://127.0.0.1:9/v1"))
    assert said.startswith("No model answers at http://127.0.0.1:9/v1, where the environment")
    assert said.endswith(found_by.NONE_FOUND)


@pytest.mark.parametrize(
    "url, local",
    [
        ("http://127.0.0.1:8080", True),
        ("http://localhost:11434", True),
        ("http://[::1]:8080", True),
        ("https://api.model.example", False),
        ("http://192.168.1.5:11434", False),
        ("http://127.0.0.1.evil.example", False),
        ("http://localhost.evil.example", False),
        ("http://0.0.0.0:8080", False),
    ],
)
def test_what_leaves_this_machine_is_told_apart(url, local):
    assert is_local(url) == local


# -- added ---------------------------------------------------------------------------------------


def test_a_server_that_was_added_is_asked_with_its_key_and_no_other_gets_it(run, choice, house):
    with Keyed(Reply("hello")) as mine, Keyed() as other:
        choice.add(f"{mine.url}/v1/", key="sk-planted")
        choice.add(other.url)
        model = run(choice.model(house.profiles.at().id))
        assert (model.url, model.key) == (mine.url, "sk-planted")
        assert {*mine.given} == {"Bearer sk-planted"} and {*other.given} == {None}


@pytest.mark.parametrize("how", ["added", "named", "named with its model"])
def test_an_ollama_at_any_address_is_asked_in_its_own_protocol_for_room_enough(
    run, choice, house, how
):
    with RealOllama("Hello") as server:
        if how == "added":
            choice.add(f"{server.url}/v1")
        else:
            object.__setattr__(house.settings, "model_url", f"{server.url}/v1")
        if how == "named with its model":
            object.__setattr__(house.settings, "model", "stand-in")

        async def ask():
            model = await choice.model(house.profiles.at().id)
            return [piece async for piece in model.stream([{"role": "user", "content": "x"}], [])]

        assert run(ask()) == ["Hello"]
        assert server.requests[0]["path"] == "/api/chat" and server.requests[0]["options"]
    with WithProps({"default_generation_settings": {"n_ctx": 4096}}) as server:
        (found,) = run(servers(Settings(house.settings.home, model_url=server.url)))
        assert not found.ollama


def test_a_key_is_kept_as_a_secret_and_goes_with_its_server(choice, house):
    choice.add("https://api.model.example/v1", key="sk-planted")
    kept = house.db.all("SELECT key, secret FROM store WHERE value LIKE '%sk-planted%'")
    assert [row["secret"] for row in kept] == [1]
    assert "sk-planted" not in json.dumps(dict(house.settings_of().items()))
    assert "sk-planted" not in json.dumps(house.db.all("SELECT summary FROM events"))
    choice.remove("https://api.model.example")
    assert choice.added() == {}
    assert house.db.all("SELECT key FROM store WHERE value LIKE '%sk-planted%'") == []


def test_a_server_added_twice_is_there_once_and_keeps_its_key(choice):
    choice.add("https://api.model.example", key="sk-planted")
    choice.add("https://api.model.example/v1/")
    assert choice.added() == {"https://api.model.example": "sk-planted"}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "ftp://x",
        "http://",
        "http://[",
        "http://a b",
        "javascript:alert(1)",
        "//x",
        "http:x",
    ]
    + [
        "http://x:port",
        "http://x:99999999",
        "http://u:secret@x",
        "http://x?key=secret",
        "http://x#y",
    ],
)
def test_what_is_no_address_of_a_server_is_refused(choice, url):
    with pytest.raises(Problem):
        choice.add(url)
    assert choice.added() == {}


def test_a_key_leaves_this_machine_encrypted_only(choice):
    with pytest.raises(Problem, match="unencrypted"):
        choice.add("http://model.example", key="sk-planted")
    choice.add("http://127.0.0.1:8080", key="sk-planted")
    choice.add("https://model.example", key="sk-planted")
    choice.add("http://other.example")
    assert len(choice.added()) == 3


@pytest.mark.parametrize("url", ["http://x:99999", "http://" + "x" * 300 + ".example"])
def test_an_address_that_cannot_be_asked_does_no_harm(run, choice, house, url):
    with ModelServer() as server:
        choice.add(url)
        choice.add(server.url)
        assert [s.url for s in run(servers(house.settings, choice.added()))] == [server.url]


# -- chosen --------------------------------------------------------------------------------------


def said_to(server):
    return [m["content"] for body in server.requests for m in body["messages"][1:]]


def test_each_profile_talks_to_the_model_it_chose_from_the_next_message_on(run, call, house):
    call("profile_add", name="Other")
    first, other = house.profiles.at("default"), house.profiles.at("other")
    with ModelServer("a", "b") as one, ModelServer("c", "d") as two:

        async def talk():
            choice = connect(house)
            chat = Chat(house, choice, lambda *said: None)

            async def say(profile, text):
                await chat.say(profile, text)
                await chat.turns[profile.id]

            choice.choose(first.id, {"url": one.url, "name": "x", "ollama": False})
            choice.choose(other.id, {"url": two.url, "name": "y", "ollama": True})
            await say(first, "one")
            await say(other, "two")
            choice.choose(first.id, {"url": two.url, "name": "z", "ollama": False})
            await say(first, "three")
            choice.choose(first.id, None)
            assert choice.of(first.id) is None and choice.of(other.id)["name"] == "y"
            assert await choice.model(first.id) is None, "nothing else is found here"

        run(talk())
    assert said_to(one) == ["one"] and said_to(two)[0] == "two" and said_to(two)[-1] == "three"
    assert [body["model"] for body in two.requests] == ["y", "z"]
    assert [body["path"] for body in two.requests] == ["/api/chat", "/v1/chat/completions"]


def test_how_long_its_first_word_may_take_is_the_users_to_say(run, choice, house):
    house.settings_of()[WAIT] = "0.2"
    with ModelServer(Reply("late", fault="stall")) as server:
        choice.choose(1, {"url": server.url, "name": "x", "ollama": False})

        async def ask():
            model = await choice.model(1)
            return [piece async for piece in model.stream([{"role": "user", "content": "?"}], [])]

        with pytest.raises(Problem, match="stopped answering"):
            run(ask())


def test_a_choice_holds_after_a_restart_and_takes_its_key_along(run, open_house):
    house = open_house()
    choice, key = Choice(house), house.profiles.at().id
    choice.add("https://api.model.example", key="sk-planted")
    choice.choose(key, {"url": "https://api.model.example", "name": "big", "ollama": False})
    run(house.close())

    async def unknown(model):
        return ASSUMED

    again = Choice(open_house())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(found_by, "context", unknown)
        model = run(again.model(key))
    assert (model.name, model.key, model.context) == ("big", "sk-planted", ASSUMED)


def test_what_was_found_is_asked_again_only_after_a_while_or_when_it_broke(run, house, monkeypatch):
    with ModelServer() as server:
        house.settings = replace(house.settings, model_url=server.url)
        looks, old, choice = [], found_by.find, Choice(house)

        async def counted(*given):
            looks.append(1)
            return await old(*given)

        monkeypatch.setattr(found_by, "find", counted)
        for _ in range(3):
            run(choice.model(1))
        assert len(looks) == 1
        choice.forget()
        run(choice.model(1))
        monkeypatch.setattr(found_by, "KEEP", -1.0)
        choice.forget()
        run(choice.model(1))
        run(choice.model(1))
    assert len(looks) == 4


def test_a_model_chosen_while_another_is_still_looked_for_is_the_one_that_answers_next(
    run, house, monkeypatch
):
    choice = Choice(house)

    async def slow(*_):
        choice.choose(1, None)  # in Settings, meanwhile
        return Model("http://127.0.0.1:9", "old", False)

    monkeypatch.setattr(found_by, "find", slow)
    run(choice.model(1))
    assert choice.known(1) is None


# -- how much fits -------------------------------------------------------------------------------


def told(run, server, ollama=False):
    with server:
        return run(context(Model(server.url, "stand-in", ollama)))


def test_the_context_is_what_ollama_tells_of_the_model(run):
    server = ModelServer()
    info = {"general.architecture": "qwen2", "qwen2.context_length": 32_768}
    server.pages["/api/show"] = {"model_info": info}
    assert told(run, server, True) == 32_768


def test_the_context_is_what_llama_cpp_tells_of_itself(run):
    assert told(run, WithProps({"default_generation_settings": {"n_ctx": 4_096}})) == 4_096


@pytest.mark.parametrize(
    ("at", "told_there"),
    [
        ("/api/v0/models", {"max_context_length": 131_072, "loaded_context_length": 4_096}),
        ("/v1/models", {"max_model_len": 4_096}),
    ],
    ids=["LM Studio", "vLLM"],
)
def test_a_model_that_was_loaded_for_4096_tokens_was_sent_twice_as_many(run, at, told_there):
    server, other = ModelServer(), {"id": "big", "max_model_len": 9_000}
    server.pages[at] = {"data": [other, {"id": "stand-in", **told_there}]}
    assert told(run, server) == 4_096


NOTHING_TOLD = [{}, [], None, {"model_info": {}}, {"model_info": {"a.context_length": "many"}}]
NOTHING_TOLD += [{"model_info": {"a.context_length": 0}}, {"default_generation_settings": {}}]
NOTHING_TOLD += [{"default_generation_settings": {"n_ctx": 0}}, {"default_generation_settings": 5}]


@pytest.mark.parametrize("page", NOTHING_TOLD, ids=map(str, NOTHING_TOLD))
def test_where_nothing_is_told_a_small_context_is_assumed(run, page):
    server = WithProps(page)
    server.pages["/api/show"] = page
    with server:
        for ollama in (True, False):
            assert run(context(Model(server.url, "stand-in", ollama))) == ASSUMED


def test_where_nobody_answers_it_is_assumed_too(run):
    assert run(context(Model("http://127.0.0.1:9", "x", False))) == ASSUMED
    assert told(run, ModelServer()) == ASSUMED, "a server without /props"


# -- fetched -------------------------------------------------------------------------------------


class Pulling(ModelServer):
    """As Ollama fetches a model: lines of what is done."""

    def __init__(self, *lines):
        super().__init__()
        self.lines = lines
        self.pages["/api/pull"] = None

    async def _page(self, request):
        if request.url.path != "/api/pull":
            return await super()._page(request)
        self.requests.append(await request.json())
        return PlainTextResponse("\n".join(self.lines))


def pulled(run, *lines):
    async def all_of_it(url):
        return [step async for step in pull(url, "llama3.2")]

    with Pulling(*lines) as server:
        steps = run(all_of_it(server.url))
        assert server.requests == [{"model": "llama3.2", "stream": True}]
        return steps


def test_fetching_a_model_tells_how_far_it_is(run):
    lines = (
        '{"status": "pulling manifest"}',
        '{"status": "downloading", "completed": 10, "total": 40}',
        '{"status": "downloading", "completed": 40, "total": 40}',
        "",
        '{"status": "success"}',
    )
    steps = pulled(run, *lines)
    assert steps[:3] == [
        (0, 0, "pulling manifest"),
        (10, 40, "downloading"),
        (40, 40, "downloading"),
    ]
    assert steps[-1] == (0, 0, "success")


@pytest.mark.parametrize(
    "line, said",
    [
        ('{"error": "pull model manifest: file does not exist"}', "does not exist"),
        ("<html>404</html>", "answered wrongly"),
        ("[1]", "answered wrongly"),
        ("5", "answered wrongly"),
    ],
)
def test_a_model_that_cannot_be_fetched_says_why(run, line, said):
    with pytest.raises(Problem, match=said):
        pulled(run, line)


def test_fetching_from_nobody_says_so(run):
    async def all_of_it():
        return [step async for step in pull("http://127.0.0.1:9", "x")]

    with pytest.raises(Problem, match="broke"):
        run(all_of_it())
