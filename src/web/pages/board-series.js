// Several visits in a row: every date is looked at first, and whatever does not fit says why and what is free instead.
import { t } from './i18n.js';
import { h, put, refill, button, busy, words, problemBox, tell } from './ui.js';
import * as api from './api.js';
import { clock, longDay, wallClock, cityOf } from './time.js';

const REPEATS = [['', 'series.once'], ['d1', 'series.day'], ['w1', 'series.week'], ['w2', 'series.weeks'], ['w4', 'series.weeks']];
const COUNTS = [2, 3, 4, 5, 6, 8, 10, 12];

/** How often and how many; `changed(repeats)` hears whether it is more than one. */
export function repeatFields(changed) {
  const select = (id, label, options) => h('label', { for: id }, label, h('select', { id }, options.map(([value, text]) => h('option', { value }, text))));
  const every = select('booking-repeat', t('series.repeat'), REPEATS.map(([value, key]) => [value, t(key, { n: value.slice(1) })]));
  const count = select('booking-count', t('series.count'), COUNTS.map((n) => [n, n]));
  count.hidden = true;
  every.addEventListener('change', ({ target }) => { count.hidden = !target.value; changed(Boolean(target.value)); });
  const value = () => {
    const chosen = every.querySelector('select').value;
    if (!chosen) return null;
    return { [chosen[0] === 'd' ? 'every_days' : 'every_weeks']: Number(chosen.slice(1)), count: Number(count.querySelector('select').value) };
  };
  return { nodes: [every, count], value };
}

/**
 * Shows every date of a series in `place`. `wish` is what the server is told of it, `book(slot)` books one visit of it at
 * another time, `back()` leads to the form, `done(visits)` hears what was booked, also when it is nothing.
 */
export async function seriesBox({ place, window, wish, zone, book, back, done }) {
  const made = [];
  const list = h('ol', { id: 'series', class: 'list tight' });
  const key = api.newKey();
  const look = await api.post('/v1/appointments/series', { ...wish, dry_run: true });
  const free = look.items.filter((item) => item.result === 'free').length;
  const lead = h('p', { id: 'series-lead', role: 'status', class: free === look.items.length ? 'good' : 'lead' },
    t(free === look.items.length ? 'series.all' : free ? 'series.some' : 'series.none', { n: look.items.length, free }));
  const acts = h('div', { class: 'row' });
  refill(place, h('p', { class: 'hint' }, t('series.same', { time: wallClock(look.items[0].local_start), zone: cityOf(look.time_zone) })), lead, list, acts);
  draw(look.items, free === 0);
  const all = (event) => window.busy(event.currentTarget, async () => {
    const booked = await api.post('/v1/appointments/series', { ...wish, dry_run: false }, key);
    made.push(...booked.items.flatMap((item) => item.appointment ?? []));
    lead.textContent = t('series.done', { n: made.length });
    lead.className = made.length ? 'good' : 'problem';
    draw(booked.items, true);
    refill(acts, button('series-close', t('series.close'), () => done(made)));
    acts.querySelector('button').focus();
  });
  put(acts, free > 0 && button('series-do', t('series.do', { n: free }), all),
    button('series-back', t('back'), () => (made.length ? done(made) : back()), 'quiet'));
  acts.querySelector('button').focus();

  function draw(items, settle) {
    refill(list, items.map((item) => {
      const when = item.start ? `${longDay(item.start, zone)}, ${clock(item.start, zone)}` : item.local_start.slice(0, 16).replace('T', ', ');
      const state = h('span', {}, item.result === 'conflict' ? t('series.conflict', { why: item.code === 'time_in_gap' ? t('series.gap') : words({ code: item.code }) })
        : t(`series.${item.result}`, { code: item.appointment?.code ?? '' }));
      const row = h('li', { data: { result: item.result, ...(item.code ? { code: item.code } : {}) } },
        h('p', {}, h('strong', { class: 'starts' }, when), ' ', h('small', { class: item.result === 'conflict' ? 'bad' : 'hint' }, state)));
      if (settle && item.result === 'conflict' && item.alternatives?.length) put(row, instead(row, state, item.alternatives));
      return row;
    }));
  }

  /** One date goes to another time, as a visit of its own. */
  function instead(row, state, slots) {
    const problem = problemBox();
    problem.removeAttribute('id');
    const choices = h('div', { class: 'row' }, slots.map((slot) => {
      const one = api.newKey();
      return h('button', { type: 'button', class: 'second', data: { start: slot.start }, on: { click: (event) => busy(event.currentTarget, async () => {
        try {
          const visit = await book(slot, one);
          made.push(visit);
          state.textContent = t('series.booked', { code: visit.code });
          state.parentNode.className = 'hint';
          row.dataset.result = 'booked';
          row.querySelector('strong').textContent = `${longDay(visit.start, zone)}, ${clock(visit.start, zone)}`;
          choices.remove();
          acts.querySelector('button').focus();
        } catch (error) {
          tell(problem, error);
        }
      }, problem) } }, t('series.instead', { when: `${longDay(slot.start, zone)}, ${clock(slot.start, zone)}` }));
    }));
    return [choices, problem];
  }
}
