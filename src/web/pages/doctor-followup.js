// After a visit: the next one with the same doctor, which remembers what it follows.
import { t, learn } from './i18n.js';
import { h, put, refill, button, busy, field, problemBox, say } from './ui.js';
import * as api from './api.js';
import { clock, date, dayKey, longDay, now, shiftDay, cityOf } from './time.js';
import { timesOfDay } from './free-times.js';

const AHEAD_DAYS = [7, 14, 28];

learn({
  'follow.title': ['Повторный приём', 'Follow-up'],
  'follow.do': ['Записать на повторный приём', 'Book a follow-up'],
  'follow.in.7': ['через неделю', 'in a week'],
  'follow.in.14': ['через две недели', 'in two weeks'],
  'follow.in.28': ['через четыре недели', 'in four weeks'],
  'follow.close': ['Не сейчас', 'Not now'],
  'follow.day': ['День', 'Day'],
  'follow.none': ['В этот день свободного времени нет.', 'There is no free time on that day.'],
  'follow.nearest': ['Ближайшее после: {when}', 'The nearest after it: {when}'],
  'follow.there': ['у пациента {time}, {zone}', 'patient’s time {time}, {zone}'],
  'follow.reason': ['Зачем прийти? Увидит и пациент (можно не писать)', 'What for? The patient sees it too (may be left empty)'],
  'follow.book': ['Записать', 'Book'],
  'follow.booked': ['Повторный приём: {when}, код {code}', 'Follow-up: {when}, code {code}'],
  'follow.of': ['Повторный после приёма {when}', 'Follow-up of the visit of {when}'],
});

/** "Follow-up of the visit of 24 November 2026", for a visit that is one; nothing while that is not known. */
export function followsLine(appointment, zone) {
  const line = h('p', { id: 'follows', class: 'hint', hidden: true });
  if (appointment.follows) {
    api.get(`/v1/appointments/${appointment.follows}`).then(({ start }) => {
      line.textContent = t('follow.of', { when: date(start, zone) });
      line.hidden = false;
    }, () => {});
  }
  return line;
}

/** What follows a visit that is over, and the way to book it. */
export function followUp({ appointment, zone }) {
  const done = h('div', { id: 'follow-ups', class: 'stack' });
  const place = h('div', { class: 'stack' });
  const open = button('follow-up', t('follow.do'), () => draw(), 'second');
  const node = h('section', { id: 'follow', class: 'stack' }, done, open, place);
  const when = (start) => `${longDay(start, zone)}, ${clock(start, zone)}`;
  known().catch(() => {});
  return node;

  /** What was booked after this visit already, and stands. */
  async function known() {
    const later = await api.pages(api.query('/v1/appointments', { patient: appointment.patient.id, from: appointment.start, limit: 100 }), 10);
    const after = later.filter((one) => one.follows === appointment.id && one.status !== 'cancelled');
    refill(done, after.map((one) => h('p', { class: 'good', data: { follow: one.id } }, t('follow.booked', { when: when(one.start), code: one.code }))));
  }

  function draw() {
    open.hidden = true;
    const day = h('input', { id: 'follow-day', type: 'date', min: dayKey(now(), zone), on: { change: () => day.value && look(day.value) } });
    const times = h('div', { id: 'follow-times', class: 'stack', 'aria-live': 'polite' });
    const problem = problemBox('follow-problem');
    const ahead = AHEAD_DAYS.map((days) => h('button', { type: 'button', class: 'second', data: { days }, on: { click: () => look(shiftDay(dayKey(now(), zone), days)) } },
      t(`follow.in.${days}`)));
    refill(place, h('div', { class: 'card' }, h('h2', { id: 'follow-title', tabindex: '-1' }, t('follow.title')),
      h('div', { class: 'row' }, ahead), h('label', { for: 'follow-day' }, t('follow.day'), day), problem, times,
      button('follow-close', t('follow.close'), close, 'quiet')));
    ahead[0].focus();
    let turn = 0;

    async function look(key) {
      const mine = turn += 1;
      day.value = key;
      refill(times, h('p', { class: 'loading' }, t('loading')));
      const wanted = { service: appointment.service.id, practitioner: appointment.practitioner.id, patient: appointment.patient.id };
      try {
        const { slots, later } = await timesOfDay({ wanted, day: key, zone });
        if (mine !== turn) return;
        refill(times, slots.length ? h('div', { class: 'times' }, slots.map((slot) => h('button', { type: 'button', data: { start: slot.start }, on: { click: () => confirm(slot) } }, clock(slot.start, zone))))
          : h('p', { class: 'lead' }, t('follow.none')),
        later && button('follow-later', t('follow.nearest', { when: when(later.start) }), () => look(dayKey(later.start, zone)), 'second'));
      } catch (error) {
        if (mine === turn) refill(times, h('p', { class: 'problem', role: 'alert' }, error.detail ?? t('problem.unknown')));
      }
    }

    function confirm(slot) {
      const key = api.newKey();
      const reason = field('follow-reason', t('follow.reason'), { rows: 2, maxlength: 1000 });
      refill(times, h('p', {}, h('strong', {}, when(slot.start))),
        h('p', { class: 'hint' }, t('follow.there', { time: clock(slot.start, appointment.time_zone), zone: cityOf(appointment.time_zone) })),
        reason,
        h('div', { class: 'row' }, button('follow-book', t('follow.book'), (event) => busy(event.currentTarget, async () => {
          const why = reason.querySelector('textarea').value.trim();
          const made = await api.post('/v1/appointments', {
            patient: appointment.patient.id, service: appointment.service.id, practitioner: appointment.practitioner.id,
            start: slot.start, follows: appointment.id, ...(why ? { reason: why } : {}),
          }, key);
          close();
          const text = t('follow.booked', { when: when(made.start), code: made.code });
          put(done, h('p', { class: 'good', data: { follow: made.id } }, text));
          say(text);
        }, problem)), button('follow-back', t('back'), () => look(day.value), 'quiet')));
      times.querySelector('#follow-book').focus();
    }
  }

  function close() {
    refill(place);
    open.hidden = false;
    open.focus();
  }
}
