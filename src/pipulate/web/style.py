"""The look and the small inline script, each piece beside what it moves. Base: Pico CSS."""

THEME = """
:root{--pico-font-size:15px;--pico-spacing:.75rem;--pico-form-element-spacing-vertical:.35rem;
  --pico-form-element-spacing-horizontal:.6rem;--pico-line-height:1.45;
  --pico-border-radius:.4rem;--edge:1px solid var(--pico-muted-border-color)}
@media (prefers-color-scheme:dark){ /* Pico's own are a shade too near to what lies below */
  :root:not([data-theme]){--pico-muted-color:#8f97a8;--pico-primary-hover-background:#016499}}
body{display:grid;grid-template:auto 1fr/minmax(0,1fr) 23rem;min-height:100vh}
body.folded{grid-template-columns:minmax(0,1fr) 0}
body.folded #chat{display:none}
body>nav{grid-column:1/-1;padding:.3rem 1rem;height:3.2rem;border-bottom:var(--edge);
  position:sticky;top:0;z-index:5;gap:.8rem;align-items:center;
  background:var(--pico-background-color)}
nav a,nav summary{text-decoration:none}
nav .menu{display:flex;gap:.2rem;flex:1 1 0;min-width:0;overflow-x:auto;white-space:nowrap}
nav .menu a{padding:.25rem .6rem;border-radius:.4rem;color:inherit}
nav .menu a[aria-current]{background:var(--pico-primary-background);
  color:var(--pico-primary-inverse)}
nav .menu a.broken{color:var(--pico-del-color)}
body>nav [role=search],nav details.dropdown,nav button{margin:0;width:auto;flex:0 0 auto}
nav details.dropdown summary{padding:.25rem .7rem;height:2.2rem;white-space:nowrap;
  line-height:1.6rem}
nav input[type=search]{margin:0;width:12rem;height:2.2rem}
main{padding:1rem 1.4rem 4rem;max-width:76rem;width:100%}
h1{font-size:1.5rem;margin:0}
h2{font-size:1.05rem;margin:0}
.head{display:flex;justify-content:space-between;align-items:center;gap:1rem;flex-wrap:wrap;
  margin-bottom:.8rem}
.head p{margin:0;color:var(--pico-muted-color)}
.head input,.head form{width:auto;margin:0}
.add{display:grid;gap:.5rem .8rem;align-items:end;padding:.7rem .7rem .8rem;
  grid-template-columns:repeat(auto-fill,minmax(11rem,1fr));
  border:var(--edge);border-radius:.5rem}
.add label,.add fieldset{margin:0}
.add label:has(textarea){grid-row:span 2}
.add label:has([role=switch]){align-self:center}
.add>button{width:auto;margin:0;justify-self:start}
.add label>*,.add label span>*,.step label>*,.step label span>*{margin-bottom:0}
.error{color:var(--pico-del-color);display:block}
.bar,#state,#bulk,.slider,.boxes{display:flex;gap:.6rem;align-items:center;flex-wrap:wrap}
.bar{margin:.8rem 0 .3rem}
.bar>*,.bar button,#state>*,#bulk>*,#bulk button,#bulk label{margin:0;width:auto}
.bar summary,.bar button,.bar summary:focus{height:2.2rem;padding:.25rem .7rem;line-height:1.6rem;
  border-radius:.4rem}
#state input[type=search]{width:14rem;height:2.2rem}
.bar details ul{padding:.4rem .8rem;min-width:14rem}
.bar li{display:flex;justify-content:space-between;padding:.1rem 0}
#bulk{position:sticky;bottom:0;padding:.5rem .7rem;border:var(--edge);border-radius:.5rem;
  background:var(--pico-card-background-color);z-index:2}
#bulk select,#bulk #bulk-value>*{width:auto;max-width:14rem;margin:0}
.crud:not(:has(.rows tbody .grip :checked)) #bulk{display:none}
.boxes label{margin:0;width:auto}
.slider input{flex:1;margin:0}
.slider output{min-width:2ch}
.filters input,.filters select{margin:0;font-weight:400;height:1.9rem;padding:.1rem .4rem;
  min-width:4rem}
.linked{display:flex;gap:.3rem;align-items:start;justify-content:space-between;min-height:1.9rem}
.linked>a{padding:.25rem;overflow-wrap:break-word}
.linked img{max-width:6rem;max-height:3.5rem;border-radius:.2rem}
.linked>span{padding:.25rem}
.wide{overflow-x:auto}
.linked .pen{color:var(--pico-muted-color)}
.md{padding:.25rem;max-height:14rem;overflow:auto;flex:1}
.md>:last-child{margin-bottom:0}
.tag{background:var(--pico-card-sectioning-background-color);border-radius:.6rem;
  padding:.05rem .5rem;margin-right:.25rem;display:inline-block}
.computed{color:var(--pico-muted-color)}
th a{color:inherit;text-decoration:none}
.rows tr:focus{outline:2px solid var(--pico-primary);outline-offset:-2px}
.totals{margin:0;flex-basis:100%;order:9}
.values span+span::before{content:" · "}
.edit.whole label{display:block}
.rows{margin:.3rem 0 0}
.rows td,.rows th{padding:.15rem .3rem}
.wide:has(tbody tr)~.empty{display:none}
.rows:not(:has(tbody tr)) thead tr:first-child{display:none}
.empty{margin:.8rem 0}
.empty,.hint{color:var(--pico-muted-color)}
.grip,.actions{width:1%;text-align:center;white-space:nowrap}
.grip input{margin:0}
.grip button{cursor:grab;touch-action:none}
button.cell,button.link{background:none;border:0;color:inherit;padding:.25rem;margin:0;
  width:auto;text-align:left;box-shadow:none;--pico-color:inherit}
button.cell{width:100%;min-height:1.9rem;white-space:pre-wrap;overflow-wrap:break-word}
.number button.cell{text-align:right}
button.cell:hover{background:var(--pico-form-element-active-background-color)}
.none,.actions button{color:var(--pico-muted-color)}
.actions button:hover,.actions button:focus{color:var(--pico-del-color)}
.edit{margin:0}
.edit [role=switch]{min-width:0}
.edit input,.edit select,.edit textarea{margin:0;min-width:6rem}
:focus-visible{outline:2px solid var(--pico-primary)}
.pager{justify-content:space-between;gap:1rem;padding:.4rem 0;flex-wrap:wrap;
  color:var(--pico-muted-color);
  align-items:center}
.pager a+a{margin-left:1rem}
.add label>span:not(.slider){display:grid}
.step{padding:.9rem 1rem;margin-bottom:.8rem;border-left:4px solid transparent}
.step header{display:flex;justify-content:space-between;padding:0;margin:0 0 .4rem;
  background:none;border:0;align-items:center}
.step>p{margin:0 0 .6rem}
.step form{display:flex;gap:.6rem;align-items:end;flex-wrap:wrap;margin:0 0 .6rem}
.step label{flex:1 1 14rem;margin:0}
.step button{width:auto;margin:0}
.badge{font-size:.85em;color:var(--pico-muted-color)}
.step.ready,.step.running{border-color:var(--pico-primary)}
.step.done{border-color:#2f9e62}
.step.stale{border-color:#d08a00}
.step.failed,.step.interrupted,.step.cancelled{border-color:var(--pico-del-color)}
.step.blocked,.step.blocked h2{border-style:dashed;color:var(--pico-muted-color)}
.step.stale .output{color:var(--pico-muted-color);filter:grayscale(1)}
.beside{display:grid;grid-template-columns:minmax(0,1fr) 15rem;gap:1.2rem}
.beside form button{width:auto;margin:0 .4rem .8rem 0}
.beside details{margin:0 0 .3rem}
.beside aside{font-size:.9em;overflow-wrap:anywhere}
.beside textarea,pre{font-family:var(--pico-font-family-monospace);font-size:.9em}
.problem{border-left:4px solid var(--pico-del-color);padding:.6rem .9rem;margin:.4rem 0}
.problem p{margin:0}
pre{padding:.5rem;max-height:22rem;overflow:auto;white-space:pre-wrap}
.scroll{overflow:auto;max-height:30rem;margin:.5rem 0}
#import form{display:grid;gap:.6rem;justify-items:start;margin-bottom:1.2rem;max-width:60rem}
#import form *{margin-bottom:0}
#import button{width:auto}
#check{display:grid;gap:.6rem;justify-items:start}
#check>div,#check .problem{width:100%}
#import .scroll,#import .scroll table,#check,#import label:has(textarea){width:100%}
#import select{height:2.1rem;padding:.1rem 1.8rem .1rem .5rem;width:auto;min-width:9rem}
#import .boxes{gap:.3rem 1.2rem}
#import .boxes legend{width:100%;color:var(--pico-muted-color)}
#import .number{width:5rem}
.data{margin:0;font-size:.92em}
.data td,.data th{padding:.2rem .5rem}
.data td{max-width:28rem;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.number{text-align:right}
.data thead{position:sticky;top:0;background:var(--pico-card-background-color)}
.chart{max-width:40rem}
.chart svg{width:100%;font:12px sans-serif;fill:currentColor}
.chart rect{fill:var(--pico-primary)}
.step .output>:last-child{margin-bottom:0}
.runs,.cards{padding:0}
.runs li,.events li{list-style:none;display:flex;gap:1rem;border-bottom:var(--edge);
  padding:.35rem 0;align-items:center}
.inputs{flex:1}
.runs span{color:var(--pico-muted-color)}
#filter{display:flex;gap:.5rem;align-items:center;flex-wrap:wrap}
#filter>*{margin:0;width:auto;height:2.2rem;padding-top:.2rem;padding-bottom:.2rem}
#filter [type=search]{flex:1 1 9rem}
#picked{position:sticky;bottom:0;padding:.5rem 0;display:none;
  background:var(--pico-background-color)}
#picked button{width:auto;margin:0}
.history:has(.log :checked) #picked{display:block}
.log{padding:0;margin:.2rem 0 1rem}
.log li{list-style:none;display:flex;gap:.8rem;align-items:start;border-bottom:var(--edge);
  padding:.35rem 0}
.log button{margin:0;width:auto;padding:.05rem .6rem}
.log small,.log time,.diff dt,.diff small{color:var(--pico-muted-color)}
.log time{font-variant-numeric:tabular-nums}
.entry{flex:1;display:flex;gap:.6rem;align-items:baseline;min-width:0}
.entry>input,.entry>i{flex:0 0 1.25em;margin:0}
.entry details,.entry p{flex:1;margin:0;min-width:0}
.entry summary,.entry p{display:flex;gap:.7rem;line-height:inherit;align-items:baseline}
.history h2{margin-top:.9rem}
.history button+.diff{margin-top:.8rem}
.entry span{flex:1;overflow-wrap:anywhere;color:var(--pico-color)}
.who{flex:0 0 4.5rem}
.undone .entry span{text-decoration:line-through;color:var(--pico-muted-color)}
.diff{padding:.2rem 0 .4rem}
.diff h3{font-size:1em;margin:.5rem 0 .2rem}
.diff dl{display:grid;grid-template-columns:minmax(5rem,max-content) 1fr;gap:.1rem .9rem;margin:0}
.diff dd{margin:0;overflow-wrap:anywhere;white-space:pre-wrap}
.diff ins{text-decoration:none}
.clash ul{max-height:14rem;overflow:auto;padding-left:1rem;margin:.3rem 0}
.notice.clash button{width:auto;margin:0 .5rem 0 0;text-decoration:none}
.notice.clash{display:block;background:var(--pico-card-background-color);margin:0;
  color:var(--pico-color);border:var(--edge)}
.msg:has(+.msg:not(.user,.note)) .turn{display:none}
.turn{margin:.3rem 0 0}
.events{padding:0}
.events span{flex:1}
.events form,.events button,.inline,.inline button,.inline input{margin:0;width:auto}
.events button{padding:.1rem .6rem}
.inline{display:flex;gap:.4rem}
.cards{display:grid;gap:.8rem;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr))}
.cards article{margin:0;padding:.9rem}
.cards a{text-decoration:none;font-weight:600}
.cards p{margin:.2rem 0 0;color:var(--pico-muted-color)}
#notices{position:fixed;bottom:1rem;left:1rem;z-index:9;display:grid;gap:.5rem;max-width:28rem}
.notice{display:flex;gap:.8rem;align-items:center;padding:.5rem .9rem;border-radius:.5rem;
  background:var(--pico-contrast-background);color:var(--pico-contrast-inverse)}
.notice button{text-decoration:underline}
.notice .problem{margin:0;color:var(--pico-color)}
#chat{border-left:var(--edge);display:flex;flex-direction:column;position:sticky;top:3.2rem;
  height:calc(100vh - 3.2rem)}
#talk{flex:1;overflow-y:auto;padding:.8rem;display:flex;flex-direction:column;gap:.6rem}
.msg{padding:.45rem .7rem;border-radius:.5rem;
  background:var(--pico-card-sectioning-background-color);overflow-wrap:anywhere}
.msg>:last-child{margin-bottom:0}
.msg.user{align-self:flex-end;background:var(--pico-primary-background);
  color:var(--pico-primary-inverse);white-space:pre-wrap}
.msg.live{white-space:pre-wrap}
.msg.tool{font-size:.88em;padding:.2rem .7rem}
.msg p,.msg ul,.msg pre{margin-bottom:.4rem;font-size:.95em}
.msg ul{padding-left:1rem}
.msg details{margin:0}
.msg.note{background:none;border:var(--edge)}
.approval button{animation:arm .5s}
@keyframes arm{
  from,99%{pointer-events:none;opacity:.4}
}
#say{margin:0;padding:.6rem;border-top:var(--edge);display:flex;gap:.4rem;align-items:end}
#say textarea{margin:0;resize:none}
#say button{width:auto;margin:0}
#stop:empty{display:none}
.sr{position:absolute;left:-99rem}
.gone::before{content:"Pipulate is not running. What you typed is kept; start it again.";
  position:fixed;bottom:0;left:0;right:0;padding:.5rem;z-index:9;text-align:center;
  background:var(--pico-del-color);color:#fff}
label small{margin-top:.1rem}
label [role=switch]{margin-left:.5rem}
.rows:not(:has([data-sortable])) .grip button{visibility:hidden}
*+h2{margin-top:1.2rem}
.step h2{margin:0}
@media(max-width:800px){
  body>nav{height:auto;flex-wrap:wrap;gap:.3rem .6rem}
  nav .menu{order:9;flex:1 1 100%}
  body{grid-template:auto 1fr auto/minmax(0,1fr)}
  main{padding:.8rem}
  .beside{grid-template-columns:minmax(0,1fr)}
  #chat{position:static;height:70vh;border:0;border-top:var(--edge)}
  nav input[type=search]{width:6.5rem}
  .rows thead{display:none}
  .rows tr{display:grid;grid-template-columns:auto minmax(0,1fr) auto;border-bottom:var(--edge);
  padding:.3rem 0}
  .rows td{border:0;grid-column:2/-1;text-align:left}
  .rows td:nth-child(2){grid-column:2}
  .add{grid-template-columns:repeat(auto-fill,minmax(8rem,1fr))}
  .rows td.grip{grid-column:1;grid-row:1;width:auto}
  .rows td.actions{grid-column:3;grid-row:1;width:auto}
  .rows td.computed:empty{display:none}
  .rows td[data-label]:not(:nth-child(2))::before{content:attr(data-label) " ";font-size:.8em;
  color:var(--pico-muted-color)}
  .rows td:not(:nth-child(2)) button.cell{width:auto;display:inline}
  .runs li{flex-wrap:wrap;gap:.3rem}
  #import .data td:nth-child(2){max-width:8rem}
  .entry summary,.entry p{flex-wrap:wrap;gap:0 .7rem}
  .entry span{order:9;flex:1 1 100%}
  .who{flex:1}
}
"""

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
  const send = pick.form.querySelector('[type=submit]');
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
