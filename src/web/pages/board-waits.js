// Who sits in a waiting room of the clinic now: for whom, how long; and who is free could be given them.
import { t, learn } from './i18n.js';
import { h, refill, busy, say, problemBox } from './ui.js';
import * as api from './api.js';
import { clock, waitingFor } from './time.js';
import './claim-words.js';

learn({
  'waits.title': ['Ждут в комнате ожидания', 'In the waiting room now'],
  'waits.own': ['Примет {name}', '{name} will see them'],
  'waits.nobody': ['Сейчас никто из врачей не свободен.', 'No other doctor is free now.'],
  'waits.to': ['Кому передать', 'Give to'],
  'waits.give': ['Передать', 'Give'],
  'waits.given': ['{patient}: примет {name}.', '{name} will see {patient}.'],
  'problem.already_taken': ['Этого пациента уже принимают.', 'Somebody sees this patient already.'],
  'problem.not_free': ['Этот врач сейчас не свободен. Выберите другого.', 'That doctor is not free now. Choose another.'],
});

export const askWaits = (clinic) => api.items(api.query('/v1/unseen', { organization: clinic.id }));

/** Those who wait in vain are the office's to see to. */
export const inVain = (waits) => waits.filter((one) => one.because).length;

/** The part of the page; `again()` asks for everything anew. */
export function waitsBox({ zone, again }) {
  const list = h('ul', { id: 'waits', class: 'list', 'aria-label': t('waits.title') });
  const problem = problemBox('waits-problem');
  const node = h('section', { class: 'stack', hidden: true }, h('h2', {}, t('waits.title')), problem, list);
  let drawn = '';

  /** Nothing is taken away from under a finger, or from under a choice that is being made. */
  function draw(waits) {
    const mark = JSON.stringify(waits.map((one) => [one, waitingFor(one.since)]));
    if (mark === drawn || list.querySelector('[aria-busy=true]')) return;
    if (document.activeElement?.tagName === 'SELECT' && list.contains(document.activeElement) && waits.length) return;
    drawn = mark;
    node.hidden = !waits.length;
    refill(list, waits.map(row));
  }

  function row(one) {
    const { name } = one.practitioner;
    return h('li', { class: `entry ${one.because ? 'waiting' : ''}`, data: { encounter: one.encounter.id, because: one.because ?? '' } },
      h('time', { datetime: one.start }, clock(one.start, zone)),
      h('div', {},
        h('p', { class: 'row' }, h('strong', {}, one.patient.name),
          one.priority !== 'routine' && h('span', { class: 'tag' }, t('claim.urgent')),
          one.silent && h('span', { class: 'tag' }, t('claim.silent'))),
        h('p', { class: 'hint' }, t('claim.minutes', { service: one.service.name, minutes: one.minutes })),
        h('p', { class: 'hint' }, t('claim.since', { start: clock(one.start, zone), since: clock(one.since, zone), long: waitingFor(one.since) })),
        h('p', { class: 'hint' }, t(one.because ? `because.${one.because}` : 'waits.own', { name }))),
      one.because && (one.takers.length ? giving(one) : h('p', { class: 'hint' }, t('waits.nobody'))));
  }

  function giving(one) {
    const id = `give-to-${one.encounter.id}`;
    const to = h('select', { id, class: 'taker' }, one.takers.map((taker) => h('option', { value: taker.id }, taker.name)));
    const give = h('button', { type: 'button', class: 'primary give', on: { click: (event) => busy(event.currentTarget, async () => {
      try {
        await api.post(`/v1/practitioners/${to.value}/claims`, { encounter: one.encounter.id });
        say(t('waits.given', { patient: one.patient.name, name: to.selectedOptions[0].textContent }));
      } finally {
        drawn = '';
        again();
      }
    }, problem) } }, t('waits.give'));
    return h('div', { class: 'row' }, h('div', { class: 'field' }, h('label', { for: id }, t('waits.to')), to), give);
  }

  return { node, draw };
}
