// Visits that were asked for and that nobody has answered: until when the clinic can, what ends first comes first.
import { t, learn } from './i18n.js';
import { h, refill, button, busy, problemBox, say } from './ui.js';
import * as api from './api.js';
import { clock, dayKey, longDay, now, rfc3339, shiftDay } from './time.js';

learn({
  'requests.title': ['Просят о приёме', 'Visits that were asked for'],
  'requests.until': ['ответить до: {time}', 'to be answered until: {time}'],
  'requests.soon': ['скоро истечёт', 'runs out soon'],
  'requests.wants': ['{service} · {doctor} · {when}', '{service} · {doctor} · {when}'],
  'requests.accepted': ['Приём принят: {patient}', 'Taken on: {patient}'],
  'requests.look': ['Показать на доске', 'Show on the board'],
});

const byEnd = (one, other) => one.hold_expires_at.localeCompare(other.hold_expires_at);

/** Those that wait for the clinic's answer. */
export async function askRequests(clinic) {
  const found = await api.pages(api.query('/v1/appointments', { organization: clinic.id, status: 'proposed', from: rfc3339(now() - 86_400_000), limit: 100 }));
  return found.filter((one) => one.hold_expires_at).sort(byEnd);
}

/** Whatever ends before the clinic's next day is over is answered today: tomorrow may be too late, or nobody be there. */
const isSoon = (one, zone) => dayKey(one.hold_expires_at, zone) <= shiftDay(dayKey(now(), zone), 1);

/** The part of the page; `again()` asks for everything anew. */
export function requestsBox({ zone, again }) {
  const list = h('ul', { id: 'requests', class: 'list', 'aria-label': t('requests.title') });
  const problem = problemBox('requests-problem');
  const node = h('section', { class: 'stack', hidden: true }, h('h2', {}, t('requests.title')), problem, list);
  let drawn = '';
  const when = (at) => `${dayKey(at, zone) === dayKey(now(), zone) ? '' : `${longDay(at, zone)}, `}${clock(at, zone)}`;

  function draw(found) {
    const mark = JSON.stringify(found.map((one) => [one, isSoon(one, zone)]));
    if (mark === drawn || list.querySelector('[aria-busy=true]')) return;
    drawn = mark;
    const focused = document.activeElement?.id;
    node.hidden = !found.length;
    refill(list, found.map(row));
    if (focused && list.querySelector(`#${CSS.escape(focused)}`)) document.getElementById(focused).focus();
  }

  function row(one) {
    const accept = (event) => busy(event.currentTarget, async () => {
      try {
        await api.post(`/v1/appointments/${one.id}/accept`);
        say(t('requests.accepted', { patient: one.patient.name }));
      } finally {
        drawn = '';
        again();
      }
    }, problem);
    return h('li', { class: `entry ${isSoon(one, zone) ? 'waiting' : ''}`, data: { request: one.id, ...(isSoon(one, zone) ? { soon: '' } : {}) } },
      h('time', { datetime: one.hold_expires_at }, clock(one.hold_expires_at, zone)),
      h('div', {},
        h('p', { class: 'row' }, h('strong', {}, one.patient.name), isSoon(one, zone) && h('span', { class: 'tag' }, t('requests.soon'))),
        h('p', { class: 'hint' }, t('requests.wants', { service: one.service.name, doctor: one.practitioner.name, when: when(one.start) })),
        h('p', { class: 'hint' }, t('requests.until', { time: when(one.hold_expires_at) }))),
      h('div', { class: 'row' }, button(`accept-${one.id}`, t('visit.accept'), accept, 'primary'),
        h('a', { class: 'button quiet', href: `#/day/${dayKey(one.start, zone)}/${one.id}` }, t('requests.look'))));
  }

  return { node, draw };
}
