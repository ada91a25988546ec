// Free times for somebody else's visit: those near its own time first.
import * as api from './api.js';
import { clock, longDay, now, rfc3339 } from './time.js';

const HOUR_MS = 3_600_000;

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

export const slotWords = (slot, zone) => `${longDay(slot.start, zone)}, ${clock(slot.start, zone)} · ${slot.practitioner.name}`;
