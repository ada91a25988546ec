// Moving a visit on the board: picked up by pointer, finger or key, shown where it would be, previewed by the
// server, and only then applied. Letting go leaves everything as it was.
import { t } from './i18n.js';
import { h, refill, button, busy, say, words, put } from './ui.js';
import * as api from './api.js';
import { clock, longDay, dayKey, cityOf } from './time.js';
import { STEP, MOVABLE, clashes, instantIn, minuteIn, patientClock, ms } from './board-grid.js';
import { sheet, sheetOpen } from './sheet.js';

/** A pointer that moves less means to press. */
const SLOP_PX = 6;
/** A finger that rests so long means to pick up; one that moves before means to scroll. */
const HOLD_MS = 350;
const EDGE_PX = 48;
const STRIDES = { ArrowUp: -STEP, ArrowDown: STEP, PageUp: -60, PageDown: 60 };

/** `board`: {grid, columns(), reveal(column), focus(id), refresh(), moved(before, after), open(visit)}. */
export class Mover {
  constructor(board, bar) {
    Object.assign(this, { board, bar, carried: null, press: null });
    const { scroller } = board.grid;
    scroller.addEventListener('pointerdown', (event) => this.down(event));
    // Only a listener that is not passive can keep the page from scrolling under a lifted card.
    scroller.addEventListener('touchmove', (event) => { if (this.press?.lifted) event.preventDefault(); }, { passive: false });
    scroller.addEventListener('contextmenu', (event) => { if (this.press) event.preventDefault(); });
    scroller.addEventListener('click', (event) => this.clicked(event), true);
    scroller.addEventListener('keydown', (event) => this.pickUpKey(event));
    this.keys = (event) => this.carryKey(event);
    this.moves = (event) => this.move(event);
    this.ups = (event) => this.up(event);
    this.cancels = () => this.dropPress();
  }

  get active() { return this.carried !== null || this.press !== null; }

  card(id) { return this.board.grid.node.querySelector(`[data-appointment="${id}"]`); }

  /* Carrying: the same for keys, fingers and the buttons of the bar */

  lift(visit, column) {
    if (this.carried) this.letGo(false);
    const card = this.card(visit.id);
    card?.classList.add('lifted');
    this.ghost = h('div', { class: 'ghost', 'aria-hidden': 'true' });
    this.carried = { visit, home: column, column, minute: minuteIn(column, visit.start) };
    this.board.grid.node.classList.add('carrying');
    document.addEventListener('keydown', this.keys, true);
    this.show();
    say(t('carry.lifted', { patient: visit.patient.name }));
  }

  letGo(spoken = true) {
    if (!this.carried) return;
    const { visit, home } = this.carried;
    this.carried = null;
    document.removeEventListener('keydown', this.keys, true);
    this.ghost.remove();
    this.card(visit.id)?.classList.remove('lifted');
    this.board.grid.node.classList.remove('carrying');
    this.bar.hidden = true;
    this.board.reveal(home);
    this.board.focus(visit.id);
    if (spoken) say(t('carry.letgo'));
  }

  step(minutes) {
    const { grid } = this.board;
    const length = (ms(this.carried.visit.end) - ms(this.carried.visit.start)) / 60_000;
    // The first step goes to a whole step of the clock.
    const wanted = Math.round((this.carried.minute + minutes) / STEP) * STEP;
    this.carried.minute = Math.min(Math.max(wanted, grid.hours.from), grid.hours.to - length);
    this.show(true);
  }

  turn(by) {
    const all = this.board.grid.columns;
    const at = all.indexOf(this.carried.column) + by;
    if (!all[at]) return;
    this.carried.column = all[at];
    this.board.reveal(all[at]);
    this.show(true);
  }

  /** Draws the ghost and the bar, and says where the visit would be. */
  show(spoken = false) {
    const { visit, column, minute } = this.carried;
    const start = instantIn(column, minute);
    const end = instantIn(column, minute + (ms(visit.end) - ms(visit.start)) / 60_000);
    const { zone, grid } = this.board;
    const wrong = clashes(visit, column, start);
    this.carried.start = start;
    refill(this.ghost, h('div', { class: 'visit' },
      h('span', {}, h('b', {}, clock(start, zone)), ` ${visit.patient.name}`),
      h('span', { class: 'more' }, wrong[0] ?? t('grid.there', { time: patientClock(visit, start) }))));
    this.ghost.toggleAttribute('data-clash', wrong.length > 0);
    grid.place(this.ghost, column, start, end);
    grid.lanes.get(column.key).append(this.ghost);
    this.bar.hidden = false;
    this.bar.toggleAttribute('data-clash', wrong.length > 0);
    const where = t('carry.where', { doctor: column.title, time: `${clock(start, zone)}–${clock(end, zone)}`, there: `${patientClock(visit, start)}, ${cityOf(visit.time_zone)}` });
    this.drawBar(where, wrong);
    if (!this.press) this.ghost.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    if (spoken) say([where, ...wrong].join('. '));
  }

  drawBar(where, wrong) {
    const label = h('div', {}, h('p', {}, h('strong', {}, this.carried.visit.patient.name), ` → ${where}`),
      wrong.length > 0 && h('p', { class: 'clash' }, wrong.join('; ')));
    if (this.bar.firstChild) {
      this.bar.firstChild.replaceWith(label);
      return;
    }
    const act = (id, text, words, fn, kind = 'second') => button(id, text, fn, kind, words ? { 'aria-label': words } : {});
    put(this.bar, label, h('div', { class: 'row' },
      act('carry-left', '‹', t('carry.left'), () => this.turn(-1)),
      act('carry-earlier', `−${STEP}`, t('carry.earlier'), () => this.step(-STEP)),
      act('carry-later', `+${STEP}`, t('carry.later'), () => this.step(STEP)),
      act('carry-right', '›', t('carry.right'), () => this.turn(1)),
      act('carry-preview', t('carry.preview'), '', () => this.preview(), 'primary'),
      act('carry-drop', t('carry.drop'), '', () => this.letGo(), 'quiet')));
  }

  /* Keys */

  pickUpKey(event) {
    const card = event.target.closest?.('[data-appointment]');
    if (this.carried || event.key !== 'Enter' || !card || event.ctrlKey || event.altKey || event.metaKey) return;
    const { visit, column } = this.board.find(card.dataset.appointment) ?? {};
    if (!visit || !MOVABLE(visit)) return;
    event.preventDefault();
    event.stopPropagation();
    this.lift(visit, column);
  }

  carryKey(event) {
    if (!this.carried || sheetOpen() || event.ctrlKey || event.altKey || event.metaKey) return;
    // The buttons of the bar answer Enter and Space themselves.
    if (this.bar.contains(event.target) && [' ', 'Enter'].includes(event.key)) return;
    if (event.key in STRIDES) this.step(STRIDES[event.key]);
    else if (event.key === 'ArrowLeft') this.turn(-1);
    else if (event.key === 'ArrowRight') this.turn(1);
    else if (event.key === 'Enter') this.preview();
    else if (event.key === 'Escape') this.letGo();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /* Pointer and finger */

  down(event) {
    this.dropped = false;
    const card = event.target.closest('[data-appointment]');
    if (!card || event.button !== 0 || this.press || sheetOpen()) return;
    const { visit, column } = this.board.find(card.dataset.appointment) ?? {};
    if (!visit || !MOVABLE(visit)) return;
    const grip = event.clientY - card.getBoundingClientRect().top;
    this.press = { visit, column, grip, x: event.clientX, y: event.clientY, touch: event.pointerType !== 'mouse', lifted: false };
    if (this.press.touch) this.press.timer = setTimeout(() => this.liftPress(), HOLD_MS);
    document.addEventListener('pointermove', this.moves);
    document.addEventListener('pointerup', this.ups);
    document.addEventListener('pointercancel', this.cancels);
  }

  liftPress() {
    this.press.lifted = true;
    navigator.vibrate?.(15);
    this.lift(this.press.visit, this.press.column);
  }

  move(event) {
    const { press } = this;
    if (!press) return;
    const far = Math.hypot(event.clientX - press.x, event.clientY - press.y) > SLOP_PX;
    if (!press.lifted && far) {
      if (press.touch) return this.dropPress();
      this.liftPress();
    }
    if (!press.lifted) return undefined;
    event.preventDefault();
    const { grid } = this.board;
    const place = grid.under(event.clientX, event.clientY, press.grip);
    if (place) {
      const length = (ms(press.visit.end) - ms(press.visit.start)) / 60_000;
      this.carried.column = place.column;
      this.carried.minute = Math.min(Math.max(place.minute, grid.hours.from), grid.hours.to - length);
      this.show();
    }
    this.scrollAtEdge(event);
    return undefined;
  }

  scrollAtEdge({ clientX, clientY }) {
    const { scroller } = this.board.grid;
    const box = scroller.getBoundingClientRect();
    if (clientY < box.top + EDGE_PX * 2) scroller.scrollTop -= 12;
    else if (clientY > box.bottom - EDGE_PX) scroller.scrollTop += 12;
    if (clientX < box.left + EDGE_PX * 2) scroller.scrollLeft -= 12;
    else if (clientX > box.right - EDGE_PX) scroller.scrollLeft += 12;
  }

  up() {
    const { press } = this;
    this.endPress();
    if (!press?.lifted) return;
    // The click that follows a drop is no press on a card.
    this.dropped = true;
    const { column, start, visit } = this.carried;
    if (column === press.column && start === visit.start) {
      if (!press.touch) this.letGo();
      return;
    }
    this.preview();
  }

  dropPress() {
    const lifted = this.press?.lifted;
    this.endPress();
    if (lifted) this.letGo();
  }

  endPress() {
    clearTimeout(this.press?.timer);
    this.press = null;
    document.removeEventListener('pointermove', this.moves);
    document.removeEventListener('pointerup', this.ups);
    document.removeEventListener('pointercancel', this.cancels);
  }

  clicked(event) {
    const card = event.target.closest('[data-appointment]');
    if (this.dropped && event.detail > 0) {
      this.dropped = false;
      event.stopPropagation();
      event.preventDefault();
    } else if (card && !this.carried) {
      const { visit, column } = this.board.find(card.dataset.appointment) ?? {};
      if (visit) this.board.open(visit, column);
    }
  }

  /* Preview */

  preview() {
    const { visit, column, start } = this.carried;
    if (column === this.carried.home && start === visit.start) {
      say(t('carry.same'));
      return;
    }
    const place = { practitioner: { id: column.person.id, name: column.title }, start };
    previewMove(this.board, visit, this.carried.home, place, {
      kept: () => this.letGo(),
      done: () => this.letGo(false),
    });
  }
}

/**
 * Asks the server what would come of a move, shows it, and does it when told to. `place`: {practitioner, start};
 * `kept` hears that nothing was moved, `done` that it was.
 */
export function previewMove(board, visit, home, place, { kept, done }) {
  let moved = false;
  const window = sheet('move', t('move.preview'), () => { if (!moved) kept(); });
  const path = `/v1/appointments/${visit.id}/reschedule`;
  const etag = `"${visit.version}"`;
  const result = h('div', { class: 'stack', 'aria-live': 'polite' });
  let key = api.newKey();

  /** Who stays where they were promised, with another helper perhaps, hears nothing. */
  const isElsewhere = (to) => to.start !== visit.start || to.practitioner.id !== home.person.id;

  async function look(to) {
    const body = { start: to.start, practitioner: to.practitioner.id, ...(to.overbook ? { overbook: true } : {}) };
    window.problem.hidden = true;
    refill(window.body, changeTable(board, visit, home, to), result);
    refill(result, h('p', { class: 'loading' }, t('move.looking')));
    try {
      await api.call('POST', path, { body: { ...body, dry_run: true }, etag, retry: true });
    } catch (error) {
      // The server decides; the board may know what is in the way.
      const column = board.grid.columnOf(to.practitioner.id);
      refuse(error, column && dayKey(to.start, board.zone) === board.day ? clashes(visit, column, to.start) : []);
      return;
    }
    key = api.newKey();
    const apply = button('move-apply', t('move.apply'), (event) => busy(event.currentTarget, () => act(body), null).catch((error) => refuse(error)));
    refill(result, h('p', { class: 'good', id: 'move-free' }, t('move.free')), visit.status === 'booked' && isElsewhere(to) && h('p', { class: 'hint' }, t('move.told')),
      h('div', { class: 'row' }, apply, button('move-keep', t('move.keep'), () => window.close(), 'quiet')));
    apply.focus();
  }

  async function act(body) {
    const { data } = await api.call('POST', path, { body, etag, key });
    moved = true;
    window.close();
    done();
    await board.moved(visit, home, data);
  }

  /** Nothing was changed: why, and what is free instead. */
  function refuse(error, known = []) {
    const others = error.alternatives ?? [];
    refill(result,
      h('div', { class: 'problem stack', role: 'alert', id: 'move-conflict', data: { code: error.code ?? 'unknown' } },
        h('p', {}, words(error), ' ', t('move.nothing')), known.length > 0 && h('p', { class: 'hint' }, known.join('; '))),
      others.length > 0 && h('div', { id: 'move-alternatives', class: 'choices' }, h('p', {}, t('move.instead')), others.map((slot) =>
        h('button', { type: 'button', class: 'choice', data: { start: slot.start, practitioner: slot.practitioner.id }, on: { click: () => look({ start: slot.start, practitioner: slot.practitioner }) } },
          h('span', {}, `${dayWords(board, slot.start)}${clock(slot.start, board.zone)} · ${slot.practitioner.name}`,
            h('small', {}, t('grid.there', { time: `${clock(slot.start, visit.time_zone)}, ${cityOf(visit.time_zone)}` })))))),
      h('div', { class: 'row' }, button('move-keep', t('move.keep'), () => window.close(), 'second')));
    if (error.code === 'stale_version') board.refresh();
  }

  look(place);
  return window;
}

/** The day, when it is not the one on the board. */
function dayWords(board, instant) {
  return dayKey(instant, board.zone) === board.day ? '' : `${longDay(instant, board.zone)}, `;
}

function changeTable(board, visit, home, to) {
  const at = (instant, zone, other) => {
    const changed = dayKey(instant, zone) !== dayKey(other, zone);
    return `${changed ? `${longDay(instant, zone)}, ` : ''}${clock(instant, zone)}`;
  };
  const row = (name, was, will) => [h('span', { class: 'th side' }, name), h('span', { class: 'old' }, was), h('span', { class: was === will ? '' : 'new' }, will)];
  return h('div', { class: 'stack' },
    h('p', {}, h('strong', {}, visit.patient.name), ` · ${visit.service.name}`),
    h('div', { class: 'fromto', id: 'move-change' },
      h('span', { class: 'th side' }), h('span', { class: 'th' }, t('move.from')), h('span', { class: 'th' }, t('move.to')),
      row(t('grid.doctor'), home.title, to.practitioner.name),
      row(t('move.clinic', { zone: cityOf(board.zone) }), at(visit.start, board.zone, to.start), at(to.start, board.zone, visit.start)),
      row(t('move.patient', { zone: cityOf(visit.time_zone) }), at(visit.start, visit.time_zone, to.start), at(to.start, visit.time_zone, visit.start))));
}
