"""The small inline script of every page: what happens in the browser without asking the server."""

SCRIPT = """
const find = query => document.querySelector(query);
const on = (kind, query, run) => document.addEventListener(kind, event => {
  const at = event.target.closest && event.target.closest(query);
  if (at) run(at, event);
});
const draw = (address, row) => htmx.ajax('GET', address, {target: row, swap: 'outerHTML'});

// rows: Escape leaves an edit, so does going away without a change; others are saved on change
on('keydown', '[data-cancel]', (box, event) => {
  if (event.key != 'Escape') return;
  box.dataset.left = 1;
  draw(box.dataset.cancel, box.closest('tr'));
});
on('focusout', '[data-cancel]', box => setTimeout(() => {
  const row = box.closest('tr'), changed = box.value != (box.defaultValue ?? box.value);
  if (box.dataset.left || box.ariaInvalid || changed || box.type == 'checkbox') return;
  if (!row || !box.isConnected || !document.hasFocus()) return;
  if (!row.contains(document.activeElement)) draw(box.dataset.cancel, row);
}, 150));

// the add form empties what was sent, not what was typed meanwhile
on('htmx:beforeSend', '.add', form => { form.sent = [...form.elements].map(x => x.value); });
on('htmx:afterRequest', '.add', (form, event) => {
  if (!event.detail.successful) return;
  [...form.elements].forEach((x, n) => {
    if (x.type == 'checkbox') x.checked = x.defaultChecked;
    else if (x.value == form.sent[n]) x.value = x.defaultValue ?? x.value;
  });
  form.querySelectorAll('.error').forEach(note => note.remove());
  form.querySelectorAll('[aria-invalid]').forEach(x => x.removeAttribute('aria-invalid'));
  form.querySelector('input:not([type=hidden])').focus();
});

// dragging, or Alt and an arrow key, moves a row behind the one that is then above it
const key = row => row ? row.id.split('-').pop() : '';
const move = (row, list) => htmx.ajax('POST', `${list.dataset.sortable}/${key(row)}/move`,
  {swap: 'none', values: {after: key(row.previousElementSibling)}});
on('keydown', '.grip button', (grip, event) => {
  const row = grip.closest('tr'), list = row.closest('[data-sortable]');
  const up = event.key == 'ArrowUp', down = event.key == 'ArrowDown';
  const next = up ? row.previousElementSibling : row.nextElementSibling;
  if (!list || !next || !event.altKey || !(up || down)) return;
  event.preventDefault();
  up ? next.before(row) : next.after(row);
  grip.focus();
  move(row, list);
});
htmx.onLoad(page => {
  const lists = [page, ...page.querySelectorAll('[data-sortable]')];
  lists.filter(list => list.matches('[data-sortable]')).forEach(list => new Sortable(list,
    {handle: '.grip', animation: 120, onEnd: event => move(event.item, list)}));
  const columns = page.querySelector('[data-columns]');
  if (columns) new Sortable(columns, {animation: 120, onEnd: () => { pickColumns(); send(); }});
});

// the state of a list: boxes, columns and their order are one form; empty ones leave the address
const send = () => htmx.trigger('#state', 'submit');
on('change', '.filters *', send);
on('click', '[data-filter]', () => {
  const row = find('.filters'), box = row.querySelector('input,select');
  row.hidden = !row.hidden;
  if (!row.hidden) return box && box.focus();
  row.querySelectorAll('input,select').forEach(x => { x.value = ''; });
  send();
});
const pickColumns = () => {
  const boxes = [...document.querySelectorAll('[data-column]')];
  const shown = boxes.filter(x => x.checked).map(x => x.dataset.column);
  find('#kept [name=cols]').value = shown.join(',');
};
on('input', '[data-column]', pickColumns);
document.addEventListener('htmx:configRequest', event => {
  const {verb, parameters} = event.detail;
  if (verb != 'get') return;
  for (const name of [...parameters.keys()]) if (!parameters.get(name)) parameters.delete(name);
});

// ticked rows: all of a page, a range with Shift, how many; a list being worked on waits
let ticked;
const picks = () => [...document.querySelectorAll('.rows tbody .grip input')];
const tell = () => {
  const place = find('[data-ticked]'), count = picks().filter(x => x.checked).length;
  if (place) place.textContent = `${count} ticked`;
};
on('click', '.rows tbody .grip input', (box, event) => {
  const all = picks(), ends = [all.indexOf(box), all.indexOf(ticked)].sort((a, b) => a - b);
  if (event.shiftKey && ends[0] >= 0) {
    all.slice(ends[0], ends[1] + 1).forEach(x => { x.checked = box.checked; });
  }
  ticked = box;
});
on('change', '[data-every]', box => picks().forEach(x => { x.checked = box.checked; }));
on('change', '.rows', tell);
const busy = () => find('#listing .edit') || picks().some(x => x.checked);
let waiting = false;
document.addEventListener('htmx:beforeRequest', event => {
  if (event.target.id != 'again') return;
  waiting = Boolean(busy());
  if (waiting) event.preventDefault();
});
const catchUp = () => {
  if (!waiting || busy() || !find('#listing')) return;
  waiting = false;
  htmx.ajax('GET', location.href, {target: '#listing', swap: 'outerHTML'});
};
document.addEventListener('htmx:afterSettle', catchUp);
on('change', '.rows', catchUp);

// a slider says its value; a reference offers what fits while it is typed
on('input', '[type=range]', box => { box.nextElementSibling.value = box.value; });
on('input', '[data-options]', box => {
  clearTimeout(box.later);
  const ask = {target: box.list, values: {q: box.value}};
  box.later = setTimeout(() => htmx.ajax('GET', box.dataset.options, ask), 150);
});
on('focusin', '[data-options]', box => box.dispatchEvent(new Event('input', {bubbles: true})));

// a table sorts by a click on a heading, largest first
on('click', '[data-sort]', head => {
  const body = head.closest('table').tBodies[0], n = +head.dataset.sort;
  const down = head.ariaSort = head.ariaSort == 'descending' ? 'ascending' : 'descending';
  const value = ({cells}) => cells[n].dataset.value ? +cells[n].dataset.value : cells[n].innerText;
  const rank = (a, b) => value(a) > value(b) ? 1 : value(a) < value(b) ? -1 : 0;
  const rows = [...body.rows].sort(rank);
  (down == 'descending' ? rows.reverse() : rows).forEach(row => body.append(row));
});

// a chosen file is streamed up; its id lands in the box beside
on('change', '[data-upload]', pick => {
  const file = pick.files[0], box = pick.previousElementSibling, ask = new XMLHttpRequest();
  const send = pick.form.querySelector('button');
  if (!file) return;
  send.disabled = true;
  ask.upload.onprogress = event => {
    box.value = `uploading ${Math.round(100 * event.loaded / file.size)} %`;
  };
  ask.onloadend = () => {
    send.disabled = false;
    box.value = ask.status == 200 ? ask.responseText : '';
    if (ask.status != 200) box.placeholder = ask.responseText || 'The upload broke off; try again';
    else box.dispatchEvent(new Event('change', {bubbles: true}));
  };
  const name = encodeURIComponent(file.name);
  ask.open('PUT', `/files/${document.body.dataset.profile}?name=${name}`);
  ask.send(file);
});

// a table that is pasted becomes a file to import: from the page for it, or anywhere in a list
const bring = async (text, page) => {
  const to = `/files/${document.body.dataset.profile}?name=pasted.txt`;
  const answer = await fetch(to, {method: 'PUT', body: text});
  location.assign(`${page}?file=${encodeURIComponent(await answer.text())}`);
};
on('submit', '[data-paste]', (form, event) => {
  event.preventDefault();
  bring(form.text.value, form.dataset.paste);
});
document.addEventListener('paste', event => {
  const text = event.clipboardData.getData('text/plain'), link = find('#bring');
  const cells = /\\t/.test(text), lines = /\\n/.test(text.trim());
  const box = event.target.closest('input:not([type=checkbox])');
  const typing = event.target.closest('textarea,select') || box && box.value;
  const inside = box && !(cells && lines);
  if (!link || typing || inside || !(cells || lines)) return;
  event.preventDefault();
  bring(text, link.href);
});

// chat: Enter sends; the talk follows its end unless somebody scrolled up
const box = find('#say textarea'), talk = find('#talk');
let low = true;
box.addEventListener('keydown', event => {
  if (event.key != 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  if (box.value.trim()) box.form.requestSubmit();
});
document.addEventListener('htmx:wsAfterSend', () => { box.value = ''; });
talk.addEventListener('scroll', () => {
  low = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 60;
});
const follow = () => { if (low) talk.scrollTop = talk.scrollHeight; };
new MutationObserver(follow).observe(talk, {childList: true, subtree: true});
follow();
const fold = on => {
  document.body.classList.toggle('folded', on);
  localStorage.folded = on ? 1 : '';
};
if (localStorage.folded || innerWidth < 800 && localStorage.folded == null) fold(true);
on('click', '#fold', () => fold(!document.body.classList.contains('folded')));

// Ctrl+Enter in a box of several lines is its form's first button
on('keydown', 'form:not(#say) textarea', (box, event) => {
  const first = box.form.querySelector('button:not([type=button])');
  if (event.key == 'Enter' && (event.ctrlKey || event.metaKey) && first) first.click();
});

// without the server the page says so; what was typed stays
const gone = on => () => document.body.classList.toggle('gone', on);
document.addEventListener('htmx:wsClose', gone(true));
document.addEventListener('htmx:sendError', gone(true));
document.addEventListener('htmx:wsOpen', gone(false));

// notices leave by themselves, errors by a click
on('click', '[data-close]', button => button.closest('.notice').remove());
new MutationObserver(changes => changes.forEach(change => change.addedNodes.forEach(added => {
  if (added.classList && !added.querySelector('.problem')) setTimeout(() => added.remove(), 10000);
}))).observe(find('#notices'), {childList: true});

// keys: the sheet that ? opens says what each does
const near = way => {
  const rows = [...document.querySelectorAll('.rows tbody tr')];
  const now = rows.indexOf(document.activeElement.closest('tr'));
  const row = rows[Math.min(rows.length - 1, Math.max(0, now + way))];
  if (row) row.focus();
};
const press = query => {
  const row = document.activeElement.closest('.rows tr'), at = row && row.querySelector(query);
  if (at) at.click();
};
const go = query => { const at = find(query); if (at) at.focus(); };
const KEYS = {
  '/': () => (find('#state [type=search]') || find('[type=search]')).focus(),
  n: () => go('.add input:not([type=hidden])'),
  j: () => near(1), ArrowDown: () => near(1), k: () => near(-1), ArrowUp: () => near(-1),
  e: () => press('.cell,.pen,.actions [aria-label=Edit]'),
  Enter: () => press('.cell,.pen,.actions [aria-label=Edit]'),
  x: () => press('.grip input'), ' ': () => press('td:not(.grip) input[type=checkbox]'),
  d: () => press('[aria-label=Delete]'), Delete: () => press('[aria-label=Delete]'),
  f: () => find('[data-filter]')?.click(),
  c: () => { fold(false); box.focus(); },
  '?': () => find('#keys').showModal(),
};
on('click', '#help', KEYS['?']);
on('keydown', 'details.dropdown[open]', (menu, event) => {
  if (event.key != 'Escape') return;
  menu.open = false;
  menu.querySelector('summary').focus();
});
document.addEventListener('keydown', event => {
  const inside = event.target.closest('input,textarea,select,button,a,summary,dialog');
  const typing = event.target.matches('input:not([type=checkbox]),textarea,select');
  const plain = event.ctrlKey || event.metaKey || event.altKey;
  const pressing = inside && ['Enter', ' ', 'ArrowUp', 'ArrowDown'].includes(event.key);
  if (typing || plain || pressing || !KEYS[event.key] || find('dialog[open]')) return;
  if (['ArrowUp', 'ArrowDown', 'j', 'k'].includes(event.key) && !find('.rows')) return;
  event.preventDefault();
  KEYS[event.key]();
});
"""
