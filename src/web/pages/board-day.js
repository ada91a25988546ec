// The clinic's day: a column for each doctor, the visits of everybody, and what the office does with them.
import { t } from './i18n.js';
import { $, show, h, refill, button, busy, poll, onLeave, problemBox, tell, say } from './ui.js';
import * as api from './api.js';
import { clock, dayKey, shiftDay, startOfDay, longDay, namedDay, now, rfc3339, trustServerTime, cityOf } from './time.js';
import { Grid, cardLabel, hoursInWords, patientClock, statusWord, MOVABLE, minuteIn, ms } from './board-grid.js';
import { Mover, previewMove } from './board-move.js';
import { sheetOpen } from './sheet.js';
import { calledOff } from './board-off.js';

const POLL_S = 15;
const TICK_MS = 30_000;
const DAY = 'feldsher.board.day';
const COLUMN = 'feldsher.board.column';

/** `state`: {me, clinic, clinics, zone, choose, waiting}; a day and a visit on it when an address leads there. */
export async function board(state, day, visit) {
  if (day && !Number.isNaN(Date.parse(`${day}T12:00:00Z`))) {
    sessionStorage.setItem(DAY, day);
    // Once it has been shown, the address is the board's again: whoever turns the day has turned it.
    history.replaceState(null, '', '#/');
  }
  await new Board(state, visit).start();
}

class Board {
  constructor({ me, clinic, clinics, zone, choose, waiting }, sought) {
    Object.assign(this, { me, clinic, clinics, zone, choose, waiting, sought, mark: '', data: null, gone: false });
    this.day = sessionStorage.getItem(DAY) ?? dayKey(now(), zone);
    this.grid = new Grid({ zone, label: t('board.title'), head: (column) => this.head(column) });
    this.bar = h('div', { id: 'carry', class: 'carry', role: 'toolbar', 'aria-label': t('carry.title'), hidden: true });
    this.toastPlace = h('div', { id: 'toast-place', role: 'status' });
    this.planPlace = h('div', { id: 'plan-place' });
    this.nobody = h('p', { id: 'nobody', class: 'lead', hidden: true }, t('board.nobody'));
    this.mover = new Mover(this, this.bar);
    this.off = calledOff(this);
  }

  async start() {
    this.title = h('h1', { id: 'day-title' });
    this.picker = h('input', { id: 'day', type: 'date', 'aria-label': t('day.date'), on: { change: () => this.picker.value && this.go(this.picker.value) } });
    this.which = h('select', { id: 'column', 'aria-label': t('grid.doctor'), on: { change: () => this.reveal(this.grid.columnOf(this.which.value)) } });
    const turn = (by) => {
      const next = this.which.options[this.which.selectedIndex + by];
      if (next) this.reveal(this.grid.columnOf(next.value));
    };
    show(
      h('div', { class: 'board-head' },
        h('div', {}, this.title, h('p', { class: 'hint', id: 'board-zone' }, `${this.clinic.name} · ${t('board.zone', { zone: cityOf(this.zone) })}`)),
        h('div', { class: 'daybar' },
          button('previous-day', '‹', () => this.go(shiftDay(this.day, -1)), 'second', { 'aria-label': t('day.previous') }),
          this.picker,
          button('next-day', '›', () => this.go(shiftDay(this.day, 1)), 'second', { 'aria-label': t('day.next') }),
          button('today', t('day.today'), () => this.go(dayKey(now(), this.zone)), 'quiet'),
          button('board-book', t('board.book'), (event) => busy(event.currentTarget, async () => (await import('./board-book.js')).bookFor(this)), 'primary')),
        this.clinics.length > 1 && h('select', { id: 'clinic', 'aria-label': t('board.clinic'), on: { change: ({ currentTarget }) => this.choose(currentTarget.value) } },
          this.clinics.map((one) => h('option', { value: one.id, selected: one.id === this.clinic.id }, one.name)))),
      problemBox(), this.planPlace,
      h('div', { class: 'switcher' }, button('previous-column', '‹', () => turn(-1), 'second', { 'aria-label': t('carry.left') }), this.which, button('next-column', '›', () => turn(1), 'second', { 'aria-label': t('carry.right') })),
      h('p', { id: 'board-help', class: 'unseen' }, t('board.help')),
      this.nobody, this.grid.scroller, this.bar, this.toastPlace, this.off.node,
      h('p', { class: 'hint board-keys', 'aria-hidden': 'true' }, t('board.keys')));
    this.headline();
    this.watch = poll(() => this.load(), POLL_S);
    const ticks = setInterval(() => { if (!this.mover.active) this.grid.tick(); }, TICK_MS);
    onLeave(() => {
      this.gone = true;
      this.watch.stop();
      clearInterval(ticks);
      this.mover.letGo(false);
    });
    (await import('./board-ill.js')).resume(this).catch(() => {});
  }

  headline() {
    const named = namedDay(this.day, this.zone);
    const long = longDay(`${this.day}T12:00:00Z`, 'UTC');
    this.title.textContent = named === long ? long : `${named[0].toUpperCase()}${named.slice(1)}, ${long}`;
    this.picker.value = this.day;
  }

  go(day) {
    this.mover.letGo(false);
    this.day = day;
    sessionStorage.setItem(DAY, day);
    this.headline();
    this.mark = '';
    this.grid.node.classList.add('stale');
    return this.watch.now();
  }

  refresh() {
    return this.watch.now();
  }

  async load() {
    const { day } = this;
    const path = api.query(`/v1/organizations/${this.clinic.id}/board`, {
      from: rfc3339(startOfDay(day, this.zone)), to: rfc3339(startOfDay(shiftDay(day, 1), this.zone)),
    });
    try {
      const data = await api.get(path);
      if (this.gone || day !== this.day) return;
      trustServerTime(data.server_time);
      $('#problem').hidden = true;
      this.data = data;
      this.waiting(data.waiting);
      this.redraw();
    } catch (error) {
      if (this.gone) return;
      if (error.status === 0) tell($('#problem'), { code: 'stale', detail: t('day.stale') });
      else if (error.status !== 401) tell($('#problem'), error);
    }
  }

  /** Draws what has changed; not while somebody carries a visit or reads a dialog. */
  redraw() {
    if (this.mover.active || sheetOpen()) {
      clearTimeout(this.later);
      this.later = setTimeout(() => { if (!this.gone) this.redraw(); }, 1000);
      return;
    }
    const { server_time: _, waiting: __, ...said } = this.data;
    const mark = JSON.stringify(said);
    if (mark === this.mark) return;
    const first = this.mark === '';
    this.mark = mark;
    const focused = document.activeElement?.closest?.('[data-appointment], .person');
    const { scrollTop, scrollLeft } = this.grid.scroller;
    const columns = this.columns();
    this.grid.draw(columns, (visit, column) => this.card(visit, column));
    this.off.draw(this.data);
    this.nobody.hidden = columns.length > 0;
    this.grid.node.classList.remove('stale');
    refill(this.which, this.grid.columns.map((column) => h('option', { value: column.key }, column.title)));
    this.reveal(this.grid.columnOf(sessionStorage.getItem(COLUMN)) ?? this.grid.columns[0]);
    if (first) this.scrollToWork();
    else Object.assign(this.grid.scroller, { scrollTop, scrollLeft });
    if (focused?.dataset.appointment) this.focus(focused.dataset.appointment);
    else if (focused) $(`.person[data-person="${focused.dataset.person}"]`)?.focus();
    if (this.sought) this.lead(this.sought);
  }

  /** Shows the visit that an address asked for, or says that it is not here any more. */
  lead(id) {
    this.sought = null;
    const found = this.find(id);
    if (!found) return this.toast(t('board.notthere'));
    this.reveal(found.column);
    this.mover.card(id).scrollIntoView({ block: 'center', inline: 'nearest' });
    return this.focus(id);
  }

  columns() {
    const start = +startOfDay(this.day, this.zone);
    const end = +startOfDay(shiftDay(this.day, 1), this.zone);
    const visits = (person) => this.data.visits.filter((visit) => visit.practitioner === person.id);
    return this.data.practitioners
      .filter((person) => (person.kind === 'doctor' && person.services.length) || visits(person).length)
      .map((person) => ({ key: person.id, title: person.name, start, end, person, visits: visits(person) }));
  }

  scrollToWork() {
    const [column] = this.grid.columns;
    if (!column) return;
    const isToday = column.start <= now() && now() < column.end;
    const first = Math.min(...this.grid.columns.flatMap(({ visits }) => visits.map((visit) => minuteIn(column, visit.start))), 9 * 60);
    this.grid.scrollTo(isToday ? (now() - column.start) / 60_000 - 30 : Math.max(0, first - 15));
  }

  head(column) {
    const there = column.person.time_zone === this.zone ? '' : ` · ${t('grid.their', { zone: cityOf(column.person.time_zone) })}`;
    return [
      h('button', { type: 'button', class: 'quiet person', data: { person: column.key }, on: { click: () => this.person(column) } }, column.title),
      h('p', { class: 'hint' }, `${hoursInWords(column, this.zone)}${there}`),
      column.person.absent.some((away) => away.status === 'open') && h('p', { class: 'hint bad' }, t('grid.openleave')),
    ];
  }

  card(visit, column) {
    return h('button', {
      type: 'button', class: 'visit', 'aria-label': cardLabel(visit, column, this.zone), 'aria-describedby': MOVABLE(visit) ? 'board-help' : null,
      data: { appointment: visit.id, status: visit.status, start: visit.start, version: visit.version, ...(MOVABLE(visit) ? { movable: '' } : {}), ...(visit.priority === 'routine' ? {} : { urgent: visit.priority }) },
    },
    h('span', {}, h('b', {}, clock(visit.start, this.zone)), ` ${visit.patient.name}`),
    h('span', { class: 'more' }, [
      visit.status === 'booked' && !visit.confirmed_at ? '' : `${statusWord(visit)} · `,
      t('grid.there', { time: patientClock(visit) }), ` · ${visit.service.name}`,
    ].join('')));
  }

  find(id) {
    for (const column of this.grid.columns) {
      const visit = column.visits.find((one) => one.id === id);
      if (visit) return { visit, column };
    }
    return null;
  }

  focus(id) { this.mover.card(id)?.focus({ preventScroll: true }); }

  /** On a small screen one doctor is shown at a time. */
  reveal(column) {
    if (!column) return;
    sessionStorage.setItem(COLUMN, column.key);
    this.which.value = column.key;
    for (const node of this.grid.node.querySelectorAll('.col')) node.classList.toggle('off', node.dataset.column !== column.key);
  }

  /** Dialogs are fetched when they are first needed. */
  async dialog(module, open) {
    try {
      await open(await module);
    } catch (error) {
      tell($('#problem'), error);
    }
  }

  open(visit, column) { return this.dialog(import('./board-visit.js'), (module) => module.openVisit(this, visit, column)); }

  person(column) { return this.dialog(import('./board-ill.js'), (module) => module.openPerson(this, column)); }

  /** Puts somebody on the waiting list for whom there is no time, or none so early. */
  waitFor(wish) {
    const done = (entry) => { location.hash = `#/waitlist/${entry.id}`; };
    return this.dialog(import('./board-join.js'), (module) => module.joinList({ clinic: this.clinic, zone: this.zone, done }, wish));
  }

  /** A visit was moved: show it, and offer to put it back. */
  async moved(before, home, after) {
    const beside = (other) => other.id !== before.id && other.status !== 'noshow' && ms(other.busy_from) < ms(before.busy_to) && ms(before.busy_from) < ms(other.busy_to);
    const overbook = before.overbooked || (home.visits ?? []).some(beside);
    await this.refresh();
    this.redraw();
    const column = this.grid.columnOf(after.practitioner.id);
    if (column) this.reveal(column);
    this.focus(after.id);
    const what = t('toast.moved', { patient: after.patient.name, doctor: after.practitioner.name, time: clock(after.start, this.zone) });
    this.toast(what, t('toast.undo'), () => {
      const { start, end, local_start, version } = after;
      const there = { title: after.practitioner.name, person: { id: after.practitioner.id } };
      const back = { practitioner: { id: home.person.id, name: home.title }, start: before.start, overbook };
      const focus = () => this.focus(after.id);
      previewMove(this, { ...before, start, end, local_start, version }, there, back, { kept: focus, done: focus });
    });
    say(what);
  }

  toast(text, label, act) {
    const close = () => refill(this.toastPlace);
    refill(this.toastPlace, h('div', { class: 'toast', id: 'toast' }, h('p', {}, text), h('div', { class: 'row' },
      label && button('toast-undo', label, act, 'second'),
      h('button', { type: 'button', class: 'quiet', 'aria-label': t('sheet.close'), on: { click: close } }, '×'))));
  }

  /** Something was changed elsewhere than by moving. */
  async changed(text, id, back) {
    await this.refresh();
    this.redraw();
    if (id) this.focus(id);
    this.toast(text, back && t('toast.undo'), back && ((event) => busy(event.currentTarget, back, $('#problem'))));
    // Its card is gone, and with it the focus.
    if (back) $('#toast-undo').focus({ preventScroll: true });
    say(text);
  }
}

