// Booking for a patient who telephones: who, for what, when.
import { t, counted } from './i18n.js';
import { h, put, refill, button, field } from './ui.js';
import * as api from './api.js';
import { clock, dayKey, shiftDay, startOfDay, longDay, now, rfc3339 } from './time.js';
import { cityOf } from './board-grid.js';
import { findPatient } from './find-patient.js';
import { sheet } from './sheet.js';

const SEARCHED_DAYS = 14;

export async function bookFor(board) {
  const services = await api.items(api.query('/v1/healthcare-services', { organization: board.clinic.id, limit: 100 }));
  const window = sheet('booking', t('booking.title'));
  window.node.classList.add('wide');
  const order = { patient: null, service: services[0]?.id ?? '', practitioner: '', day: board.day < dayKey(now(), board.zone) ? dayKey(now(), board.zone) : board.day };
  const times = h('div', { id: 'booking-times', class: 'stack', 'aria-live': 'polite' });
  const select = (id, label, name, options) => h('label', { for: id }, label, h('select', { id, on: { change: ({ currentTarget }) => { order[name] = currentTarget.value; look(); } } },
    options.map(([value, text]) => h('option', { value, selected: order[name] === value }, text))));
  const doctors = (service) => board.grid.columns.filter(({ person }) => person.services.some((one) => one.id === service));
  const doctor = h('span');
  const drawDoctors = () => {
    if (!doctors(order.service).some(({ key }) => key === order.practitioner)) order.practitioner = '';
    refill(doctor, select('booking-doctor', t('grid.doctor'), 'practitioner', [['', t('book.doctor.any')], ...doctors(order.service).map(({ key, title }) => [key, title])]));
  };
  const service = select('booking-service', t('visit.service'), 'service', services.map((one) => [one.id, `${one.name} · ${counted(one.duration_minutes, 'minute')}`]));
  service.addEventListener('change', drawDoctors, true);
  const day = h('label', { for: 'booking-day' }, t('day.date'), h('input', { id: 'booking-day', type: 'date', value: order.day, on: { change: ({ currentTarget }) => { if (currentTarget.value) { order.day = currentTarget.value; look(); } } } }));
  const who = findPatient('booking', (patient) => {
    order.patient = patient;
    look();
  });
  put(window.body, who.search, who.found, h('div', { class: 'inline' }, service, doctor, day), times);
  drawDoctors();
  who.input.focus();

  let turn = 0;
  async function look() {
    const mine = turn += 1;
    if (!order.patient || !order.service) return;
    refill(times, h('p', { class: 'loading' }, t('loading')));
    const from = Math.max(startOfDay(order.day, board.zone), now());
    const to = startOfDay(shiftDay(order.day, 1), board.zone);
    const wanted = { service: order.service, practitioner: order.practitioner, patient: order.patient.id };
    try {
      const slots = from < to ? await api.items(api.query('/v1/slots', { ...wanted, from: rfc3339(from), to: rfc3339(to), limit: 100 })) : [];
      const later = slots.length ? [] : await api.items(api.query('/v1/slots', { ...wanted, from: rfc3339(Math.max(from, to)), to: rfc3339(startOfDay(shiftDay(order.day, SEARCHED_DAYS), board.zone)), limit: 1 }));
      if (mine === turn) draw(slots, later[0]);
    } catch (error) {
      if (mine === turn) refill(times, h('p', { class: 'problem', role: 'alert' }, error.detail ?? t('problem.unknown')));
    }
  }

  function draw(slots, later) {
    const groups = new Map();
    for (const slot of slots) groups.set(slot.practitioner.id, [...(groups.get(slot.practitioner.id) ?? []), slot]);
    refill(times, [...groups.values()].map((list) => h('section', { class: 'stack' }, h('h3', {}, list[0].practitioner.name),
      h('div', { class: 'times' }, list.map((slot) => h('button', { type: 'button', data: { start: slot.start, practitioner: slot.practitioner.id }, on: { click: () => confirm(slot) } }, clock(slot.start, board.zone)))))),
    !slots.length && h('p', { class: 'lead' }, t('book.noslots')),
    later && button('booking-later', t('book.nearest', { when: `${longDay(later.start, board.zone)}, ${clock(later.start, board.zone)}` }), () => {
      order.day = dayKey(later.start, board.zone);
      day.querySelector('input').value = order.day;
      look();
    }, 'second'),
    button('booking-wait', t('booking.wait'), () => {
      window.close();
      board.waitFor(order);
    }, 'quiet'));
  }

  function confirm(slot) {
    const { patient } = order;
    const key = api.newKey();
    const reason = field('booking-reason', t('booking.reason'), { rows: 2, maxlength: 1000 });
    const others = h('div', { class: 'choices', id: 'booking-alternatives' });
    refill(times, h('div', { class: 'card', id: 'booking-summary' },
      h('p', {}, h('strong', {}, patient.name), ` · ${slot.service.name} · ${slot.practitioner.name}`),
      h('p', {}, `${longDay(slot.start, board.zone)}, ${clock(slot.start, board.zone)} (${cityOf(board.zone)})`),
      h('p', { class: 'hint' }, t('grid.there', { time: `${clock(slot.start, patient.time_zone)}, ${cityOf(patient.time_zone)}` }))),
    reason, others,
    h('div', { class: 'row' },
      button('booking-do', t('booking.do'), (event) => window.busy(event.currentTarget, async () => {
        refill(others);
        const words = reason.querySelector('textarea').value.trim();
        try {
          const made = await api.post('/v1/appointments', { patient: patient.id, service: slot.service.id, practitioner: slot.practitioner.id, start: slot.start, ...(words ? { reason: words } : {}) }, key);
          window.close();
          if (dayKey(made.start, board.zone) !== board.day) await board.go(dayKey(made.start, board.zone));
          await board.changed(t('done.booked', { patient: patient.name, code: made.code }), made.id);
        } catch (error) {
          refill(others, (error.alternatives ?? []).map((other) => h('button', { type: 'button', class: 'choice', data: { start: other.start }, on: { click: () => confirm(other) } },
            h('span', {}, `${longDay(other.start, board.zone)}, ${clock(other.start, board.zone)}`, h('small', {}, other.practitioner.name)))));
          throw error;
        }
      })),
      button('booking-back', t('back'), look, 'quiet')));
    times.querySelector('#booking-do').focus();
  }
}
