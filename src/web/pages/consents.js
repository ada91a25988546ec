// What somebody agrees to, form by form; taken back as easily as given. Nothing offers to record: nothing records.
import { t, learn } from './i18n.js';
import { $, h, refill, button, busy, problemBox } from './ui.js';
import * as api from './api.js';
import { date } from './time.js';

// A recording is asked for only where one can be made.
const ASKED = ['telehealth', 'third_party', 'trainee'];

learn({
  'consents.title': ['Мои согласия', 'What I agree to'],
  'consents.title.doctor': ['Согласия пациента', 'What the patient agrees to'],
  'consents.aloud': ['Прочитайте вслух и отметьте ответ пациента.', 'Read it aloud, and write down what the patient says.'],
  'consents.give.doctor': ['Пациент согласен', 'The patient agrees'],
  'consents.withdraw.doctor': ['Пациент отозвал', 'The patient withdraws'],
  'consents.telehealth': ['Приём на расстоянии', 'A visit at a distance'],
  'consents.third_party': ['Ещё один человек на приёме', 'Another person in the visit'],
  'consents.trainee': ['Учащийся на приёме', 'A trainee in the visit'],
  'consents.recording': ['Запись приёма', 'Recording the visit'],
  'consents.give': ['Согласен', 'I agree'],
  'consents.withdraw': ['Отозвать', 'Withdraw'],
  'consents.given': ['Согласие дано {when}', 'Agreed on {when}'],
  'consents.not': ['Согласия нет', 'Not agreed'],
});

/** A fold that asks the server only when it is opened; `side` doctor writes down what the patient says. */
export function consentsCard({ encounter, zone, side = 'patient' }) {
  const own = side === 'patient' ? '' : '.doctor';
  const path = `/v1/encounters/${encounter}/consents`;
  const place = h('div', { class: 'stack' }, h('p', { class: 'loading' }, t('loading')));
  const problem = problemBox('consents-problem');
  let wanted = null;
  const node = h('details', { id: 'consents', class: 'card' }, h('summary', {}, t(`consents.title${own}`)), own && h('p', { class: 'hint' }, t('consents.aloud')), problem, place);
  node.addEventListener('toggle', () => { if (node.open) load().catch(() => {}); });

  async function load() {
    const [forms, { items, recording }] = await Promise.all([api.items('/v1/consent-forms'), api.get(path)]);
    // To be recorded everybody agrees themselves.
    const kinds = recording.possible && !own ? [...ASKED, 'recording'] : ASKED;
    refill(place, forms.filter((form) => kinds.includes(form.kind)).map((form) => {
      const given = items.find((one) => one.kind === form.kind && one.counts);
      const act = (work) => (event) => busy(event.currentTarget, async () => { await work(); await load(); }, problem);
      return h('section', { class: 'stack', data: { kind: form.kind, given: Boolean(given) } },
        h('h3', {}, t(`consents.${form.kind}`)),
        h('p', {}, form.text),
        h('p', { class: 'hint' }, given ? t('consents.given', { when: date(given.given_at, zone) }) : t('consents.not')),
        given
          ? button(`withdraw-${form.kind}`, t(`consents.withdraw${own}`), act(() => api.post(`/v1/consents/${given.id}/withdraw`)), 'quiet')
          : button(`agree-${form.kind}`, t(`consents.give${own}`), act(() => api.post(path, { kind: form.kind, form_version: form.version })), 'second'));
    }));
    $(`#agree-${wanted}`, place)?.focus();
    wanted = null;
  }

  /** Somebody may not come in without this one: it lies open, with the answer under the hand. */
  function ask(kind) {
    wanted = kind;
    if (node.open) load().catch(() => {});
    else node.open = true;
  }

  return { node, ask };
}
