// Where a visit can go besides the free times: between others when it is urgent, or beside one. Nothing here decides;
// the server does.
import { now } from './time.js';
import { ms } from './board-grid.js';

const MINUTE = 60_000;
/** Whoever presses needs a moment; a start must be ahead. */
const AHEAD_MS = 45_000;
const GAPS_MAX = 4;

/** The next whole minute that is still ahead when it is pressed. */
export const soonest = () => Math.ceil((+now() + AHEAD_MS) / MINUTE) * MINUTE;

/** Whoever of the board gives a service. */
export const giving = (people, service) => people.filter((person) => person.kind === 'doctor' && person.services.some((one) => one.id === service));

const takes = (visit) => visit.status !== 'noshow' && visit.status !== 'cancelled';
const meets = (from, to, piece) => ms(piece.from) < to && from < ms(piece.to);

/** When a doctor works for a service, pieces that touch as one. */
function workOf(person, service) {
  const pieces = [];
  const own = person.working.filter((work) => !work.service || work.service === service).sort((a, b) => ms(a.from) - ms(b.from));
  for (const { from, to } of own) {
    const last = pieces.at(-1);
    if (last && ms(from) <= last.to) last.to = Math.max(last.to, ms(to));
    else pieces.push({ from: ms(from), to: ms(to) });
  }
  return pieces;
}

/** From when on today a doctor has a gap that is long enough: the beginning of each. */
export function gapsOf(person, visits, service, end) {
  const { duration_minutes: minutes, booking } = service;
  const [before, length, after] = [booking.buffer_before_minutes, minutes, booking.buffer_after_minutes].map((n) => n * MINUTE);
  const away = [...person.absent, ...person.busy, ...person.closed];
  const taken = visits.filter((visit) => visit.practitioner === person.id && takes(visit))
    .map((visit) => ({ from: visit.busy_from, to: visit.busy_to })).concat(away);
  const fits = (start) => workOf(person, service.id).some(({ from, to }) => from <= start && start + length <= to)
    && !taken.some((piece) => meets(start - before, start + length + after, piece));
  const first = soonest();
  const starts = [first, ...taken.map((piece) => ms(piece.to) + before), ...workOf(person, service.id).map(({ from }) => from)];
  return [...new Set(starts.map((start) => Math.ceil(start / MINUTE) * MINUTE))]
    .filter((start) => start >= first && start < end && fits(start)).sort((a, b) => a - b).slice(0, GAPS_MAX);
}

/** A doctor's visits beside which a second one can be put, each with why not where it cannot. */
export function besides(person, visits, service) {
  const own = visits.filter((visit) => visit.practitioner === person.id && takes(visit));
  return own.filter((visit) => !visit.overbooked && ms(visit.start) > now()).map((visit) => {
    const [from, to] = [ms(visit.start), ms(visit.start) + service.duration_minutes * MINUTE];
    const near = own.filter((other) => meets(from, to, { from: other.busy_from, to: other.busy_to }));
    const why = near.some((other) => other.priority !== 'routine') ? 'over.urgent' : near.some((other) => other.overbooked) ? 'over.two' : near.some((other) => !other.overbook) ? 'over.alone' : null;
    return { visit, why };
  });
}
