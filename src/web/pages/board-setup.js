// What a clinic's administrator looks after: rooms and devices, and on which terms each service is booked.
import { t, learn } from './i18n.js';
import { show, h, put, refill, field, busy, problemBox, say, tell, words } from './ui.js';
import * as api from './api.js';
import { placesSection } from './board-places.js';
import { isAdmin } from './board-rights.js';

/** Each term with the least and the most that the server takes; `booking` says where it belongs. */
const NUMBERS = [
  ['duration_minutes', 5, 480], ['buffer_before_minutes', 0, 120], ['buffer_after_minutes', 0, 120],
  ['lead_minutes', 0, 43_200], ['horizon_days', 1, 366], ['daily_cap', 0, 200],
];
const ALIGNMENTS = [0, 5, 10, 15, 20, 30, 60];

learn({
  'setup.title': ['Кабинеты, приборы, приёмы, места', 'Rooms, devices, services, places'],
  'setup.things': ['Кабинеты и приборы', 'Rooms and devices'],
  'setup.things.none': ['Пока ничего нет.', 'There are none yet.'],
  'setup.off': ['Отключить', 'Switch off'],
  'setup.on': ['Включить', 'Switch on'],
  'setup.is.off': ['отключено: новые приёмы его не берут', 'switched off: no new visit takes it'],
  'setup.off.done': ['Отключено: {name}. Замену получили приёмов: {n}.', 'Switched off: {name}. Visits that were given another: {n}.'],
  'setup.off.left': ['Без замены остались приёмы: {n}.', 'Visits for which none was free: {n}.'],
  'setup.off.see': ['Показать их', 'Show them'],
  'setup.kind': ['Что это', 'What it is'],
  'setup.kind.room': ['кабинет', 'room'],
  'setup.kind.device': ['прибор', 'device'],
  'setup.name': ['Название', 'Name'],
  'setup.place': ['Где', 'Where'],
  'setup.add': ['Добавить', 'Add'],
  'setup.added': ['Добавлено: {name}', 'Added: {name}'],
  'setup.services': ['Условия приёмов', 'Terms of services'],
  'setup.services.hint': ['Что уже записано, остаётся как есть.', 'What is booked already stays as it is.'],
  'setup.duration_minutes': ['Длительность, минут', 'Length, minutes'],
  'setup.buffer_before_minutes': ['Перерыв до, минут', 'Kept free before, minutes'],
  'setup.buffer_after_minutes': ['Перерыв после, минут', 'Kept free after, minutes'],
  'setup.lead_minutes': ['Записаться не позже чем за, минут', 'Least notice, minutes'],
  'setup.horizon_days': ['Запись вперёд, дней', 'Booked ahead, days'],
  'setup.daily_cap': ['Не больше в день у врача (0: сколько поместится)', 'Most in a doctor’s day (0: as many as fit)'],
  'setup.align_minutes': ['Начало кратно', 'Starts on multiples of'],
  'setup.align.none': ['от начала рабочего времени', 'counted from the beginning of work'],
  'setup.align.of': ['{n} минут часа', '{n} minutes of the hour'],
  'setup.overbook': ['Можно записать второго в занятое время', 'A second patient may be put into a taken time'],
  'setup.active': ['На приём записывают', 'It can be booked'],
  'setup.needs': ['Нужно ещё: {what}', 'Needs besides: {what}'],
  'setup.save': ['Сохранить', 'Save'],
  'setup.left': ['Записаны на него приёмы: {n}.', 'Visits that are booked for it: {n}.'],
  'setup.saved': ['Сохранено: {name}', 'Saved: {name}'],
  'setup.wrong': ['Проверьте отмеченное поле.', 'Check the marked field.'],
  'setup.name.missing': ['Напишите название.', 'Write a name.'],
  'setup.readonly': ['Это меняет администратор клиники.', 'A clinic’s administrator changes this.'],
});

/** `state`: {me, clinic}. */
export async function setup({ me, clinic }) {
  const note = h('p', { id: 'setup-note', class: 'good', role: 'status', hidden: true });
  const problem = problemBox();
  const things = h('ul', { id: 'things', class: 'list tight' });
  const services = h('div', { id: 'services', class: 'stack' });
  const around = h('div', {});
  const head = h('div', {}, h('h1', {}, t('setup.title')), h('p', { class: 'hint' }, clinic.name));
  if (!isAdmin(me, clinic)) {
    show(head, h('p', { id: 'setup-readonly', class: 'lead' }, t('setup.readonly')));
    return;
  }
  const found = h('section', { class: 'card', 'aria-labelledby': 'things-title' }, h('h2', { id: 'things-title' }, t('setup.things')), things);
  show(head, problem, note, found,
    h('section', { class: 'stack', 'aria-labelledby': 'services-title' }, h('h2', { id: 'services-title' }, t('setup.services')), h('p', { class: 'hint' }, t('setup.services.hint')), services), around);
  const places = await api.pages(api.query('/v1/locations', { organization: clinic.id, limit: 100 })).catch(() => []);
  put(found, form(places));
  await Promise.all([drawThings(), drawServices(), drawPlaces()]).catch((error) => tell(problem, error));

  function told(...parts) {
    refill(note, parts);
    note.hidden = false;
    say(note.textContent);
  }

  async function drawPlaces() {
    refill(around, await placesSection({ clinic, told }));
  }

  /** Visits keep nothing that is switched off: who was given another, and who is left. */
  function switchedOff({ name, replaced, affected_count: left }) {
    told(t('setup.off.done', { name, n: replaced }), left > 0 && [' ', t('setup.off.left', { n: left }), ' ', h('a', { class: 'button quiet', href: '#/things' }, t('setup.off.see'))]);
  }

  async function drawThings() {
    const all = await api.pages(api.query('/v1/resources', { organization: clinic.id, limit: 100 }));
    refill(things, all.length ? all.map(thing) : h('li', { class: 'lead none' }, t('setup.things.none')));
  }

  function thing(one) {
    const turn = h('button', { type: 'button', class: 'quiet', id: `turn-${one.id}`, 'aria-label': `${t(one.active ? 'setup.off' : 'setup.on')}: ${one.name}`, on: { click: (event) => busy(event.currentTarget, async () => {
      const { data } = await api.call('PATCH', `/v1/resources/${one.id}`, { body: { active: !one.active }, etag: `"${one.version}"` });
      if (!data.active && data.replaced + data.affected_count > 0) switchedOff(data);
      await drawThings();
      document.getElementById(`turn-${one.id}`)?.focus();
    }, problem) } }, t(one.active ? 'setup.off' : 'setup.on'));
    return h('li', { data: { resource: one.id, active: String(one.active) } }, h('div', { class: 'spread' },
      h('div', {}, h('strong', {}, one.name), h('p', { class: 'hint' }, [t(`setup.kind.${one.kind}`), one.location.name, one.active ? '' : t('setup.is.off')].filter(Boolean).join(' · '))), turn));
  }

  function form(all) {
    const select = (id, label, options) => h('label', { for: id }, label, h('select', { id }, options.map(([value, text]) => h('option', { value }, text))));
    const kind = select('thing-kind', t('setup.kind'), ['room', 'device'].map((one) => [one, t(`setup.kind.${one}`)]));
    const place = select('thing-place', t('setup.place'), all.map((one) => [one.id, one.name]));
    const name = field('thing-name', t('setup.name'), { maxlength: 100, autocomplete: 'off' });
    const add = h('button', { id: 'thing-add', class: 'second', type: 'submit' }, t('setup.add'));
    const made = h('form', { class: 'stack', novalidate: true }, h('div', { class: 'inline' }, kind, place), name, h('div', { class: 'row' }, add));
    let key = api.newKey();
    made.addEventListener('submit', (event) => {
      event.preventDefault();
      const input = name.querySelector('input');
      const text = input.value.trim();
      if (!text) {
        tell(problem, { code: 'incomplete', detail: t('setup.name.missing') });
        return input.focus();
      }
      return busy(add, async () => {
        await api.post('/v1/resources', { kind: kind.querySelector('select').value, name: text, organization: clinic.id, location: place.querySelector('select').value }, key);
        key = api.newKey();
        input.value = '';
        await drawThings();
        told(t('setup.added', { name: text }));
      }, problem);
    });
    return made;
  }

  async function drawServices() {
    const all = await api.pages(api.query('/v1/healthcare-services', { organization: clinic.id, limit: 100 }));
    refill(services, all.map(terms));
  }

  /** The terms of one service; `first` is what the server said last. */
  function terms(first) {
    let one = first;
    const id = (name) => `${name}-${one.id}`;
    const wrong = problemBox(id('wrong'));
    const numbers = NUMBERS.map(([name, min, max]) => h('label', { for: id(name) }, t(`setup.${name}`),
      h('input', { id: id(name), name, type: 'number', inputmode: 'numeric', min, max, step: 1, value: name in one ? one[name] : one.booking[name] })));
    const align = h('label', { for: id('align_minutes') }, t('setup.align_minutes'), h('select', { id: id('align_minutes'), name: 'align_minutes' },
      ALIGNMENTS.map((n) => h('option', { value: n, selected: n === one.booking.align_minutes }, n ? t('setup.align.of', { n }) : t('setup.align.none')))));
    const check = (name, on) => h('label', { class: 'check' }, h('input', { type: 'checkbox', id: id(name), checked: on }), t(`setup.${name}`));
    const save = h('button', { type: 'submit', class: 'second', id: id('save') }, t('setup.save'));
    const made = h('form', { class: 'stack', novalidate: true },
      h('div', { class: 'inline' }, numbers, align),
      one.resources.length > 0 && h('p', { class: 'hint' }, t('setup.needs', { what: one.resources.map((kind) => t(`kind.${kind}`)).join(', ') })),
      check('overbook', one.booking.overbook), check('active', one.active), wrong, h('div', { class: 'row' }, save));
    made.addEventListener('submit', (event) => {
      event.preventDefault();
      for (const input of made.querySelectorAll('input')) input.removeAttribute('aria-invalid');
      const bad = [...made.querySelectorAll('input[type=number]')].find((input) => input.value === '' || !input.checkValidity());
      if (bad) return mark(bad);
      return busy(save, async () => {
        const value = (name) => Number(made.querySelector(`[name=${name}]`).value);
        const booking = { ...one.booking, align_minutes: value('align_minutes'), overbook: made.querySelector(`#${CSS.escape(id('overbook'))}`).checked };
        for (const [name] of NUMBERS.slice(1)) booking[name] = value(name);
        const body = { duration_minutes: value('duration_minutes'), booking, active: made.querySelector(`#${CSS.escape(id('active'))}`).checked };
        try {
          one = (await api.call('PATCH', `/v1/healthcare-services/${one.id}`, { body, etag: `"${one.version}"` })).data;
          const { affected_count: left } = one;
          told(t('setup.saved', { name: one.name }), left > 0 && [' ', t('setup.left', { n: left }), ' ', h('a', { class: 'button quiet', href: '#/practitioners' }, t('setup.off.see'))]);
        } catch (error) {
          const named = made.querySelector(`[name=${error.errors?.[0]?.pointer?.split('/').pop() ?? 'none'}]`);
          if (named) return mark(named);
          tell(wrong, error);
          // Somebody else has saved meanwhile: what they said is shown.
          if (error.status === 412) await drawServices();
        }
        return undefined;
      }, wrong);
    });
    function mark(input) {
      input.setAttribute('aria-invalid', 'true');
      Object.assign(wrong, { textContent: words({ code: 'setup', detail: t('setup.wrong') }), hidden: false }).dataset.code = 'incomplete';
      input.focus();
    }
    return h('details', { class: 'card', data: { service: one.id } }, h('summary', {}, one.name), made);
  }
}
