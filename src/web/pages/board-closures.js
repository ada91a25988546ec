// When the clinic is closed: what is to come, closing it, and the visits that are in that time.
import './office-words.js';
import { t, lang } from './i18n.js';
import { show, h, refill, field, busy, asking, problemBox, say, tell } from './ui.js';
import * as api from './api.js';
import { clock, date, dayKey, longDay, now, shiftDay, wallClock, cityOf } from './time.js';
import { timeField } from './wall.js';
import { isOffice } from './board-rights.js';

const head = (title, { clinic, zone }, ...more) => h('div', { class: 'board-head' },
  h('div', {}, h('h1', {}, title), h('p', { class: 'hint' }, `${clinic.name} · ${t('board.zone', { zone: cityOf(zone) })}`)), more);
const pathOf = (clinic, id) => `/v1/organizations/${clinic.id}/closures${id ? `/${id}` : ''}`;
const day = (key) => date(`${key}T12:00:00Z`, 'UTC');

/** "31 December 2026 – 8 January 2027, all day" */
function whenWords({ from_date: first, to_date: last, from, to }) {
  const one = first === last;
  const hours = from === '00:00' && to === '24:00' ? t('closures.whole') : t(one ? 'closures.hours' : 'closures.hours.each', { from, to });
  return `${one ? day(first) : `${day(first)} – ${day(last)}`}, ${hours}`;
}

/** The list of what is to come; `state`: {me, clinic, zone}. */
export async function closures(state) {
  const { me, clinic, zone } = state;
  const may = me.system_admin || isOffice(me, clinic);
  const list = h('ul', { id: 'closures', class: 'list tight' }, h('li', { class: 'lead', 'aria-busy': 'true' }, t('loading')));
  const problem = problemBox();
  const note = h('p', { id: 'closures-note', class: 'good', role: 'status', hidden: true });
  show(head(t('closures.title'), state), h('p', { class: 'hint' }, t('closures.lead')), problem, note,
    h('section', { class: 'card', 'aria-labelledby': 'coming-title' }, h('h2', { id: 'coming-title' }, t('closures.coming')), list),
    may ? form() : h('p', { id: 'closures-readonly', class: 'hint' }, t('closures.readonly')));
  await load();

  function noted(text) {
    note.textContent = text;
    note.hidden = false;
    note.scrollIntoView({ block: 'nearest' });
    say(text);
  }

  async function load() {
    try {
      // What ends last comes first, so what is to come fits on the first page.
      const all = await api.pages(api.query(pathOf(clinic), { limit: 100 }));
      const coming = all.filter((one) => one.to_date >= dayKey(now(), zone)).sort((a, b) => (a.from_date < b.from_date ? -1 : 1));
      refill(list, coming.length ? coming.map(line) : h('li', { class: 'lead none' }, t('closures.none')));
    } catch (error) {
      refill(list);
      tell(problem, error);
    }
  }

  function line(one) {
    const { id, name } = one;
    return h('li', { data: { closure: id } }, h('div', { class: 'spread' }, h('div', {}, h('strong', {}, name), h('p', { class: 'hint' }, whenWords(one))),
      h('div', { class: 'row' },
        h('a', { class: 'button quiet visits', href: `#/closures/${id}`, 'aria-label': `${t('closures.visits')}: ${name}` }, t('closures.visits')),
        may && asking(`remove-${id}`, t('hours.remove'), t('closures.remove.ask', { name }), t('yes'), async () => {
          await api.call('DELETE', pathOf(clinic, id)).catch((error) => { if (error.status !== 404) throw error; });
          await load();
          noted(t('closures.removed', { name }));
        }))));
  }

  function form() {
    const tomorrow = shiftDay(dayKey(now(), zone), 1);
    const first = h('input', { id: 'closure-first', type: 'date', value: tomorrow, min: dayKey(now(), zone), required: true });
    const last = h('input', { id: 'closure-last', type: 'date', value: tomorrow, required: true });
    const [from, to] = ['from', 'to'].map((name) => timeField('', { id: `closure-${name}` }));
    const name = field('closure-name', t('closures.name'), { maxlength: 100, required: true });
    const other = field('closure-name-other', t('closures.name.other'), { maxlength: 100 });
    const trouble = problemBox('closure-problem');
    const submit = h('button', { id: 'closure-add', class: 'primary', type: 'submit' }, t('closures.add'));
    const fields = { '/from_date': first, '/to_date': last, '/from': from, '/to': to };
    first.addEventListener('change', () => { if (last.value < first.value) last.value = first.value; });
    const label = (input, word) => h('label', { for: input.id }, t(word), input);
    const made = h('form', { class: 'card', 'aria-labelledby': 'close-title' }, h('h2', { id: 'close-title' }, t('closures.new')),
      h('div', { class: 'inline' }, label(first, 'closures.first'), label(last, 'closures.last'), label(from, 'closures.from'), label(to, 'closures.to')),
      h('div', { class: 'inline' }, name, other), trouble, h('div', { class: 'row' }, submit));
    made.addEventListener('submit', (event) => {
      event.preventDefault();
      for (const input of Object.values(fields)) input.removeAttribute('aria-invalid');
      busy(submit, add, trouble);
    });

    // Sent again after a lost answer, it is the same closure.
    let key = api.newKey();
    async function add() {
      const own = name.querySelector('input').value.trim();
      const theirs = other.querySelector('input').value.trim() || own;
      const names = lang() === 'ru' ? { ru: own, en: theirs } : { en: own, ru: theirs };
      const hours = { ...(from.value ? { from: from.value } : {}), ...(to.value ? { to: to.value } : {}) };
      try {
        const added = await api.post(pathOf(clinic), { name: names, from_date: first.value, to_date: last.value, ...hours }, key);
        key = api.newKey();
        if (added.affected_count > 0) {
          location.hash = `#/closures/${added.id}`;
          return;
        }
        made.reset();
        await load();
        noted(t('closures.added', { name: added.name }));
      } catch (error) {
        if (error.status) key = api.newKey();
        const wrong = (error.errors ?? []).map((one) => fields[one.pointer]).find(Boolean);
        wrong?.setAttribute('aria-invalid', 'true');
        wrong?.focus();
        if (error.code === 'invalid_body') throw Object.assign(error, { code: 'closure', detail: t('closures.wrong') });
        throw error;
      }
    }
    return made;
  }
}

/** One closure and the visits that are still in that time; each leads to the board. */
export async function closure(state, id) {
  const { clinic, zone } = state;
  const { hash } = location;
  const one = await api.get(pathOf(clinic, id));
  if (location.hash !== hash) return;
  const { affected, affected_count: many } = one;
  show(head(one.name, state, h('a', { class: 'button quiet', id: 'back', href: '#/closures' }, t('closures.back'))),
    h('p', { class: 'lead' }, whenWords(one)), problemBox(),
    h('p', { id: 'hit-count', data: { open: many } }, many ? t('closures.count', { n: many }) : t('closures.free')),
    many > affected.length && h('p', { class: 'hint' }, t('closures.first100', { n: affected.length })),
    h('ol', { id: 'hits', class: 'list pairs' }, affected.map((visit) => h('li', { data: { appointment: visit.id } },
      h('a', { class: 'button choice', href: `#/day/${dayKey(visit.start, zone)}/${visit.id}` },
        h('span', {}, `${longDay(visit.start, zone)}, ${clock(visit.start, zone)} · ${visit.patient.name}`,
          h('small', {}, `${t('grid.there', { time: `${wallClock(visit.local_start)}, ${cityOf(visit.time_zone)}` })} · `, h('b', { class: 'code', translate: 'no' }, visit.code))))))));
}
