// Free times as more than one screen asks for them: those near somebody else's visit, and those of a day.
import * as api from './api.js';
import { clock, longDay, now, rfc3339, shiftDay, startOfDay } from './time.js';

const HOUR_MS = 3_600_000;
/** How far a day without a free time is looked beyond. */
const SEARCHED_DAYS = 21;

/** Up to a hundred free times of a visit's service, nearest to `at` first; the next days' too. */
export async function timesNear({ appointment, at }) {
  const { service } = await api.get(`/v1/appointments/${appointment}`);
  const find = (from, to, limit) => api.items(api.query('/v1/slots', {
    service: service.id, moving: appointment, from: rfc3339(from), to: rfc3339(to), limit,
  }));
  const begin = Math.max(+now(), Date.parse(at) - 4 * HOUR_MS);
  const later = begin + 24 * HOUR_MS;
  const found = (await Promise.all([find(begin, later, 100), find(later, later + 14 * 24 * HOUR_MS, 40)])).flat();
  const near = (slot) => Math.abs(Date.parse(slot.start) - Date.parse(at));
  return found.sort((a, b) => near(a) - near(b)).slice(0, 100);
}

/** The free times of a day on a clock, and when there are none the next one after it; `wanted` narrows both. */
export async function timesOfDay({ wanted, day, zone }) {
  const from = Math.max(startOfDay(day, zone), now());
  const to = +startOfDay(shiftDay(day, 1), zone);
  const find = (begin, end, limit) => (begin < end ? api.items(api.query('/v1/slots', { ...wanted, from: rfc3339(begin), to: rfc3339(end), limit })) : []);
  const slots = await find(from, to, 100);
  const [later] = slots.length ? [] : await find(Math.max(from, to), +startOfDay(shiftDay(day, SEARCHED_DAYS), zone), 1);
  return { slots, later };
}

export const slotWords = (slot, zone) => `${longDay(slot.start, zone)}, ${clock(slot.start, zone)} · ${slot.practitioner.name}`;

/**
 * A search that began with a language which nobody chose: where nobody who speaks it is free, better somebody than nobody.
 * `search` answers nothing when it finds nothing; `drop` takes the language off, if there was one.
 */
export async function orAnybody(search, drop) {
  const found = await search();
  return found || !drop() ? found : search();
}
