"""The small script of every page: what happens in the browser without asking the server.

What moves the chat stands in panel.py."""

import re

from pipulate import __version__
from pipulate.web.panel import SCRIPT as TALK
from pipulate.web.widgets import ELEMENT, HOST_AT

SCRIPT = """
const find = (query, within = document) => within.querySelector(query);
const all = (query, within = document) => [...within.querySelectorAll(query)];
const on = (kinds, query, run) => kinds.split(' ').forEach(kind =>
  document.addEventListener(kind, event => {
    const at = event.target.closest?.(query);
    if (at) run(at, event);
  }));

const before = (kind, run) => document.addEventListener(kind, run, true);
const halt = event => {
  event.preventDefault();
  event.stopPropagation();
};

// a double click is one
before('click', event => {
  if (event.detail > 1 && event.target.closest('button[hx-post],[hx-post] button')) halt(event);
});

// rows: Enter and going away save a cell; a whole row waits for its button
const same = x => x.type == 'checkbox' ? x.checked == x.defaultChecked
  : x.options ? [...x.options].every(one => one.selected == one.defaultSelected)
  : x.value == (x.defaultValue ?? x.value);
const untouched = form => [...form.elements].every(same);
const keep = (parameters, wanted) => {
  for (const [name, value] of [...parameters]) if (!wanted(name, value)) parameters.delete(name);
};
const anew = (at, from) =>
  htmx.ajax('GET', from, {source: at, target: at, swap: 'outerHTML'});
const leave = form => {
  form.left = true;
  anew(form.closest('tr') || form, form.getAttribute('hx-patch'));
};
on('keydown', '.edit:not(.htmx-request)', (form, event) => {
  if (event.key == 'Escape') leave(form);
  if (event.key != 'Enter' || !event.target.matches('input')) return;
  halt(event);  // a box for dates would keep it for itself
  form.requestSubmit();
});
on('change', '.edit:not(.whole) select', box => box.form.requestSubmit());
on('submit', '.edit', form => { form.left = true; });
on('focusout', '.edit', (form, {relatedTarget: to}) => {
  if (form.left || form.contains(to) || !document.hasFocus()) return;
  if (!untouched(form)) {
    if (!form.matches('.whole') && !find(':disabled', form)) form.requestSubmit();
  } else if (!find('.error', form)) {
    setTimeout(() => form.left || form.closest('tr:focus-within') || leave(form), 150);
  }
});
on('focusin', '.edit input[autofocus]', box => {
  box.removeAttribute('autofocus');
  box.select();
});
on('htmx:configRequest', '.whole', (form, {detail: {parameters}}) => {
  if (find('.error', form)) return;
  const changed = [...form.elements].filter(x => !same(x)).map(x => x.name);
  keep(parameters, name => ['version', 'edit.whole', ...changed].includes(name));
});

// half a date would be sent as an empty one
before('submit', event => {
  const half = [...event.target.elements].find(x => x.validity?.badInput);
  if (!half) return;
  halt(event);
  half.reportValidity();
});

// keys and clicks go on in a row that is drawn anew
const rows = () => all('.rows tbody tr');
const alike = at => {
  const one = [...at.attributes].find(x => /-(get|post|label)$/.test(x.name));
  return `[${one?.name}="${one?.value}"]`;
};
let place, wanted, down = {};
on('focusin', '*', at => {
  const row = at.closest('.rows tbody tr');
  place = row && {id: row.id, nth: rows().indexOf(row), at: at == row ? 'tr' : alike(at)};
});
const HANDS = '.rows tbody :is(button,input)';
before('click', event => {
  const at = event.target.closest(HANDS), row = at?.closest('tr');
  const form = row && find('.edit:not(.whole)', row);
  if (!row || (form ? form.contains(at) : !find('.htmx-request', row))) return;
  halt(event);
  wanted = [row.id, alike(at)];
  if (form && !form.left) untouched(form) ? leave(form) : form.requestSubmit();
});
// a press counts, though what is pressed moves or is drawn anew
before('mousedown', ({target, button, x, y}) => {
  down = {at: !button && target.closest(HANDS), x, y};
  if (!target.closest('tr')) place = null;
});
const release = ({target, x, y}) => {
  const {at} = down, far = Math.hypot(x - down.x, y - down.y) > 4;
  down = {};
  setTimeout(catchUp);
  if (at && !far && !at.contains(target)) find(`#${at.closest('tr').id} ${alike(at)}`)?.click();
};
before('mouseup', release);
before('dragend', release);
on('htmx:afterSettle', '*', () => {
  const [id, next] = wanted || [], row = find(`#${id || place?.id}`);
  wanted = null;
  if (id) return row && (find('.edit', row) || {left: true}).left && find(next, row)?.click();
  if (!place || document.activeElement != document.body) return;
  const now = row || rows()[place.nth] || rows().pop();
  (now && find(place.at, now) || now)?.focus({preventScroll: true});
});

// the add form empties what was sent
const FIRST = '.add :is(input:not([type=hidden]),select,textarea)';
on('htmx:beforeSend', '.add', form => {
  form.sent = [...form.elements].map(x => x.value);
  find(':focus', form)?.select?.();
});
on('htmx:afterRequest', '.add', (form, event) => {
  if (!event.detail.successful) return;
  const now = [...form.elements].map(x => x.value);
  form.reset();
  now.forEach((value, n) => { if (value != form.sent[n]) form.elements[n].value = value; });
  all('[type=range]', form).forEach(slid);
  if (!find(':focus:not(.add *)')) find(FIRST)?.focus();
});

// by mouse or keys
const key = row => row?.id.split('-').pop() ?? '';
let moved = Promise.resolve();  // one after the other
const move = (row, list) => {
  const at = `${list.dataset.sortable}/${key(row)}/move`, after = key(row.previousElementSibling);
  const go = () => htmx.ajax('POST', at, {source: '#main', swap: 'none', values: {after}});
  moved = moved.then(go, go);
};
on('keydown', '.rows tbody :is(tr,.grip button):focus', (at, event) => {
  const row = at.closest('tr'), up = event.key == 'ArrowUp', list = row.parentElement;
  if (!event.altKey || !up && event.key != 'ArrowDown') return;
  halt(event);  // a page scrolls by these
  const next = up ? row.previousElementSibling : row.nextElementSibling;
  if (!next || !list.dataset.sortable) return;
  up ? next.before(row) : next.after(row);
  at.focus();
  move(row, list);
});
const sortable = async (list, then, handle) => {
  if (!list) return;
  await import('/static/Sortable.min.js?VERSION');
  new Sortable(list, {handle, animation: 120, onEnd: event => then(event.item, list)});
};
htmx.onLoad(page => {
  sortable(find('[data-sortable]', page), move, '.grip');
  sortable(find('[data-columns]', page), () => { pickColumns(); send(); });
  if (page.matches('#notices>[role=status]')) note(page);
  find('.notice:has(.problem)~:has(.problem)')?.remove();  // older
  if (page.id == 'again') catchUp(waiting ||= true);
});

// the state of a list is one form; empty boxes leave the address
const send = () => htmx.trigger('#state', 'submit');
on('change', '#listing:not(.htmx-swapping) .filters *', send);  // not as its box is replaced
let pause;  // after it the reason is said why a filter cannot be read
on('input', '.filters input', () => {
  clearTimeout(pause);
  htmx.trigger('#state', 'input');
});
on('mousedown', '[data-order]', (_, event) => halt(event));  // a box is not left yet
on('click', '[data-order]', (head, event) => {
  halt(event);
  find('.edit :focus')?.blur();
  find('#kept [name=sort]').value = head.dataset.order;
  send();
});
on('click', '[data-filter]', () => {
  const row = find('.filters'), boxes = all('input,select', row);
  row.hidden = !row.hidden && boxes.every(x => !x.value);  // what filters stays in sight
  if (!row.hidden) boxes[0]?.focus();
});
const pickColumns = () => {
  find('#kept [name=cols]').value = all('[data-column]:checked').map(x => x.dataset.column);
};
on('input', '[data-column]', pickColumns);
on('htmx:configRequest', '*', (_, {detail}) => {
  detail.saved = saved;
  if (detail.verb == 'get') keep(detail.parameters, (_, value) => value);
});

// ticked rows, a range of them with Shift
const BOXES = '.rows tbody .grip input';
const tick = (boxes, on) => boxes.forEach(x => { x.checked = on; });
let ticked, waiting, saved = 0;
on('click', BOXES, (box, event) => {
  const boxes = all(BOXES), ends = [box, ticked].map(x => boxes.indexOf(x)).sort((a, b) => a - b);
  if (event.shiftKey && ends[0] >= 0) tick(boxes.slice(ends[0], ends[1] + 1), box.checked);
  ticked = box;
});
on('change', '[data-every]', box => tick(all(BOXES), box.checked));
on('change', '.rows', () => {
  find('[data-ticked]').textContent = `${all(BOXES + ':checked').length} ticked`;
  catchUp();
});
const held = by => down.x ||
  all('#main.htmx-request,#main :is(.htmx-request,.edit:focus-within)').some(x => x != by);
const busy = () => find('#main :is(.edit,tbody .grip :checked)') ||
  !all('.filters [name]').every(same);
on('htmx:beforeSwap', '*', ({id}, {detail}) => {
  if (id != 'listing') return;
  const {elt, saved: then, parameters: sent, triggeringEvent: by} = detail.requestConfig;
  const typed = x => x.value != (sent[x.name] || ''), again = elt.id == id;
  const late = elt.id == 'state' && all('.filters input').some(typed) ||
    then != saved || held(elt) || again && busy();
  if (detail.isError && by?.type == 'input') pause = setTimeout(send, 1500);
  else if (late && elt.matches('#listing,#state,#filter,a')) waiting = again || elt;
  else return;
  detail.shouldSwap = false;
});
const catchUp = () => {
  const by = waiting, again = by == true, list = find('#listing');
  if (!by || !list || held() || again && busy()) return;
  waiting = null;
  if (again) anew(list, location.href);
  else htmx.trigger(by, by.id ? 'submit' : 'click');
};
on('htmx:afterRequest', '*', (_, {detail}) => {
  saved += detail.requestConfig.verb != 'get';
  catchUp();
});

const slid = box => { box.nextElementSibling.value = box.value; };
on('input', '[type=range]', slid);
const offer = box => {
  clearTimeout(box.later);
  if (box == say && box.value[0] != '/') return shut();
  const ask = {target: box.list || '#offers', values: {q: box.value}};
  box.later = setTimeout(() => htmx.ajax('GET', box.dataset.options, ask), 150);
};
on('input focusin', '[data-options]', offer);

const later = async (name, ...about) => (await import('HOST'))[name](...about);
on('click', '[data-sort]', head => later('sort', head));
const files = name => `/files/${document.body.dataset.profile}?name=${encodeURIComponent(name)}`;
on('change', '[data-upload]', pick => {
  const [file] = pick.files, button = find('button', pick.form);
  if (!file) return;
  button.disabled = true;
  later('upload', pick, button, file, files(file.name));
});

// a pasted table becomes a file to import
const bring = async (event, text, page) => {
  halt(event);
  const answer = await fetch(files('pasted.txt'), {method: 'PUT', body: text});
  location.assign(`${page}?file=${encodeURIComponent(await answer.text())}`);
};
on('submit', '[data-paste]', (form, event) => bring(event, form.text.value, form.dataset.paste));
on('paste', '*', (at, event) => {
  const text = event.clipboardData.getData('text'), link = find('#bring');
  const cells = /\\t/.test(text), lines = /\\n/.test(text.trim());
  const box = at.closest('input:not([type=checkbox])');
  const typing = at.closest('textarea,select') || box?.value;
  const table = box ? cells && lines : cells || lines;
  if (link && table && !typing) bring(event, text, link.href);
});

// Ctrl+Enter in a textarea sends its form
on('keydown', 'form:not(#say) textarea', (box, event) => {
  if (event.key != 'Enter' || !(event.ctrlKey || event.metaKey)) return;
  const first = find('button:not([type=button])', box.form);
  first ? first.click() : box.form.requestSubmit();
});

// without the server
htmx.config.wsReconnectDelay = () => 1000;
on('htmx:wsClose htmx:sendError htmx:wsOpen', '*', (_, {type}) => {
  if (!document.body.classList.toggle('gone', type != 'htmx:wsOpen') && find('#ended')) {
    location.reload();
  }
});

// notices; one of a run tells of itself in a hidden tab
let unseen = 0;
const {title} = document;
const badge = count => {
  unseen = count;
  document.title = count ? `(${count}) ${title}` : title;
};
before('visibilitychange', () => document.hidden || badge(0));
const fade = card => setTimeout(() => document.hidden ? fade(card) : card.remove(), 10000);
on('click', '[data-close]', button => button.closest('.notice').remove());
const note = card => {
  const link = find('span>a', card);
  if (link?.pathname == location.pathname && !document.hidden) return card.remove();
  fade(card);
  if (!link || !document.hidden) return;
  badge(unseen + 1);
  if (permit() != 'granted') return;
  const said = new Notification('Pipulate', {body: link.textContent, tag: link.href});
  said.onclick = () => { focus(); location.assign(link.href); };
};
const permit = () => window.Notification?.permission;
const ask = () => document.body.classList.toggle('ask', permit() == 'default');
on('click', '[data-allow]', () => Notification.requestPermission().then(ask));
ask();

// in a run drawn anew what is typed, unfolded and came out stays
const typed = at =>
  at?.matches?.(':is(.run,.assistant) form') && !at.left && (!untouched(at) || find('.error', at));
Object.assign(Idiomorph.defaults.callbacks, {
  beforeNodeMorphed: (at, to) =>
    !(at.dataset?.seen - to.dataset?.seen > 0 || at.matches?.('.output') || typed(at)),
  beforeNodeRemoved: at => !(typed(at) || typed(at.lastChild)) || at.matches('.question'),
  beforeAttributeUpdated: (name, at) => name != 'open' || !at.matches('details'),
});
on('htmx:beforeRequest input', ':is(.run,.assistant) form', (form, {type}) => {
  form.left = type != 'input';
});
before('scroll', ({target: log}) => {
  if (log.matches?.('.live')) log.up = log.scrollHeight - log.scrollTop - log.clientHeight > 30;
});
let step;
const lead = () => {
  all('pre.live').forEach(log => { if (!log.up) log.scrollTop = log.scrollHeight; });
  const form = find('.run [data-next]'), now = form?.closest('.step').id;
  if (now == step) return;
  step = now;
  if (!form || document.activeElement != document.body || location.hash) return;
  find('input:not([type=hidden]),select,textarea,button', form).focus();
};
on('htmx:oobAfterSwap htmx:afterSettle', '*', lead);
on('click', '[data-copy]', async button => {
  const from = button.dataset.copy, code = find('pre', button.parentNode)?.textContent;
  const text = from ? fetch(from).then(answer => answer.text()) : code;
  await navigator.clipboard.write([new ClipboardItem({'text/plain': text})]);
  button.textContent = 'Copied';
  setTimeout(() => { button.textContent = 'Copy'; }, 2000);
});

// keys
const near = way => {
  const list = rows(), now = list.indexOf(document.activeElement.closest('tr'));
  (list[Math.max(0, now + way)] || list.at(-1))?.focus();
};
const press = query => find(`.rows tr:focus-within :is(${query})`)?.click();
const SAME = {ArrowDown: 'j', ArrowUp: 'k', Enter: 'e', Delete: 'd'};
const KEYS = {
  '/': () => all('[type=search]').at(-1).focus(),
  n: () => find(FIRST)?.focus(),
  j: () => near(1),
  k: () => near(-1),
  e: () => press('.cell,.pen,.actions [aria-label=Edit]'),
  x: () => press('.grip input'),
  ' ': () => press('td:not(.grip) input[type=checkbox]'),
  d: () => press('[aria-label=Delete]'),
  f: () => find('[data-filter]')?.click(),
  c: () => fold(false),
  '?': () => find('#keys').showModal(),
};
on('click', '#help', KEYS['?']);
on('keydown', 'details.dropdown[open]', (menu, event) => {
  if (event.key != 'Escape') return;
  menu.open = false;
  find('summary', menu).focus();
});
on('keydown', '*', (at, event) => {
  const name = SAME[event.key] ?? event.key;
  const typing = at.matches('input:not([type=checkbox]),textarea,select');
  const pressing = at.closest('input,textarea,select,button,a,summary,dialog') &&
    ['Enter', ' ', 'ArrowUp', 'ArrowDown'].includes(event.key);
  if (typing && event.key == 'Escape' && !at.closest('.edit,dialog,details')) {
    halt(event);  // a search keeps its words
    at.blur();
    near(1);
  }
  if (typing || pressing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (!KEYS[name] || find('dialog[open],.rows button.htmx-request')) return;
  if ('jk'.includes(name) && !find('.rows')) return;
  halt(event);
  KEYS[name]();
});
"""
SCRIPT = SCRIPT.replace("VERSION", __version__).replace("HOST", HOST_AT)
SCRIPT += TALK + ELEMENT + "lead();"
# Comments, lines and room are for readers; no text of the page has any of what is left out.
SCRIPT = re.sub(r"(?m)^ *(//.*\n|\n)?|  // .*$", "", SCRIPT)
ROOM = r"(?<=if|or) (?=\()|(?<=\)) (?=return|\w+[.(=])"
ROOM += r"|(;\s?|\n)(?=})|(?<=[;,{])\n|(?<=[,{:]) | (?=[{}])"
SCRIPT = re.sub(rf"\s(=>|[!=<>]=|&&|\|\|=?|\?\?|[?=:<>+*/-])\s|{ROOM}", r"\1", SCRIPT)
