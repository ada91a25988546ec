// Booking: a service, a time, a last look, and a code to write down.
import { t, counted } from './i18n.js';
import { $, show, h, refill, button, field, busy, problemBox, keepDraft, say } from './ui.js';
import * as api from './api.js';
import { timesScreen, whenLine, keyFor, forgetKey, slotChoices } from './patient-times.js';
import { waitInstead } from './patient-waitlist.js';

export async function book(me) {
  show(h('p', { class: 'loading', 'aria-busy': 'true' }, t('loading')));
  const services = await api.pages('/v1/healthcare-services?limit=100');
  if (location.hash !== '#/book') return;
  const choose = () => show(
    h('h1', {}, t('book.service')),
    services.length ? null : h('p', { class: 'lead' }, t('book.noservice')),
    h('div', { id: 'services', class: 'choices' }, services.map((service) => {
      const modes = (service.modes ?? []).map((mode) => t(`mode.${mode}`)).join(', ');
      return h('button', { type: 'button', class: 'choice', data: { id: service.id }, on: { click: () => times({ service, me, choose, memory: {} }) } },
        h('span', {}, service.name,
          h('small', {}, [counted(service.duration_minutes, 'minute'), modes, service.organization?.name].filter(Boolean).join(' · '))));
    })),
    h('a', { class: 'button quiet', href: '#/', id: 'back' }, t('back')));
  choose();
}

function times(order) {
  const { service, me, choose, memory } = order;
  return timesScreen({ title: t('book.when'), lead: service.name, service: service.id, speaks: !service.resources.includes('interpreter'), me },
    { choose: (slot) => confirm(order, slot), back: choose, below: waitInstead(order), memory });
}

function confirm(order, slot) {
  const others = h('div', { id: 'alternatives', class: 'choices', hidden: true });
  const form = h('form', { class: 'stack' },
    field('reason', t('book.reason'), { rows: 3, maxlength: 1000 }, t('book.reason.hint')),
    problemBox(), others,
    h('button', { id: 'book', class: 'primary', type: 'submit' }, t('book.do')));
  show(h('h1', {}, t('book.confirm')),
    h('div', { class: 'card', id: 'summary' }, whenLine(slot), h('p', {}, h('strong', {}, slot.practitioner.name)), h('p', {}, order.service.name)),
    form, button('back', t('back'), () => times(order), 'quiet'));
  keepDraft($('#reason'), 'reason');

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    busy($('#book'), async () => {
      others.hidden = true;
      const reason = $('#reason').value.trim();
      const body = { service: order.service.id, practitioner: slot.practitioner.id, start: slot.start, ...(reason ? { reason } : {}) };
      try {
        const made = await api.post('/v1/appointments', body, keyFor(body));
        sessionStorage.removeItem('feldsher.typed.reason');
        forgetKey();
        booked(made);
      } catch (error) {
        // After a refusal nothing is under way: only a lost answer is asked for again under its key.
        if (error.status) forgetKey();
        offer(error.alternatives ?? []);
        throw error;
      }
    });
  });
  function offer(alternatives) {
    if (!alternatives.length) return;
    others.hidden = false;
    $('#book').hidden = true;
    refill(others, h('p', {}, t('book.alternatives')), slotChoices(alternatives, (other) => confirm(order, other)));
  }
}

function booked(visit) {
  show(h('h1', {}, t('book.done')),
    h('div', { class: 'card ticket', id: 'confirmation', data: { appointment: visit.id, encounter: visit.encounter?.id ?? '' } },
      h('p', { class: 'hint' }, t('book.code')),
      h('p', { id: 'booking-code', translate: 'no' }, visit.code),
      h('p', { class: 'hint' }, t('book.code.hint'))),
    h('div', { class: 'card', id: 'booking-when' }, whenLine(visit), h('p', {}, h('strong', {}, visit.practitioner.name)), h('p', {}, visit.service.name)),
    h('a', { class: 'button primary', href: '#/', id: 'to-home' }, t('book.home')),
    visit.encounter && h('a', { class: 'button quiet', href: `#/visit/${visit.encounter.id}`, id: 'to-visit' }, t('home.open')));
  say(`${t('book.done')}. ${t('book.code')}: ${[...visit.code].join(' ')}`);
}
