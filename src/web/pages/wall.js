// What a clock on the wall of a named zone shows, for fields in which people set a day and a time.
import { h } from './ui.js';
import { dayKey, startOfDay, clock, rfc3339 } from './time.js';

const MINUTE = 60_000;

/** "2026-11-24T09:00" of an instant, as a date-and-time field wants it. */
export const toLocal = (instant, zone) => `${dayKey(instant, zone)}T${clock(instant, zone)}`;

/**
 * The instant at which the clock of a zone shows a field's value; the first one when it shows it twice.
 * A time that the clocks skip is when they jump, as in weekly hours.
 */
export function fromLocal(value, zone) {
  const [day, time] = value.split('T');
  const [hour, minute] = time.split(':').map(Number);
  const begin = +startOfDay(day, zone);
  let at = begin + (hour * 60 + minute) * MINUTE;
  // Days on which the clocks change: look at the clock there, correct.
  for (let round = 0; round < 2; round += 1) {
    const [shownHour, shownMinute] = clock(at, zone).split(':').map(Number);
    let off = (hour - shownHour) * 60 + minute - shownMinute;
    if (off > 720) off -= 1440;
    if (off < -720) off += 1440;
    at += off * MINUTE;
  }
  const shown = clock(at, zone);
  if (shown !== time) at = jump(at, zone, shown > time);
  return rfc3339(at);
}

/** When the clocks jump, near an instant before or after it: the first minute of what they show then. */
function jump(near, zone, after) {
  const offset = (at) => Date.parse(`${toLocal(at, zone)}Z`) - at;
  let [from, to] = after ? [near - 1440 * MINUTE, near] : [near, near + 1440 * MINUTE];
  const later = offset(to);
  while (to - from > MINUTE) {
    const middle = from + Math.floor((to - from) / 2 / MINUTE) * MINUTE;
    if (offset(middle) === later) to = middle; else from = middle;
  }
  return to;
}

/** A field for a time of day, 24:00 too, that takes 9, 930 and 9.30 for what they mean. */
export function timeField(value, props = {}) {
  const input = h('input', { ...props, value, inputmode: 'numeric', maxlength: 5, autocomplete: 'off', placeholder: '09:00' });
  input.addEventListener('change', () => {
    const parts = /^(\d{1,2})[:.]?(\d{2})?$/.exec(input.value.trim());
    if (parts) input.value = `${parts[1].padStart(2, '0')}:${parts[2] ?? '00'}`;
  });
  return input;
}
