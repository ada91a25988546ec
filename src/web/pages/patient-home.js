// The start: visits to come, visits that were, and the way to a new one.
import { t, learn } from './i18n.js';
import { show, h, put, button, busy, poll, onLeave, problemBox, say, refill, field, $ } from './ui.js';
import * as api from './api.js';
import { date, clock, dateTime, wallClock, now, rfc3339 } from './time.js';
import { whenLine, whenOf } from './patient-times.js';
import { myWishes, besideOffers, wishCards, earlier } from './patient-waitlist.js';

learn({
  'home.follows': ['Повторный после приёма {when}', 'Follow-up of the visit of {when}'],
  'home.followed': ['Повторный приём: {when}', 'Follow-up: {when}'],
  'home.lapsed': ['Время, которое не подтвердили: {n}', 'Times that nobody confirmed: {n}'],
});

const LIVE = ['proposed', 'pending', 'booked', 'arrived'];
const MOVABLE = ['proposed', 'pending', 'booked'];
const OPEN = ['arrived', 'in-progress', 'onleave'];
const REFRESH_S = 60;
const DAY_MS = 86_400_000;
const YEAR_MS = 365 * DAY_MS;
/** Whoever held and gave back many times has many rows. */
const PAGES_MAX = 10;

export async function home(me) {
  if (!$('#visits')) show(h('p', { class: 'loading', 'aria-busy': 'true' }, t('loading')));
  // What has been does not change while the page lies open; what is to come is asked for by itself.
  const begun = now() - DAY_MS;
  const been = api.pages(api.query('/v1/appointments', { from: rfc3339(now() - YEAR_MS), to: rfc3339(begun), limit: 100 }), PAGES_MAX);
  const load = async () => {
    const [coming, before, notes] = await Promise.all([
      api.pages(api.query('/v1/appointments', { from: rfc3339(begun), limit: 100 }), PAGES_MAX),
      been,
      api.items(`/v1/patients/${me.patient.id}/notes?limit=100`).catch(() => []),
    ]);
    const wishes = await myWishes();
    const visits = [...before, ...coming];
    // A time that is held in place of another visit, or from the waiting list, is shown with that.
    const own = besideOffers(visits, wishes).filter((visit) => !visit.held_for);
    return { visits: own, wishes, notes: new Map(notes.map((note) => [note.encounter.id, note])) };
  };
  const data = await load();
  if (location.hash && location.hash !== '#/') return;
  const list = h('div', { id: 'visits', class: 'stack' });
  show(h('h1', {}, t('home.hello', { name: me.name || me.patient.name })),
    problemBox(),
    h('a', { id: 'book-visit', class: 'button primary', href: '#/book' }, t('home.book')),
    list, myLanguages(me));
  const markOf = ({ visits, wishes }) => JSON.stringify([visits, wishes]);
  let shown = markOf(data);
  draw(list, data, me);
  // A visit may be cancelled by the clinic, a time offered or a note signed while the page lies open.
  let first = true;
  const again = poll(async () => {
    if (first) { first = false; return; }
    if (list.querySelector('.question')) return;
    const fresh = await load();
    const mark = markOf(fresh);
    if (mark === shown && fresh.notes.size === data.notes.size) return;
    shown = mark;
    data.notes = fresh.notes;
    draw(list, fresh, me);
  }, REFRESH_S);
  onLeave(() => again.stop());
}

function draw(list, { visits, notes, wishes }, me) {
  const running = (visit) => OPEN.includes(visit.encounter?.status);
  const ahead = (visit) => LIVE.includes(visit.status) && (running(visit) || Date.parse(visit.end) > now() - 3_600_000);
  const upcoming = visits.filter(ahead).sort((a, b) => a.start.localeCompare(b.start));
  const past = visits.filter((visit) => !ahead(visit)).sort((a, b) => b.start.localeCompare(a.start));
  // Times that were only held, such as those that were offered beside the one that was taken.
  const [lapsed, was] = [true, false].map((yes) => past.filter((visit) => (visit.cancellation_code === 'expired') === yes));
  refill(list,
    wishCards(wishes, me, () => home(me)),
    h('h2', {}, t('home.upcoming')),
    upcoming.length ? h('div', { id: 'upcoming', class: 'stack' }, upcoming.map((visit) => coming(visit, me, visits))) : h('p', { id: 'no-visits', class: 'lead' }, t('home.none')),
    past.length > 0 && h('h2', {}, t('home.past')),
    past.length > 0 && h('div', { id: 'past', class: 'stack' }, was.map((visit) => gone(visit, notes.get(visit.encounter?.id), visits)),
      lapsed.length > 0 && h('details', { id: 'lapsed' }, h('summary', {}, t('home.lapsed', { n: lapsed.length })),
        h('div', { class: 'stack' }, lapsed.map((visit) => gone(visit, null, visits))))));
}

/** What is rarely changed is fetched when somebody opens it. */
function myLanguages(me) {
  const box = h('details', { id: 'my-languages', class: 'card' }, h('summary', {}, t('home.languages')));
  const place = h('div');
  put(box, place);
  let state = 'none';
  box.addEventListener('toggle', async () => {
    if (!box.open || state !== 'none') return;
    state = 'asked';
    refill(place, h('p', { class: 'loading' }, t('loading')));
    try {
      const [{ languagesBox }, patient] = await Promise.all([import('./languages.js'), api.get(`/v1/patients/${me.patient.id}`)]);
      refill(place, languagesBox({ patient, own: true, saved: ({ languages }) => { me.patient.languages = languages; } }));
      state = 'there';
    } catch (error) {
      // Closed and opened again, it is asked for again.
      state = 'none';
      refill(place, h('p', { class: 'problem', role: 'alert' }, error.detail ?? t('problem.unknown')));
    }
  });
  return box;
}

const facts = (visit) => ({ appointment: visit.id, encounter: visit.encounter?.id ?? '', status: visit.status, start: visit.start });
function tag(visit) {
  // While its doctor is away, a booked visit is not what its patient counts on.
  const status = visit.offer_over ? 'offer_over' : visit.offer_expires_at ? 'offered' : visit.status;
  return h('span', { class: 'tag', data: { status } }, t(`status.${status}`));
}

/** Visits that belong together say so on both. */
const follows = (visit, all) => {
  const before = all.find((one) => one.id === visit.follows);
  return before && h('p', { class: 'hint follows' }, t('home.follows', { when: date(before.start, before.time_zone) }));
};
const followed = (visit, all) => all.filter((one) => one.follows === visit.id && LIVE.includes(one.status))
  .map((one) => h('p', { class: 'hint followed' }, t('home.followed', { when: whenOf(one) })));

function coming(visit, me, all) {
  const card = h('article', { class: 'card', data: facts(visit) });
  const running = OPEN.includes(visit.encounter?.status);
  if (running) card.classList.add('live');
  const again = () => home(me);
  return put(card,
    whenLine(visit),
    h('p', {}, `${visit.service.name} · ${visit.practitioner.name}`),
    follows(visit, all),
    h('p', { class: 'spread' },
      h('span', { class: 'hint' }, `${t('home.code')} `, h('span', { class: 'code' }, visit.code)), tag(visit)),
    visit.moved_reason && h('p', { class: 'banner moved-reason' }, t('home.moved'), ' ', visit.moved_reason),
    standing(visit, again),
    visit.encounter && h('a', { class: 'button second open-visit', href: `#/visit/${visit.encounter.id}` }, t('home.open')),
    // What has passed is neither called off nor moved; the clinic may still find another time.
    !running && Date.parse(visit.over_at ?? visit.end) > now() && acts(visit, again),
    !running && earlier(visit, me, again));
}

/** What is special about a visit: held, asked for, or its doctor is away. */
function standing(visit, again) {
  if (visit.offer_over) {
    return h('div', { class: 'banner stack offer-over' }, h('p', {}, t('home.away.over', { name: visit.practitioner.name })),
      h('a', { class: 'button primary choose-time', href: `#/move/${visit.id}` }, t('home.choose')));
  }
  if (visit.offer_expires_at) {
    return h('div', { class: 'banner stack offer' }, h('p', {}, t('home.away', { name: visit.practitioner.name, when: dateTime(visit.offer_expires_at, visit.time_zone) })),
      h('a', { class: 'button primary choose-time', href: `#/offer/${visit.id}` }, t('home.choose')));
  }
  const until = visit.hold_expires_at && clock(visit.hold_expires_at, visit.time_zone);
  if (visit.status === 'proposed') return h('p', { class: 'banner' }, until ? t('home.asked', { when: dateTime(visit.hold_expires_at, visit.time_zone) }) : t('status.proposed'));
  if (visit.status !== 'pending') return null;
  return h('div', { class: 'banner stack' }, h('p', {}, until ? t('home.held', { time: until }) : t('visit.onhold')),
    button(`confirm-${visit.id}`, t('visit.confirm'), (event) => busy(event.currentTarget, async () => {
      await api.post(`/v1/appointments/${visit.id}/confirm`);
      await again();
    })));
}

/** Move, calendar, cancel; cancelling asks once more, in place. */
function acts(visit, again) {
  const place = h('div', { class: 'asking acts' });
  const rest = () => refill(place,
    visit.status === 'booked' && !visit.offer_expires_at && !visit.offer_over && (visit.confirmed_at ? h('p', { class: 'hint attending' }, t('home.attending'))
      : button(`attend-${visit.id}`, t('home.attend'), (event) => busy(event.currentTarget, attend), 'second')),
    MOVABLE.includes(visit.status) && !visit.offer_over && h('a', { class: 'button quiet move-visit', href: `#/move/${visit.id}` }, t('home.move')),
    visit.status === 'booked' && !visit.offer_over && button(`calendar-${visit.id}`, t('home.calendar'), (event) => busy(event.currentTarget, () => toCalendar(visit)), 'quiet'),
    button(`cancel-${visit.id}`, t('home.cancel'), ask, 'quiet'));
  const attend = async () => {
    visit.confirmed_at = (await api.post(`/v1/appointments/${visit.id}/attend`)).confirmed_at;
    rest();
    say(t('home.attending'));
    place.querySelector('.move-visit, button').focus();
  };
  const ask = () => {
    const form = h('form', { class: 'stack' },
      h('p', { class: 'question' }, t('home.cancel.ask', { when: whenOf(visit) })),
      field(`why-${visit.id}`, t('home.cancel.why'), { maxlength: 300 }),
      h('div', { class: 'row' },
        h('button', { id: `cancel-${visit.id}-yes`, type: 'submit', class: 'danger' }, t('home.cancel.yes')),
        button(`cancel-${visit.id}-no`, t('home.cancel.no'), () => { rest(); place.querySelector('.move-visit, button').focus(); }, 'quiet')));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      busy($(`#cancel-${visit.id}-yes`), async () => {
        const reason = $(`#why-${visit.id}`).value.trim();
        await api.post(`/v1/appointments/${visit.id}/cancel`, reason ? { reason } : {});
        await again();
        say(t('home.cancelled'));
      });
    });
    refill(place, form);
    $(`#cancel-${visit.id}-no`).focus();
  };
  rest();
  return place;
}

/** The file needs the sign-in, so a plain link would not do. */
async function toCalendar(visit) {
  const { text } = await api.call('GET', `/v1/appointments/${visit.id}/calendar.ics`);
  const url = URL.createObjectURL(new Blob([text], { type: 'text/calendar' }));
  const link = h('a', { href: url, download: `${visit.code}.ics` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function gone(visit, note, all) {
  const why = visit.status === 'cancelled' && visit.cancellation_code ? t(`cancelled.${visit.cancellation_code}`) : '';
  return h('article', { class: 'card', data: facts(visit) },
    h('p', { class: 'spread' }, h('strong', {}, `${date(visit.start, visit.time_zone)}, ${wallClock(visit.local_start)}`), tag(visit)),
    h('p', {}, `${visit.service.name} · ${visit.practitioner.name}`),
    follows(visit, all), followed(visit, all),
    h('p', { class: 'hint' }, `${t('home.code')} `, h('span', { class: 'code small' }, visit.code)),
    (why || visit.cancellation_reason) && h('p', { class: 'hint' }, [why, visit.cancellation_reason].filter(Boolean).join(' · ')),
    note && h('a', { class: 'button second read-note', href: `#/note/${note.id}` }, t('home.note')),
    !note && visit.status === 'fulfilled' && h('p', { class: 'hint' }, t('home.nonote')));
}
