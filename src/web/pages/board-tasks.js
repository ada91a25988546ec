// What the office must still do so that nobody is forgotten: call back, see to visits that broke off, answer.
import { t, learn } from './i18n.js';
import { $, show, h, refill, poll, onLeave, problemBox, tell } from './ui.js';
import * as api from './api.js';
import { clock, cityOf } from './time.js';
import { taskList } from './task-list.js';
import { chatPanel } from './chat.js';
import { askRequests, requestsBox } from './board-requests.js';
import { askWaits, inVain, waitsBox } from './board-waits.js';

const POLL_S = 10;

learn({
  'tasks.lead': ['Кто просит о приёме, кого не дозвались, чей приём прервался, кто ждёт ответа. Сначала то, что горит.', 'Who asks for a visit, who was not reached, whose visit broke off, who waits for an answer. What is due first comes first.'],
  'tasks.none': ['Сейчас делать нечего.', 'There is nothing to do now.'],
  'tasks.count': ['Задач: {n}', 'Tasks: {n}'],
  'tasks.chats': ['Ждут ответа', 'Waiting for an answer'],
  'tasks.chat.since': ['с {time}, сообщений: {n}', 'since {time}, messages: {n}'],
  'tasks.chat.open': ['Ответить', 'Answer'],
});

/** What there is to do: tasks, chats, who waits and what was asked for. A request and the task about it are one thing. */
async function askAll(clinic) {
  const [found, chats, waits, requests] = await Promise.all([
    api.pages(api.query('/v1/tasks', { organization: clinic.id, limit: 100 })),
    api.items(api.query('/v1/chats', { organization: clinic.id })),
    askWaits(clinic),
    askRequests(clinic),
  ]);
  const taskOf = (request) => found.find((task) => task.code === 'request' && task.focus.id === request.encounter.id);
  return [found.filter((task) => task.code !== 'request'), chats, waits, requests.map((request) => ({ ...request, task: taskOf(request) }))];
}
const countOf = ([tasks, chats, waits, requests]) => tasks.length + chats.length + inVain(waits) + requests.length;

/** How much there is to do, for the office's tab. */
export const countTasks = async (clinic) => countOf(await askAll(clinic));

/** Shows what is to be done; `told(n)` keeps the count in the tab. */
export async function tasks({ me, clinic, zone, toDo }) {
  const { list, note, draw, when } = taskList({ me, zone, again: () => watch.now() });
  const waits = waitsBox({ zone, again: () => watch.now() });
  const requests = requestsBox({ me, clinic, zone, again: () => watch.now() });
  const none = h('p', { id: 'tasks-none', class: 'lead', hidden: true }, t('tasks.none'));
  const count = h('p', { id: 'tasks-count', class: 'lead', hidden: true });
  const chats = h('ul', { id: 'chats', class: 'list' });
  const chatsBox = h('section', { class: 'stack', hidden: true }, h('h2', {}, t('tasks.chats')), chats);
  const talk = h('div', { id: 'talk' });
  show(h('div', {}, h('h1', {}, t('tasks.title')), h('p', { class: 'hint' }, `${clinic.name} · ${t('board.zone', { zone: cityOf(zone) })}`)),
    h('p', { class: 'hint' }, t('tasks.lead')), problemBox(), waits.node, requests.node, note, count, none, list, chatsBox, talk);
  let gone = false;
  let panel = null;
  const watch = poll(load, POLL_S);
  onLeave(() => { gone = true; watch.stop(); });

  async function load() {
    let all;
    try {
      all = await askAll(clinic);
    } catch (error) {
      if (!gone && error.status !== 401) tell($('#problem'), error);
      return;
    }
    if (gone) return;
    const [found, open, waiting, asked] = all;
    toDo(countOf(all));
    waits.draw(waiting);
    requests.draw(asked);
    none.hidden = found.length > 0 || open.length > 0 || waiting.length > 0 || asked.length > 0;
    count.hidden = !found.length;
    count.textContent = t('tasks.count', { n: found.length });
    draw(found);
    drawChats(open);
    panel?.look();
  }

  function drawChats(open) {
    chatsBox.hidden = !open.length;
    const mark = JSON.stringify(open);
    if (chats.dataset.mark === mark) return;
    chats.dataset.mark = mark;
    refill(chats, open.map((one) => h('li', { class: 'entry', data: { encounter: one.encounter.id } },
      h('time', {}, clock(one.since, zone)),
      h('div', {}, h('strong', {}, one.patient.name),
        h('p', { class: 'hint' }, `${t('tasks.with', { name: one.practitioner.name })} · ${t('tasks.chat.since', { time: when(one.since), n: one.unanswered })}`)),
      h('button', { type: 'button', class: 'second open-chat', on: { click: () => answer(one) } }, t('tasks.chat.open')))));
  }

  function answer(one) {
    panel = chatPanel({ encounter: one.encounter.id, side: 'office', zone, open: true });
    refill(talk, h('h2', {}, one.patient.name), panel.node);
    panel.look();
    panel.first().focus();
  }
}
