// Another time for a visit: chosen by the patient, or among those that are held while the doctor is away.
import { t } from './i18n.js';
import { $, show, h, refill, button, busy, problemBox, say, tell, words } from './ui.js';
import * as api from './api.js';
import { dateTime } from './time.js';
import { keptAt, seatMoves, giveUpSeat } from './kept-seat.js';
import { timesScreen, whenLine, whenOf, keyFor, forgetKey, slotChoices } from './patient-times.js';

const loading = () => show(h('p', { class: 'loading', 'aria-busy': 'true' }, t('loading')));
const home = () => h('a', { class: 'button quiet', href: '#/', id: 'to-home' }, t('visit.home'));

/** Asks for a new time; the old one stays until the new one is confirmed. */
export async function move(id, me) {
  loading();
  const hash = location.hash;
  const visit = await api.get(`/v1/appointments/${id}`);
  if (location.hash === hash) times({ visit, me, memory: {} });
}

function times(order) {
  const { visit, me, memory } = order;
  const above = h('div', { class: 'card', id: 'present' }, h('p', { class: 'hint' }, t('move.now')), whenLine(visit), h('p', {}, visit.practitioner.name),
    h('p', { class: 'hint' }, t('move.stays')),
    keptAt(visit.id) && h('p', { class: 'banner', id: 'seat-kept' }, t('move.seated')));
  return timesScreen(
    { title: t('move.when'), lead: visit.service.name, above, service: visit.service.id, practitioner: visit.practitioner.id, moving: visit.id, me },
    { choose: (slot) => confirm(order, slot), back: () => { location.hash = keptAt(visit.id) ?? '#/'; }, memory });
}

function confirm(order, slot) {
  const { visit } = order;
  const others = h('div', { id: 'alternatives', class: 'choices', hidden: true });
  const go = button('move-visit', t('move.do'), (event) => busy(event.currentTarget, act));
  show(h('h1', {}, t('move.confirm')),
    h('div', { class: 'card change', id: 'change' },
      h('div', { class: 'was' }, h('p', { class: 'hint' }, t('move.was')), h('p', {}, whenOf(visit)), h('p', {}, visit.practitioner.name)),
      h('div', { class: 'will' }, h('p', { class: 'hint' }, t('move.will')), whenLine(slot), h('p', {}, h('strong', {}, slot.practitioner.name)))),
    problemBox(), others, go, button('back', t('back'), () => times(order), 'quiet'));

  async function act() {
    others.hidden = true;
    const path = `/v1/appointments/${visit.id}/reschedule`;
    const body = { start: slot.start, practitioner: slot.practitioner.id };
    seatMoves(true);
    try {
      const { data } = await api.call('POST', path, { body, etag: `"${visit.version}"`, key: keyFor([path, body, visit.version]) });
      forgetKey();
      moved(data);
    } catch (error) {
      if (error.status) forgetKey();
      if (error.code === 'stale_version' || error.code === 'bad_state') return changed(order, error);
      const alternatives = error.alternatives ?? [];
      if (alternatives.length) {
        others.hidden = false;
        go.hidden = true;
        refill(others, h('p', {}, t('book.alternatives')), slotChoices(alternatives, (other) => confirm(order, other)));
      }
      throw error;
    } finally {
      seatMoves(false);
    }
    return undefined;
  }
}

/** Somebody was faster, such as the clinic: show where the visit is now before anything else is tried. */
async function changed(order, error) {
  const hash = location.hash;
  const visit = await api.get(`/v1/appointments/${order.visit.id}`);
  // Whoever was let in meanwhile is in the call by now.
  if (location.hash !== hash) return;
  await times({ ...order, visit });
  tell($('#problem'), { ...error, detail: words(error) });
}

function moved(visit) {
  giveUpSeat();
  show(h('h1', {}, t('move.done')),
    h('div', { class: 'card', id: 'moved', data: { appointment: visit.id, start: visit.start } },
      whenLine(visit), h('p', {}, h('strong', {}, visit.practitioner.name)), h('p', {}, visit.service.name),
      h('p', { class: 'hint' }, `${t('home.code')} `, h('span', { class: 'code' }, visit.code), ` · ${t('move.same')}`)),
    h('a', { class: 'button primary', href: '#/', id: 'to-home' }, t('book.home')));
  say(`${t('move.done')}: ${whenOf(visit)}`);
}

/** The doctor is away: one of the times that are held in place of the visit. */
export async function offer(id, me) {
  loading();
  const hash = location.hash;
  const visit = await api.get(`/v1/appointments/${id}`);
  let held = null;
  let free = [];
  try {
    held = await api.get(`/v1/appointments/${id}/offer`);
  } catch (error) {
    if (!['offer_over', 'not_found', 'bad_state'].includes(error.code)) throw error;
    free = error.alternatives ?? [];
  }
  if (location.hash !== hash) return;
  const lost = h('p', { class: 'hint' }, t('offer.was'));
  if (!held?.times.length) {
    show(h('h1', {}, t('offer.title')), h('p', { id: 'offer-over', class: 'problem', role: 'alert' }, visit.offer_over ? t('home.away.over', { name: visit.practitioner.name }) : t('problem.offer_over')),
      h('div', { class: 'card' }, lost, whenLine(visit), h('p', {}, visit.practitioner.name)),
      free.length > 0 && h('div', { id: 'alternatives', class: 'choices' }, h('p', {}, t('book.alternatives')), slotChoices(free, (slot) => confirm({ visit, me, memory: {} }, slot))),
      h('a', { class: `button ${free.length ? 'second' : 'primary'}`, href: `#/move/${id}` }, t(free.length ? 'offer.other' : 'home.move')), home());
    return;
  }
  show(h('h1', {}, t('offer.title')),
    h('p', { class: 'lead' }, t('offer.lead', { name: visit.practitioner.name })),
    h('div', { class: 'card' }, lost, h('p', {}, whenOf(visit)), h('p', {}, visit.service.name)),
    problemBox(),
    h('p', { class: 'banner', id: 'offer-until' }, t('offer.until', { when: dateTime(held.expires_at, visit.time_zone) })),
    h('div', { id: 'offered', class: 'choices' }, held.times.map((time) => h('button', { type: 'button', class: 'choice', data: { number: time.number, start: time.start }, on: { click: (event) => busy(event.currentTarget, async () => {
      const path = `/v1/appointments/${id}/offer`;
      const body = { number: time.number };
      try {
        const { data } = await api.call('POST', path, { body, key: keyFor([path, body]) });
        forgetKey();
        return moved(data);
      } catch (error) {
        if (error.code !== 'offer_over') throw error;
        forgetKey();
        return offer(id, me);
      }
    }) } }, h('span', {}, whenOf(time), h('small', {}, time.practitioner.name))))),
    h('a', { class: 'button second', href: `#/move/${id}` }, t('offer.other')), home());
}
