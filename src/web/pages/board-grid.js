// The grid of days: columns beside one time axis. Work is light, what is closed or away is shade, visits are cards.
import { t } from './i18n.js';
import { h, put } from './ui.js';
import { clock, wallClock, rfc3339, now, cityOf } from './time.js';

/** What a picked visit moves by, in minutes; everything snaps to it. */
export const STEP = 5;
/** Pixels per minute; grid.css draws its hour lines by it. */
const SCALE = 2;
const MINUTE = 60_000;

export const ms = (instant) => Date.parse(instant);
export const MOVABLE = (visit) => ['proposed', 'pending', 'booked'].includes(visit.status) && visit.encounter_status === 'planned' && !visit.offered;
const meets = (a, b, from, to) => a < to && from < b;

/** Minutes since the column's day began. */
export const minuteIn = (column, instant) => Math.round((ms(instant) - column.start) / MINUTE);
export const instantIn = (column, minute) => rfc3339(column.start + minute * MINUTE);

/** The hours that all columns show: what anybody works or is booked, whole hours. */
export function hoursOf(columns) {
  let [from, to] = [24 * 60, 0];
  for (const column of columns) {
    for (const { from: begin, to: end } of [...column.person.working, ...column.visits.map((visit) => ({ from: visit.start, to: visit.end }))]) {
      if (!meets(ms(begin), ms(end), column.start, column.end)) continue;
      from = Math.min(from, Math.max(0, minuteIn(column, begin)));
      to = Math.max(to, Math.min((column.end - column.start) / MINUTE, minuteIn(column, end)));
    }
  }
  if (from >= to) return { from: 8 * 60, to: 18 * 60 };
  return { from: Math.floor(from / 60) * 60, to: Math.ceil(to / 60) * 60 };
}

/** "09:00–17:00", pieces that touch as one. */
export function hoursInWords(column, zone) {
  const pieces = [];
  const own = column.person.working.filter((work) => meets(ms(work.from), ms(work.to), column.start, column.end));
  for (const work of own) {
    const last = pieces.at(-1);
    if (last && last.to >= ms(work.from)) last.to = Math.max(last.to, ms(work.to));
    else pieces.push({ from: ms(work.from), to: ms(work.to) });
  }
  if (!pieces.length) return t('grid.nowork');
  return pieces.map(({ from, to }) => {
    const end = to >= column.end ? '24:00' : clock(to, zone);
    return `${from <= column.start ? '00:00' : clock(from, zone)}–${end}`;
  }).join(', ');
}

/** The patient's clock at an instant; the promised digits when it is the promised instant. */
export function patientClock(visit, start = visit.start) {
  return start === visit.start ? wallClock(visit.local_start) : clock(start, visit.time_zone);
}

export function statusWord(visit) {
  if (visit.offered) return t('grid.offered');
  if (visit.offer_over) return t('grid.offer_over');
  if (['in-progress', 'onleave'].includes(visit.encounter_status)) return t(`enc.${visit.encounter_status}`);
  if (visit.status === 'booked' && visit.confirmed_at) return t('grid.confirmed');
  return t(`doc.status.${visit.status}`);
}

/** What a screen reader hears of a card. */
export function cardLabel(visit, column, zone) {
  return t('grid.card', {
    time: `${clock(visit.start, zone)}–${clock(visit.end, zone)}`, patient: visit.patient.name, service: visit.service.name,
    status: statusWord(visit), doctor: column.title, there: `${patientClock(visit)}, ${cityOf(visit.time_zone)}`,
  });
}

/** What would be in the way of a visit there, in words; empty when nothing is known to be. */
export function clashes(visit, column, start) {
  const [from, to] = [ms(start), ms(start) + ms(visit.end) - ms(visit.start)];
  const [busyFrom, busyTo] = [from - (ms(visit.start) - ms(visit.busy_from)), to + (ms(visit.busy_to) - ms(visit.end))];
  const found = [];
  if (from <= now()) found.push(t('clash.past'));
  if (!column.person.services.some((service) => service.id === visit.service.id)) found.push(t('clash.service', { service: visit.service.name }));
  const works = column.person.working.some((work) => ms(work.from) <= from && to <= ms(work.to) && (!work.service || work.service === visit.service.id));
  if (!works && !withinPieces(column.person.working, from, to)) found.push(t('clash.hours'));
  const within = (pieces) => pieces.some((piece) => meets(ms(piece.from), ms(piece.to), from, to));
  if (within(column.person.absent)) found.push(t('clash.absent'));
  if (within(column.person.closed) && !column.person.working.some((work) => work.kind === 'extra' && ms(work.from) <= from && to <= ms(work.to))) found.push(t('clash.closed'));
  if (within(column.person.busy)) found.push(t('clash.busy'));
  const taken = column.visits.find((other) => other.id !== visit.id && other.status !== 'noshow' && meets(ms(other.busy_from), ms(other.busy_to), busyFrom, busyTo));
  if (taken) found.push(t('clash.taken', { patient: taken.patient.name }));
  return found;
}

function withinPieces(working, from, to) {
  let at = from;
  for (const work of [...working].sort((a, b) => ms(a.from) - ms(b.from))) {
    if (ms(work.from) <= at && ms(work.to) > at) at = ms(work.to);
  }
  return at >= to;
}

/** One drawing of columns. It keeps the geometry that moving needs. */
export class Grid {
  constructor({ zone, label, head }) {
    Object.assign(this, { zone, head, lanes: new Map(), hours: { from: 0, to: 0 } });
    this.axis = h('div', { class: 'axis', 'aria-hidden': 'true' });
    this.node = h('div', { class: 'grid', role: 'group', 'aria-label': label });
    this.scroller = h('div', { class: 'grid-scroll', tabindex: '-1' }, this.node);
  }

  draw(columns, card) {
    this.columns = columns;
    this.hours = hoursOf(columns);
    this.lanes.clear();
    const { from, to } = this.hours;
    const height = `${(to - from) * SCALE}px`;
    this.axis.replaceChildren(h('div', { class: 'col-head' }));
    const scale = h('div', { class: 'scale' });
    scale.style.height = height;
    for (let minute = from; minute < to; minute += 60) {
      const mark = h('span', {}, clock(columns[0] ? columns[0].start + minute * MINUTE : minute * MINUTE, columns[0] ? this.zone : 'UTC'));
      mark.style.top = `${(minute - from) * SCALE}px`;
      put(scale, mark);
    }
    put(this.axis, scale);
    this.node.replaceChildren(this.axis, ...columns.map((column) => this.column(column, card, height)));
    this.tick();
  }

  column(column, card, height) {
    const lane = h('div', { class: 'lane' });
    lane.style.height = height;
    const { person } = column;
    for (const work of person.working) this.shade(lane, column, work, `work ${work.kind}`);
    for (const closed of person.closed) this.shade(lane, column, closed, 'closed', t('grid.closed'));
    for (const absent of person.absent) this.shade(lane, column, absent, 'absent', t('grid.absent'));
    for (const busy of person.busy) this.shade(lane, column, busy, 'busy', t('grid.busy'));
    const list = h('ol', { class: 'cards' });
    for (const visit of column.visits) put(list, this.place(h('li', { class: `slot${visit.overbooked ? ' second' : ''}` }, card(visit, column)), column, visit.start, visit.end));
    put(lane, list);
    this.lanes.set(column.key, lane);
    return h('section', { class: 'col', data: { column: column.key }, 'aria-label': column.title },
      h('header', { class: 'col-head' }, this.head(column)), lane);
  }

  shade(lane, column, piece, kind, words) {
    if (!meets(ms(piece.from), ms(piece.to), column.start, column.end)) return;
    const node = h('div', { class: `shade ${kind}`, 'aria-hidden': 'true' }, words && h('span', {}, words));
    put(lane, this.place(node, column, Math.max(ms(piece.from), column.start), Math.min(ms(piece.to), column.end)));
  }

  /** Puts an element where its time is. */
  place(node, column, start, end) {
    const { from, to } = this.hours;
    const at = (instant) => Math.min(to, Math.max(from, (new Date(instant) - column.start) / MINUTE));
    node.style.top = `${(at(start) - from) * SCALE}px`;
    node.style.height = `${Math.max((at(end) - at(start)) * SCALE, 8)}px`;
    return node;
  }

  /** The line that says how late it is. */
  tick() {
    for (const line of this.node.querySelectorAll('.now')) line.remove();
    for (const column of this.columns ?? []) {
      const at = +now();
      const minute = (at - column.start) / MINUTE;
      if (minute < this.hours.from || minute > this.hours.to || at >= column.end) continue;
      const line = h('div', { class: 'now', 'aria-hidden': 'true' });
      line.style.top = `${(minute - this.hours.from) * SCALE}px`;
      this.lanes.get(column.key).append(line);
    }
  }

  columnOf(key) { return this.columns.find((column) => column.key === key); }

  /** Which column and minute lie under a point of the screen. */
  under(x, y, grip) {
    for (const column of this.columns) {
      const box = this.lanes.get(column.key).getBoundingClientRect();
      if (!box.width || x < box.left || x > box.right) continue;
      const minute = this.hours.from + (y - grip - box.top) / SCALE;
      return { column, minute: Math.round(minute / STEP) * STEP };
    }
    return null;
  }

  /** Brings a minute of the day into view, below the heads. */
  scrollTo(minute) {
    this.scroller.scrollTop = Math.max(0, (minute - this.hours.from) * SCALE - 24);
  }
}
