// How a call went: lanes for people, bands for what each connection carried, and the same as a table.
import './timeline-words.js';
import { t, locale } from './i18n.js';
import { h, show } from './ui.js';
import * as api from './api.js';
import { clock, date, now } from './time.js';

const SVG = 'http://www.w3.org/2000/svg';
// The higher the rung, the taller its band: the drawing does not rest on colours alone.
const HEIGHT = { video: 1, small_video: 0.82, audio_stills: 0.64, audio: 0.46, text: 0.28, phone: 0.14 };
const LANE = 26;
const EDGE = 56;
const BARS = 22;
const GAP = 34;
const LABEL = 18;
const TICK_PX = 90;
const STEPS_S = [10, 30, 60, 300, 600, 1800, 3600, 7200, 21_600];

const ms = (instant) => Date.parse(instant);

/** The screen of the doctor's page. */
export async function timelineScreen(encounter, { zone }) {
  show(h('p', { class: 'loading', 'aria-busy': 'true' }, t('loading')));
  const [visit, record] = await Promise.all([api.get(`/v1/encounters/${encounter}`), api.get(`/v1/encounters/${encounter}/call`)]);
  show(h('div', { class: 'spread' },
    h('div', {}, h('h1', { id: 'timeline-title' }, t('tl.title')), h('p', { class: 'hint' }, `${visit.patient.name} · ${date(visit.start, zone)}`)),
    h('a', { class: 'button quiet', href: `#/visit/${encounter}`, id: 'back' }, t('tl.back'))),
  timeline(record, zone));
}

/** Everything about one call; also what the board's sheet shows. */
export function timeline(record, zone) {
  const events = eventsOf(record);
  const node = h('div', { id: 'timeline', class: 'timeline stack' }, summary(record));
  if (!events.length) {
    node.append(h('p', { id: 'timeline-empty' }, t('tl.empty')));
    return node;
  }
  const place = h('div', { class: 'timeline-picture' });
  node.append(place, legend(record), table(events, zone), minutes(record, zone));
  const draw = () => place.replaceChildren(picture(record, events, zone, Math.max(300, place.clientWidth || 300)));
  // It goes with the element: the screen that is being built must not end it.
  new ResizeObserver(() => draw()).observe(place);
  draw();
  return node;
}

/* In words */

function summary({ outcome, ended_at: ended, ended_as: as }) {
  const share = new Intl.NumberFormat(locale(), { style: 'percent', maximumFractionDigits: 0 }).format(outcome.audio_only_share);
  const fact = (name, value) => h('div', {}, h('dt', {}, t(name)), h('dd', {}, value));
  return h('div', { class: 'card', id: 'call-outcome', data: { modality: outcome.modality, failure: outcome.technical_failure } },
    h('dl', { class: 'facts' },
      fact('tl.modality', t(`tl.modality.${outcome.modality}`)),
      fact('tl.connected', length(outcome.connected_secs)),
      outcome.connected_secs > 0 && fact('tl.audio', share),
      fact('tl.reconnects', String(outcome.reconnects)),
      ended && fact('tl.ended', t(`tl.as.${as ?? 'none'}`))),
    outcome.technical_failure && h('p', { class: 'banner', id: 'call-failure' }, outcome.failures.map((one) => t(`tl.failure.${one}`)).join(' ')),
    outcome.noshow_advice && h('p', { class: 'hint', id: 'call-advice' }, t(`tl.advice.${outcome.noshow_advice}`)));
}

function length(seconds) {
  const whole = Math.round(seconds);
  const unit = (value, name) => new Intl.NumberFormat(locale(), { style: 'unit', unit: name, unitDisplay: 'short' }).format(value);
  return whole < 60 ? unit(whole, 'second') : `${unit(Math.floor(whole / 60), 'minute')} ${whole % 60 ? unit(whole % 60, 'second') : ''}`.trim();
}

const nameOf = (record, id) => record.people.find((one) => one.id === id)?.name ?? t('tl.somebody');
const between = (record, { ends }) => ends.map((id) => nameOf(record, id)).join(' – ');

/** Every event of a call in order: [when, whom it concerns, what]. */
function eventsOf(record) {
  const events = [];
  const put = (at, who, what, kind) => at && events.push({ at, who, what, kind });
  for (const one of record.people) {
    const device = one.browser ? t('tl.device', { form: t(`tl.form.${one.form}`), browser: t(`tl.browser.${one.browser}`) }) : '';
    for (const [number, stay] of one.stays.entries()) {
      put(stay.joined_at, one.name, [t('tl.joined'), number === 0 && device].filter(Boolean).join(', '), 'joined');
      put(stay.left_at, one.name, t(`tl.left.${stay.why ?? 'left'}`), 'left');
    }
    for (const mark of one.marks) put(mark.at, one.name, t(`tl.mark.${mark.kind}`), mark.kind);
  }
  for (const edge of record.edges) {
    const who = between(record, edge);
    put(edge.began_at, who, t('tl.began'), 'begun');
    for (const up of edge.up) put(up.from, who, t('tl.up'), 'up');
    for (const span of edge.rungs.filter((one, at) => at > 0 || one.why !== 'begun')) put(span.from, who, `${t(`tl.rung.${span.rung}`)} (${t(`tl.why.${span.why}`)})`, 'rung');
    for (const anew of edge.anew) put(anew.at, who, t(`tl.anew.${anew.kind}`), 'anew');
    for (const way of edge.ways ?? []) put(way.at, nameOf(record, way.participant), t('tl.way', { way: t(`tl.way.${way.way.split('/')[0]}`), over: (way.way.split('/')[1] ?? '').toUpperCase() }), 'path');
    put(edge.ended_at, who, edge.why ? t('tl.over', { why: t(`tl.why.${edge.why}`) }) : t('tl.over.silent'), 'ended');
  }
  return events.sort((one, other) => ms(one.at) - ms(other.at));
}

function exact(instant, zone) {
  const seconds = new Date(instant).getUTCSeconds();
  return `${clock(instant, zone)}:${String(seconds).padStart(2, '0')}`;
}

function table(events, zone) {
  const head = ['tl.when', 'tl.who', 'tl.what'].map((name) => h('th', { scope: 'col' }, t(name)));
  return h('div', { class: 'scrolls', tabindex: 0, role: 'region', 'aria-label': t('tl.table') },
    h('table', { id: 'timeline-table' }, h('caption', { class: 'unseen' }, t('tl.table')), h('thead', {}, h('tr', {}, head)),
      h('tbody', {}, events.map(({ at, who, what, kind }) => h('tr', { data: { kind } }, h('td', {}, exact(at, zone)), h('td', {}, who), h('td', {}, what))))));
}

function minutes(record, zone) {
  const rows = record.edges.flatMap((edge) => (edge.minutes ?? []).map((minute) => ({ edge, minute })));
  if (!rows.length) return '';
  const number = (value, digits = 0) => new Intl.NumberFormat(locale(), { maximumFractionDigits: digits }).format(value);
  const both = ({ p50, worst }, unit = 1, digits = 0) => `${number(p50 * unit, digits)} / ${number(worst * unit, digits)}`;
  const head = ['tl.when', 'tl.to', 'tl.rtt', 'tl.loss', 'tl.bitrate', 'tl.mos', 'tl.bytes'].map((name) => h('th', { scope: 'col' }, t(name)));
  return h('details', { id: 'timeline-minutes', class: 'card' }, h('summary', {}, t('tl.minutes')), h('p', { class: 'hint' }, t('tl.minutes.hint')),
    h('div', { class: 'scrolls', tabindex: 0, role: 'region', 'aria-label': t('tl.minutes') }, h('table', {}, h('thead', {}, h('tr', {}, head)),
      h('tbody', {}, rows.map(({ minute }) => h('tr', {}, [clock(minute.at, zone), nameOf(record, minute.participant), both(minute.rtt), both(minute.loss, 100, 1), both(minute.bitrate, 1 / 1000), both(minute.mos, 1, 1), number((minute.sent + minute.received) / 1e6, 2)].map((cell) => h('td', {}, cell))))))));
}

function legend(record) {
  const used = new Set(record.edges.flatMap((edge) => edge.rungs.map((span) => span.rung)));
  return h('ul', { class: 'legend', 'aria-hidden': 'true' }, Object.keys(HEIGHT).filter((rung) => used.has(rung)).map((rung) =>
    h('li', {}, h('span', { class: 'swatch', data: { rung } }), t(`tl.rung.${rung}`))),
  ['waits', 'silent', 'loss'].map((what) => h('li', {}, h('span', { class: `swatch tl-${what}` }), t(`tl.legend.${what}`))));
}

/* The picture */

function picture(record, events, zone, width) {
  const first = Math.min(...events.map(({ at }) => ms(at)));
  const open = record.edges.some((edge) => !edge.ended_at) || record.people.some((one) => one.stays.some((stay) => !stay.left_at));
  const last = Math.max(first + 10_000, open && !record.ended_at ? now().getTime() : 0, ...events.map(({ at }) => ms(at)));
  const x = (instant) => ((ms(instant) - first) / (last - first)) * (width - 2) + 1;
  const end = new Date(last).toISOString();
  const lanes = [];
  let y = LABEL;
  const lane = (label, height, fill) => {
    lanes.push(draw('text', { x: 1, y: y + 12, class: 'tl-label' }, label), ...fill(y + LABEL));
    y += LABEL + height + 8;
  };
  for (const one of record.people.filter(({ stays }) => stays.length)) lane(`${one.name}`, LANE, (top) => person(one, top, x, end));
  for (const edge of record.edges) lane(between(record, edge), EDGE + (edge.minutes?.length ? BARS : 0), (top) => connection(edge, top, x, end));
  const height = y + GAP;
  const axis = ticks(first, last, width).flatMap((at) => {
    const px = x(new Date(at).toISOString());
    return [draw('line', { x1: px, x2: px, y1: LABEL, y2: y, class: 'tl-grid' }), draw('text', { x: Math.min(px, width - 44), y: y + 18, class: 'tl-tick' }, last - first < 120_000 ? exact(at, zone) : clock(at, zone))];
  });
  const svg = draw('svg', { viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': t('tl.picture', { from: exact(first, zone), to: exact(last, zone) }), class: 'tl-svg' });
  svg.append(...axis, ...lanes);
  return svg;
}

/** When somebody waited in a stay: until they were let in, from when they were held, or in vain. */
function waits(marks, from, to) {
  const words = marks.filter(({ kind }) => ['admitted', 'held', 'denied'].includes(kind));
  // Whoever was let in is let in when they come again.
  let inside = words.filter(({ at }) => ms(at) < ms(from)).at(-1)?.kind === 'admitted';
  let since = from;
  const found = [];
  for (const { at, kind } of words.filter(({ at }) => ms(at) >= ms(from) && ms(at) <= ms(to))) {
    if ((kind === 'admitted') === inside) continue;
    if (!inside) found.push([since, at]);
    [inside, since] = [!inside, at];
  }
  if (!inside) found.push([since, to]);
  return found;
}

function person(one, top, x, end) {
  const drawn = [];
  const band = (from, to, name) => drawn.push(box(x(from), top, x(to), LANE - 8, name));
  for (const stay of one.stays) {
    const to = stay.left_at ?? end;
    band(stay.joined_at, to, 'tl-here');
    for (const [from, until] of one.role === 'practitioner' ? [] : waits(one.marks, stay.joined_at, to)) band(from, until, 'tl-waits');
  }
  const silent = one.marks.filter(({ kind }) => ['silent', 'back'].includes(kind));
  for (const [at, { kind, at: since }] of silent.entries()) {
    if (kind !== 'silent') continue;
    // Whoever comes anew after a seat was lost is not silent any more, and is not said to be back.
    const stay = one.stays.find(({ joined_at: from, left_at: to }) => ms(from) <= ms(since) && ms(since) <= ms(to ?? end));
    const ends = [silent[at + 1]?.at, stay?.left_at, end].filter(Boolean);
    band(since, ends.reduce((first, one) => (ms(one) < ms(first) ? one : first)), 'tl-silent');
  }
  for (const mark of one.marks.filter(({ kind }) => kind === 'ready')) drawn.push(draw('circle', { cx: x(mark.at), cy: top + (LANE - 8) / 2, r: 4, class: 'tl-ready' }));
  return drawn;
}

function connection(edge, top, x, end) {
  const to = edge.ended_at ?? end;
  const base = top + EDGE - 12;
  const drawn = [draw('line', { x1: x(edge.began_at), x2: x(to), y1: base, y2: base, class: 'tl-base' })];
  for (const up of edge.up) {
    for (const span of edge.rungs) {
      const from = Math.max(ms(up.from), ms(span.from));
      const until = Math.min(ms(up.to ?? to), ms(span.to ?? to));
      if (until <= from) continue;
      const height = (EDGE - 14) * HEIGHT[span.rung];
      const band = box(x(new Date(from).toISOString()), base - height, x(new Date(until).toISOString()), height, 'tl-band');
      band.dataset.rung = span.rung;
      drawn.push(band);
    }
  }
  for (const anew of edge.anew) {
    const px = x(anew.at);
    drawn.push(draw('path', { d: `M${px - 5} ${base + 11}l5 -9l5 9z`, class: 'tl-anew' }));
  }
  for (const minute of edge.minutes ?? []) {
    // A tenth lost is as tall as a bar can be.
    const height = Math.max(1, Math.min(1, minute.loss.worst * 10) * (BARS - 6));
    const from = Math.max(ms(minute.at), ms(edge.began_at));
    const until = Math.min(ms(minute.at) + 60_000, ms(to));
    if (until > from) drawn.push(box(x(new Date(from).toISOString()), base + 12 + (BARS - 6) - height, x(new Date(until).toISOString()), height, 'tl-loss'));
  }
  return drawn;
}

function ticks(first, last, width) {
  const room = Math.max(2, Math.floor(width / TICK_PX));
  const step = (STEPS_S.find((seconds) => (last - first) / 1000 / seconds <= room) ?? STEPS_S.at(-1)) * 1000;
  const all = [];
  for (let at = Math.ceil(first / step) * step; at <= last; at += step) all.push(at);
  return all.length ? all : [first];
}

function draw(name, attributes, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

const box = (from, y, to, height, kind) => draw('rect', { x: from, y, width: Math.max(1, to - from), height, rx: 2, class: kind });
