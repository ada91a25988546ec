// Who is missing at the doctor's visit: ring them, see what comes of it, and what the clinic must still do.
import { t, learn } from './i18n.js';
import { h, refill, button, busy } from './ui.js';
import * as api from './api.js';
import { clock } from './time.js';

learn({
  'care.ring': ['Вызвать пациента', 'Ring the patient'],
  'care.again': ['Вызвать ещё раз', 'Ring again'],
  'care.ringing': ['Вызываем пациента с {at}, раз {n} из 2…', 'Ringing the patient since {at}, {n} of 2…'],
  'care.answered': ['Пациент ответил на вызов.', 'The patient has answered.'],
  'care.no_answer': ['Пациент не ответил. {sms} Ждём до {until}.', 'The patient did not answer. {sms} We wait until {until}.'],
  'care.sms': ['SMS отправлено.', 'A text was sent.'],
  'care.nosms': ['SMS не отправлено.', 'No text was sent.'],
  'care.called_back': ['Пациенту перезвонили.', 'The patient was called back.'],
  'care.task.callback': ['Задача больнице: перезвонить до {until}. {owner}', 'The clinic’s task: call back before {until}. {owner}'],
  'care.task.interrupted': ['Приём прерван слишком долго. Задача больнице: решить до {until}. {owner}', 'The visit has been interrupted for too long. The clinic’s task: see to it before {until}. {owner}'],
  'care.task.unseen': ['Пациент ждал, и приём не начался. Задача больнице: позвонить до {until}. {owner}', 'The patient waited and the visit did not begin. The clinic’s task: call them before {until}. {owner}'],
  'care.task.deferred': ['Пациент ждёт письменного ответа до {until}: напишите и подпишите заключение. {owner}', 'The patient waits for an answer in writing before {until}: write the note and sign it. {owner}'],
  'care.task.unanswered': ['Предложенное взамен время не выбрано. Задача больнице: позвонить пациенту до {until}. {owner}', 'None of the offered times was chosen. The clinic’s task: call the patient before {until}. {owner}'],
  'care.task.untold': ['Пациенту некуда отправить SMS. Задача больнице: сообщить о приёме до {until}. {owner}', 'There is no number for a text to the patient. The clinic’s task: tell them of the visit before {until}. {owner}'],
  'care.task.things': ['Кабинет или прибор приёмов отключён. Задача больнице: решить до {until}. {owner}', 'A room or a device of visits is switched off. The clinic’s task: see to it before {until}. {owner}'],
  'care.task.request': ['Пациент ждёт ответа на запрос. Задача больнице: принять, отклонить или предложить другое время до {until}. {owner}', 'The patient waits for an answer to the request. The clinic’s task: take it on, decline it or find another time before {until}. {owner}'],
  'care.task.practitioners': ['Того, кого ждут на приёмах, больше нет. Задача больнице: решить до {until}. {owner}', 'Somebody who is expected in visits is gone. The clinic’s task: see to it before {until}. {owner}'],
  'care.task.promises': ['Обещанное время приёмов сдвинулось. Задача больнице: решить до {until}. {owner}', 'Promised times of visits have moved. The clinic’s task: see to it before {until}. {owner}'],
  'care.owner': ['Отвечает: {name}.', 'Answers for it: {name}.'],
  'care.owner.none': ['Отвечает регистратура.', 'The office answers for it.'],
});

/**
 * `present()` says whether the patient is in the room now, `guest(id)` whether a participant is
 * somebody else. `look()` asks anew.
 */
export function careBox({ encounter, zone, present, guest }) {
  const path = `/v1/encounters/${encounter}`;
  const said = h('p', { id: 'care-ring', role: 'status', hidden: true });
  const tasks = h('div', { id: 'care-tasks', class: 'stack' });
  const ring = button('ring', t('care.ring'), (event) => busy(event.currentTarget, async () => {
    await api.post(`${path}/rings`);
    await look();
  }), 'second');
  const node = h('section', { id: 'care', class: 'stack', hidden: true }, said, tasks, h('div', { class: 'row' }, ring));
  let state = '';

  function words(last) {
    if (last.state === 'ringing') return t('care.ringing', { at: clock(last.rung_at, zone), n: last.attempt });
    if (last.state === 'no_answer' && last.due_at) return t('care.no_answer', { sms: t(last.told_at ? 'care.sms' : 'care.nosms'), until: clock(last.due_at, zone) });
    return ['answered', 'called_back'].includes(last.state) ? t(`care.${last.state}`) : '';
  }

  async function look() {
    const [rings, open] = await Promise.all([api.items(`${path}/rings`), api.items(api.query('/v1/tasks', { encounter }))]);
    const last = rings.find(({ participant }) => !guest(participant.id));
    state = last?.state ?? '';
    const text = last ? words(last) : '';
    said.hidden = !text;
    said.dataset.state = state;
    if (said.textContent !== text) said.textContent = text;
    said.className = state === 'no_answer' ? 'banner' : 'hint';
    refill(tasks, open.map((task) => h('p', { class: 'banner', data: { task: task.code } }, t(`care.task.${task.code}`, {
      until: clock(task.due_at, zone), owner: task.owner ? t('care.owner', { name: task.owner.name }) : t('care.owner.none'),
    }))));
    ring.textContent = t(last ? 'care.again' : 'care.ring');
    draw();
    return state === 'ringing';
  }

  /** There is nobody to ring who is here, and not while it rings. */
  function draw() {
    ring.hidden = present() || state === 'ringing';
    node.hidden = ring.hidden && said.hidden && !tasks.childElementCount;
  }

  return { node, look, draw };
}
