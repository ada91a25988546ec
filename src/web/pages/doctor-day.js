// The doctor's day: who waits now, and every visit of the chosen day in the clinic's time.
import { t } from './i18n.js';
import { $, show, h, refill, button, poll, onLeave, problemBox, tell, say } from './ui.js';
import * as api from './api.js';
import './claim-words.js';
import { claimBox } from './doctor-claim.js';
import { lateControl } from './late.js';
import { clock, dayKey, shiftDay, startOfDay, longDay, namedDay, waitingFor, now, rfc3339 } from './time.js';

const DAY_POLL_S = 10;
const WAITING_POLL_S = 4;
const CLAIM_POLL_S = 8;
const INVITED_POLL_S = 30;
const TASKS_POLL_S = 30;
const MOVING = ['arrived', 'in-progress', 'onleave'];

export async function day(state) {
  const { zone } = state;
  let key = sessionStorage.getItem('feldsher.day') ?? dayKey(now(), zone);
  let shown = '';
  const title = h('h1', { id: 'day-title' });
  const waiting = h('ul', { id: 'waiting-room', class: 'list', 'aria-live': 'polite' });
  const list = h('ul', { id: 'appointments', class: 'list' });
  const picker = h('input', { id: 'day', type: 'date', 'aria-label': t('day.date'), on: { change: () => picker.value && go(picker.value) } });
  const late = lateControl({ practitioner: state.me.practitioner, zone });
  const guests = h('section', { id: 'invitations', class: 'stack', hidden: true });
  const duties = h('section', { id: 'my-tasks', class: 'stack', hidden: true });
  const claims = claimBox({ practitioner: state.me.practitioner, zone });
  show(title,
    claims.lost, guests, duties,
    h('section', { class: 'stack' }, h('h2', {}, t('day.waiting')), waiting),
    claims.waits,
    h('div', { class: 'spread' },
      h('h2', {}, t('day.appointments')),
      h('div', { class: 'daybar' },
        button('previous-day', '‹', () => go(shiftDay(key, -1)), 'second', { 'aria-label': t('day.previous') }),
        picker,
        button('next-day', '›', () => go(shiftDay(key, 1)), 'second', { 'aria-label': t('day.next') }),
        button('today', t('day.today'), () => go(dayKey(now(), zone)), 'quiet'),
        h('a', { class: 'button quiet', id: 'to-week', href: '#/week' }, t('day.week')))),
    h('p', { class: 'hint' }, t('day.zone', { zone: zone.replace('_', ' ') })),
    late.node, problemBox(), list);

  async function load() {
    const wanted = key;
    late.node.hidden = wanted !== dayKey(now(), zone);
    if (!late.node.hidden) late.look().catch(() => {});
    const path = api.query('/v1/appointments', {
      from: rfc3339(startOfDay(wanted, zone)), to: rfc3339(startOfDay(shiftDay(wanted, 1), zone)),
      practitioner: state.me.practitioner.id, limit: 100,
    });
    try {
      const found = await api.items(path);
      if (wanted !== key) return;
      $('#problem').hidden = true;
      // Redrawing an unchanged list would take the focus away from the keyboard.
      const mark = JSON.stringify([wanted, found]);
      if (mark === shown) return;
      shown = mark;
      refill(list, found.length ? found.sort((a, b) => a.start.localeCompare(b.start)).map((visit) => entry(visit, zone)) : h('li', { id: 'no-appointments', class: 'lead' }, t('day.none')));
    } catch (error) {
      if (error.status === 0) tell($('#problem'), { code: 'stale', detail: t('day.stale') });
      else if (error.status !== 401) tell($('#problem'), error);
    }
  }
  const days = poll(load, DAY_POLL_S);
  const room = poll(async () => drawWaiting(waiting, await api.items('/v1/waiting-room'), zone), WAITING_POLL_S);
  const asked = poll(async () => {
    const items = await api.items('/v1/invitations');
    const mark = JSON.stringify(items.map((one) => [one.encounter.id, one.start]));
    if (guests.drawn === mark) return;
    guests.drawn = mark;
    guests.hidden = !items.length;
    if (!items.length) return;
    const { invitation } = await import('./guest-visit.js');
    refill(guests, h('h2', {}, t('day.asked')), items.map(invitation));
  }, INVITED_POLL_S);
  let tasks = null;
  const mine = poll(async () => {
    const items = await api.pages(api.query('/v1/tasks', { owner: state.me.account.id, limit: 100 }));
    if (!tasks && items.length) {
      const { taskList } = await import('./task-list.js');
      tasks ??= taskList({ me: state.me, zone, again: () => mine.now(), visits: true });
      refill(duties, h('h2', {}, t('day.tasks')), tasks.note, tasks.list);
    }
    tasks?.draw(items);
    duties.hidden = !items.length && (tasks?.note.hidden ?? true);
  }, TASKS_POLL_S);
  const others = poll(claims.look, CLAIM_POLL_S);
  onLeave(() => { days.stop(); room.stop(); asked.stop(); mine.stop(); others.stop(); });

  function go(next) {
    key = next;
    sessionStorage.setItem('feldsher.day', key);
    head();
    refill(list, h('li', { class: 'loading' }, t('loading')));
    shown = '';
    days.now();
  }
  function head() {
    const named = namedDay(key, zone);
    const long = longDay(`${key}T12:00:00Z`, 'UTC');
    title.textContent = named === long ? long : `${named[0].toUpperCase()}${named.slice(1)}, ${long}`;
    picker.value = key;
  }
  head();
}

function drawWaiting(list, people, zone) {
  const known = [...list.querySelectorAll('[data-encounter]')].map((item) => item.dataset.encounter);
  if (people.some((one) => !known.includes(one.encounter.id))) say(`${t('day.waiting')}: ${people.map((one) => one.patient.name).join(', ')}`);
  // An unchanged list stays as it is: a redraw under the pointer or the focus would lose the press.
  const mark = JSON.stringify([people, people.map((one) => waitingFor(one.since))]);
  if (list.drawn === mark) return;
  list.drawn = mark;
  refill(list, people.length ? people.map((one) => h('li', { class: 'entry waiting', data: { encounter: one.encounter.id, state: one.state ?? '' } },
    h('time', { datetime: one.since }, clock(one.since, zone)),
    h('div', {}, h('p', { class: 'row' }, h('strong', { class: 'patient-name' }, one.patient.name),
      one.priority !== 'routine' && h('span', { class: 'tag urgent' }, t('claim.urgent'))),
      h('p', { class: 'hint since' }, t('day.since', { time: clock(one.since, zone), long: waitingFor(one.since) }))),
    h('div', { class: 'row' }, h('a', { class: 'button primary open-visit', href: `#/visit/${one.encounter.id}` }, t('day.open')))))
    : h('li', { id: 'nobody-waiting', class: 'lead' }, t('day.nobody')));
}

function entry(visit, zone) {
  const live = MOVING.includes(visit.encounter?.status);
  const status = live ? t(`enc.${visit.encounter.status}`) : t(`doc.status.${visit.status}`);
  const open = ['proposed', 'pending', 'booked', 'arrived'].includes(visit.status);
  return h('li', { class: `entry${live ? ' waiting' : ''}`, data: { appointment: visit.id, encounter: visit.encounter?.id ?? '', status: visit.status } },
    h('time', { datetime: visit.start }, clock(visit.start, zone)),
    h('div', {},
      h('p', { class: 'row' }, h('strong', { class: 'patient-name' }, visit.patient.name), h('span', { class: 'tag', data: { status: live ? 'arrived' : visit.status } }, status)),
      h('p', { class: 'hint reason' }, `${visit.service.name} · ${visit.reason || t('day.noreason')}`)),
    h('div', { class: 'row' }, visit.encounter && visit.status !== 'cancelled'
      && h('a', { class: `button ${open ? 'second' : 'quiet'} open-visit`, href: `#/visit/${visit.encounter.id}` }, t(open ? 'day.open' : 'day.read'))));
}
