// A leave and the visits it hits: each is moved, is offered other times, or is called off, until none is open.
import './board-words.js';
import { t } from './i18n.js';
import { $, show, h, put, refill, button, busy, problemBox, say, tell } from './ui.js';
import * as api from './api.js';
import { clock, dateTime, longDay, cityOf } from './time.js';
import { timesNear, slotWords } from './free-times.js';

const OUTCOMES = ['moved', 'offered', 'cancelled'];

/** `of`: {zone, office}; the office reads the zone from the doctor of the leave. */
export async function settle(id, of) {
  show(h('p', { class: 'loading', 'aria-busy': 'true' }, t('loading')));
  const hash = location.hash;
  const path = `/v1/absences/${id}`;
  let absence = await api.get(path);
  const zone = of.zone ?? (await api.get(`/v1/practitioners/${absence.practitioner.id}`)).time_zone;
  if (location.hash !== hash) return;
  const list = h('div', { id: 'hits', class: 'stack' });
  const left = h('p', { id: 'open-count', class: 'lead', role: 'status' });
  const complete = button('leave-complete', t('settle.complete'), (event) => busy(event.currentTarget, async () => {
    absence = await api.post(`${path}/complete`);
    draw();
    say(t('settle.completed'));
  }));
  show(
    h('div', { class: 'spread' }, h('h1', {}, t('settle.title', { name: absence.practitioner.name })),
      h('a', { class: 'button quiet', id: 'back', href: of.office ? `#/hours/${absence.practitioner.id}` : '#/hours' }, t('settle.back'))),
    h('p', { class: 'lead' }, t('settle.when', { from: dateTime(absence.from, zone), to: dateTime(absence.to, zone) }), ` (${cityOf(zone)})`, absence.reason && ` · ${absence.reason}`),
    left, problemBox(), list, h('div', { class: 'row' }, complete));

  function draw() {
    left.dataset.open = absence.open_count;
    left.dataset.status = absence.status;
    left.textContent = !absence.visits.length ? t('settle.nothing') : absence.open_count ? t('settle.left', { n: absence.open_count }) : absence.status === 'complete' ? t('settle.completed') : t('settle.all');
    complete.hidden = absence.open_count > 0 || absence.status === 'complete';
    refill(list, absence.visits.map(card));
  }

  const at = (instant, other) => `${longDay(instant, zone)}, ${clock(instant, zone)} · ${t('grid.there', { time: `${clock(instant, other)}, ${cityOf(other)}` })}`;

  function card(visit) {
    const node = h('section', { class: 'hit', data: { appointment: visit.id, open: visit.outcome === undefined, outcome: visit.outcome ?? '' }, 'aria-label': visit.patient.name },
      h('div', { class: 'spread' }, h('strong', {}, visit.patient.name), h('span', { class: 'code small' }, visit.code)),
      h('p', { class: 'hint' }, at(visit.from_start, visit.time_zone)),
      visit.unreached && h('p', { class: 'banner unreached' }, t('settle.unreached')));
    if (visit.outcome) {
      const words = { where: `${visit.practitioner.name}, ${longDay(visit.start, zone)}, ${clock(visit.start, zone)}`, until: visit.expires_at ? dateTime(visit.expires_at, zone) : '', who: visit.helper?.name ?? '' };
      put(node, h('p', { class: 'outcome' }, t(`settle.did.${visit.outcome}`, words)),
        visit.offered?.length > 0 && h('p', { class: 'hint' }, visit.offered.map((time) => slotWords(time, zone)).join(' · ')));
      return node;
    }
    return put(node, form(visit));
  }

  /** The choice for one visit. To move it, free times are asked for when that is chosen. */
  function form(visit) {
    const more = h('div', { class: 'stack' });
    const problem = problemBox(`problem-${visit.id}`);
    const go = button(`settle-${visit.id}`, t('settle.do'), (event) => busy(event.currentTarget, act, problem), 'second', { disabled: true });
    const outcome = h('select', { id: `outcome-${visit.id}`, class: 'outcome-choice', 'aria-label': t('settle.what', { patient: visit.patient.name }), on: { change: () => change().catch((error) => tell(problem, error)) } },
      h('option', { value: '' }, t('settle.choose')), (visit.helps ? ['replaced', ...OUTCOMES] : OUTCOMES).map((one) => h('option', { value: one }, t(`settle.${one}`))));
    let slots = [];
    let where = null;
    const message = h('input', { id: `message-${visit.id}`, maxlength: 500 });

    async function change() {
      problem.hidden = true;
      go.disabled = true;
      where = null;
      refill(more);
      const what = outcome.value;
      if (what === 'moved') {
        refill(more, h('p', { class: 'hint' }, t('loading')));
        // The same time with somebody else comes first, then what is nearest to it.
        slots = await timesNear({ appointment: visit.id, at: visit.from_start });
        if (outcome.value !== 'moved') return;
        if (!slots.length) {
          refill(more, h('p', { class: 'hint bad' }, t('book.noslots')));
          return;
        }
        where = h('select', { id: `where-${visit.id}`, 'aria-label': t('plan.where') }, slots.map((slot, number) => h('option', { value: number }, slotWords(slot, zone))));
        refill(more, where);
      }
      if (what === 'moved' || what === 'cancelled') put(more, h('label', { class: 'small-label', for: message.id }, t('settle.message')), message);
      go.disabled = !what;
    }

    async function act() {
      const slot = where ? slots[Number(where.value)] : null;
      const words = ['moved', 'cancelled'].includes(outcome.value) ? message.value.trim() : '';
      const one = {
        appointment: visit.id, outcome: outcome.value,
        ...(slot ? { practitioner: slot.practitioner.id, start: slot.start } : {}), ...(words ? { reason: words } : {}),
      };
      absence = await api.post(`${path}/outcomes`, { outcomes: [one] });
      draw();
      say(t('settle.done', { patient: visit.patient.name }));
      ($('.hit[data-open="true"] select') ?? $('#leave-complete'))?.focus();
    }
    return [h('div', { class: 'inline' }, outcome, go), more, problem];
  }
  draw();
}
