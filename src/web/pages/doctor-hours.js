// When a doctor works and when not: weekly hours, extra hours, leave. The policy decides who may change them.
import './board-words.js';
import { t } from './i18n.js';
import { $, show, h, put, refill, button, busy, problemBox, tell, say, asking } from './ui.js';
import * as api from './api.js';
import { clock, date, dayKey, dateTime, now, shiftDay, startOfDay, cityOf } from './time.js';
import { fromLocal, toLocal, timeField } from './wall.js';

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
const CYCLES = [1, 2, 3, 4, 5, 6, 7, 8];
/** A Monday, to name weekdays by. */
const MONDAY = '2024-01-01';

export async function hours(of) {
  const { practitioner, zone } = of;
  show(h('p', { class: 'loading', 'aria-busy': 'true' }, t('loading')));
  const path = `/v1/practitioners/${practitioner.id}`;
  const hash = location.hash;
  const [schedule, who] = await Promise.all([api.call('GET', `${path}/schedule`), api.get(path)]);
  const places = await api.pages(api.query('/v1/locations', { organization: who.organization.id, limit: 100 })).catch(() => []);
  await know(places, schedule.data.rules.map((rule) => rule.location), '/v1/locations');
  const services = [...who.services];
  await know(services, schedule.data.rules.map((rule) => rule.service), '/v1/healthcare-services');
  if (location.hash !== hash) return;
  const back = of.office ? `#/week/${practitioner.id}` : '#/week';
  show(
    h('div', { class: 'spread' }, h('h1', {}, of.office ? t('hours.title.of', { name: practitioner.name }) : t('hours.title')),
      h('a', { class: 'button quiet', id: 'back', href: back }, t('hours.back'))),
    h('p', { id: 'saved', class: 'good', role: 'status', hidden: true }),
    weekly(of, schedule, services, places),
    extra(of, path, who),
    leave(of, path));
}

/** Also what stands in a rule and in no list has a name: a place of another clinic, a service no longer given. */
async function know(list, ids, path) {
  const missing = [...new Set(ids.filter((id) => id && !list.some((one) => one.id === id)))];
  list.push(...await Promise.all(missing.map((id) => api.get(`${path}/${id}`).catch(() => ({ id, name: t('hours.unnamed') })))));
}

function saved(text) {
  const line = $('#saved');
  line.textContent = text;
  line.hidden = false;
  line.scrollIntoView({ block: 'nearest' });
  say(text);
}

/** What is chosen stays to be chosen, whatever the list knows: else saving would lose it. */
const named = (any, list, chosen) => options([['', any], ...list.map((one) => [one.id, one.name]),
  ...(!chosen || list.some((one) => one.id === chosen) ? [] : [[chosen, t('hours.unnamed')]])], chosen);

const options = (list, chosen) => list.map(([value, text]) => h('option', { value, selected: String(value) === String(chosen ?? '') }, text));

/* Weekly hours */

function weekly({ zone, practitioner }, { data: schedule, etag }, services, places) {
  let version = etag;
  const list = h('div', { id: 'rules', class: 'stack' });
  const problem = problemBox('rules-problem');
  const dayName = (key) => new Intl.DateTimeFormat(document.documentElement.lang, { weekday: 'long', timeZone: 'UTC' }).format(new Date(`${key}T12:00:00Z`));
  const days = DAYS.map((day, at) => [day, dayName(shiftDay(MONDAY, at))]);
  let turn = 0;

  function line(rule) {
    const id = `rule-${turn += 1}`;
    const field = (name, label, node) => {
      node.id = `${id}-${name}`;
      node.dataset.field = name;
      return h('label', { for: node.id }, label, node);
    };
    const row = h('div', { class: 'rule', id, role: 'group', 'aria-label': t('hours.weekly') },
      field('weekday', t('hours.weekday'), h('select', {}, options(days, rule.weekday))),
      // Not a time field: it would neither show 24:00 nor, on many devices, anything but AM and PM.
      field('from', t('hours.from'), timeField(rule.from)),
      field('to', t('hours.to'), timeField(rule.to)),
      field('every_weeks', t('hours.every'), h('select', {}, options(CYCLES.map((n) => [n, n === 1 ? t('hours.every.1') : t('hours.every.n', { n })]), rule.every_weeks ?? 1))),
      field('valid_from', t('hours.valid_from'), h('input', { type: 'date', value: rule.valid_from ?? '' })),
      field('valid_to', t('hours.valid_to'), h('input', { type: 'date', value: rule.valid_to ?? '' })),
      field('service', t('hours.service'), h('select', {}, named(t('hours.service.any'), services, rule.service))),
      field('location', t('hours.location'), h('select', {}, named(t('hours.location.any'), places, rule.location))),
      h('button', { type: 'button', class: 'quiet remove', on: { click: () => { row.remove(); } } }, t('hours.remove')));
    return row;
  }

  function read(row) {
    const rule = {};
    for (const node of row.querySelectorAll('[data-field]')) if (node.value) rule[node.dataset.field] = node.value;
    rule.every_weeks = Number(rule.every_weeks);
    return rule;
  }

  function draw(rules) {
    refill(list, rules.length ? rules.map(line) : h('p', { class: 'lead none' }, t('hours.none')));
  }
  draw(schedule.rules);

  async function save() {
    const rows = [...list.querySelectorAll('.rule')];
    for (const row of rows) delete row.dataset.wrong;
    try {
      const answer = await api.call('PUT', `/v1/practitioners/${practitioner.id}/schedule`, { body: { rules: rows.map(read) }, etag: version });
      version = answer.etag;
      draw(answer.data.rules);
      saved(t('hours.saved'));
    } catch (error) {
      if (error.code === 'stale_version') {
        const fresh = await api.call('GET', `/v1/practitioners/${practitioner.id}/schedule`);
        version = fresh.etag;
        draw(fresh.data.rules);
        throw Object.assign(error, { code: 'hours', detail: t('hours.stale') });
      }
      const wrong = (error.errors ?? []).map((one) => /^\/rules\/(\d+)/.exec(one.pointer ?? '')?.[1]).filter((at) => at !== undefined);
      for (const at of wrong) if (rows[at]) rows[at].dataset.wrong = '';
      if (error.status === 403) throw Object.assign(error, { code: 'hours', detail: t('hours.readonly') });
      if (wrong.length || error.code === 'invalid_body') throw Object.assign(error, { code: 'hours', detail: t('hours.wrong') });
      throw error;
    }
  }

  return h('section', { class: 'card', 'aria-labelledby': 'weekly-title' },
    h('h2', { id: 'weekly-title' }, t('hours.weekly')), h('p', { class: 'hint' }, t('hours.weekly.hint', { zone: cityOf(zone) })),
    list, problem,
    h('div', { class: 'row' },
      button('rule-add', t('hours.add'), () => {
        list.querySelector('.none')?.remove();
        const row = line({ weekday: 'mon', from: '09:00', to: '17:00', valid_from: dayKey(now(), zone) });
        put(list, row);
        row.querySelector('select').focus();
      }, 'second'),
      button('rules-save', t('hours.save'), (event) => busy(event.currentTarget, save, problem))));
}

/* Extra hours */

function range(id, zone, from, to) {
  const begin = h('input', { id: `${id}-from`, type: 'datetime-local', value: from, required: true });
  const end = h('input', { id: `${id}-to`, type: 'datetime-local', value: to, required: true });
  return {
    nodes: [h('label', { for: `${id}-from` }, t('hours.from'), begin), h('label', { for: `${id}-to` }, t('hours.to'), end)],
    read: () => ({ from: fromLocal(begin.value, zone), to: fromLocal(end.value, zone) }),
  };
}

/** "24 November 2026, 09:00 – 17:00", both days where there are two. */
function rangeWords({ from, to }, zone) {
  const sameDay = dayKey(from, zone) === dayKey(Date.parse(to) - 1, zone);
  return sameDay ? `${date(from, zone)}, ${clock(from, zone)} – ${clock(to, zone)}` : `${dateTime(from, zone)} – ${dateTime(to, zone)}`;
}

const toCome = (one) => Date.parse(one.to) > now();

function extra({ zone }, path, who) {
  const list = h('ul', { id: 'extra', class: 'list tight' });
  const problem = problemBox('extra-problem');
  const tomorrow = startOfDay(shiftDay(dayKey(now(), zone), 1), zone);
  const when = range('extra', zone, toLocal(+tomorrow + 9 * 3_600_000, zone), toLocal(+tomorrow + 13 * 3_600_000, zone));
  const service = h('select', { id: 'extra-service' }, options([['', t('hours.service.any')], ...who.services.map((one) => [one.id, one.name])]));
  async function load() {
    const items = (await api.pages(`${path}/extra-hours?limit=100`)).filter(toCome).reverse();
    refill(list, items.length ? items.map((one) => h('li', { data: { extra: one.id } }, h('div', { class: 'spread' },
      h('span', {}, rangeWords(one, zone), one.service && ` · ${who.services.find((other) => other.id === one.service)?.name ?? ''}`),
      h('button', { type: 'button', class: 'quiet', on: { click: (event) => busy(event.currentTarget, async () => {
        await api.call('DELETE', `${path}/extra-hours/${one.id}`);
        await load();
      }, problem) } }, t('hours.remove'))))) : h('li', { class: 'lead' }, t('extra.none')));
  }
  load().catch((error) => tell(problem, error));
  return h('section', { class: 'card', 'aria-labelledby': 'extra-title' }, h('h2', { id: 'extra-title' }, t('extra.title')), list, problem,
    h('div', { class: 'inline' }, when.nodes, h('label', { for: 'extra-service' }, t('hours.service'), service),
      button('extra-add', t('extra.add'), (event) => busy(event.currentTarget, async () => {
        await api.post(`${path}/extra-hours`, { ...when.read(), ...(service.value ? { service: service.value } : {}) });
        await load();
        saved(t('extra.added'));
      }, problem), 'second')));
}

/* Leave */

function leave(of, path) {
  const { zone } = of;
  const list = h('ul', { id: 'leaves', class: 'list tight' });
  const problem = problemBox('leave-problem');
  const tomorrow = shiftDay(dayKey(now(), zone), 1);
  const when = range('leave', zone, `${tomorrow}T00:00`, `${shiftDay(tomorrow, 1)}T00:00`);
  const reason = h('input', { id: 'leave-reason', maxlength: 300 });
  async function load() {
    const items = (await api.pages(`${path}/absences?limit=100`)).filter(toCome).reverse();
    refill(list, items.length ? items.map((one) => h('li', { data: { absence: one.id, status: one.status } },
      h('div', { class: 'spread' }, h('span', {}, rangeWords(one, zone), one.reason && ` · ${one.reason}`),
        h('span', { class: 'tag', data: { status: one.status === 'open' ? 'arrived' : 'booked' } }, t(`leave.${one.status}`))),
      h('div', { class: 'row' },
        h('a', { class: 'button quiet settle', href: `#/leave/${one.id}` }, t('leave.settle')),
        asking(`remove-${one.id}`, t('hours.remove'), t('leave.remove.ask'), t('yes'), async () => {
          await api.call('DELETE', `${path}/absences/${one.id}`);
          await load();
          saved(t('leave.removed'));
        })))) : h('li', { class: 'lead' }, t('leave.none')));
  }
  load().catch((error) => tell(problem, error));
  return h('section', { class: 'card', 'aria-labelledby': 'leave-title' }, h('h2', { id: 'leave-title' }, t('leave.title')), list, problem,
    h('div', { class: 'inline' }, when.nodes, h('label', { for: 'leave-reason' }, t('leave.reason'), reason),
      button('leave-add', t('leave.add'), (event) => busy(event.currentTarget, async () => {
        const words = reason.value.trim();
        const made = await api.post(`${path}/absences`, { ...when.read(), ...(words ? { reason: words } : {}) });
        if (made.affected_count > 0) {
          location.hash = `#/leave/${made.id}`;
          return;
        }
        await load();
        saved(t('leave.added'));
      }, problem), 'second')));
}
