// Tasks as rows: take one, call, say how it ended. The office sees its clinic's, a doctor their own.
import { t, learn } from './i18n.js';
import { $, h, put, refill, arrange, busy, say } from './ui.js';
import * as api from './api.js';
import { clock, wallClock, cityOf, dayKey, longDay, now } from './time.js';

const CALLED = [['reached'], ['not_reached'], ['moved'], ['deferred']];
const OUTCOMES = {
  callback: CALLED,
  interrupted: [['reached', 'phone'], ['deferred', 'deferred'], ['not_reached'], ['reached']],
  unseen: CALLED,
  deferred: [['reached'], ['not_reached'], ['moved']],
  unanswered: [['reached'], ['not_reached']],
  untold: [['reached'], ['not_reached']],
};

learn({
  'tasks.title': ['Задачи', 'Tasks'],
  'tasks.code.callback': ['Перезвонить', 'Call back'],
  'tasks.code.interrupted': ['Приём прервался', 'Visit broke off'],
  'tasks.code.unseen': ['Ждал(а), и приём не начался', 'Waited, and the visit did not begin'],
  'tasks.code.deferred': ['Ответить письменно', 'Answer in writing'],
  'tasks.code.unanswered': ['Врача не будет, другое время не выбрано', 'The doctor is away, and no other time was chosen'],
  'tasks.code.untold': ['Сообщить, что стало с приёмом', 'Tell them what became of their visit'],
  'tasks.code.promises': ['Обещанное время сдвинулось', 'Promised times have moved'],
  'tasks.code.things': ['Нет кабинета или прибора', 'No room or device'],
  'tasks.why.out_of_use': ['отключено, свободной замены нет', 'switched off, and no other was free'],
  'tasks.code.request': ['Просит о приёме', 'Asks for a visit'],
  'tasks.why.runs_out': ['запрос скоро истечёт', 'the request runs out soon'],
  'tasks.code.practitioners': ['Врача или помощника больше нет', 'The doctor or a helper is gone'],
  'tasks.why.gone': ['больше не работает или не ведёт такие приёмы', 'no longer works here, or no longer gives such visits'],
  'tasks.practitioners': ['Показать приёмы', 'Show the visits'],
  'tasks.things': ['Показать приёмы', 'Show the visits'],
  'tasks.why.deferred': ['приём продолжается письменно, пациент ждёт', 'the visit goes on in writing, and the patient waits'],
  'tasks.why.zone': ['часовой пояс места был указан неверно', 'the time zone of a place was wrong'],
  'tasks.why.law': ['закон перевёл часы', 'a law has moved the clocks'],
  'tasks.promises': ['Показать приёмы', 'Show the visits'],
  'tasks.why.no_answer': ['не ответил(а) на вызов', 'did not answer'],
  'tasks.why.no_telephone': ['не ответил(а), SMS отправить некуда', 'did not answer, and there is no number for a text'],
  'tasks.why.offer_over': ['предложенное время больше не держится, позвоните', 'the offered times are no longer held, call them'],
  'tasks.why.untold': ['SMS отправить некуда', 'there is no number for a text'],
  'tasks.stands.moved': ['приём теперь {when} ({where})', 'the visit is now {when} ({where})'],
  'tasks.stands.cancelled': ['приём {when} ({where}) отменён', 'the visit of {when} ({where}) is called off'],
  'tasks.stands.away': ['приёма {when} ({where}) не будет', 'the visit of {when} ({where}) will not be'],
  'tasks.stands.offered': ['вместо приёма {when} ({where}) нужно выбрать другое время', 'another time is to be chosen instead of {when} ({where})'],
  'tasks.why.interrupted': ['давно не на связи', 'not connected for a while'],
  'tasks.why.door_closed': ['комната закрылась', 'the room has closed'],
  'tasks.due': ['срок: {time}', 'due: {time}'],
  'tasks.late': ['просрочено, срок был: {time}', 'overdue, it was due: {time}'],
  'tasks.with': ['Врач: {name}', 'Doctor: {name}'],
  'tasks.owner': ['Отвечает: {name}', 'Answers for it: {name}'],
  'tasks.owner.none': ['Пока никто не взял', 'Nobody has taken it yet'],
  'tasks.attempts': ['не дозвонились: {n}', 'not reached: {n}'],
  'tasks.take': ['Беру', 'I take it'],
  'tasks.over': ['Забрать себе', 'Take over'],
  'tasks.phone': ['Телефон', 'Telephone'],
  'tasks.phone.none': ['Телефона нет', 'No telephone'],
  'tasks.visit': ['К приёму', 'To the visit'],
  'tasks.how': ['Чем кончилось?', 'How did it go?'],
  'tasks.back': ['Дозвонились, вернётся на приём', 'Reached, and will come back'],
  'tasks.reached': ['Дозвонились', 'Reached'],
  'tasks.answered': ['Пациент получил ответ', 'The patient has the answer'],
  'tasks.reached.phone': ['Приём прошёл по телефону', 'The visit took place by phone'],
  'tasks.not_reached': ['Не дозвонились, повторить позже', 'Not reached, again later'],
  'tasks.moved': ['Перенесли на другое время', 'Moved to another time'],
  'tasks.deferred': ['Врач ответит письменно', 'The doctor will answer in writing'],
  'tasks.deferred.deferred': ['Закончить: врач ответит письменно', 'End it: the doctor will answer in writing'],
  'tasks.done': ['Готово: {patient}', 'Done: {patient}'],
  'tasks.later': ['{patient}: напомним, {time}', '{patient}: again, {time}'],
});

/** `again()` asks for the tasks anew; with `visits` a row leads to its visit. */
export function taskList({ me, zone, again, visits = false }) {
  const list = h('ul', { id: 'tasks', class: 'list', 'aria-label': t('tasks.title') });
  const note = h('p', { id: 'tasks-note', class: 'good', role: 'status', tabindex: '-1', hidden: true });
  let drawn = new Map();

  /** Rows that say the same as before stay what they are, with the focus and an open question in them. */
  function draw(found) {
    const [held] = [...drawn].find(([, { node }]) => node.contains(document.activeElement)) ?? [];
    const before = drawn;
    drawn = new Map(found.map((task) => {
      const mark = JSON.stringify([task, now() > Date.parse(task.due_at)]);
      const old = before.get(task.id);
      return [task.id, old?.mark === mark ? old : { mark, node: row(task) }];
    }));
    arrange(list, [...drawn.values()].map(({ node }) => node));
    if (held && drawn.get(held) !== before.get(held)) focus(held);
  }

  /** What was pressed is another button by now: the row it stood in keeps the focus. */
  function focus(id) { drawn.get(id)?.node.querySelector('button')?.focus(); }

  function when(instant) {
    return dayKey(instant, zone) === dayKey(now(), zone) ? clock(instant, zone) : `${longDay(instant, zone)}, ${clock(instant, zone)}`;
  }

  function row(task) {
    const late = now() > Date.parse(task.due_at);
    const mine = task.owner?.id === me.account.id;
    const acts = h('div', { class: 'row' });
    const path = `/v1/tasks/${task.id}`;
    const take = (over) => async (event) => {
      await busy(event.currentTarget, async () => { await api.post(`${path}/take`, { over }); await again(); });
      focus(task.id);
    };
    const taken = task.status !== 'requested';
    if (!mine || !taken) {
      put(acts, h('button', { type: 'button', class: 'primary take', on: { click: take(taken) } }, t(taken ? 'tasks.over' : 'tasks.take')));
    }
    if (!task.focus) return several(task, acts, late);
    if (mine && taken && OUTCOMES[task.code]) put(acts, ends(task));
    const phone = h('span', {});
    put(acts, h('button', { type: 'button', class: 'quiet phone', on: { click: (event) => busy(event.currentTarget, async () => {
      const patient = await api.get(`/v1/patients/${task.for.id}`);
      refill(phone, patient.phone ? h('a', { href: `tel:${patient.phone}` }, patient.phone) : t('tasks.phone.none'));
    }) } }, t('tasks.phone')), phone);
    if (visits) put(acts, h('a', { class: 'button quiet', href: `#/visit/${task.focus.id}` }, t('tasks.visit')));
    return h('li', { class: `entry task ${late ? 'waiting' : ''}`, data: { task: task.id, code: task.code, status: task.status } },
      h('time', {}, clock(task.due_at, zone)),
      h('div', {},
        h('p', {}, h('strong', {}, task.for.name), ` · ${t(`tasks.code.${task.code}`)}`),
        h('p', { class: 'hint' }, [t(`tasks.why.${task.code === 'untold' ? 'untold' : task.why}`), stands(task), t(late ? 'tasks.late' : 'tasks.due', { time: when(task.due_at) }),
          t('tasks.with', { name: task.practitioner.name }),
          task.owner ? t('tasks.owner', { name: task.owner.name }) : t('tasks.owner.none'),
          task.attempts ? t('tasks.attempts', { n: task.attempts }) : ''].filter(Boolean).join(' · '))),
      acts);
  }

  /** What the patient is to hear, by their own clock. */
  function stands({ code, visit }) {
    if (!visit || !['unanswered', 'untold'].includes(code)) return '';
    const local = visit.local_start;
    const what = visit.status === 'cancelled' ? 'cancelled' : code === 'unanswered' ? 'away' : visit.offered ? 'offered' : 'moved';
    return t(`tasks.stands.${what}`, { when: `${longDay(`${local.slice(0, 19)}Z`, 'UTC')}, ${wallClock(local)}`, where: cityOf(visit.time_zone) });
  }

  /** A task about several visits leads to them, and ends with the last. */
  function several(task, acts, late) {
    put(acts, h('a', { class: 'button second', href: `/board#/${task.code}` }, t(`tasks.${task.code}`)));
    return h('li', { class: `entry task ${late ? 'waiting' : ''}`, data: { task: task.id, code: task.code, status: task.status } },
      h('time', {}, clock(task.due_at, zone)),
      h('div', {},
        h('p', {}, h('strong', {}, t(`tasks.code.${task.code}`))),
        h('p', { class: 'hint' }, [t(`tasks.why.${task.why}`), t(late ? 'tasks.late' : 'tasks.due', { time: when(task.due_at) }),
          task.owner ? t('tasks.owner', { name: task.owner.name }) : t('tasks.owner.none')].join(' · '))),
      acts);
  }

  function ends(task) {
    const place = h('div', { class: 'asking' });
    const rest = () => refill(place, h('button', { type: 'button', class: 'primary how', on: { click: ask } }, t('tasks.how')));
    const ask = () => {
      // Whoever cannot come in any more does not come back.
      const possible = OUTCOMES[task.code].filter(([outcome, convert]) => task.why !== 'door_closed' || task.code !== 'interrupted' || convert || outcome === 'not_reached');
      const choices = possible.map(([outcome, convert]) => h('button', {
        type: 'button', class: 'second', data: { outcome, ...(convert ? { convert } : {}) },
        on: { click: (event) => busy(event.currentTarget, () => end(task, outcome, convert)) },
      }, t(named(task, outcome, convert))));
      refill(place, h('p', { class: 'question' }, t('tasks.how')), h('div', { class: 'row' }, choices,
        h('button', { type: 'button', class: 'quiet', on: { click: () => { rest(); place.firstChild.focus(); } } }, t('no'))));
      $('button', place).focus();
    };
    rest();
    return place;
  }

  function named(task, outcome, convert) {
    if (outcome === 'reached' && !convert) {
      if (task.code === 'deferred') return 'tasks.answered';
      if (task.code === 'interrupted') return 'tasks.back';
    }
    return `tasks.${outcome}${convert ? `.${convert}` : ''}`;
  }

  async function end(task, outcome, convert) {
    const done = await api.post(`/v1/tasks/${task.id}/complete`, { outcome, ...(convert ? { convert } : {}) });
    const values = { patient: task.for.name, time: when(done.due_at) };
    note.textContent = t(outcome === 'not_reached' ? 'tasks.later' : 'tasks.done', values);
    note.hidden = false;
    await again();
    note.focus();
    say(note.textContent);
  }

  return { list, note, draw, when };
}
