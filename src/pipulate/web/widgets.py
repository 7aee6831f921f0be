"""Widgets on a page: where their modules are, and one socket that they all share.

A message is a frame of JSON that says how many `parts` follow, and these, each a frame of bytes.
"""

import asyncio
import json
from collections.abc import Collection

from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from pipulate.apps.widgets import LIVE, Held, Tell, address
from pipulate.core.fields import dumps
from pipulate.core.logs import log_fault
from pipulate.core.problems import Problem
from pipulate.core.store import Row
from pipulate.core.tools import limited
from pipulate.web.live import soon

SECONDS = 30.0  # for a widget's answer
PARTS = 100  # frames of bytes of one message
WAITING = 1_000  # messages; a tab that far behind starts afresh
GONE = "This widget is no longer kept here. Reload the page."
OURS = dict[str, str]()


def own(kind: str, text: str, place: str = "own") -> str:
    """Where it is served."""
    at = address(kind, text)[0].replace("widgets", place)
    OURS[at] = text
    return at


HOST = """
const models = new Map(), calls = new Map(), MOST = 256e3;
let socket, head, parts, count = 0;
const make = (tag, values) => Object.assign(document.createElement(tag), values);
const send = (head, buffers) => {
  const parts = buffers ?? [], frames = [JSON.stringify({...head, parts: parts.length}), ...parts];
  const large = frames.some(one => (one.byteLength ?? one.length) > MOST);
  if (large) return models.get(head.key).fault('That is over 256 kB.');
  if (socket?.readyState == 1) frames.forEach(one => socket.send(one));
  // else it opens anew, with what the server has
};
const hear = ({data}) => {
  if (typeof data == 'string') [head, parts] = [JSON.parse(data), []];
  else parts.push(new DataView(data));
  if (parts.length == head.parts) models.get(head.key)?.hear(head, parts);
};
const connect = () => {
  if (socket) return;
  socket = new WebSocket(`ws://${location.host}/ws/widgets`);
  socket.binaryType = 'arraybuffer';
  socket.onmessage = hear;
  socket.onopen = () => models.forEach((_, key) => send({key, method: 'open'}));
  socket.onclose = () => {
    socket = null;
    if (models.size) setTimeout(connect, 1000);
  };
};

// found gets what is binary in a value, with its place
const apart = (value, way, found) => {
  if (Array.isArray(value)) return value.map((one, n) => apart(one, [...way, n], found));
  if (value?.constructor == Object) return Object.fromEntries(Object.entries(value)
    .map(([name, one]) => [name, apart(one, [...way, name], found)]));
  if (!ArrayBuffer.isView(value) && !(value instanceof ArrayBuffer)) return value;
  found.push([way, value]);
  return null;
};

class Model {
  constructor(key, fault) {
    Object.assign(this, {key, fault, state: {}, changed: {}, heard: []});
    this.ready = new Promise(done => { this.done = done; });
  }
  get(name) { return this.state[name]; }
  set(name, value) {
    if (this.state[name] === value) return;
    this.changed[name] = value;
    this.put({[name]: value});
  }
  save_changes() {
    const found = [], state = apart(this.changed, [], found);
    this.changed = {};
    send({key: this.key, method: 'update', state, buffer_paths: found.map(([way]) => way)},
      found.map(([, part]) => part));
  }
  send(content, _, buffers) { send({key: this.key, method: 'custom', content}, buffers); }
  on(names, run) { names.split(' ').forEach(name => this.heard.push([name, run])); }
  off(names, run) {
    this.heard = this.heard.filter(([name, one]) =>
      names && !names.split(' ').includes(name) || run && one != run);
  }
  say(name, ...values) { this.heard.forEach(([one, run]) => one == name && run(...values)); }
  put(state) {
    const names = Object.keys(state).filter(name => this.state[name] !== state[name]);
    Object.assign(this.state, state);
    names.forEach(name => this.say(`change:${name}`, this, state[name]));
    if (names.length) this.say('change', this);
  }
  hear(head, buffers) {
    if (head.method == 'fault') return this.fault(head.fault);
    if (head.method == 'custom') {
      calls.get(head.content?.id)?.([head.content.response, buffers]);
      return this.say('msg:custom', head.content, buffers);
    }
    head.buffer_paths.forEach((way, n) => {
      const place = way.slice(0, -1).reduce((place, name) => place[name], head.state);
      place[way.at(-1)] = buffers[n];
    });
    this.put(head.state);
    this.done();
  }
}
const invoke = model => (name, msg, {buffers, signal} = {}) => new Promise((done, refuse) => {
  const id = `${++count}`;
  calls.set(id, answer => { calls.delete(id); done(answer); });
  signal?.addEventListener('abort', () => { calls.delete(id); refuse(signal.reason); });
  model.send({id, kind: 'anywidget-command', name, msg}, null, buffers);
});

export const show = async at => {
  if (at.gone || !at.isConnected) return;
  const {key, module, look} = at.dataset, el = make('div');
  const over = new AbortController(), {signal} = over;
  const card = make('p', {className: 'problem', role: 'alert'});
  const fault = textContent => at.prepend(Object.assign(card, {textContent}));
  const model = new Model(key, fault);
  at.gone = () => {
    over.abort();
    at.gone = null;
    if (models.get(key) != model) return;  // put there anew
    models.delete(key);
    send({key, method: 'close'});
  };
  models.set(key, model);
  socket ? send({key, method: 'open'}) : connect();
  at.replaceChildren(el);
  if (look) at.prepend(make('link', {rel: 'stylesheet', href: look}));
  try {
    await model.ready;
    const own = await import(module), made = own.default ?? own;
    const drawn = typeof made == 'function' ? await made() : made;
    for (const name of ['initialize', 'render']) {
      if (signal.aborted) return;
      const end = await drawn[name]?.({model, el, signal, experimental: {invoke: invoke(model)}});
      if (typeof end != 'function') continue;
      signal.aborted ? end() : signal.addEventListener('abort', end);
    }
  } catch (error) {
    fault(`The widget failed: ${error}. One that fetches from elsewhere cannot be shown.`);
  }
};

// by a click on a heading, largest first
export const sort = head => {
  const body = head.closest('table').tBodies[0], down = head.ariaSort != 'descending';
  const cell = row => row.cells[head.dataset.sort];
  const value = row => cell(row).dataset.value ? +cell(row).dataset.value : cell(row).innerText;
  const rows = [...body.rows].sort((a, b) => (value(a) < value(b)) - (value(a) > value(b)));
  head.ariaSort = down ? 'descending' : 'ascending';
  body.append(...down ? rows : rows.reverse());
};

// a chosen file is streamed up; its id lands in the box beside
export const upload = (pick, button, file, at) => {
  const box = pick.previousElementSibling, ask = new XMLHttpRequest();
  ask.upload.onprogress = event => {
    box.value = `uploading ${Math.round(100 * event.loaded / file.size)} %`;
  };
  ask.onloadend = () => {
    const done = ask.status == 200, said = ask.responseText;
    button.disabled = false;
    box.value = done ? said : '';
    pick.value = '';
    if (!done) return box.placeholder = said || 'The upload broke off; try again';
    box.dispatchEvent(new Event('change', {bubbles: true}));
    if (pick.form.matches('.edit:not(.whole)')) pick.form.requestSubmit();
  };
  ask.open('PUT', at);
  ask.send(file);
};
"""
HOST_AT = own("js", HOST, "widgets")
# On every page; what is above comes when it is needed.
ELEMENT = f"""
customElements.define('pipulate-widget', class extends HTMLElement {{
  async connectedCallback() {{ (await import('{HOST_AT}')).show(this); }}
  disconnectedCallback() {{ setTimeout(() => this.isConnected || this.gone?.()); }}
}});
"""


async def text(request) -> Response:
    """The module or the style of a widget that is kept here, or our own."""
    path, held = request.url.path, [*LIVE.values()]
    known = OURS | dict(text for one in held for text in one.texts)
    media = "text/css" if path.endswith(".css") else "text/javascript"
    return Response(known.get(path, ""), 200 if path in known else 404, media_type=media)


async def socket(socket: WebSocket) -> None:
    """The widgets of one page."""
    await socket.accept()
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[tuple[Row, Collection[bytes]]]()
    shown: dict[str, Held] = {}

    def tell(head: Row, buffers: Collection[bytes] = ()) -> None:
        if queue.qsize() < WAITING:
            soon(loop, queue.put_nowait, (head, buffers))

    async def write() -> None:
        while queue.qsize() < WAITING:
            head, buffers = await queue.get()
            await socket.send_text(dumps(head | {"parts": len(buffers)}))
            for one in buffers:
                await socket.send_bytes(one)
        await socket.close(1013)

    writer = asyncio.create_task(write())
    try:
        while True:
            said = json.loads(await socket.receive_text())
            parts = range(min(said.pop("parts"), PARTS))
            await _heard(said, [await socket.receive_bytes() for _ in parts], shown, tell)
    except (WebSocketDisconnect, RuntimeError, KeyError, ValueError, TypeError, AttributeError):
        pass  # closed by the page or by us, or no message
    finally:
        writer.cancel()
        for held in shown.values():
            held.tabs.discard(tell)


async def _heard(said: Row, buffers: list[bytes], shown: dict[str, Held], tell: Tell) -> None:
    key, method = said.pop("key"), said["method"]
    if not (held := shown.get(key) or LIVE.get(key)):
        return tell({"key": key, "method": "fault", "fault": GONE}, ())
    if method == "close":
        return shown.pop(key, held).tabs.discard(tell)
    try:
        shown[key] = held
        work = (held.open, tell) if method == "open" else (held.hear, said, buffers, tell)
        await limited(*work, seconds=SECONDS)
    except Exception as error:
        fault = str(error)
        if not isinstance(error, Problem):
            fault = f"{type(error).__name__}: {error} ({log_fault(error)})"
        tell({"key": key, "method": "fault", "fault": fault}, ())


ROUTES = [
    *(Route(f"/static/{place}/{{name}}", text) for place in ("widgets", "own")),
    WebSocketRoute("/ws/widgets", socket),
]
