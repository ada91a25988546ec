// Free times of a service: days, parts of the day, doctors, and the first that is free. Booking and moving share it.
import { t } from './i18n.js';
import { $, show, h, put, refill, button, problemBox, tell, onLeave } from './ui.js';
import * as api from './api.js';
import { orAnybody } from './free-times.js';
import { dayKey, shiftDay, startOfDay, namedDay, weekday, dayNumber, wallClock, wallKey, now, rfc3339, PARTS } from './time.js';

const DAYS = 14;
const KEY = 'feldsher.booking';

/** "tomorrow at 09:20", in the time that the patient was promised. */
export function whenOf(thing) {
  return t('visit.at', { day: namedDay(wallKey(thing.local_start), thing.time_zone), time: wallClock(thing.local_start) });
}

export function whenLine(thing) {
  return h('p', { class: 'when' }, whenOf(thing), h('small', {}, t('local.time')));
}

/** The key belongs to the order, not to the press: a reload and a second press still act once. */
export function keyFor(order) {
  const mark = JSON.stringify(order);
  const kept = JSON.parse(sessionStorage.getItem(KEY) ?? 'null');
  if (kept?.mark === mark) return kept.key;
  const key = api.newKey();
  sessionStorage.setItem(KEY, JSON.stringify({ mark, key }));
  return key;
}

export const forgetKey = () => sessionStorage.removeItem(KEY);

export function slotButton(slot, label, click) {
  return h('button', {
    type: 'button', data: { start: slot.start, practitioner: slot.practitioner.id },
    'aria-label': `${whenOf(slot)}, ${slot.practitioner.name}`, on: { click },
  }, label);
}

/** Free times as large buttons, day and doctor written out. */
export function slotChoices(slots, choose) {
  return slots.map((slot) => put(
    Object.assign(slotButton(slot, '', () => choose(slot)), { className: 'choice' }),
    h('span', {}, whenOf(slot), h('small', {}, slot.practitioner.name))));
}

/**
 * Shows the screen. `of`: {title, lead, above, service, practitioner (first in the list), moving (the visit), speaks (the
 * patient with the doctor, so that their languages count), me};
 * `below` stands under the times; `memory` keeps what was chosen here when the person comes back from the next screen.
 */
export async function timesScreen(of, { choose, back, below = null, memory = {} }) {
  const { me } = of;
  const zone = me.patient.time_zone;
  const today = dayKey(now(), zone);
  const end = startOfDay(shiftDay(today, DAYS), zone);
  const days = h('div', { id: 'days', class: 'days', role: 'group', 'aria-label': t('book.when') });
  const slots = h('div', { id: 'slots', class: 'stack', 'aria-live': 'polite' });
  const firstFree = h('div', { id: 'first-place' });
  const filters = h('div', { class: 'filters' });
  show(h('h1', {}, of.title), h('p', { class: 'lead' }, `${of.lead} · ${t('local.time')}`), of.above, problemBox(), filters, firstFree, days, slots, below,
    button('back', t('back'), back, 'quiet'));
  let gone = false;
  onLeave(() => { gone = true; });

  const find = (values) => api.items(api.query('/v1/slots', {
    service: of.service, location: me.patient.location?.id, practitioner: memory.doctor, part_of_day: memory.part, language: memory.language, moving: of.moving, ...values,
  }));
  const between = (from, to, limit) => find({ from: rfc3339(from), to: rfc3339(to), limit });

  const choice = (id, label, name, options) => h('label', { class: 'filter', for: id }, h('span', {}, label),
    h('select', { id, on: { change: ({ currentTarget }) => {
      memory[name] = currentTarget.value || undefined;
      if (name === 'language') memory.guessed = false;
      if (name === 'doctor') anyLanguage();
      again();
    } } },
      options.map(([value, text]) => h('option', { value, selected: (memory[name] ?? '') === value }, text))));
  put(filters, choice('part-of-day', t('book.part'), 'part', [['', t('book.part.any')], ...PARTS.map((part) => [part, t(`book.part.${part}`)])]));
  // The list of doctors is a wish, not a need: the screen works without it, and waits for it only to begin with a language.
  const doctorsKnown = api.pages(api.query('/v1/practitioners', { service: of.service, limit: 100 })).then(async (doctors) => {
    if (gone || doctors.length < 2) return;
    put(filters, choice('doctor', t('book.doctor'), 'doctor', [['', t('book.doctor.any')], ...doctors.map((one) => [one.id, one.name])]));
    await byLanguage(doctors);
  }).catch(() => {});
  const mine = of.speaks ? me.patient.languages ?? [] : [];
  if (mine.length) await doctorsKnown;
  if (gone) return;

  for (let step = 0; step < DAYS; step += 1) {
    const key = shiftDay(today, step);
    put(days, h('button', { type: 'button', 'aria-pressed': 'false', data: { day: key }, on: { click: () => pick(key, true) } },
      h('small', {}, weekday(key)), h('span', {}, dayNumber(key))));
  }

  /** Where doctors differ in it: the patient's own language is meant at first, until it is taken off, a doctor is chosen, or nothing is found. */
  async function byLanguage(doctors) {
    const codes = [...new Set(doctors.flatMap((one) => one.languages))].sort();
    if (codes.every((code) => doctors.every((one) => one.languages.includes(code)))) return;
    if (!('language' in memory) && !memory.doctor) {
      memory.language = mine.find((code) => codes.includes(code));
      memory.guessed = Boolean(memory.language);
    }
    const { languageName } = await import('./languages.js');
    if (!gone) put(filters, choice('language', t('book.language'), 'language', [['', t('book.language.any')], ...codes.map((code) => [code, languageName(code)])]));
  }

  /** What was only guessed is taken off; whether there was anything. */
  function anyLanguage() {
    if (!memory.guessed) return false;
    Object.assign(memory, { guessed: false, language: undefined });
    const select = $('#language');
    if (select) select.value = '';
    return true;
  }

  let turn = 0;
  async function pick(key, chosen = false) {
    const mine = turn += 1;
    // A day that only was the first free one gives way when the filters change.
    if (chosen) memory.day = key;
    for (const day of days.children) day.setAttribute('aria-pressed', String(day.dataset.day === key));
    days.querySelector(`[data-day="${key}"]`)?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    refill(slots, h('p', { class: 'loading' }, t('loading')));
    const begin = Math.max(startOfDay(key, zone), now());
    const after = startOfDay(shiftDay(key, 1), zone);
    try {
      const found = await between(begin, after, 100);
      const later = found.length || after >= end ? [] : await between(after, end, 1).catch(() => []);
      if (mine === turn && !gone) draw(found, key, later[0]);
    } catch (error) {
      refill(slots);
      if (!gone) tell($('#problem'), error);
    }
  }

  function draw(found, key, nearest) {
    if (!found.length) {
      refill(slots, h('p', { id: 'no-slots', class: 'lead' }, t('book.noslots')),
        nearest && button('nearest', t('book.nearest', { when: whenOf(nearest) }), () => pick(wallKey(nearest.local_start), true), 'second'));
      return;
    }
    const doctors = Map.groupBy ? [...Map.groupBy(found, (slot) => slot.practitioner.id).values()] : grouped(found);
    // Whom the patient has already comes first.
    doctors.sort((a, b) => (b[0].practitioner.id === of.practitioner) - (a[0].practitioner.id === of.practitioner));
    refill(slots, h('h2', {}, namedDay(key, zone)), doctors.map((list) => h('section', { class: 'card' }, h('h3', {}, list[0].practitioner.name),
      h('div', { class: 'times' }, list.map((slot) => slotButton(slot, wallClock(slot.local_start), () => choose(slot)))))));
  }

  /** One small question first: which day has anything free at all? */
  async function again() {
    const mine = turn += 1;
    refill(firstFree);
    refill(slots, h('p', { class: 'loading' }, t('loading')));
    try {
      const first = await orAnybody(async () => (await find({ first: true }))[0], () => !gone && mine === turn && anyLanguage());
      if (gone || mine !== turn) return;
      if (!first) {
        refill(slots, h('p', { id: 'no-slots', class: 'lead' }, t('book.none')));
        return;
      }
      refill(firstFree, h('button', { id: 'first-free', type: 'button', class: 'choice', data: { start: first.start }, on: { click: () => choose(first) } },
        h('span', {}, t('book.first', { when: whenOf(first) }), h('small', {}, first.practitioner.name))));
      await pick(memory.day ?? wallKey(first.local_start));
    } catch (error) {
      refill(slots);
      if (!gone) tell($('#problem'), error);
    }
  }
  await again();
}

/** For phones that do not know Map.groupBy yet. */
function grouped(slots) {
  const doctors = new Map();
  for (const slot of slots) doctors.set(slot.practitioner.id, [...(doctors.get(slot.practitioner.id) ?? []), slot]);
  return [...doctors.values()];
}
