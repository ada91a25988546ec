// Booking: a service, a time, a last look, and a code to write down.
import { t, counted } from './i18n.js';
import { $, show, h, put, refill, button, field, busy, problemBox, tell, keepDraft, say, onLeave } from './ui.js';
import * as api from './api.js';
import { dayKey, shiftDay, startOfDay, namedDay, weekday, dayNumber, wallClock, wallKey, now, rfc3339 } from './time.js';
import { whenLine, whenOf } from './patient-home.js';
import { waitInstead } from './patient-waitlist.js';

const DAYS = 14;
const KEY = 'feldsher.booking';
const KEPT = ['feldsher.typed.reason', KEY];

export async function book(me) {
  show(h('p', { class: 'loading', 'aria-busy': 'true' }, t('loading')));
  const services = await api.items('/v1/healthcare-services?limit=100');
  if (location.hash !== '#/book') return;
  const zone = me.patient.time_zone;
  const choose = () => show(
    h('h1', {}, t('book.service')),
    services.length ? null : h('p', { class: 'lead' }, t('book.noservice')),
    h('div', { id: 'services', class: 'choices' }, services.map((service) => {
      const modes = (service.modes ?? []).map((mode) => t(`mode.${mode}`)).join(', ');
      return h('button', { type: 'button', class: 'choice', data: { id: service.id }, on: { click: () => times({ service, zone, me, choose }) } },
        h('span', {}, service.name,
          h('small', {}, [counted(service.duration_minutes, 'minute'), modes, service.organization?.name].filter(Boolean).join(' · '))));
    })),
    h('a', { class: 'button quiet', href: '#/', id: 'back' }, t('back')));
  choose();
}

const find = (order, from, to, limit) => api.items(api.query('/v1/slots', {
  service: order.service.id, from: rfc3339(from), to: rfc3339(to), limit, location: order.me.patient.location?.id,
}));

async function times(order, wanted) {
  const { zone } = order;
  const today = dayKey(now(), zone);
  const end = startOfDay(shiftDay(today, DAYS), zone);
  const days = h('div', { id: 'days', class: 'days', role: 'group', 'aria-label': t('book.when') });
  const slots = h('div', { id: 'slots', class: 'stack', 'aria-live': 'polite' });
  show(h('h1', {}, t('book.when')), h('p', { class: 'lead' }, `${order.service.name} · ${t('local.time')}`), problemBox(), days, slots, waitInstead(order),
    button('back', t('back'), order.choose, 'quiet'));
  let gone = false;
  onLeave(() => { gone = true; });

  for (let step = 0; step < DAYS; step += 1) {
    const key = shiftDay(today, step);
    put(days, h('button', { type: 'button', 'aria-pressed': 'false', data: { day: key }, on: { click: () => pick(key) } },
      h('small', {}, weekday(key)), h('span', {}, dayNumber(key))));
  }
  let turn = 0;
  async function pick(key) {
    const mine = turn += 1;
    for (const day of days.children) day.setAttribute('aria-pressed', String(day.dataset.day === key));
    days.querySelector(`[data-day="${key}"]`)?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    refill(slots, h('p', { class: 'loading' }, t('loading')));
    const begin = Math.max(startOfDay(key, zone), now());
    const after = startOfDay(shiftDay(key, 1), zone);
    try {
      const found = await find(order, begin, after, 100);
      if (mine === turn && !gone) draw(found, key, found.length ? null : (await find(order, after, end, 1).catch(() => []))[0]);
    } catch (error) {
      refill(slots);
      if (!gone) tell($('#problem'), error);
    }
  }
  function draw(found, key, nearest) {
    refill(slots);
    if (!found.length) {
      put(slots, h('p', { id: 'no-slots', class: 'lead' }, t('book.noslots')));
      if (nearest) put(slots, button('nearest', t('book.nearest', { when: whenOf(nearest) }), () => pick(wallKey(nearest.local_start)), 'second'));
      return;
    }
    put(slots, h('h2', {}, namedDay(key, zone)));
    for (const [, list] of byDoctor(found)) {
      put(slots, h('section', { class: 'card' }, h('h3', {}, list[0].practitioner.name),
        h('div', { class: 'times' }, list.map((slot) => slotButton(slot, wallClock(slot.local_start), () => confirm(order, slot))))));
    }
  }

  if (wanted) return pick(wanted);
  // One small question first: which day has anything free at all?
  try {
    const [first] = await find(order, now(), end, 1);
    if (gone) return undefined;
    if (first) return pick(wallKey(first.local_start));
    return refill(slots, h('p', { id: 'no-slots', class: 'lead' }, t('book.none')));
  } catch (error) {
    return gone ? undefined : tell($('#problem'), error);
  }
}

function byDoctor(slots) {
  const doctors = new Map();
  for (const slot of slots) {
    const id = slot.practitioner.id;
    doctors.set(id, [...(doctors.get(id) ?? []), slot]);
  }
  return doctors;
}

function slotButton(slot, label, click) {
  return h('button', {
    type: 'button', data: { start: slot.start, practitioner: slot.practitioner.id },
    'aria-label': `${whenOf(slot)}, ${slot.practitioner.name}`, on: { click },
  }, label);
}

/** The key belongs to the order, not to the press: a reload and a second press still book once. */
function keyFor(body) {
  const mark = JSON.stringify(body);
  const kept = JSON.parse(sessionStorage.getItem(KEY) ?? 'null');
  if (kept?.mark === mark) return kept.key;
  const key = api.newKey();
  sessionStorage.setItem(KEY, JSON.stringify({ mark, key }));
  return key;
}

function confirm(order, slot) {
  const others = h('div', { id: 'alternatives', class: 'choices', hidden: true });
  const form = h('form', { class: 'stack' },
    field('reason', t('book.reason'), { rows: 3, maxlength: 1000 }, t('book.reason.hint')),
    problemBox(), others,
    h('button', { id: 'book', class: 'primary', type: 'submit' }, t('book.do')));
  show(h('h1', {}, t('book.confirm')),
    h('div', { class: 'card', id: 'summary' }, whenLine(slot), h('p', {}, h('strong', {}, slot.practitioner.name)), h('p', {}, order.service.name)),
    form, button('back', t('back'), () => times(order, wallKey(slot.local_start)), 'quiet'));
  keepDraft($('#reason'), 'reason');

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    busy($('#book'), async () => {
      others.hidden = true;
      const reason = $('#reason').value.trim();
      const body = { service: order.service.id, practitioner: slot.practitioner.id, start: slot.start, ...(reason ? { reason } : {}) };
      try {
        const made = await api.post('/v1/appointments', body, keyFor(body));
        KEPT.forEach((name) => sessionStorage.removeItem(name));
        booked(made);
      } catch (error) {
        // A refusal used the key up; only a lost answer may be asked for again under it.
        if (error.status) sessionStorage.removeItem(KEY);
        offer(error.alternatives ?? []);
        throw error;
      }
    });
  });
  function offer(alternatives) {
    if (!alternatives.length) return;
    others.hidden = false;
    $('#book').hidden = true;
    refill(others, h('p', {}, t('book.alternatives')), alternatives.map((other) => put(
      Object.assign(slotButton(other, '', () => confirm(order, other)), { className: 'choice' }),
      h('span', {}, whenOf(other), h('small', {}, other.practitioner.name)))));
  }
}

function booked(visit) {
  show(h('h1', {}, t('book.done')),
    h('div', { class: 'card ticket', id: 'confirmation', data: { appointment: visit.id, encounter: visit.encounter?.id ?? '' } },
      h('p', { class: 'hint' }, t('book.code')),
      h('p', { id: 'booking-code', translate: 'no' }, visit.code),
      h('p', { class: 'hint' }, t('book.code.hint'))),
    h('div', { class: 'card', id: 'booking-when' }, whenLine(visit), h('p', {}, h('strong', {}, visit.practitioner.name)), h('p', {}, visit.service.name)),
    h('a', { class: 'button primary', href: '#/', id: 'to-home' }, t('book.home')),
    visit.encounter && h('a', { class: 'button quiet', href: `#/visit/${visit.encounter.id}`, id: 'to-visit' }, t('home.open')));
  say(`${t('book.done')}. ${t('book.code')}: ${[...visit.code].join(' ')}`);
}
