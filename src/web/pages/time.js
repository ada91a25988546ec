// Dates and clocks for people: always in a named zone, never silently in the device's own.
import { locale, t, counted } from './i18n.js';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
let skew = 0;

/** The server's clock is the one that decides; a phone's clock may be an hour off. */
export function trustServerTime(instant) { skew = Date.parse(instant) - Date.now(); }
export const now = () => new Date(Date.now() + skew);

const format = (date, zone, options) => {
  try {
    return new Intl.DateTimeFormat(locale(), { timeZone: zone, ...options }).format(date);
  } catch {
    // An old phone may not know a young zone; UTC said openly is better than a wrong local time.
    return `${new Intl.DateTimeFormat(locale(), { timeZone: 'UTC', ...options }).format(date)} UTC`;
  }
};

/** The same for sums with days, which need some zone: the zone, or UTC where the phone does not know it. */
const zones = new Map();
function known(zone) {
  if (!zones.has(zone)) {
    try {
      zones.set(zone, new Intl.DateTimeFormat('en', { timeZone: zone }) && zone);
    } catch {
      zones.set(zone, 'UTC');
    }
  }
  return zones.get(zone);
}

/** The promised wall time as the server wrote it: read from its digits, so old zone tables on the phone cannot bend it. */
const wall = (local) => new Date(`${local.slice(0, 19)}Z`);

export const clock = (instant, zone) => format(new Date(instant), zone, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
export const wallClock = (local) => clock(wall(local), 'UTC');
export const wallKey = (local) => local.slice(0, 10);

export const longDay = (instant, zone) => format(new Date(instant), zone, { weekday: 'long', day: 'numeric', month: 'long' });
export const date = (instant, zone) => format(new Date(instant), zone, { day: 'numeric', month: 'long', year: 'numeric' });
export const dateTime = (instant, zone) => `${date(instant, zone)}, ${clock(instant, zone)}`;

/** What people call a zone: its city. */
export const cityOf = (zone) => zone.split('/').pop().replaceAll('_', ' ');

/** "2026-11-24" of an instant in a zone. */
export function dayKey(instant, zone) {
  const parts = {};
  const style = { timeZone: known(zone), year: 'numeric', month: '2-digit', day: '2-digit' };
  for (const part of new Intl.DateTimeFormat('en-CA', style).formatToParts(new Date(instant))) parts[part.type] = part.value;
  return `${parts.year}-${parts.month}-${parts.day}`;
}

export function shiftDay(key, days) {
  return new Date(Date.parse(`${key}T12:00:00Z`) + days * DAY).toISOString().slice(0, 10);
}

/** "today", "tomorrow" or "Tuesday, 24 November". */
export function namedDay(key, zone) {
  const today = dayKey(now(), zone);
  if (key === today) return t('today');
  if (key === shiftDay(today, 1)) return t('tomorrow');
  return longDay(`${key}T12:00:00Z`, 'UTC');
}

export const weekday = (key) => format(new Date(`${key}T12:00:00Z`), 'UTC', { weekday: 'short' });
export const dayNumber = (key) => format(new Date(`${key}T12:00:00Z`), 'UTC', { day: 'numeric', month: 'short' });

/** The instant at which a calendar day begins in a zone: guess, look at the clock there, correct. */
export function startOfDay(key, zone) {
  const target = Date.parse(`${key}T00:00:00Z`);
  let guess = target;
  for (let round = 0; round < 3; round += 1) guess += target - wallMillis(guess, zone);
  return new Date(guess);
}

function wallMillis(instant, zone) {
  const parts = {};
  const style = {
    timeZone: known(zone), hourCycle: 'h23', year: 'numeric', month: '2-digit', day: '2-digit',
    hour: '2-digit', minute: '2-digit', second: '2-digit',
  };
  for (const part of new Intl.DateTimeFormat('en-CA', style).formatToParts(new Date(instant))) parts[part.type] = part.value;
  return Date.UTC(parts.year, parts.month - 1, parts.day, parts.hour, parts.minute, parts.second);
}

/** "for 5 minutes": how long somebody has been waiting. */
export function waitingFor(since) {
  const minutes = Math.floor((now() - Date.parse(since)) / MINUTE);
  return minutes < 1 ? t('moment') : counted(minutes, 'minute');
}

/** The parts of a day, as the clock of the place shows them. */
export const PARTS = ['morning', 'afternoon', 'evening'];
export const rfc3339 = (when) => new Date(when).toISOString().replace(/\.\d+Z$/, 'Z');
/** The last second of a day, for the API. */
export const endOfDay = (key, zone) => rfc3339(startOfDay(shiftDay(key, 1), zone) - 1000);
