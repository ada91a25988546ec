// What is written while one waits: with the doctor, or with the clinic's office.
import { t, learn } from './i18n.js';
import { $, h, refill, put, busy, problemBox, say } from './ui.js';
import * as api from './api.js';
import { clock } from './time.js';

const TEXT_MAX = 500;
// Lines that a long-forgotten panel shows at once.
const PAGE = 100;

learn({
  'chat.title': ['Написать', 'Messages'],
  'chat.title.doctor': ['Сообщения', 'Messages'],
  'chat.new': ['новых: {n}', '{n} new'],
  'chat.none': ['Пока никто ничего не написал.', 'Nobody has written anything yet.'],
  'chat.to': ['Кому', 'To'],
  'chat.to.practitioner': ['Врачу (читает только врач)', 'The doctor (nobody else reads it)'],
  'chat.to.office': ['Регистратуре (читает и врач)', 'The clinic’s office (the doctor reads it too)'],
  'chat.to.patient': ['Пациенту (больше никто не читает)', 'The patient (nobody else reads it)'],
  'chat.to.both': ['Пациенту и регистратуре', 'The patient and the office'],
  'chat.text': ['Текст', 'Text'],
  'chat.send': ['Отправить', 'Send'],
  'chat.own': ['Вы', 'You'],
  'chat.from.patient': ['{name}', '{name}'],
  'chat.from.practitioner': ['{name}, врач', '{name}, doctor'],
  'chat.from.office': ['{name}, регистратура', '{name}, office'],
  'chat.only': ['только врач и пациент', 'doctor and patient only'],
  'chat.over': ['Приём закончен, написать здесь больше нельзя. На ваш вопрос регистратуре могут ответить здесь ещё 12 часов после него. Если это срочно, позвоните в больницу.', 'The visit is over, and you can no longer write here. A question to the office can still be answered here for 12 hours after you asked it. If it is urgent, phone the clinic.'],
  'chat.arrived': ['Новое сообщение от: {name}', 'New message from {name}'],
});

const CHOICES = {
  patient: [['practitioner', 'chat.to.practitioner'], ['office', 'chat.to.office']],
  doctor: [['practitioner', 'chat.to.patient'], ['office', 'chat.to.both']],
  office: [['office', 'chat.to.both']],
};

/** A panel for one visit; `side` is patient, doctor or office; `over`: one only reads. `look(last)` fetches what is newer than it has. */
export function chatPanel({ encounter, side, zone, open = false, over = false }) {
  const path = `/v1/encounters/${encounter}/messages`;
  const lines = h('ol', { id: 'chat-lines', class: 'list chat', 'aria-live': 'polite', 'aria-label': t('chat.title.doctor') });
  const none = h('p', { class: 'hint' }, t('chat.none'));
  const count = h('span', { id: 'chat-new', class: 'tag', hidden: true });
  const text = h('textarea', { id: 'chat-text', rows: 2, maxlength: TEXT_MAX, required: true });
  const to = h('select', { id: 'chat-to' }, CHOICES[side].map(([value, label]) => h('option', { value }, t(label))));
  const send = h('button', { id: 'chat-send', class: 'primary' }, t('chat.send'));
  const problem = problemBox('chat-problem');
  const form = h('form', { class: 'stack', on: { submit } },
    CHOICES[side].length > 1 && h('div', { class: 'field' }, h('label', { for: 'chat-to' }, t('chat.to')), to),
    h('div', { class: 'field' }, h('label', { for: 'chat-text' }, t('chat.text')), text), problem, send);
  const node = h('details', { id: 'chat', class: 'card', open },
    h('summary', {}, t(side === 'patient' ? 'chat.title' : 'chat.title.doctor'), ' ', count), none, lines, over ? h('p', { class: 'hint', id: 'chat-over' }, t('chat.over')) : form);
  let key = null;
  let known = null;
  let unread = 0;
  let asking = null;
  node.addEventListener('toggle', () => { if (node.open) seen(); });

  function seen() {
    unread = 0;
    count.hidden = true;
  }

  function line(one) {
    const name = one.own ? t('chat.own') : t(`chat.from.${one.from}`, { name: one.name });
    return h('li', { class: one.own ? 'own' : '', data: { from: one.from } },
      h('p', { class: 'hint' }, `${name} · ${clock(one.at, zone)}`, one.to === 'practitioner' && side !== 'patient' && ` · ${t('chat.only')}`),
      h('p', { class: 'prewrap' }, one.text));
  }

  async function fetchNew() {
    for (;;) {
      const fresh = await api.items(known ? `${path}?after=${known}` : path);
      if (!fresh.length) return;
      const first = !known;
      known = fresh.at(-1).id;
      none.hidden = true;
      put(lines, fresh.map(line));
      const others = fresh.filter((one) => !one.own);
      if (others.length && !first) say(t('chat.arrived', { name: others.at(-1).name }));
      unread += others.length;
      if (node.open) seen();
      count.textContent = t('chat.new', { n: unread });
      count.hidden = !unread;
      lines.lastElementChild.scrollIntoView({ block: 'nearest' });
      if (fresh.length < PAGE) return;
    }
  }

  /** `last` is the newest line, where it is known. */
  async function look(last) {
    if (last && last === known) return;
    asking ??= fetchNew().catch(() => {}).finally(() => { asking = null; });
    await asking;
  }

  function submit(event) {
    event.preventDefault();
    if (!text.value.trim()) return;
    // The same line sent twice over a bad link is one line.
    key ??= api.newKey();
    busy(send, async () => {
      await api.post(path, { text: text.value, to: to.value || CHOICES[side][0][0] }, key);
      key = null;
      text.value = '';
      await look();
      text.focus();
    }, problem).finally(() => { if (!problem.hidden && problem.dataset.code !== 'offline') key = null; });
  }

  return { node, look, refill: (kids) => refill(node, kids), first: () => $('#chat-text', node) };
}
