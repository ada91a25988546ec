// Visits whose promised time a newer law of time zones has moved: what stands on the slip, what the clock would show, and
// one press that keeps the promise.
import { t, learn } from './i18n.js';
import { show, h, refill, button, busy, problemBox, say, tell, words } from './ui.js';
import * as api from './api.js';
import { clock, dayKey, longDay, wallClock, wallKey, cityOf } from './time.js';
import { isOffice } from './board-rights.js';

/** A law moves a whole zone; nobody reads more at once. */
const SHOWN_MAX = 200;

learn({
  'promises.title': ['Обещанное время сдвинулось', 'Promised times have moved'],
  'promises.lead': ['Закон перевёл часы, или пояс места был указан неверно. Пациент придёт по времени на талоне и в SMS, поэтому переносят сам приём; об этом узнают обе стороны.', 'A law has moved the clocks, or the zone of a place was wrong. The patient comes by the time on the slip and in the SMS, so it is the visit that is moved; both sides are told.'],
  'promises.none': ['Все приёмы стоят на обещанном времени.', 'Every visit stands at its promised time.'],
  'promises.count': ['Приёмов не на обещанном времени: {n}.', 'Visits that are not at their promised time: {n}.'],
  'promises.more': ['Показаны первые {n}; остальные появятся, когда эти решены.', 'The first {n} are shown; the others follow when these are settled.'],
  'promises.promised': ['Обещано', 'Promised'],
  'promises.shown': ['Часы покажут', 'The clock will show'],
  'promises.proposed': ['Предлагаем', 'Proposed'],
  'promises.to': ['{when} по времени клиники', '{when}, clinic time'],
  'promises.gap': ['Такого времени больше нет: часы через него перескакивают. Позвоните пациенту и перенесите приём на доске.', 'That time does not exist any more: the clocks jump over it. Call the patient and move the visit on the board.'],
  'promises.keep': ['Сдержать обещание', 'Keep the promise'],
  'promises.board': ['На доске', 'On the board'],
  'promises.kept': ['Перенесено: {patient}, снова {time}, как обещано. Обе стороны узнают.', 'Moved: {patient}, at {time} again as promised. Both sides are told.'],
  'promises.taken': ['На обещанное время врач уже занят. Откройте приём на доске и решите, кого перенести.', 'The doctor is taken at the promised time. Open the visit on the board and decide who is moved.'],
  'promises.readonly': ['Переносят регистраторы и администраторы клиники.', 'Registrars and administrators of the clinic move them.'],
});

/** `state`: {me, clinic, zone}. */
export async function promises({ me, clinic, zone }) {
  const may = isOffice(me, clinic);
  const list = h('ul', { id: 'promises', class: 'list' }, may && h('li', { class: 'lead', 'aria-busy': 'true' }, t('loading')));
  const lead = h('p', { id: 'promises-lead', class: 'lead', role: 'status', tabindex: '-1' });
  const note = h('p', { id: 'promises-note', class: 'good', role: 'status', tabindex: '-1', hidden: true });
  const problem = problemBox();
  show(h('div', {}, h('h1', {}, t('promises.title')), h('p', { class: 'hint' }, `${clinic.name} · ${t('board.zone', { zone: cityOf(zone) })}`)),
    h('p', { class: 'hint' }, t('promises.lead')), problem, note, lead, list);
  if (!may) {
    lead.textContent = t('promises.readonly');
    return;
  }
  await load();

  /** A page of the server's list may be empty and still have a next one. */
  async function all() {
    const found = [];
    let path = api.query(`/v1/organizations/${clinic.id}/broken-promises`, { limit: 100 });
    while (path && found.length < SHOWN_MAX) {
      const { data, link } = await api.call('GET', path);
      found.push(...data.items);
      path = /<([^>]+)>;\s*rel="next"/.exec(link ?? '')?.[1] ?? null;
    }
    return { found: found.slice(0, SHOWN_MAX), more: Boolean(path) };
  }

  async function load() {
    try {
      const { found, more } = await all();
      lead.textContent = found.length ? [t('promises.count', { n: found.length }), more ? t('promises.more', { n: found.length }) : ''].join(' ').trim() : t('promises.none');
      refill(list, found.map(row));
    } catch (error) {
      refill(list);
      tell(problem, error);
    }
  }

  /** The digits as they were promised, with their day. */
  function told(local) {
    return `${longDay(`${wallKey(local)}T12:00:00Z`, 'UTC')}, ${wallClock(local)}`;
  }

  function row(one) {
    const wrong = h('p', { class: 'problem', role: 'alert', hidden: true });
    const keep = async (event) => busy(event.currentTarget, async () => {
      try {
        await api.post(`/v1/appointments/${one.id}/keep-promise`);
      } catch (error) {
        Object.assign(wrong, { textContent: error.code === 'slot_taken' ? t('promises.taken') : words(error), hidden: false }).dataset.code = error.code ?? '';
        return;
      }
      note.textContent = t('promises.kept', { patient: one.patient.name, time: wallClock(one.promised) });
      note.hidden = false;
      say(note.textContent);
      await load();
      (list.querySelector('.keep') ?? lead).focus();
    }, problem);
    return h('li', { class: 'card', data: { promise: one.id } },
      h('p', { class: 'spread' }, h('strong', {}, one.patient.name), h('span', { class: 'hint' }, one.practitioner.name, ' · ', h('span', { class: 'code small' }, one.code))),
      h('dl', { class: 'facts' },
        h('dt', {}, t('promises.promised')), h('dd', { class: 'promised' }, h('strong', { class: 'starts' }, told(one.promised)), ` (${cityOf(one.time_zone)})`),
        h('dt', {}, t('promises.shown')), h('dd', { class: 'shown' }, told(one.shown)),
        h('dt', {}, t('promises.proposed')), h('dd', { class: 'proposed' }, one.proposed
          ? t('promises.to', { when: `${longDay(one.proposed, zone)}, ${clock(one.proposed, zone)}` }) : h('span', { class: 'bad' }, t('promises.gap')))),
      wrong,
      h('div', { class: 'row' },
        one.proposed && button(`keep-${one.id}`, t('promises.keep'), keep, 'primary keep'),
        h('a', { class: 'button quiet', href: `#/day/${dayKey(one.start, zone)}/${one.id}` }, t('promises.board'))));
  }
}
