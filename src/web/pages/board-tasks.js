// What the office must still do so that nobody is forgotten: call back, see to visits that broke off, answer.
import { t, learn } from './i18n.js';
import { $, show, h, put, refill, busy, poll, onLeave, problemBox, tell, say } from './ui.js';
import * as api from './api.js';
import { clock, dayKey, longDay, now } from './time.js';
import { cityOf } from './board-grid.js';
import { chatPanel } from './chat.js';

const POLL_S = 10;
const OUTCOMES = {
  callback: [['reached'], ['not_reached'], ['moved'], ['deferred']],
  interrupted: [['reached', 'phone'], ['deferred', 'deferred'], ['not_reached'], ['moved'], ['reached']],
};

learn({
  'tasks.title': ['Задачи', 'Tasks'],
  'tasks.lead': ['Кого не дозвались, чей приём прервался, кто ждёт ответа. Сначала то, что горит.', 'Who was not reached, whose visit broke off, who waits for an answer. What is due first comes first.'],
  'tasks.none': ['Сейчас делать нечего.', 'There is nothing to do now.'],
  'tasks.count': ['Задач: {n}', 'Tasks: {n}'],
  'tasks.code.callback': ['Перезвонить', 'Call back'],
  'tasks.code.interrupted': ['Приём прервался', 'Visit broke off'],
  'tasks.why.no_answer': ['не ответил(а) на вызов', 'did not answer'],
  'tasks.why.no_telephone': ['не ответил(а), SMS отправить некуда', 'did not answer, and there is no number for a text'],
  'tasks.why.interrupted': ['давно не на связи', 'not connected for a while'],
  'tasks.why.door_closed': ['комната закрылась', 'the room has closed'],
  'tasks.due': ['до {time}', 'before {time}'],
  'tasks.late': ['просрочено с {time}', 'overdue since {time}'],
  'tasks.with': ['Врач: {name}', 'Doctor: {name}'],
  'tasks.owner': ['Отвечает: {name}', 'Answers for it: {name}'],
  'tasks.owner.none': ['Пока никто не взял', 'Nobody has taken it yet'],
  'tasks.attempts': ['не дозвонились: {n}', 'not reached: {n}'],
  'tasks.take': ['Беру', 'I take it'],
  'tasks.over': ['Забрать себе', 'Take over'],
  'tasks.phone': ['Телефон', 'Telephone'],
  'tasks.phone.none': ['Телефона нет', 'No telephone'],
  'tasks.how': ['Чем кончилось?', 'How did it go?'],
  'tasks.reached': ['Дозвонились', 'Reached'],
  'tasks.reached.phone': ['Приём прошёл по телефону', 'The visit took place by phone'],
  'tasks.not_reached': ['Не дозвонились, повторить позже', 'Not reached, again later'],
  'tasks.moved': ['Перенесли на другое время', 'Moved to another time'],
  'tasks.deferred': ['Врач ответит письменно', 'The doctor will answer in writing'],
  'tasks.deferred.deferred': ['Закончить: врач ответит письменно', 'End it: the doctor will answer in writing'],
  'tasks.done': ['Готово: {patient}', 'Done: {patient}'],
  'tasks.later': ['{patient}: напомним в {time}', '{patient}: again at {time}'],
  'tasks.chats': ['Ждут ответа', 'Waiting for an answer'],
  'tasks.chat.since': ['с {time}, сообщений: {n}', 'since {time}, messages: {n}'],
  'tasks.chat.open': ['Ответить', 'Answer'],
});

/** How much there is to do, for the office's tab. */
export async function countTasks(clinic) {
  const [tasks, chats] = await Promise.all([
    api.items(api.query('/v1/tasks', { organization: clinic.id, limit: 100 })),
    api.items(api.query('/v1/chats', { organization: clinic.id })),
  ]);
  return tasks.length + chats.length;
}

/** Shows what is to be done; `told(n)` keeps the count in the tab. */
export async function tasks({ me, clinic, zone, toDo }) {
  const list = h('ul', { id: 'tasks', class: 'list', 'aria-label': t('tasks.title') });
  const none = h('p', { id: 'tasks-none', class: 'lead', hidden: true }, t('tasks.none'));
  const count = h('p', { id: 'tasks-count', class: 'lead', hidden: true });
  const note = h('p', { id: 'tasks-note', class: 'good', role: 'status', tabindex: '-1', hidden: true });
  const chats = h('ul', { id: 'chats', class: 'list' });
  const chatsBox = h('section', { class: 'stack', hidden: true }, h('h2', {}, t('tasks.chats')), chats);
  const talk = h('div', { id: 'talk' });
  show(h('div', {}, h('h1', {}, t('tasks.title')), h('p', { class: 'hint' }, `${clinic.name} · ${t('board.zone', { zone: cityOf(zone) })}`)),
    h('p', { class: 'hint' }, t('tasks.lead')), problemBox(), note, count, none, list, chatsBox, talk);
  let gone = false;
  let drawn = new Map();
  let panel = null;
  const watch = poll(load, POLL_S);
  onLeave(() => { gone = true; watch.stop(); });

  async function load() {
    let found;
    let open;
    try {
      [found, open] = await Promise.all([
        api.items(api.query('/v1/tasks', { organization: clinic.id, limit: 100 })),
        api.items(api.query('/v1/chats', { organization: clinic.id })),
      ]);
    } catch (error) {
      if (!gone && error.status !== 401) tell($('#problem'), error);
      return;
    }
    if (gone) return;
    toDo(found.length + open.length);
    none.hidden = found.length > 0 || open.length > 0;
    count.hidden = !found.length;
    count.textContent = t('tasks.count', { n: found.length });
    draw(found);
    drawChats(open);
    panel?.look();
  }

  /** Rows that say the same as before stay what they are, with the focus and an open question in them. */
  function draw(found) {
    const kept = new Map();
    const rows = found.map((task) => {
      const mark = JSON.stringify([task, now() > Date.parse(task.due_at)]);
      const old = drawn.get(task.id);
      const one = old?.mark === mark ? old : { mark, node: row(task) };
      kept.set(task.id, one);
      return one.node;
    });
    const same = rows.length === list.children.length && rows.every((node, at) => list.children[at] === node);
    drawn = kept;
    if (!same) refill(list, rows);
  }

  function when(instant) {
    return dayKey(instant, zone) === dayKey(now(), zone) ? clock(instant, zone) : `${longDay(instant, zone)}, ${clock(instant, zone)}`;
  }

  function row(task) {
    const late = now() > Date.parse(task.due_at);
    const mine = task.owner?.id === me.account.id;
    const acts = h('div', { class: 'row' });
    const path = `/v1/tasks/${task.id}`;
    const act = (work) => (event) => busy(event.currentTarget, async () => { await work(); await watch.now(); });
    const taken = task.status !== 'requested';
    if (!mine || !taken) {
      put(acts, h('button', { type: 'button', class: 'primary take', on: { click: act(() => api.post(`${path}/take`, { over: taken })) } },
        t(taken ? 'tasks.over' : 'tasks.take')));
    }
    if (mine && taken) put(acts, ends(task));
    const phone = h('span', {});
    put(acts, h('button', { type: 'button', class: 'quiet phone', on: { click: (event) => busy(event.currentTarget, async () => {
      const patient = await api.get(`/v1/patients/${task.for.id}`);
      refill(phone, patient.phone ? h('a', { href: `tel:${patient.phone}` }, patient.phone) : t('tasks.phone.none'));
    }) } }, t('tasks.phone')), phone);
    return h('li', { class: `entry task ${late ? 'waiting' : ''}`, data: { task: task.id, code: task.code, status: task.status } },
      h('time', {}, clock(task.due_at, zone)),
      h('div', {},
        h('p', {}, h('strong', {}, task.for.name), ` · ${t(`tasks.code.${task.code}`)}`),
        h('p', { class: 'hint' }, [t(`tasks.why.${task.why}`), t(late ? 'tasks.late' : 'tasks.due', { time: when(task.due_at) }),
          t('tasks.with', { name: task.practitioner.name }),
          task.owner ? t('tasks.owner', { name: task.owner.name }) : t('tasks.owner.none'),
          task.attempts ? t('tasks.attempts', { n: task.attempts }) : ''].filter(Boolean).join(' · '))),
      acts);
  }

  function ends(task) {
    const place = h('div', { class: 'asking' });
    const rest = () => refill(place, h('button', { type: 'button', class: 'primary how', on: { click: ask } }, t('tasks.how')));
    const ask = () => {
      const choices = OUTCOMES[task.code].map(([outcome, convert]) => h('button', {
        type: 'button', class: 'second', data: { outcome, ...(convert ? { convert } : {}) },
        on: { click: (event) => busy(event.currentTarget, () => end(task, outcome, convert)) },
      }, t(`tasks.${outcome}${convert ? `.${convert}` : ''}`)));
      refill(place, h('p', { class: 'question' }, t('tasks.how')), h('div', { class: 'row' }, choices,
        h('button', { type: 'button', class: 'quiet', on: { click: () => { rest(); place.firstChild.focus(); } } }, t('no'))));
      $('button', place).focus();
    };
    rest();
    return place;
  }

  async function end(task, outcome, convert) {
    const done = await api.post(`/v1/tasks/${task.id}/complete`, { outcome, ...(convert ? { convert } : {}) });
    const values = { patient: task.for.name, time: when(done.due_at) };
    note.textContent = t(outcome === 'not_reached' ? 'tasks.later' : 'tasks.done', values);
    note.hidden = false;
    await watch.now();
    note.focus();
    say(note.textContent);
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
