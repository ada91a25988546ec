// Visits that were asked for and that nobody has answered: until when the clinic can, what ends first comes first. One that
// soon runs out is a task, which somebody takes; it ends with the answer.
import { t, learn } from './i18n.js';
import { h, refill, button, busy, asking, problemBox, say } from './ui.js';
import * as api from './api.js';
import { clock, dayKey, longDay, now, rfc3339 } from './time.js';
import { isOffice } from './board-rights.js';
import './task-list.js';

learn({
  'requests.title': ['Просят о приёме', 'Visits that were asked for'],
  'requests.until': ['ответить до: {time}', 'to be answered until: {time}'],
  'requests.soon': ['скоро истечёт', 'runs out soon'],
  'requests.wants': ['{service} · {doctor} · {when}', '{service} · {doctor} · {when}'],
  'requests.accepted': ['Приём принят: {patient}', 'Taken on: {patient}'],
  'requests.look': ['Другое время: на доске', 'Another time: on the board'],
});

const byEnd = (one, other) => one.hold_expires_at.localeCompare(other.hold_expires_at);

/** Those that wait for the clinic's answer. */
export async function askRequests(clinic) {
  const found = await api.pages(api.query('/v1/appointments', { organization: clinic.id, status: 'proposed', from: rfc3339(now() - 86_400_000), limit: 100 }));
  return found.filter((one) => one.hold_expires_at).sort(byEnd);
}

/** The part of the page; `again()` asks for everything anew. Each request comes with its `task`, if it is one. */
export function requestsBox({ me, clinic, zone, again }) {
  const may = isOffice(me, clinic);
  const list = h('ul', { id: 'requests', class: 'list', 'aria-label': t('requests.title') });
  const problem = problemBox('requests-problem');
  const node = h('section', { class: 'stack', hidden: true }, h('h2', {}, t('requests.title')), problem, list);
  let drawn = '';
  const when = (at) => `${dayKey(at, zone) === dayKey(now(), zone) ? '' : `${longDay(at, zone)}, `}${clock(at, zone)}`;
  const late = ({ task }) => Boolean(task) && now() > Date.parse(task.due_at);

  /** Nothing is drawn anew under a question that waits for its answer. */
  function draw(found) {
    const mark = JSON.stringify(found.map((one) => [one, late(one)]));
    const asked = list.querySelector('.question') && found.some((one) => list.querySelector(`#decline-${one.id}-yes`));
    if (mark === drawn || asked || list.querySelector('[aria-busy=true]')) return;
    drawn = mark;
    const focused = document.activeElement?.id;
    node.hidden = !found.length;
    refill(list, found.map(row));
    if (focused && list.querySelector(`#${CSS.escape(focused)}`)) document.getElementById(focused).focus();
  }

  function row(one) {
    const { task } = one;
    const done = async (word) => {
      try {
        await api.post(`/v1/appointments/${one.id}/${word}`);
        say(t(word === 'accept' ? 'requests.accepted' : 'done.decline', { patient: one.patient.name }));
      } finally {
        drawn = '';
        again();
      }
    };
    const accept = (event) => busy(event.currentTarget, () => done('accept'), problem);
    const doing = (target, act) => busy(target, act, problem);
    return h('li', { class: `entry ${task ? 'waiting' : ''}`, data: { request: one.id, ...(task ? { soon: '', task: task.id, status: task.status } : {}) } },
      h('time', { datetime: one.hold_expires_at }, clock(one.hold_expires_at, zone)),
      h('div', {},
        h('p', { class: 'row' }, h('strong', {}, one.patient.name), task && h('span', { class: 'tag' }, t('requests.soon'))),
        h('p', { class: 'hint' }, t('requests.wants', { service: one.service.name, doctor: one.practitioner.name, when: when(one.start) })),
        h('p', { class: 'hint' }, t('requests.until', { time: when(one.hold_expires_at) })),
        task && h('p', { class: 'hint owner' }, [t(late(one) ? 'tasks.late' : 'tasks.due', { time: when(task.due_at) }),
          task.owner ? t('tasks.owner', { name: task.owner.name }) : t('tasks.owner.none')].join(' · '))),
      h('div', { class: 'row' },
        task && take(task, one.id),
        may && button(`accept-${one.id}`, t('visit.accept'), accept, task ? 'second' : 'primary'),
        may && asking(`decline-${one.id}`, t('visit.decline'), t('decline.ask'), t('decline.yes'), () => done('decline'), 'quiet', doing),
        h('a', { class: 'button quiet', href: `#/day/${dayKey(one.start, zone)}/${one.id}` }, t('requests.look'))));
  }

  /** Whoever takes it answers for it; what is somebody's can be taken over. */
  function take(task, id) {
    const taken = task.status !== 'requested';
    if (taken && task.owner?.id === me.account.id) return null;
    return button(`take-${task.id}`, t(taken ? 'tasks.over' : 'tasks.take'), (event) => busy(event.currentTarget, async () => {
      await api.post(`/v1/tasks/${task.id}/take`, { over: taken });
      drawn = '';
      await again();
      document.getElementById(`accept-${id}`)?.focus();
    }, problem), 'primary take');
  }

  return { node, draw };
}
