// What an administrator puts right about the clinic and its places: names, links, and the zone by which clocks are told.
import { t, learn } from './i18n.js';
import { h, refill, field, busy, problemBox, words } from './ui.js';
import * as api from './api.js';

const LINKS = ['none', '2g', '3g', '4g', 'broadband'];

learn({
  'places.title': ['Клиника и места', 'The clinic and its places'],
  'places.hint': ['Время пациентам обещают по часам места, где они живут. Если пояс был указан неверно, обещанное время остаётся, а сами приёмы переносят.', 'Patients are promised times by the clocks where they live. When a zone was wrong, the promised time stays and the visits are moved.'],
  'places.name': ['Название', 'Name'],
  'places.zone': ['Часовой пояс', 'Time zone'],
  'places.zone.hint': ['Название из базы IANA, например Asia/Krasnoyarsk', 'A name of the IANA database, such as Asia/Krasnoyarsk'],
  'places.link': ['Связь', 'Link'],
  'places.link.none': ['нет', 'none'],
  'places.link.2g': ['2G', '2G'],
  'places.link.3g': ['3G', '3G'],
  'places.link.4g': ['4G', '4G'],
  'places.link.broadband': ['широкополосная', 'broadband'],
  'places.latitude': ['Широта', 'Latitude'],
  'places.longitude': ['Долгота', 'Longitude'],
  'places.saved': ['Сохранено: {name}', 'Saved: {name}'],
  'places.broken': ['Сохранено: {name}. Не на обещанном времени теперь приёмов: {n}.', 'Saved: {name}. Visits that are no longer at their promised time: {n}.'],
  'places.broken.see': ['Показать их', 'Show them'],
  'places.save': ['Сохранить', 'Save'],
});

/** The section of the set-up screen; `told(text, ...more)` says what was done. */
export async function placesSection({ clinic, told }) {
  const forms = h('div', { id: 'places', class: 'stack' });
  // What the browser knows is offered; the server may know younger zones.
  const zones = h('datalist', { id: 'zones' }, (Intl.supportedValuesOf?.('timeZone') ?? []).map((zone) => h('option', { value: zone })));
  const section = h('section', { class: 'stack', 'aria-labelledby': 'places-title' },
    h('h2', { id: 'places-title' }, t('places.title')), h('p', { class: 'hint' }, t('places.hint')), zones, forms);
  const [own, places] = await Promise.all([api.get(`/v1/organizations/${clinic.id}`),
    api.pages(api.query('/v1/locations', { organization: clinic.id, limit: 100 }))]);
  refill(forms, form(own, 'organizations'), places.map((place) => form(place, 'locations')));
  return section;

  function form(first, kind) {
    let one = first;
    const id = (name) => `${name}-${one.id}`;
    const wrong = problemBox(id('wrong'));
    const isPlace = kind === 'locations';
    const number = (name, most) => h('label', { for: id(name) }, t(`places.${name}`),
      h('input', { id: id(name), name, type: 'number', step: 'any', min: -most, max: most, value: one[name] ?? '' }));
    const link = isPlace && h('label', { for: id('link_class') }, t('places.link'), h('select', { id: id('link_class'), name: 'link_class' },
      LINKS.map((name) => h('option', { value: name, selected: name === one.link_class }, t(`places.link.${name}`)))));
    const save = h('button', { type: 'submit', class: 'second', id: id('save') }, t('places.save'));
    const made = h('form', { class: 'stack', novalidate: true },
      field(id('name'), t('places.name'), { maxlength: 200, value: one.name, autocomplete: 'off' }),
      field(id('time_zone'), t('places.zone'), { list: 'zones', value: one.time_zone, autocomplete: 'off', spellcheck: 'false' }, t('places.zone.hint')),
      isPlace && h('div', { class: 'inline' }, link, number('latitude', 90), number('longitude', 180)), wrong, h('div', { class: 'row' }, save));
    const input = (name) => made.querySelector(`#${CSS.escape(id(name))}`);
    made.addEventListener('submit', (event) => {
      event.preventDefault();
      for (const each of made.querySelectorAll('input')) each.removeAttribute('aria-invalid');
      wrong.hidden = true;
      const body = { name: input('name').value.trim(), time_zone: input('time_zone').value.trim() };
      if (isPlace) {
        body.link_class = input('link_class').value;
        for (const name of ['latitude', 'longitude']) if (input(name).value !== '') body[name] = Number(input(name).value);
      }
      return busy(save, async () => {
        try {
          one = (await api.call('PATCH', `/v1/${kind}/${one.id}`, { body, etag: `"${one.version}"` })).data;
        } catch (error) {
          const named = input(error.errors?.[0]?.pointer?.slice(1) || (error.code === 'unknown_time_zone' ? 'time_zone' : 'none'));
          named?.setAttribute('aria-invalid', 'true');
          named?.focus();
          Object.assign(wrong, { textContent: words(error), hidden: false }).dataset.code = error.code ?? '';
          return;
        }
        summary.textContent = one.name;
        if (one.broken_promises) {
          told(t('places.broken', { name: one.name, n: one.broken_promises }), ' ', h('a', { href: '#/promises' }, t('places.broken.see')));
        } else told(t('places.saved', { name: one.name }));
      }, wrong);
    });
    const summary = h('summary', {}, one.name);
    return h('details', { class: 'card', data: { place: one.id } }, summary, made);
  }
}
