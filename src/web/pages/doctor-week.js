// Seven days of one doctor: hours, visits, extra hours, leave, closures, in the time that the doctor lives by.
import './board-words.js';
import { t } from './i18n.js';
import { $, show, h, refill, button, poll, onLeave, problemBox, tell } from './ui.js';
import * as api from './api.js';
import { clock, dayKey, shiftDay, startOfDay, weekday, dayNumber, longDay, now, rfc3339, trustServerTime, cityOf } from './time.js';
import { lateControl } from './late.js';
import { Grid, cardLabel, hoursInWords, patientClock, statusWord, minuteIn } from './board-grid.js';

const POLL_S = 30;
const WEEK = 'feldsher.week';
const COLUMN = 'feldsher.week.day';

/** The Monday of a day's week. */
const monday = (key) => shiftDay(key, -((new Date(`${key}T12:00:00Z`).getUTCDay() + 6) % 7));

/** `of`: {practitioner, organization, zone, office}. */
export async function week(of) {
  const { practitioner, organization, zone } = of;
  const today = () => dayKey(now(), zone);
  let first = monday(sessionStorage.getItem(WEEK) ?? today());
  let mark = '';
  const links = of.office ? { hours: `#/hours/${practitioner.id}`, back: '#/' } : { hours: '#/hours', back: '#/' };
  const title = h('h1', { id: 'week-title' });
  const grid = new Grid({ zone, label: t('week.of', { name: practitioner.name }), head });
  const which = h('select', { id: 'column', 'aria-label': t('week.columnday'), on: { change: () => reveal(which.value) } });
  const turn = (by) => {
    const next = which.options[which.selectedIndex + by];
    if (next) reveal(next.value);
  };
  // The doctor has it on the page of the day; the office has it here.
  const late = of.office ? lateControl({ practitioner, zone, office: true }) : null;
  show(h('div', { class: 'week stack' },
    h('div', { class: 'board-head' },
      h('div', {}, title, h('p', { class: 'hint' }, `${of.office ? `${practitioner.name} · ` : ''}${t('week.zone', { zone: cityOf(zone) })}`)),
      h('div', { class: 'daybar' },
        button('previous-week', '‹', () => go(shiftDay(first, -7)), 'second', { 'aria-label': t('week.previous') }),
        button('this-week', t('week.now'), () => go(monday(today())), 'quiet'),
        button('next-week', '›', () => go(shiftDay(first, 7)), 'second', { 'aria-label': t('week.next') }),
        h('a', { class: 'button second', id: 'to-hours', href: links.hours }, t('week.hours')),
        h('a', { class: 'button quiet', id: 'to-day', href: links.back }, t('week.day')))),
    late?.node, problemBox(),
    h('div', { class: 'switcher' }, button('previous-column', '‹', () => turn(-1), 'second', { 'aria-label': t('day.previous') }), which, button('next-column', '›', () => turn(1), 'second', { 'aria-label': t('day.next') })),
    grid.scroller));

  async function load() {
    const asked = first;
    late?.look().catch(() => {});
    const path = api.query(`/v1/organizations/${organization.id}/board`, {
      from: rfc3339(startOfDay(asked, zone)), to: rfc3339(startOfDay(shiftDay(asked, 7), zone)), practitioner: practitioner.id,
    });
    try {
      const data = await api.get(path);
      if (asked !== first) return;
      trustServerTime(data.server_time);
      $('#problem').hidden = true;
      const { server_time: _, ...said } = data;
      const fresh = JSON.stringify([asked, said]);
      if (fresh !== mark) draw(data, mark === '');
      mark = fresh;
    } catch (error) {
      if (error.status === 0) tell($('#problem'), { code: 'stale', detail: t('day.stale') });
      else if (error.status !== 401) tell($('#problem'), error);
    }
  }

  function draw(data, jump) {
    const person = data.practitioners[0];
    const columns = Array.from({ length: 7 }, (_, at) => {
      const key = shiftDay(first, at);
      const [start, end] = [+startOfDay(key, zone), +startOfDay(shiftDay(key, 1), zone)];
      const visits = data.visits.filter((visit) => Date.parse(visit.start) >= start && Date.parse(visit.start) < end);
      return { key, title: longDay(`${key}T12:00:00Z`, 'UTC'), start, end, person, visits };
    });
    const { scrollTop, scrollLeft } = grid.scroller;
    const focused = document.activeElement?.dataset?.appointment;
    grid.draw(columns, card);
    const kept = sessionStorage.getItem(COLUMN);
    refill(which, columns.map((column) => h('option', { value: column.key }, dayOf(column))));
    reveal(columns.some((column) => column.key === kept) ? kept : (columns.find((column) => column.key === today()) ?? columns[0]).key);
    if (jump) {
      const starts = columns.flatMap((column) => [
        ...column.visits.map((visit) => minuteIn(column, visit.start)),
        ...person.working.map((work) => minuteIn(column, work.from)).filter((minute) => minute >= 0 && minute < 1440),
      ]);
      grid.scrollTo(starts.length ? Math.max(0, Math.min(...starts)) : 480);
    } else Object.assign(grid.scroller, { scrollTop, scrollLeft });
    if (focused) grid.node.querySelector(`[data-appointment="${focused}"]`)?.focus({ preventScroll: true });
  }

  /** Short: a small phone has room for no more between its two arrows. */
  function dayOf({ key }) { return `${weekday(key)}, ${dayNumber(key)}`; }

  function head(column) {
    return [h('h3', {}, dayOf(column)), h('p', { class: 'hint' }, hoursInWords(column, zone))];
  }

  function card(visit, column) {
    const facts = { appointment: visit.id, status: visit.status, start: visit.start };
    const label = cardLabel(visit, column, zone);
    const words = [h('span', {}, h('b', {}, clock(visit.start, zone)), ` ${visit.patient.name}`),
      // A narrow card: the patient's clock is worth its room where it shows another time.
      h('span', { class: 'more' }, [visit.status === 'booked' ? '' : `${statusWord(visit)} · `, patientClock(visit) === clock(visit.start, zone) ? '' : `${t('grid.there', { time: patientClock(visit) })} · `, visit.service.name].join(''))];
    // Only the doctor's own page has a place for a visit; the office has the board.
    return of.office ? h('div', { class: 'visit', 'aria-label': label, role: 'group', tabindex: '0', data: facts }, words)
      : h('a', { class: 'visit', href: `#/visit/${visit.encounter}`, 'aria-label': label, data: facts }, words);
  }

  function reveal(key) {
    sessionStorage.setItem(COLUMN, key);
    which.value = key;
    for (const node of grid.node.querySelectorAll('.col')) node.classList.toggle('off', node.dataset.column !== key);
  }

  function go(key) {
    first = key;
    sessionStorage.setItem(WEEK, key);
    mark = '';
    headline();
    watch.now();
  }

  function headline() {
    title.textContent = `${t('week.title')}: ${dayNumber(first)} – ${dayNumber(shiftDay(first, 6))}`;
  }
  headline();
  const watch = poll(load, POLL_S);
  onLeave(() => watch.stop());
}
