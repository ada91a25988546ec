// "I am running late": how late, what it does to whom, and only then the word itself.
import { t, learn, counted } from './i18n.js';
import { $, h, refill, button, busy, problemBox, say } from './ui.js';
import * as api from './api.js';
import { clock } from './time.js';

const CHOICES = [5, 10, 15, 20, 30, 45, 60, 90, 120, 180];

learn({
  'late.say': ['Я задерживаюсь', 'I am running late'],
  'late.say.office': ['Врач задерживается', 'The doctor is running late'],
  'late.change': ['Изменить', 'Change'],
  'late.said': ['Объявлена задержка: {long}. Следующий приём не раньше {time}. Сообщил(а) {name} в {at}.', 'Running late by {long}. The next visit: not before {time}. Said by {name} at {at}.'],
  'late.how': ['На сколько позже начнётся следующий приём', 'How much later the next visit will begin'],
  'late.ontime': ['Снова по плану', 'On time again'],
  'late.next': ['Следующий приём не раньше {time}.', 'The next visit: not before {time}.'],
  'late.told': ['Узнают пациенты: {told} из {all}, по SMS: {sms}.', 'Patients who will be told: {told} of {all}, by SMS: {sms}.'],
  'late.nobody': ['Сообщать некому: ничей приём заметно не сдвинется.', 'Nobody needs to be told: no visit moves much.'],
  'late.unreached': ['Не на связи, и SMS им не придёт: {count}. Передайте им сами.', 'Not here, and no SMS will reach them: {count}. Somebody must let them know.'],
  'late.tell': ['Сообщить', 'Tell them'],
  'late.note': ['Записать', 'Note it'],
  'late.done': ['Готово. Узнают пациенты: {told}.', 'Done. Patients told: {told}.'],
  'late.cancel': ['Не надо', 'Never mind'],
});

/** The control of one practitioner's day; `office` when somebody says it for them. `look` asks what is known now. */
export function lateControl({ practitioner, zone, office = false }) {
  const path = `/v1/practitioners/${practitioner.id}/delay`;
  const node = h('section', { id: 'late', class: 'stack' });
  let known = null;
  let open = false;
  // How many somebody must still telephone after the last word.
  let unreached = 0;
  const left = (count) => count > 0 && h('p', { class: 'banner', data: { unreached: count } }, t('late.unreached', { count }));
  const long = (minutes) => counted(minutes, 'minute');

  async function look() {
    const fresh = await api.get(path);
    const same = JSON.stringify(fresh) === JSON.stringify(known);
    known = fresh;
    if (!open && !same) rest();
  }

  function rest(note = '') {
    open = false;
    refill(node,
      known.minutes > 0 && h('p', { id: 'late-said', class: 'banner', data: { minutes: known.minutes } }, t('late.said', {
        long: long(known.minutes), time: clock(known.free_at, zone), name: known.declared_by.name, at: clock(known.declared_at, zone),
      })),
      note && h('p', { id: 'late-done', class: 'good', role: 'status' }, note),
      left(unreached),
      h('div', { class: 'row' }, button('late-say', known.minutes > 0 ? t('late.change') : t(office ? 'late.say.office' : 'late.say'), ask, 'second')));
  }

  function ask() {
    open = true;
    // What was said stands until another is chosen, also when it is none of ours.
    const choices = known.minutes > 0 ? [...new Set([0, known.minutes, ...CHOICES])].sort((a, b) => a - b) : CHOICES;
    const select = h('select', { id: 'late-minutes', on: { change: preview } },
      choices.map((minutes) => h('option', { value: minutes }, minutes ? long(minutes) : t('late.ontime'))));
    select.value = String(known.minutes || 15);
    const place = h('div', { id: 'late-preview', class: 'stack', 'aria-live': 'polite' });
    refill(node, h('div', { class: 'card stack' },
      h('div', { class: 'field' }, h('label', { for: 'late-minutes' }, t('late.how')), select),
      problemBox('late-problem'), place,
      h('div', { class: 'row' }, button('late-tell', t('late.tell'), (event) => busy(event.currentTarget, act, $('#late-problem', node)), 'primary', { disabled: true }),
        button('late-cancel', t('late.cancel'), () => { rest(); $('#late-say', node).focus(); }, 'quiet'))));
    select.focus();
    preview();

    async function preview() {
      const minutes = Number(select.value);
      const tell = $('#late-tell', node);
      tell.disabled = true;
      delete place.dataset.minutes;
      await busy(place, async () => {
        const would = await api.post(path, { minutes, dry_run: true });
        if (minutes !== Number(select.value)) return;
        Object.assign(place.dataset, { minutes, told: would.told });
        refill(place,
          would.free_at && h('p', {}, t('late.next', { time: clock(would.free_at, zone) })),
          h('p', { id: 'late-told' }, would.told ? t('late.told', { told: would.told, all: would.to_come, sms: would.by_sms }) : t('late.nobody')),
          left(would.unreached));
        tell.textContent = t(would.told ? 'late.tell' : 'late.note');
        tell.disabled = false;
      }, $('#late-problem', node));
      // Somebody was quicker with another choice: that one is asked for as well.
      if (open && minutes !== Number(select.value) && place.isConnected) preview();
    }

    async function act() {
      const done = await api.post(path, { minutes: Number(select.value) });
      known = { minutes: done.minutes, free_at: done.free_at, declared_at: done.declared_at, declared_by: done.declared_by };
      unreached = done.unreached;
      const note = t('late.done', { told: done.told });
      rest(note);
      say(note);
    }
  }

  return { node, look };
}
