// Visits to come whose room or device is switched off and for which no other was free: one press looks for another again,
// and the board moves them to another time.
import { t, learn } from './i18n.js';
import { show, h, refill, button, busy, problemBox, say, tell, words } from './ui.js';
import * as api from './api.js';
import { clock, dayKey, longDay } from './time.js';

learn({
  'things.title': ['Приёмы без кабинета или прибора', 'Visits without a room or a device'],
  'things.lead': ['То, что они заняли, отключено, а свободной замены в это время не нашлось.', 'What they hold is switched off, and no other was free at that time.'],
  'things.none': ['У всех приёмов есть всё, что нужно. Задача закроется сама, не позже чем через минуту.', 'Every visit has all that it needs. The task ends by itself, within a minute.'],
  'things.count': ['Приёмов: {n}.', 'Visits: {n}.'],
  'things.holds': ['{kind} «{name}»', '{kind} “{name}”'],
  'things.kind.room': ['Кабинет', 'Room'],
  'things.kind.device': ['Прибор', 'Device'],
  'things.again': ['Поискать замену', 'Look for another'],
  'things.found': ['Замена нашлась: {patient}', 'Another was found: {patient}'],
  'things.board': ['Перенести на доске', 'Move it on the board'],
});

/** `state`: {clinic, zone}. */
export async function things({ clinic, zone }) {
  const list = h('ul', { id: 'stranded', class: 'list' }, h('li', { class: 'lead', 'aria-busy': 'true' }, t('loading')));
  const lead = h('p', { id: 'stranded-lead', class: 'lead', role: 'status', tabindex: '-1' });
  const problem = problemBox();
  show(h('div', {}, h('h1', {}, t('things.title')), h('p', { class: 'hint' }, clinic.name)), h('p', { class: 'hint' }, t('things.lead')), problem, lead, list);
  await load();

  async function load() {
    try {
      const found = await api.items(`/v1/organizations/${clinic.id}/stranded-visits`);
      lead.textContent = found.length ? t('things.count', { n: found.length }) : t('things.none');
      refill(list, found.map(row));
    } catch (error) {
      refill(list);
      tell(problem, error);
    }
  }

  function row(one) {
    const wrong = h('p', { class: 'problem', role: 'alert', hidden: true });
    const again = (event) => busy(event.currentTarget, async () => {
      try {
        // A move to the same time takes whatever is free then.
        await api.post(`/v1/appointments/${one.id}/reschedule`, { start: one.start });
      } catch (error) {
        Object.assign(wrong, { textContent: words(error), hidden: false }).dataset.code = error.code ?? '';
        return;
      }
      say(t('things.found', { patient: one.patient.name }));
      await load();
      (list.querySelector('.again') ?? lead).focus();
    }, problem);
    return h('li', { class: 'card', data: { stranded: one.id } },
      h('p', { class: 'spread' }, h('strong', {}, one.patient.name), h('span', { class: 'code small', translate: 'no' }, one.code)),
      h('p', {}, `${longDay(one.start, zone)}, ${clock(one.start, zone)}`),
      h('p', { class: 'hint' }, t('things.holds', { kind: t(`things.kind.${one.kind}`), name: one.resource.name })),
      wrong,
      h('div', { class: 'row' }, button(`again-${one.id}`, t('things.again'), again, 'second again'),
        h('a', { class: 'button quiet', href: `#/day/${dayKey(one.start, zone)}/${one.id}` }, t('things.board'))));
  }
}
