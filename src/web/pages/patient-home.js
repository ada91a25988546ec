// The start: visits to come, visits that were, and the way to a new one.
import { t } from './i18n.js';
import { show, h, put, poll, onLeave, asking, problemBox, say, $, refill } from './ui.js';
import * as api from './api.js';
import { namedDay, wallClock, wallKey, date, now, rfc3339 } from './time.js';
import { myWishes, besideOffers, wishCards, earlier } from './patient-waitlist.js';

const LIVE = ['proposed', 'pending', 'booked', 'arrived'];
const OPEN = ['arrived', 'in-progress', 'onleave'];
const REFRESH_S = 60;
const YEAR_MS = 365 * 86_400_000;

export function whenOf(thing) {
  return t('visit.at', { day: namedDay(wallKey(thing.local_start), thing.time_zone), time: wallClock(thing.local_start) });
}

export function whenLine(thing) {
  return h('p', { class: 'when' }, whenOf(thing), h('small', {}, t('local.time')));
}

export async function home(me) {
  if (!$('#visits')) show(h('p', { class: 'loading', 'aria-busy': 'true' }, t('loading')));
  const load = async () => {
    const [visits, notes] = await Promise.all([
      api.items(api.query('/v1/appointments', { from: rfc3339(now() - YEAR_MS), limit: 100 })),
      api.items(`/v1/patients/${me.patient.id}/notes?limit=100`).catch(() => []),
    ]);
    const wishes = await myWishes();
    return { visits: besideOffers(visits, wishes), wishes, notes: new Map(notes.map((note) => [note.encounter.id, note])) };
  };
  const data = await load();
  if (location.hash && location.hash !== '#/') return;
  const list = h('div', { id: 'visits', class: 'stack' });
  show(h('h1', {}, t('home.hello', { name: me.name || me.patient.name })),
    problemBox(),
    h('a', { id: 'book-visit', class: 'button primary', href: '#/book' }, t('home.book')),
    list);
  draw(list, data, me);
  // A visit may be cancelled by the clinic or a note signed while the page lies open.
  let first = true;
  const again = poll(async () => {
    if (first) { first = false; return; }
    if (!list.querySelector('.question')) draw(list, await load(), me);
  }, REFRESH_S);
  onLeave(() => again.stop());
}

function draw(list, { visits, notes, wishes }, me) {
  const running = (visit) => OPEN.includes(visit.encounter?.status);
  const ahead = (visit) => LIVE.includes(visit.status) && (running(visit) || Date.parse(visit.end) > now() - 3_600_000);
  const upcoming = visits.filter(ahead).sort((a, b) => a.start.localeCompare(b.start));
  const past = visits.filter((visit) => !ahead(visit)).sort((a, b) => b.start.localeCompare(a.start));
  refill(list,
    wishCards(wishes, me, () => home(me)),
    h('h2', {}, t('home.upcoming')),
    upcoming.length ? h('div', { id: 'upcoming', class: 'stack' }, upcoming.map((visit) => coming(visit, me))) : h('p', { id: 'no-visits', class: 'lead' }, t('home.none')),
    past.length > 0 && h('h2', {}, t('home.past')),
    past.length > 0 && h('div', { id: 'past', class: 'stack' }, past.map((visit) => gone(visit, notes.get(visit.encounter?.id)))));
}

function coming(visit, me) {
  const card = h('article', { class: 'card', data: { appointment: visit.id, encounter: visit.encounter?.id ?? '', status: visit.status } });
  if (OPEN.includes(visit.encounter?.status)) card.classList.add('live');
  return put(card,
    whenLine(visit),
    h('p', {}, `${visit.service.name} · ${visit.practitioner.name}`),
    h('p', { class: 'spread' },
      h('span', { class: 'hint' }, `${t('home.code')} `, h('span', { class: 'code' }, visit.code)),
      h('span', { class: 'tag', data: { status: visit.status } }, t(`status.${visit.status}`))),
    visit.encounter && h('a', { class: 'button second open-visit', href: `#/visit/${visit.encounter.id}` }, t('home.open')),
    earlier(visit, me, () => home(me)),
    asking(`cancel-${visit.id}`, t('home.cancel'), t('home.cancel.ask', { when: whenOf(visit) }), t('home.cancel.yes'), async () => {
      await api.post(`/v1/appointments/${visit.id}/cancel`);
      await home(me);
      say(t('home.cancelled'));
    }));
}

function gone(visit, note) {
  return h('article', { class: 'card', data: { appointment: visit.id, encounter: visit.encounter?.id ?? '', status: visit.status } },
    h('p', { class: 'spread' }, h('strong', {}, date(visit.start, visit.time_zone)), h('span', { class: 'tag', data: { status: visit.status } }, t(`status.${visit.status}`))),
    h('p', {}, `${visit.service.name} · ${visit.practitioner.name}`),
    note && h('a', { class: 'button second read-note', href: `#/note/${note.id}` }, t('home.note')),
    !note && visit.status === 'fulfilled' && h('p', { class: 'hint' }, t('home.nonote')));
}

