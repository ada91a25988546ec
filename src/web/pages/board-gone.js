// Visits to come in which somebody is expected who has left or no longer gives the service: each is put into other hands,
// after a look at what would come of it, or called off.
import { t, learn } from './i18n.js';
import { show, h, refill, button, busy, asking, problemBox, say, tell } from './ui.js';
import * as api from './api.js';
import { clock, dayKey, longDay, now, rfc3339, cityOf } from './time.js';
import { previewMove } from './board-move.js';
import { ms } from './board-grid.js';
import { isOffice } from './board-rights.js';
import { soonest } from './board-ways.js';

/** More the server does not name at once. */
const SHOWN_MAX = 100;

learn({
  'gone.title': ['Приёмы без врача или помощника', 'Visits without a doctor or a helper'],
  'gone.lead': ['Тот, кого здесь ждут, больше не работает или больше не ведёт такие приёмы. Пациенту ничего не сказано: он узнает, когда вы перенесёте или отмените приём.', 'Whoever is expected in these no longer works here, or no longer gives such visits. The patient has not been told anything: they hear when you move the visit or call it off.'],
  'gone.none': ['У всех приёмов есть и врач, и помощник. Задача закроется сама, не позже чем через минуту.', 'Every visit has its doctor and its helper. The task ends by itself, within a minute.'],
  'gone.count': ['Приёмов: {n}.', 'Visits: {n}.'],
  'gone.more': ['Показаны первые {n}; остальные появятся, когда эти решены.', 'The first {n} are shown; the others follow when these are settled.'],
  'gone.left.practitioner': ['{name}: больше не работает в клинике', '{name} no longer works at the clinic'],
  'gone.left.feldsher': ['{name}: должен был помочь фельдшер, больше не работает в клинике', '{name}, the feldsher who was to help, no longer works at the clinic'],
  'gone.left.interpreter': ['{name}: должен был переводить, больше не работает в клинике', '{name}, who was to translate, no longer works at the clinic'],
  'gone.service.practitioner': ['{name}: больше не ведёт такие приёмы', '{name} no longer gives such visits'],
  'gone.inactive.practitioner': ['{name}: на такие приёмы клиника больше не записывает', '{name}: the clinic books no such visits any more'],
  'gone.find': ['Кто может вместо', 'Who can instead'],
  'gone.board': ['На доске', 'On the board'],
  'gone.off': ['Отменить', 'Call off'],
  'gone.off.ask': ['Отменить приём? {patient} узнает из SMS, если есть телефон.', 'Call the visit off? {patient} hears it by SMS if there is a telephone.'],
  'gone.off.yes': ['Да, отменить', 'Yes, call off'],
  'gone.off.done': ['Приём отменён: {patient}', 'Called off: {patient}'],
  'gone.moved': ['{patient}: примет {doctor}, {when}', '{patient}: {doctor}, {when}'],
  'gone.readonly': ['Переносят и отменяют регистраторы и администраторы клиники.', 'Registrars and administrators of the clinic move them and call them off.'],
});

/** `state`: {me, clinic, zone}. */
export async function gone({ me, clinic, zone }) {
  const may = isOffice(me, clinic);
  const list = h('ul', { id: 'unattended', class: 'list' }, may && h('li', { class: 'lead', 'aria-busy': 'true' }, t('loading')));
  const lead = h('p', { id: 'unattended-lead', class: 'lead', role: 'status', tabindex: '-1' });
  const problem = problemBox();
  const when = (instant) => `${longDay(instant, zone)}, ${clock(instant, zone)}`;
  show(h('div', {}, h('h1', {}, t('gone.title')), h('p', { class: 'hint' }, `${clinic.name} · ${t('board.zone', { zone: cityOf(zone) })}`)),
    h('p', { class: 'hint' }, t('gone.lead')), problem, lead, list);
  if (!may) {
    lead.textContent = t('gone.readonly');
    return;
  }
  await load();

  async function load() {
    try {
      const found = await api.items(`/v1/organizations/${clinic.id}/unattended-visits`);
      lead.textContent = !found.length ? t('gone.none')
        : found.length < SHOWN_MAX ? t('gone.count', { n: found.length }) : t('gone.more', { n: found.length });
      refill(list, found.map(row));
    } catch (error) {
      refill(list);
      tell(problem, error);
    }
  }

  /** What was pressed is gone: the next row has the focus, or the word that none is left. */
  async function again(text) {
    say(text);
    await load();
    (list.querySelector('.find') ?? lead).focus();
  }

  function row(one) {
    const find = button(`find-${one.id}`, t('gone.find'), (event) => busy(event.currentTarget, () => look(one, find), problem), 'second find');
    const off = asking(`off-${one.id}`, t('gone.off'), t('gone.off.ask', { patient: one.patient.name }), t('gone.off.yes'), async () => {
      await api.post(`/v1/appointments/${one.id}/cancel`, { code: 'clinic' });
      await again(t('gone.off.done', { patient: one.patient.name }));
    });
    // What nobody gives any more nobody else can.
    const isGiven = one.missing.every(({ why }) => why !== 'inactive');
    return h('li', { class: 'card', data: { unattended: one.id } },
      h('p', { class: 'spread' }, h('strong', {}, one.patient.name), h('span', { class: 'code small', translate: 'no' }, one.code)),
      h('p', {}, when(one.start)),
      one.missing.map(({ name, kind, why }) => h('p', { class: 'hint', data: { why } }, t(`gone.${why}.${kind}`, { name }))),
      h('div', { class: 'row' }, isGiven && find,
        h('a', { class: 'button quiet', href: `#/day/${dayKey(one.start, zone)}/${one.id}` }, t('gone.board')), off));
  }

  /** Asks for the same time with the same people: the server gives another helper, or says which doctor has when. */
  async function look(one, find) {
    const visit = await api.get(`/v1/appointments/${one.id}`);
    const { practitioner } = visit;
    // One that should have begun has no such time any more: it is asked for from the next minute on.
    const start = ms(visit.start) > now() ? visit.start : rfc3339(soonest());
    const home = { title: practitioner.name, person: practitioner };
    const board = {
      zone, day: dayKey(start, zone), grid: { columnOf: () => null }, refresh: load,
      moved: (_, __, now) => again(t('gone.moved', { patient: now.patient.name, doctor: now.practitioner.name, when: when(now.start) })),
    };
    previewMove(board, visit, home, { practitioner, start }, { kept: () => find.focus(), done: () => {} });
  }
}
