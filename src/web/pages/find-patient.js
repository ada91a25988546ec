// Finding a patient by how the name begins: for booking, and for the waiting list.
import { t } from './i18n.js';
import { h, refill, field } from './ui.js';
import * as api from './api.js';
import { date, cityOf } from './time.js';
import { languagesBox } from './languages.js';

const TYPING_MS = 250;

/** A field and what it finds. Their ids begin with `id`; `chosen` hears whom somebody picks. */
export function findPatient(id, chosen) {
  const found = h('div', { id: `${id}-patients`, class: 'pick', 'aria-live': 'polite' });
  const search = field(`${id}-search`, t('booking.patient'), { autocomplete: 'off', spellcheck: 'false' }, t('booking.patient.hint'));
  const input = search.querySelector('input');
  let typing = 0;
  input.addEventListener('input', () => {
    clearTimeout(typing);
    typing = setTimeout(find, TYPING_MS);
  });

  async function find() {
    const query = input.value.trim();
    if (query.length < 2) return refill(found);
    try {
      const people = await api.items(api.query('/v1/patients', { query, limit: 8 }));
      if (query !== input.value.trim()) return undefined;
      return refill(found, people.length ? people.map((one) => h('button', { type: 'button', class: 'choice', 'aria-pressed': 'false', data: { patient: one.id }, on: { click: () => choose(one) } },
        h('span', {}, one.name, h('small', {}, [date(`${one.birth_date}T12:00:00Z`, 'UTC'), one.location?.name].filter(Boolean).join(' · ')))))
        : h('p', { class: 'hint' }, t('booking.nobody')));
    } catch (error) {
      return refill(found, h('p', { class: 'problem' }, error.detail ?? t('problem.unknown')));
    }
  }

  function choose(patient) {
    refill(found, h('p', { class: 'good', id: `${id}-who`, data: { patient: patient.id } }, h('strong', {}, patient.name), ` · ${patient.location?.name ?? ''} · ${cityOf(patient.time_zone)}`),
      patient.languages && languagesBox({ patient, saved: chosen }));
    chosen(patient);
  }
  return { search, found, input };
}
