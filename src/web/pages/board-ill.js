// One doctor on the board, and "the doctor is ill": a plan to look at, one step, ten minutes to take it back.
import { t } from './i18n.js';
import { $, h, put, refill, button, busy, onLeave, tell, say } from './ui.js';
import * as api from './api.js';
import { clock, longDay, dayKey, startOfDay, shiftDay, now, cityOf } from './time.js';
import { hoursInWords } from './board-grid.js';
import { timesNear, slotWords } from './free-times.js';
import { fromLocal, toLocal } from './wall.js';
import { sheet } from './sheet.js';

const ACTS = ['move', 'offer', 'cancel', 'keep'];
const APPLIED = 'feldsher.board.plan';

export function openPerson(board, column) {
  const window = sheet('person', column.title);
  put(window.body,
    h('p', { class: 'lead' }, `${hoursInWords(column, board.zone)} (${cityOf(board.zone)})`),
    h('p', { class: 'hint' }, column.person.services.map((one) => one.name).join(', ')),
    h('div', { class: 'stack' },
      h('a', { class: 'button second', id: 'person-week', href: `#/week/${column.key}`, on: { click: window.close } }, t('person.week')),
      h('a', { class: 'button second', id: 'person-hours', href: `#/hours/${column.key}`, on: { click: window.close } }, t('person.hours')),
      button('person-ill', t('person.ill'), () => {
        window.close();
        plan(board, column);
      }, 'danger')));
}

/** From when to when; today's rest is proposed. */
function plan(board, column) {
  const { zone } = board;
  const window = sheet('ill', t('ill.title', { name: column.title }));
  const begin = Math.max(startOfDay(board.day, zone), Math.floor(now() / 60_000) * 60_000);
  const from = h('input', { id: 'ill-from', type: 'datetime-local', value: toLocal(begin, zone), required: true });
  const to = h('input', { id: 'ill-to', type: 'datetime-local', value: toLocal(startOfDay(shiftDay(dayKey(begin, zone), 1), zone), zone), required: true });
  put(window.body,
    h('p', { class: 'hint' }, t('ill.lead', { zone: cityOf(zone) })),
    h('div', { class: 'inline' }, h('label', { for: 'ill-from' }, t('hours.from'), from), h('label', { for: 'ill-to' }, t('hours.to'), to)),
    button('ill-plan', t('ill.plan'), (event) => window.busy(event.currentTarget, async () => {
      const body = { from: fromLocal(from.value, zone), to: fromLocal(to.value, zone) };
      const made = await api.post(`/v1/practitioners/${column.key}/illness-plans`, body);
      window.close();
      preview(board, made);
    })));
}

/** The plan, visit by visit; each can be decided otherwise before it is applied. */
function preview(board, first) {
  const { zone } = board;
  const window = sheet('plan', t('ill.title', { name: first.practitioner.name }));
  window.node.classList.add('wide');
  let current = first;
  let conflicts = new Map();
  const list = h('ol', { id: 'proposals', class: 'list tight', 'aria-live': 'polite' });
  const count = h('p', { class: 'lead', id: 'plan-count' });
  const apply = button('plan-apply', t('plan.apply'), (event) => window.busy(event.currentTarget, act), 'danger');
  put(window.body, count, list, h('div', { class: 'row' }, apply, button('plan-leave', t('plan.leave'), () => window.close(), 'quiet')), h('p', { class: 'hint' }, t('plan.hint')));

  async function act() {
    try {
      const done = (await api.call('POST', `/v1/illness-plans/${current.id}/apply`, { body: {}, etag: `"${current.version}"`, key: api.newKey() })).data;
      window.close();
      sessionStorage.setItem(APPLIED, done.id);
      await board.refresh();
      board.redraw();
      applied(board, done);
      say(t('plan.applied', { name: done.practitioner.name, time: clock(done.undo_until, zone) }));
    } catch (error) {
      if (error.code === 'stale_version') current = await api.get(`/v1/illness-plans/${current.id}`);
      conflicts = new Map((error.conflicts ?? []).map((one) => [one.appointment, one.code]));
      const unknown = (error.conflicts ?? []).filter((one) => !current.proposals.some((other) => other.appointment === one.appointment));
      // A visit that was booked since the plan was made joins it.
      for (const one of unknown) await edit({ appointment: one.appointment, act: 'offer' });
      draw();
      throw error;
    }
  }

  async function edit(proposal) {
    current = (await api.call('PATCH', `/v1/illness-plans/${current.id}`, { body: { proposals: [proposal] }, etag: `"${current.version}"` })).data;
    conflicts.delete(proposal.appointment);
    draw();
  }

  function draw() {
    const number = (word) => current.proposals.filter((one) => one.act === word).length;
    count.textContent = current.proposals.length ? t('plan.count', { moved: number('move'), offered: number('offer'), cancelled: number('cancel'), kept: number('keep') }) : t('plan.none');
    const focused = document.activeElement?.id;
    refill(list, current.proposals.map(line));
    if (focused) document.getElementById(focused)?.focus();
  }

  function line(one) {
    const id = one.appointment;
    const where = h('div', { class: 'where' });
    const code = conflicts.get(id);
    const choice = h('select', { id: `act-${id}`, 'aria-label': t('plan.act', { patient: one.patient.name }), on: { change: () => change(one, choice, where) } },
      (one.act === 'replace' ? ['replace', ...ACTS] : ACTS).map((act) => h('option', { value: act, selected: act === one.act }, t(`plan.${act}`))));
    const there = (instant) => t('grid.there', { time: clock(instant, one.time_zone) });
    return h('li', { data: { appointment: id, act: one.act, conflict: code ?? '' } },
      h('div', { class: 'spread' }, h('span', {}, h('strong', {}, `${clock(one.from_start, zone)} ${one.patient.name}`), h('span', { class: 'hint' }, ` · ${there(one.from_start)} · ${one.code}`)), choice),
      one.act === 'move' && one.start && h('p', { class: 'to' }, `→ ${one.practitioner?.name ?? ''}, ${dayKey(one.start, zone) === dayKey(one.from_start, zone) ? '' : `${longDay(one.start, zone)}, `}${clock(one.start, zone)}`, h('span', { class: 'hint' }, ` · ${there(one.start)}`)),
      code && h('p', { class: 'problem' }, t(`conflict.${code}`) === `conflict.${code}` ? code : t(`conflict.${code}`)),
      h('p', { class: 'hint' }, one.why.map((why) => t(`why.${why}`)).join(' · ')), where);
  }

  /** Another word on one visit; to move it, a time is chosen first. */
  async function change(one, choice, where) {
    if (choice.value !== 'move') return window.busy(choice, () => edit({ appointment: one.appointment, act: choice.value }));
    return window.busy(choice, async () => {
      const slots = await timesNear({ appointment: one.appointment, at: one.from_start });
      const pick = h('select', { id: `where-${one.appointment}`, 'aria-label': t('plan.where') }, slots.map((slot, at) => h('option', { value: at }, slotWords(slot, zone))));
      refill(where, slots.length ? h('div', { class: 'inline' }, pick, button(`take-${one.appointment}`, t('plan.take'), (event) => window.busy(event.currentTarget, () => {
        const slot = slots[Number(pick.value)];
        return edit({ appointment: one.appointment, act: 'move', practitioner: slot.practitioner.id, start: slot.start });
      }), 'second')) : h('p', { class: 'hint bad' }, t('book.noslots')));
    });
  }
  draw();
}

/** The way back, with the time that is left. */
function applied(board, plan) {
  const left = () => Math.floor((Date.parse(plan.undo_until) - now()) / 1000);
  const time = h('strong', { id: 'undo-left', role: 'timer' });
  const box = h('div', { class: 'toast warn', id: 'plan-applied', data: { plan: plan.id } },
    h('p', {}, t('plan.applied', { name: plan.practitioner.name, time: clock(plan.undo_until, board.zone) }), ' ', time),
    h('div', { class: 'row' },
      plan.absence && h('a', { class: 'button quiet', id: 'plan-leave-page', href: `#/leave/${plan.absence}` }, t('plan.visits')),
      button('plan-undo', t('plan.undo'), (event) => busy(event.currentTarget, () => undo([]), $('#problem')), 'second')),
    h('div', { id: 'plan-stuck', class: 'stack', 'aria-live': 'polite' }));
  /** All but some visits, which somebody has read and leaves where they are. */
  async function undo(except) {
    try {
      await api.post(`/v1/illness-plans/${plan.id}/undo`, { except });
    } catch (error) {
      if (error.conflicts) stuck(except, error.conflicts);
      throw error;
    }
    end();
    await board.changed(t(except.length ? 'plan.undone.rest' : 'plan.undone', { n: except.length }));
  }
  const stuck = (except, conflicts) => refill(box.querySelector('#plan-stuck'),
    h('ul', { class: 'list tight' }, conflicts.map((one) => {
      const of = plan.proposals.find((other) => other.appointment === one.appointment);
      const why = t(`conflict.${one.code}`);
      return h('li', { data: { appointment: one.appointment, conflict: one.code } },
        of && h('strong', {}, `${clock(of.from_start, board.zone)} ${of.patient.name}`), ' ', why === `conflict.${one.code}` ? one.code : why);
    })),
    button('plan-undo-rest', t('plan.undo.rest'), (event) => busy(event.currentTarget, () => undo([...except, ...conflicts.map((one) => one.appointment)]), $('#problem')), 'second'));
  const end = () => {
    clearInterval(timer);
    sessionStorage.removeItem(APPLIED);
    refill(board.planPlace);
  };
  const tick = () => {
    if (left() <= 0) return end();
    time.textContent = `${Math.floor(left() / 60)}:${String(left() % 60).padStart(2, '0')}`;
    return undefined;
  };
  const timer = setInterval(tick, 1000);
  onLeave(() => clearInterval(timer));
  refill(board.planPlace, box);
  tick();
}

/** A plan that was applied in this tab can still be taken back after a reload. */
export async function resume(board) {
  const id = sessionStorage.getItem(APPLIED);
  if (!id) return;
  try {
    const plan = await api.get(`/v1/illness-plans/${id}`);
    if (plan.status === 'applied' && Date.parse(plan.undo_until) > now()) applied(board, plan);
    else sessionStorage.removeItem(APPLIED);
  } catch (error) {
    if (error.status === 404) sessionStorage.removeItem(APPLIED);
    else tell($('#problem'), error);
  }
}
