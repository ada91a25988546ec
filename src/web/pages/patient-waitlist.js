// The waiting list as a patient sees it: joining it, the place in it and why, a time that is held.
import './waitlist-words.js';
import { t } from './i18n.js';
import { $, show, h, put, refill, button, field, busy, asking, problemBox, tell, say, onLeave } from './ui.js';
import * as api from './api.js';
import { countdown } from './countdown.js';
import { whenOf, whenLine } from './patient-times.js';
import { wallKey, clock, dayKey, now, PARTS, endOfDay } from './time.js';

const ACTIVE = ['waiting', 'offered'];
const heldUntil = (until, zone) => t('wait.held', { time: clock(until, zone) });
let last = [];

/** What the patient waits for; a page that cannot learn it still shows the visits. */
export async function myWishes() {
  const all = await api.pages('/v1/waitlist?limit=100').catch(() => []);
  last = all.filter((wish) => ACTIVE.includes(wish.status));
  return last;
}

/** The visits without the times that are held for an offer: those have a card of their own. */
export const besideOffers = (visits, wishes) => visits.filter((visit) => !wishes.some((wish) => wish.offer?.held === visit.id));

/** One card for each wish: the place and why, or the time that is held. */
export function wishCards(wishes, me, again) {
  if (!wishes.length) return null;
  return h('section', { id: 'wishes', class: 'stack' }, h('h2', {}, t('wait.heading')),
    wishes.map((wish) => (wish.offer ? offerCard(wish, again) : waitingCard(wish, again))));
}

function waitingCard(wish, again) {
  return h('article', { class: 'card', data: { wish: wish.id, status: wish.status } },
    h('p', { class: 'spread' }, h('strong', {}, t('wait.waiting')), h('span', { class: 'tag' }, t('wait.place', { position: wish.place.position }))),
    h('p', {}, [wish.service.name, wish.practitioner?.name].filter(Boolean).join(' · ')),
    h('p', { class: 'hint why' }, wish.place.explanation),
    h('p', { class: 'hint' }, `${t('wait.code')} `, h('span', { class: 'code', translate: 'no' }, wish.code)),
    asking(`leave-${wish.id}`, t('wait.leave'), t('wait.leave.ask'), t('wait.leave.yes'), async () => {
      await api.post(`/v1/waitlist/${wish.id}/withdraw`);
      await again();
      say(t('wait.left'));
    }));
}

function offerCard(wish, again) {
  const { offer } = wish;
  const answer = (word, said) => (event) => busy(event.currentTarget, async () => {
    try {
      await api.post(`/v1/waitlist/${wish.id}/${word}`);
    } finally {
      await again();
    }
    say(said);
  });
  return h('article', { class: 'card live', data: { wish: wish.id, status: wish.status } },
    h('p', {}, h('strong', {}, t('wait.offered'))), whenLine(offer),
    h('p', {}, `${wish.service.name} · ${offer.practitioner.name}`),
    countdown(offer.expires_at, heldUntil(offer.expires_at, offer.time_zone)),
    h('div', { class: 'row' },
      button(`accept-${wish.id}`, t(wish.appointment ? 'wait.accept.move' : 'wait.accept'), answer('accept', t('wait.taken')), 'primary accept'),
      button(`decline-${wish.id}`, t('wait.decline'), answer('decline', t('wait.declined')), 'second decline')));
}

/** For a booked visit for which nobody waits yet. */
export function earlier(visit, me, again) {
  const waits = last.some((wish) => wish.service.id === visit.service.id);
  if (visit.status !== 'booked' || waits || Date.parse(visit.start) < now()) return null;
  return button(`earlier-${visit.id}`, t('wait.earlier'), () => waitScreen({ service: visit.service, me, visit, back: again }), 'quiet earlier');
}

/** For whoever looked at the free times and found none that suits. */
export function waitInstead(order) {
  return button('wait', t('wait.none'), () => waitScreen({ ...order, back: order.choose }), 'second');
}

async function waitScreen({ service, me, visit, back }) {
  const zone = me.patient.time_zone;
  const doctor = h('select', { id: 'wait-doctor' }, h('option', { value: '' }, t('wait.anybody')));
  const parts = h('fieldset', { id: 'wait-parts' }, h('legend', {}, t('wait.parts')), PARTS.map((part) =>
    h('label', { class: 'check' }, h('input', { type: 'checkbox', value: part }), t(`wait.part.${part}`))));
  const today = dayKey(now(), zone);
  const form = h('form', { class: 'stack' },
    h('div', { class: 'field' }, h('label', { for: 'wait-doctor' }, t('wait.doctor')), doctor),
    field('wait-until', t('wait.until'), { type: 'date', min: today, max: visit ? wallKey(visit.local_start) : null }, t('wait.until.hint')),
    parts, problemBox(), h('button', { id: 'join-waitlist', class: 'primary', type: 'submit' }, t('wait.do')));
  show(h('h1', {}, t(visit ? 'wait.title.earlier' : 'wait.title')), h('p', { class: 'lead' }, service.name),
    h('p', {}, t('wait.how')), visit && h('p', { class: 'good' }, t('wait.keep', { when: whenOf(visit) })),
    form, button('back', t('back'), back, 'quiet'));
  const key = api.newKey();
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    busy($('#join-waitlist'), async () => {
      const until = $('#wait-until').value;
      const chosen = [...parts.querySelectorAll('input:checked')].map((box) => box.value);
      await api.post('/v1/waitlist', {
        service: service.id,
        ...(doctor.value ? { practitioner: doctor.value } : {}),
        ...(until ? { latest: endOfDay(until, zone) } : {}),
        ...(chosen.length ? { parts_of_day: chosen } : {}),
        ...(visit ? { appointment: visit.id } : {}),
      }, key);
      if (location.hash && location.hash !== '#/') location.hash = '#/';
      else await back();
      say(t('wait.joined'));
    });
  });
  // The form can be sent before the names are here: any doctor is the usual wish.
  const doctors = await api.pages(api.query('/v1/practitioners', { service: service.id, limit: 100 })).catch(() => []);
  put(doctor, doctors.map((who) => h('option', { value: who.id }, who.name)));
}

/** The link from the SMS: the code is in the address, behind its #, and the birth date is asked for. */
export async function offerScreen(code, home) {
  if (api.hasSession()) {
    const own = (await myWishes()).some((wish) => wish.code === code);
    if (own) return home();
  }
  const form = h('form', { class: 'stack' },
    field('born', t('offer.born'), { type: 'date', required: true, autocomplete: 'bday' }, t('offer.born.hint')),
    problemBox(), h('button', { id: 'show-offer', class: 'primary', type: 'submit' }, t('offer.show')));
  const place = h('div', { id: 'offer', class: 'stack', 'aria-live': 'polite' });
  show(h('h1', {}, t('offer.title')), form, place);
  const ask = (more = {}) => api.answerOffer({ code, birth_date: $('#born').value, ...more });
  const signIn = () => button('offer-home', t('offer.signin'), home, 'second');
  const act = (more) => (event) => busy(event.currentTarget, async () => {
    try {
      done(await ask(more));
    } catch (error) {
      if (error.code !== 'offer_over') throw error;
      late(error.alternatives ?? []);
    }
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (!$('#born').value) return $('#born').focus();
    return act()({ currentTarget: $('#show-offer') });
  });
  function done(answer) {
    form.hidden = true;
    if (answer.declined) return refill(place, h('p', { id: 'offer-declined', class: 'good' }, t('wait.declined')), signIn());
    if (answer.chosen) {
      return refill(place, h('div', { id: 'offer-taken', class: 'card ticket' }, h('p', {}, h('strong', {}, t('wait.taken'))), whenLine(answer.chosen),
        answer.code && h('p', { class: 'hint' }, t('offer.code')), answer.code && h('p', { id: 'booking-code', translate: 'no' }, answer.code)), signIn());
    }
    return refill(place, problemBox('offer-problem'), answer.times.map((time) => h('article', { class: 'card live' }, whenLine(time),
      answer.expires_at && countdown(answer.expires_at, heldUntil(answer.expires_at, time.time_zone)),
      h('div', { class: 'row' }, button(`accept-${time.number}`, t('wait.accept'), act({ number: time.number }), 'primary accept'),
        answer.can_decline && button('decline', t('wait.decline'), act({ accept: false }), 'second decline')))));
  }
  function late(free) {
    form.hidden = true;
    refill(place, h('p', { id: 'offer-late', class: 'problem', role: 'alert' }, t('offer.late')),
      free.map((time) => h('p', { class: 'card' }, whenOf(time))), signIn());
  }
  onLeave(() => history.replaceState(null, '', location.pathname + (location.hash.startsWith('#offer=') ? '' : location.hash)));
  return undefined;
}
