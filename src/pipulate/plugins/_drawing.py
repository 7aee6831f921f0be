"""How a graph is drawn in the browser, by cosmos.gl: the module and the look of `Picture`."""

LOOK = """
.graph .bar{display:flex;flex-wrap:wrap;gap:.4rem .7rem;align-items:center;margin:.4rem 0}
.graph .bar :is(label,select,input:not([type=checkbox]),button){margin:0;width:auto;font-size:.9em}
.graph .bar select{max-width:16rem}
.graph .bar :is(label,span){display:flex;flex:none;gap:.3rem;align-items:center}
.graph .bar [type=number]{width:5rem!important}
.graph .stage{position:relative;height:32rem;overflow:hidden;border:1px solid #8884;
  border-radius:.4rem}
.graph .stage>div{position:absolute;inset:0}
.graph .stage span{position:absolute;left:0;top:0;pointer-events:none;font-size:.75rem;
  white-space:nowrap;max-width:16rem;overflow:hidden;text-overflow:ellipsis;
  text-shadow:0 0 3px var(--pico-background-color),0 0 3px var(--pico-background-color)}
.graph ul{padding:0;display:flex;flex-wrap:wrap;gap:0 .9rem;font-size:.85em}
.graph li{list-style:none;margin:0}
.graph i{display:inline-block;width:.7em;height:.7em;border-radius:50%;margin-right:.3em}
.graph .about{max-height:18rem;overflow:auto;font-size:.9em}
.graph table{width:auto;margin:.4rem 0}
.graph :is(td,th){padding:.1rem .6rem}
.graph summary{margin:.4rem 0 0!important}
.graph:fullscreen{background:var(--pico-background-color);padding:1rem;overflow:auto}
.graph:fullscreen .stage{height:75vh}
"""

SCRIPT = r"""
const COLOURS = ['#4e79a7', '#f28e2b', '#59a14f', '#e15759', '#b07aa1', '#76b7b2', '#edc948',
  '#ff9da7', '#9c755f', '#d37295'];
const RAMP = ['#5f74e8', '#1b8fb3', '#2a9960', '#a5870d', '#e0560f'];  // on light and dark
const LAYOUT = 20e3;  // milliseconds for which a slow machine goes on with it at a time
const TOP = 12, NEAR = 30, GREY = [0.6, 0.6, 0.6, 1];
const rgb = hex => [1, 3, 5].map(at => parseInt(hex.slice(at, at + 2), 16) / 255);
const make = (tag, values = {}, ...inside) => {
  const made = Object.assign(document.createElement(tag), values);
  made.append(...inside);
  return made;
};
const brief = name => name.replace(/^\w+:\/\/[^/]+(?=\/.)/, '');
const said = number => number.toLocaleString('en');
const pick = (title, names, chosen, run) => {
  const box = make('select', {onchange: () => run(box.value)},
    ...names.map(value => make('option', {value, selected: value == chosen},
      value.replaceAll('_', ' ') || 'all')));
  return make('label', {}, title, box);
};
const button = (word, run) => make('button', {className: 'outline', onclick: run}, word);

// how far a number is between the least and the largest; a wide range spreads what is small
const share = ({low, high}, value) => {
  const wide = high - low > 30 || high <= 1 ? 1e3 : 1e-3, part = (value - low) / (high - low);
  return high > low ? Math.log1p(wide * part) / Math.log1p(wide) : 0;
};
const colourOf = column => {
  const names = COLOURS.map(hex => [...rgb(hex), 1]), steps = RAMP.map(rgb);
  return value => {
    if (column.words) return value < 10 ? names[value] : GREY;
    if (!(value === value)) return GREY;
    const at = share(column, value) * (steps.length - 1), n = Math.min(Math.floor(at), 3);
    return [...steps[n].map((one, k) => one + (steps[n + 1][k] - one) * (at - n)), 1];
  };
};

// where the layout begins: by depth in rings where that is known, else from the middle outwards
const beginAt = (count, depth, size) => {
  const places = new Float32Array(2 * count), rings = depth ? depth.high + 2 : 0;
  for (let n = 0; n < count; n++) {
    const ring = depth && depth.values[n] >= 0 ? depth.values[n] + n % 97 / 97 : rings;
    const far = (rings ? ring / (rings + 1) : Math.sqrt(n / count)) * size * 0.3;
    places[2 * n] = size / 2 + far * Math.cos(2.399963 * n);
    places[2 * n + 1] = size / 2 + far * Math.sin(2.399963 * n);
  }
  return places;
};
const NONE = 'The graph is not drawn: this browser gives no WebGL 2 (it may be switched off, or ' +
  'unknown to the graphics card). The tables on this page have the same pages and numbers.';

export default {async render({model, el, experimental: {invoke}, signal}) {
  const began = performance.now();
  el.className = 'graph';
  const place = name => el.closest('.output')?.querySelector(`a[download="${name}.csv"]`)
    ?.getAttribute('href').split('/');
  const [, , profile, edges] = place('edges') ?? [], nodes = place('nodes')?.[3];
  const away = edges && nodes ? [make('a', {
    href: `/${profile}/share?edges=${edges}&nodes=${nodes}`}, 'Open in Cosmograph …')] : [];
  const probe = make('canvas').getContext('webgl2');
  if (!probe) return el.append(make('p', {className: 'hint'}, NONE), ...away);
  const {UNMASKED_RENDERER_WEBGL: by} = probe.getExtension('WEBGL_debug_renderer_info') ?? probe;
  const software = /swiftshader|llvmpipe|software/i.test(probe.getParameter(by ?? probe.RENDERER));
  probe.getExtension('WEBGL_lose_context')?.loseContext();
  el.append('Reading the graph …');
  const [[about, [ends, ...parts]]] = await Promise.all(
    [invoke('graph', null), import('/static/cosmos.min.js?3.3.0')]);
  if (signal.aborted) return;
  const numbers = part => new Float32Array(part.buffer, part.byteOffset, part.byteLength / 4);
  const columns = about.columns.map((column, n) => ({...column, values: numbers(parts[n])}));
  const named = name => columns.find(column => column.name == name);
  const {pages, links} = about, all = numbers(ends), shown = new Uint8Array(pages).fill(1);
  const names = columns.map(({name}) => name), measures = names.filter(one => !named(one).words);
  const chosen = {
    colour: model.get('colour') ?? (named('community') ?? named('depth') ?? columns[0])?.name,
    size: model.get('size') ?? (named('pagerank') ?? named('in_degree'))?.name ?? measures[0],
  };
  const keep = (name, value) => {
    chosen[name] = value;
    model.set(name, value);
    model.save_changes();
    paint();
  };

  const field = make('div'), labels = [], stage = make('div', {className: 'stage'}, field);
  stage.setAttribute('role', 'img');
  stage.ariaLabel = `${said(pages)} pages and ${said(links)} links; the tables have them, too`;
  const legend = make('ul'), card = make('div', {className: 'about', ariaLive: 'polite'});
  // a step of the layout clears size × size numbers: no larger than the pages need
  const size = pages > 20000 ? 8192 : pages > 4000 ? 4096 : pages > 1000 ? 2048 : 1024;
  const still = software && pages > 3000;  // a step or a frame with links would take seconds
  let lines = all, moved = false, next = 0;
  const graph = new Cosmos.Graph(field, {
    spaceSize: size, backgroundColor: [0, 0, 0, 0], transitionDuration: 0, fitViewDelay: 200,
    linkDefaultWidth: links > 20000 ? 0.3 : 0.8, linkDefaultColor: [0.55, 0.6, 0.65, 0.45],
    linkDefaultArrows: links < 5000, linkGreyoutOpacity: 0.05, pointGreyoutOpacity: 0.15,
    enableSimulation: !still, renderLinks: !still, rescalePositions: false,
    simulationDecay: 2000, simulationGravity: 0.03, simulationRepulsion: 2,
    simulationLinkDistance: 16, simulationLinkSpring: 0.5,
    renderHoveredPointRing: true, hoveredPointRingColor: RAMP[4], focusedPointRingColor: RAMP[4],
    onClick: place => tell(place), onSimulationTick: () => slow || step(),
    onZoom: (_, byHand) => {
      moved ||= byHand;
      due = true;
      label();
    },
    onSimulationEnd: () => { hold.textContent = 'Run on'; },
  });
  signal.addEventListener('abort', () => graph.destroy());

  // Where frames are slow, as without a graphics card, the page comes first: the picture rests four
  // times as long as its last frame took, one that stands still is not drawn, the layout stops.
  const wait = ms => new Promise(done => setTimeout(done, ms));
  const turn = () => new Promise(requestAnimationFrame);
  const wake = () => {
    awake = performance.now() + 1500;
    due = true;  // a busy machine may look only after that
  };
  for (const by of ['pointermove', 'wheel', 'click', 'input']) el.addEventListener(by, wake);
  const frame = graph.frame.bind(graph), draw = graph.renderFrame.bind(graph);
  const drawn = new Promise(done => {
    graph.renderFrame = now => done(draw(now));
  });
  const rests = () => !due && !graph.isSimulationRunning && late(awake);
  const late = moment => performance.now() > moment;
  let slow = software, awake = 0, until = Infinity;
  let before = 0, usual = 0, count = 0, due = true;
  graph.frame = async () => {
    const own = ++count, now = performance.now();
    usual += (Math.min(now - before, 200) - usual) / 10;
    before = now;
    slow ||= usual > 100;
    if (!slow) return frame();
    await turn();
    await turn();
    const cost = performance.now() - now;
    await wait(cost * (late(awake) ? 4 : 1));
    while (own == count && !signal.aborted && rests()) await wait(100);
    if (own != count || signal.aborted) return;
    step();
    due = false;
    if (graph.isSimulationRunning && late(until)) halt();
    frame();
  };
  // a column with the range that it has among the pages shown: few depths differ in colour, too
  const ranged = column => {
    const seen = column?.values.filter((value, n) => shown[n] && value === value) ?? [];
    return column?.words || !seen.length ? column : {...column,
      low: seen.reduce((a, b) => Math.min(a, b)), high: seen.reduce((a, b) => Math.max(a, b))};
  };
  const paint = () => {
    const colours = new Float32Array(4 * pages), sizes = new Float32Array(pages);
    const by = ranged(named(chosen.colour)), of = by && colourOf(by), large = named(chosen.size);
    for (let n = 0; n < pages; n++) {
      if (!shown[n]) continue;
      colours.set(of ? of(by.values[n]) : GREY, 4 * n);
      sizes[n] = 3 + 17 * (large ? share(large, large.values[n]) ** 2 || 0 : 0);
    }
    graph.setPointColors(colours);
    graph.setPointSizes(sizes);
    graph.setLinks(lines);
    wake();
    graph.render();
    explain(by, of);
    label();
  };
  const explain = (by, of) => {
    if (!by) return;
    const tally = Array(11).fill(0);
    by.values.forEach((value, n) => {
      if (shown[n]) tally[by.words ? Math.min(value, 10) : value === value ? 0 : 10]++;
    });
    const round = number => said(+number.toPrecision(3));
    const known = by.words
      ? by.words.slice(0, 10).map((word, n) => [of(n), `${word || 'none'} (${said(tally[n])})`])
      : [`from ${round(by.low)}`, '', '', '', `to ${round(by.high)}`]
        .map((word, n) => [rgb(RAMP[n]), word]);
    const rest = [GREY, `${by.words ? 'others' : 'none'} (${said(tally[10])})`];
    legend.replaceChildren(...[...known, ...tally[10] ? [rest] : []].map(([colour, word]) => {
      const shade = `background:rgb(${colour.slice(0, 3).map(one => 255 * one)})`;
      return make('li', {}, make('i', {style: shade}), word);
    }));
  };
  const label = () => {
    const places = graph.getTrackedPointPositionsMap(), taken = [];
    const near = ([x, y], [a, b]) => Math.abs(x - a) < 130 && Math.abs(y - b) < 15;
    labels.forEach((text, n) => {
      const at = places.get(n) && graph.spaceToScreenPosition(places.get(n));
      text.hidden = !at || !shown[n] || taken.some(one => near(one, at));
      if (text.hidden) return;
      taken.push(at);
      text.style.transform = `translate(${at[0] + 8}px,${at[1] - 8}px)`;
    });
  };
  const step = () => {
    label();
    if (moved || performance.now() < next) return;
    next = performance.now() + 400;  // it stays in view until somebody moves it
    fit(0);
  };
  const fit = time => shown.includes(0)
    ? graph.fitViewByPointIndices([...shown.keys()].filter(n => shown[n]), time, 0.1)
    : graph.fitView(time, 0.1);
  const filter = fits => {
    for (let n = 0; n < pages; n++) shown[n] = fits(n);
    lines = all.filter((_, n) => shown[all[n & ~1]] && shown[all[n | 1]]);
    tell();
    paint();
    fit(300);
    sum.textContent = `${said(shown.reduce((sum, one) => sum + one, 0))} pages, ` +
      `${said(lines.length / 2)} links`;
  };

  // a page that is picked: its row, what it links to and what links to it
  const tell = async place => {
    const near = {'Links to': [], 'Linked from': []}, through = [];
    for (let n = 0; place != null && n < lines.length; n += 2) {
      if (lines[n] == place) near['Links to'].push(lines[n + 1]);
      else if (lines[n + 1] == place) near['Linked from'].push(lines[n]);
      else continue;
      through.push(n / 2);
    }
    const ways = Object.entries(near), few = ways.flatMap(([, places]) => places.slice(0, NEAR));
    const all = place == null ? undefined : [place, ...ways.flatMap(([, places]) => places)];
    graph.setConfigPartial({focusedPointIndex: place, highlightedPointIndices: all,
      highlightedLinkIndices: all && through, linkVisibilityMinTransparency: all ? 1 : 0.25});
    card.replaceChildren();
    if (!all) return;
    const [[row, ...others]] = await invoke('rows', [place, ...few]);
    const cells = Object.entries(row).map(([name, value]) => make('tr', {},
      make('th', {scope: 'row'}, name.replaceAll('_', ' ')), make('td', {}, /^https?:/i.test(value)
        ? make('a', {href: value, target: '_blank', rel: 'noopener noreferrer'}, value) : value)));
    const link = place => make('li', {}, make('button',
      {className: 'link', onclick: () => fly(place)}, Object.values(others.shift())[0]));
    const list = ([word, places]) => make('details', {open: true},
      make('summary', {}, `${word} ${said(places.length)} pages` +
        (places.length > NEAR ? `, the first ${NEAR}` : '')),
      make('ul', {}, ...places.slice(0, NEAR).map(link)));
    card.replaceChildren(make('table', {}, make('tbody', {}, ...cells)), ...ways.map(list));
  };
  const fly = place => {
    if (!shown[place]) return;
    moved = true;
    wake();
    graph.zoomToPointByIndex(place, 700, 6);
    tell(place);
  };
  const only = make('span');
  const narrow = name => {
    const column = named(name), {values} = column ?? {};
    only.replaceChildren();
    filter(() => true);
    if (!column) return;
    const words = column.words?.map(word => word || 'none');
    if (words) return only.replaceChildren(pick('is', ['', ...words], '', word =>
      filter(n => !word || words[values[n]] == word)));
    const box = word => make('input', {type: 'number', step: 'any', placeholder: word,
      ariaLabel: `${name} ${word}`, onchange: () => filter(n =>
        (!low.value || values[n] >= +low.value) && (!high.value || values[n] <= +high.value))});
    const low = box('from'), high = box('to');
    only.replaceChildren(low, high);
  };
  const offers = make('datalist', {id: `pages-${Math.random()}`}), known = new Map();
  const find = 'Find a page';
  const search = make('input', {type: 'search', placeholder: find, ariaLabel: find});
  search.setAttribute('list', offers.id);
  search.oninput = () => {
    if (known.has(search.value)) return fly(known.get(search.value));
    clearTimeout(search.later);
    search.later = setTimeout(async () => {
      const [found] = search.value ? await invoke('find', search.value) : [[]];
      known.clear();
      found.forEach(([place, name]) => known.set(name, place));
      offers.replaceChildren(...found.map(([, name]) => make('option', {value: name})));
    }, 200);
  };
  search.onkeydown = async ({key}) => {
    const [[first]] = key == 'Enter' ? await invoke('find', search.value) : [[]];
    if (first) fly(first[0]);
  };
  const hold = button(still ? 'Run on' : 'Pause', () => {
    const runs = graph.isSimulationRunning, ended = hold.textContent == 'Run on';
    if (ended) graph.setConfigPartial({enableSimulation: true});
    if (runs) return halt();
    ended ? graph.start(0.5) : graph.unpause();
    hold.textContent = 'Pause';
    until = performance.now() + LAYOUT;
  });
  const halt = () => {
    graph.pause();
    hold.textContent = 'Go on';
  };
  const save = () => requestAnimationFrame(() => {  // after the frame that cosmos.gl draws
    const from = field.querySelector('canvas'), {width, height} = from;
    const to = make('canvas', {width, height}), pen = to.getContext('2d');
    const scale = width / from.clientWidth, look = getComputedStyle(document.body);
    pen.fillStyle = look.backgroundColor;
    pen.fillRect(0, 0, width, height);
    pen.drawImage(from, 0, 0);
    pen.fillStyle = look.color;
    pen.font = `${12 * scale}px sans-serif`;
    labels.filter(text => !text.hidden).forEach(text => {
      const [x, y] = text.style.transform.match(/-?[\d.]+/g).map(Number);
      pen.fillText(text.textContent, x * scale, (y + 12) * scale);
    });
    to.toBlob(blob => make('a',
      {download: 'graph.png', href: URL.createObjectURL(blob)}).click());
  });
  const lined = make('input', {type: 'checkbox', checked: !still,
    onchange: () => graph.setConfigPartial({renderLinks: lined.checked})});
  const sum = make('small');
  const bar = make('div', {className: 'bar'},
    pick('Colour', names, chosen.colour, name => keep('colour', name)),
    pick('Size', measures, chosen.size, name => keep('size', name)),
    pick('Only', ['', ...names], '', narrow), only, make('label', {}, lined, 'Links'), search,
    offers, hold, button('Fit', () => fit(300)), button('Save PNG', save),
    button('Full screen', () => document.fullscreenElement
      ? document.exitFullscreen() : el.requestFullscreen()), ...away);

  graph.setPointPositions(beginAt(pages, named('depth'), size));
  el.replaceChildren(bar, stage, sum, legend, card);
  paint();
  await graph.ready;
  const first = [...shown.keys()].slice(0, TOP);
  graph.trackPointPositionsByIndices(first);
  const [top] = await invoke('rows', first);
  labels.push(...top.map(row => make('span', {}, brief(Object.values(row)[0]))));
  stage.append(...labels);
  const [most, every] = about.of, kept = most > pages || every > links;
  sum.textContent = `${said(pages)} pages, ${said(links)} links` +
    (kept ? ` of ${said(most)} and ${said(every)}: the most important pages` : '') +
    (still ? '. No graphics card is used here: links and the layout wait for a click.' : '');
  await drawn;
  until = performance.now() + LAYOUT;
  requestAnimationFrame(() => {
    const sent = [ends, ...parts].reduce((sum, part) => sum + part.byteLength, 0);
    Object.assign(el.dataset, {bytes: sent, first: Math.round(performance.now() - began)});
  });
}};
"""
