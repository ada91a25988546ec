// Which languages a patient speaks: said by themselves, or by the office for them. By it an interpreter is chosen, and the
// search for a doctor begins.
import { t, learn, locale } from './i18n.js';
import { h, put, refill, button, busy, problemBox, say } from './ui.js';
import * as api from './api.js';

/** Those that most patients name; the others are typed as codes. */
const COMMON = ['ru', 'en', 'kk', 'tt', 'ba', 'bua', 'sah', 'tyv', 'evn', 'ky', 'uz'];
const MANY = 20;

learn({
  'langs.title': ['Языки', 'Languages'],
  'langs.none': ['не указаны', 'not said yet'],
  'langs.edit': ['Изменить языки', 'Change the languages'],
  'langs.ask': ['На каких языках говорит пациент? Первый отмеченный важнее.', 'Which languages does the patient speak? The first one marked counts most.'],
  'langs.ask.own': ['На каких языках вы говорите? По ним ищут врача и переводчика.', 'Which languages do you speak? A doctor and an interpreter are found by them.'],
  'langs.other': ['Другой (код, например chv)', 'Another (its code, such as chv)'],
  'langs.save': ['Сохранить языки', 'Save the languages'],
  'langs.saved': ['Языки: {names}', 'Languages: {names}'],
  // Browsers leave out the names of small languages.
  'lang.kk': ['казахский', 'Kazakh'],
  'lang.tt': ['татарский', 'Tatar'],
  'lang.ba': ['башкирский', 'Bashkir'],
  'lang.bua': ['бурятский', 'Buryat'],
  'lang.sah': ['якутский', 'Yakut'],
  'lang.tyv': ['тувинский', 'Tuvan'],
  'lang.evn': ['эвенкийский', 'Evenki'],
  'lang.ky': ['киргизский', 'Kyrgyz'],
  'lang.uz': ['узбекский', 'Uzbek'],
  'lang.chv': ['чувашский', 'Chuvash'],
});

/** The name of a language in the reader's: the browser's own, or ours where it knows none; else the code. */
export function languageName(code) {
  let name = code;
  try {
    name = new Intl.DisplayNames([locale()], { type: 'language' }).of(code);
  } catch { /* an old browser, or no code at all */ }
  if (name !== code) return name;
  const own = t(`lang.${code}`);
  return own === `lang.${code}` ? code : own;
}

const named = (codes) => (codes.length ? codes.map(languageName).join(', ') : t('langs.none'));

/** A line that says them, and a form behind a press. `saved(patient)` hears what the server has now. */
export function languagesBox({ patient, own = false, saved = () => {} }) {
  let one = patient;
  const place = h('div', { class: 'stack languages' });
  const rest = (focus) => {
    const edit = button(`langs-${one.id}`, t('langs.edit'), ask, 'quiet');
    refill(place, h('p', { class: 'hint', data: { languages: one.languages.join(' ') } }, `${t('langs.title')}: ${named(one.languages)}`), edit);
    if (focus) edit.focus();
  };
  function ask() {
    // What was said first stays first.
    const order = [...one.languages];
    const wrong = problemBox(`langs-wrong-${one.id}`);
    const other = h('input', { id: `langs-other-${one.id}`, maxlength: 3, autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false' });
    const codes = [...new Set([...order, ...COMMON])].slice(0, MANY);
    const mark = ({ currentTarget: { value, checked } }) => {
      if (checked) order.push(value);
      else order.splice(order.indexOf(value), 1);
    };
    const form = h('form', { class: 'stack', novalidate: true },
      h('fieldset', { class: 'checks' }, h('legend', {}, t(own ? 'langs.ask.own' : 'langs.ask')), codes.map((code) => h('label', { class: 'check' },
        h('input', { type: 'checkbox', value: code, checked: order.includes(code), on: { change: mark } }), languageName(code)))),
      h('label', { for: other.id }, t('langs.other'), other), wrong);
    const save = h('button', { type: 'submit', class: 'second', id: `langs-save-${one.id}` }, t('langs.save'));
    put(form, h('div', { class: 'row' }, save, button(`langs-no-${one.id}`, t('no'), () => rest(true), 'quiet')));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const typed = other.value.trim().toLowerCase();
      const languages = [...new Set([...order, ...(typed ? [typed] : [])])];
      return busy(save, async () => {
        one = (await api.call('PATCH', `/v1/patients/${one.id}`, { body: { languages }, etag: `"${one.version}"` })).data;
        saved(one);
        rest(true);
        say(t('langs.saved', { names: named(one.languages) }));
      }, wrong);
    });
    refill(place, form);
    form.querySelector('input').focus();
  }
  rest(false);
  return place;
}
