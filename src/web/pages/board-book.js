// Booking for a patient who telephones or stands at the desk: who, for what, when; at a free time, urgent, or beside another.
import './booking-words.js';
import { t, counted } from './i18n.js';
import { h, put, refill, button, field } from './ui.js';
import * as api from './api.js';
import { clock, dayKey, shiftDay, startOfDay, longDay, now, rfc3339, PARTS, cityOf } from './time.js';
import { besides, gapsOf, giving, soonest } from './board-ways.js';
import { countdown } from './countdown.js';
import { findPatient } from './find-patient.js';
import { orAnybody, timesOfDay } from './free-times.js';
import { repeatFields, seriesBox } from './board-series.js';
import { languageName } from './languages.js';
import { sheet } from './sheet.js';

const WAYS = ['time', 'urgent', 'over'];
const URGENCIES = ['urgent', 'asap', 'stat'];
const ORDERS = ['soonest', 'same_practitioner', 'fair'];

const select = (id, label, options, chosen, change) => h('label', { for: id }, label,
  h('select', { id, on: { change: ({ currentTarget }) => change(currentTarget.value) } }, options.map(([value, text]) => h('option', { value, selected: value === chosen }, text))));

export async function bookFor(board) {
  const services = await api.pages(api.query('/v1/healthcare-services', { organization: board.clinic.id, limit: 100 }));
  const window = sheet('booking', t('booking.title'));
  window.node.classList.add('wide');
  const { zone } = board;
  const today = () => dayKey(now(), zone);
  const order = { way: 'time', patient: null, service: services[0]?.id ?? '', practitioner: '', day: board.day < today() ? today() : board.day, mode: '', language: '', place: '', part: '', order: '' };
  let known = { people: [], places: [] };
  // The language that the search began with, until somebody chooses another, or none.
  let guess = '';
  let decided = false;
  let turn = 0;
  const times = h('div', { id: 'booking-times', class: 'stack', 'aria-live': 'polite' });
  const chosen = () => services.find((one) => one.id === order.service);
  const when = (start) => `${longDay(start, zone)}, ${clock(start, zone)}`;
  const set = (name) => (value) => { order[name] = value; look(); };

  const doctors = (service) => board.grid.columns.filter(({ person }) => person.services.some((one) => one.id === service));
  const doctor = h('span');
  const drawDoctors = () => {
    if (!doctors(order.service).some(({ key }) => key === order.practitioner)) order.practitioner = '';
    refill(doctor, select('booking-doctor', t('grid.doctor'), [['', t('book.doctor.any')], ...doctors(order.service).map(({ key, title }) => [key, title])], order.practitioner, (value) => { order.practitioner = value; spoken(); }));
  };
  const service = select('booking-service', t('visit.service'), services.map((one) => [one.id, `${one.name} · ${counted(one.duration_minutes, 'minute')}`]), order.service, (value) => {
    order.service = value;
    order.mode = '';
    drawDoctors();
    drawWays();
    spoken();
  });
  const day = h('label', { for: 'booking-day' }, t('day.date'), h('input', { id: 'booking-day', type: 'date', value: order.day, on: { change: ({ currentTarget }) => { if (currentTarget.value) set('day')(currentTarget.value); } } }));
  const ways = h('fieldset', { id: 'booking-way', class: 'checks' });
  const wayHint = h('p', { id: 'booking-way-hint', class: 'hint' });
  const more = h('details', { id: 'booking-more' });
  const filters = h('div', { class: 'inline' });
  put(more, h('summary', {}, t('more.title')), filters);
  const who = findPatient('booking', (patient) => {
    order.patient = patient;
    decided = false;
    spoken();
  });
  // The question makes way for what was chosen: a phone has room for one of them.
  const form = h('div', { class: 'stack' }, who.search, who.found, ways, wayHint, h('div', { class: 'inline' }, service, doctor, day), more);
  put(window.body, form, times);
  drawDoctors();
  drawWays();
  drawMore();
  more.addEventListener('toggle', () => more.open && know(), { once: true });
  who.input.focus();

  function drawWays() {
    const may = (way) => way !== 'over' || chosen()?.booking.overbook;
    if (!may(order.way)) order.way = 'time';
    refill(ways, h('legend', {}, t('way.title')), WAYS.map((way) => h('label', { class: 'check' },
      h('input', { type: 'radio', name: 'booking-way', value: way, checked: order.way === way, disabled: !may(way), on: { change: () => { order.way = way; told(); look(); } } }), t(`way.${way}`))));
    told();
  }

  /** What the chosen way means; where one is not to be had, why. */
  function told() {
    const no = chosen() && !chosen().booking.overbook;
    const hint = order.way === 'time' ? (no ? t('way.over.no', { service: chosen().name }) : '') : t(`way.${order.way}.hint`);
    wayHint.textContent = hint;
    wayHint.hidden = !hint;
    day.hidden = order.way === 'urgent';
    more.hidden = order.way !== 'time';
  }

  /* The search for a free time */

  function drawMore() {
    const filter = (name, any, options, change = set(name)) => select(`booking-${name}`, t(`more.${name}`), [...(any ? [['', t(`more.${name}.any`)]] : []), ...options], order[name], change);
    refill(filters,
      filter('mode', true, (chosen()?.modes ?? []).map((mode) => [mode, t(`mode.${mode}`)])),
      filter('language', true, languages().map((code) => [code, languageName(code)]), (value) => { decided = true; set('language')(value); }),
      filter('place', true, known.places.map((place) => [place.id, place.name])),
      filter('part', true, PARTS.map((part) => [part, t(`book.part.${part}`)])),
      filter('order', false, ORDERS.map((one) => [one === 'soonest' ? '' : one, t(`more.order.${one}`)])));
  }

  /** What those who give the chosen service speak. */
  function languages() {
    const people = known.people.filter((one) => one.services.some(({ id }) => id === order.service));
    return [...new Set(people.flatMap((one) => one.languages))].sort();
  }

  /**
   * The search begins with a language of the patient, where those who give the service differ in it; *Any* takes it off.
   * Where a doctor was chosen, or somebody translates, it does not matter.
   */
  async function spoken() {
    const mine = order.patient?.languages ?? [];
    if (mine.length && !known.people.length) await know();
    const codes = languages();
    if (!decided || (order.language && !codes.includes(order.language))) {
      const counts = codes.length > 1 && !order.practitioner && !chosen()?.resources.includes('interpreter');
      guess = (counts && mine.find((code) => codes.includes(code))) || '';
      order.language = guess;
      more.open ||= Boolean(guess);
    }
    drawMore();
    look();
  }

  /** Which languages and places there are, asked for when somebody wants to narrow. */
  async function know() {
    const [people, places] = await Promise.all([
      api.pages(api.query('/v1/practitioners', { organization: board.clinic.id, limit: 100 })),
      api.pages(api.query('/v1/locations', { organization: board.clinic.id, limit: 100 })),
    ]).catch(() => [[], []]);
    known = {
      people,
      places: places.filter(({ kind }) => kind === 'clinic' || kind === 'station'),
    };
    drawMore();
  }

  const wanted = () => ({
    service: order.service, practitioner: order.practitioner, patient: order.patient.id, mode: order.mode,
    language: order.language, practitioner_location: order.place, part_of_day: order.part, order: order.order,
  });

  async function look() {
    const mine = turn += 1;
    form.hidden = false;
    if (!order.patient || !order.service) return;
    refill(times, h('p', { class: 'loading' }, t('loading')));
    try {
      const draw = await { time: freeTimes, urgent: gaps, over: taken }[order.way]();
      if (mine === turn) draw();
    } catch (error) {
      if (mine === turn) refill(times, h('p', { class: 'problem', role: 'alert' }, error.detail ?? t('problem.unknown')));
    }
  }

  /** Whether the language that the search began with was still asked for; it is not any more. */
  function anyLanguage() {
    if (decided || !guess) return false;
    guess = '';
    order.language = '';
    drawMore();
    return true;
  }

  async function freeTimes() {
    const mine = turn;
    const found = await orAnybody(async () => {
      const day = await timesOfDay({ wanted: wanted(), day: order.day, zone });
      return (day.slots.length || day.later) && day;
      // A search that another has overtaken takes no language off.
    }, () => mine === turn && anyLanguage());
    return () => drawTimes(found?.slots ?? [], found?.later);
  }

  function drawTimes(slots, later) {
    const groups = new Map();
    for (const slot of slots) groups.set(slot.practitioner.id, [...(groups.get(slot.practitioner.id) ?? []), slot]);
    refill(times, button('booking-first', t('more.first'), (event) => window.busy(event.currentTarget, first), 'second'),
      [...groups.values()].map((list) => group(list[0].practitioner.name, h('div', { class: 'times' }, list.map(time)))),
      !slots.length && h('p', { class: 'lead' }, t('book.noslots')),
      later && button('booking-later', t('book.nearest', { when: when(later.start) }), () => {
        order.day = dayKey(later.start, zone);
        day.querySelector('input').value = order.day;
        look();
      }, 'second'),
      button('booking-wait', t('booking.wait'), () => {
        window.close();
        board.waitFor(order);
      }, 'quiet'));
  }

  /** The one time that is asked for most: whatever comes first, within a month. */
  async function first() {
    const slot = await orAnybody(async () => (await api.items(api.query('/v1/slots', { ...wanted(), first: true })))[0], anyLanguage);
    if (!slot) throw Object.assign(new Error(), { code: 'nothing', detail: t('more.first.none') });
    confirm(slot);
  }

  const group = (name, kids) => h('section', { class: 'stack' }, h('h3', {}, name), kids);
  const time = (slot) => h('button', { type: 'button', data: { start: slot.start, practitioner: slot.practitioner.id }, on: { click: () => confirm(slot) } }, clock(slot.start, zone));
  const slotOf = (person, start) => ({ start: rfc3339(start), practitioner: { id: person.id, name: person.name }, service: { id: order.service, name: chosen().name } });

  /* Urgent today, and beside another */

  async function dayOf(key) {
    return api.get(api.query(`/v1/organizations/${board.clinic.id}/board`, { from: rfc3339(startOfDay(key, zone)), to: rfc3339(startOfDay(shiftDay(key, 1), zone)) }));
  }
  const asked = (data) => giving(data.practitioners, order.service).filter(({ id }) => !order.practitioner || id === order.practitioner);

  async function gaps() {
    const data = await dayOf(today());
    const end = +startOfDay(shiftDay(today(), 1), zone);
    return () => refill(times, h('p', { class: 'hint' }, t('urgent.unseen')), asked(data).map((person) => {
      const starts = gapsOf(person, data.visits, chosen(), end);
      return group(person.name, starts.length ? h('div', { class: 'times' }, starts.map((start) => h('button', {
        type: 'button', data: { start: rfc3339(start), practitioner: person.id }, on: { click: () => confirm(slotOf(person, Math.max(start, soonest())), { urgent: true }) },
      }, start <= soonest() ? t('urgent.first') : clock(start, zone)))) : h('p', { class: 'hint', data: { full: person.id } }, t('urgent.none')));
    }));
  }

  async function taken() {
    const data = await dayOf(order.day);
    return () => {
      const all = asked(data).map((person) => [person, besides(person, data.visits, chosen())]).filter(([, list]) => list.length);
      refill(times, all.map(([person, list]) => group(person.name, h('div', { class: 'choices' }, list.map(({ visit, why }) => h('button', {
        type: 'button', class: 'choice', disabled: Boolean(why), data: { start: visit.start, practitioner: person.id, beside: visit.id },
        on: { click: () => confirm(slotOf(person, Date.parse(visit.start)), { beside: visit.patient.name }) },
      }, h('span', {}, `${clock(visit.start, zone)} · ${t('over.beside', { patient: visit.patient.name })}`, why && h('small', { class: 'bad' }, t(why)))))))),
      !all.length && h('p', { class: 'lead' }, t('over.none')));
    };
  }

  /* What was chosen, and what comes of it */

  async function back() {
    await look();
    times.querySelector('button')?.focus();
  }


  function confirm(slot, { urgent = false, beside = '' } = {}) {
    form.hidden = true;
    const { patient } = order;
    const plain = !urgent && !beside;
    const key = api.newKey();
    const holdKey = api.newKey();
    const reason = field('booking-reason', t('booking.reason'), { rows: 2, maxlength: 1000 });
    const others = h('div', { class: 'choices', id: 'booking-alternatives' });
    const modes = services.find((one) => one.id === slot.service.id)?.modes ?? [];
    const pick = { priority: URGENCIES[0], mode: order.mode || modes[0] };
    const repeat = plain ? repeatFields((many) => { act.textContent = t(many ? 'series.check' : 'booking.do'); hold.hidden = many; }) : null;
    const body = (more = {}) => {
      const words = reason.querySelector('textarea').value.trim();
      return { patient: patient.id, service: slot.service.id, practitioner: slot.practitioner.id, start: slot.start, ...(words ? { reason: words } : {}), ...more };
    };
    // Whoever is booked for "now" is so a minute later too.
    const start = () => (urgent && Date.parse(slot.start) < +now() + 5000 ? rfc3339(soonest()) : slot.start);
    const single = (more) => body({ start: start(), ...(pick.mode ? { mode: pick.mode } : {}), ...(urgent ? { priority: pick.priority } : {}), ...(beside ? { overbook: true } : {}), ...more });
    const attempt = async (made) => {
      refill(others);
      try {
        await made();
      } catch (error) {
        // What is free instead is an ordinary time, unless it is still today.
        const again = (other) => confirm(other, { urgent: urgent && dayKey(other.start, zone) === today() });
        refill(others, (error.alternatives ?? []).map((other) => h('button', { type: 'button', class: 'choice', data: { start: other.start }, on: { click: () => again(other) } },
          h('span', {}, when(other.start), h('small', {}, other.practitioner.name)))));
        if (beside && error.code === 'slot_taken') error.code = 'over_taken';
        throw error;
      }
    };
    const act = button('booking-do', t('booking.do'), (event) => window.busy(event.currentTarget, () => attempt(async () => {
      const often = repeat?.value();
      if (often) return inARow(body({ ...often, ...(pick.mode ? { mode: pick.mode } : {}) }));
      return booked(await api.post('/v1/appointments', single(), key));
    })));
    const hold = button('booking-hold', t('booking.hold'), (event) => window.busy(event.currentTarget, () => attempt(async () => held(await api.post('/v1/appointments', single({ hold: true }), holdKey)))), 'second');
    const inARow = (wish) => seriesBox({
      place: times, window, wish, zone,
      book: (other, one) => api.post('/v1/appointments', { ...single(), start: other.start, practitioner: other.practitioner.id }, one),
      back: () => confirm(slot), done: (visits) => finished(visits[0], t('series.done', { n: visits.length })),
    });
    refill(times, h('div', { class: 'card', id: 'booking-summary', data: { way: urgent ? 'urgent' : beside ? 'over' : 'time' } },
      h('p', {}, h('strong', {}, patient.name), ` · ${slot.service.name} · ${slot.practitioner.name}`),
      h('p', {}, `${when(slot.start)} (${cityOf(zone)})`),
      beside && h('p', { class: 'bad' }, t('over.beside', { patient: beside })),
      h('p', { class: 'hint' }, t('grid.there', { time: `${clock(slot.start, patient.time_zone)}, ${cityOf(patient.time_zone)}` }))),
    h('div', { class: 'inline' },
      urgent && select('booking-priority', t('urgent.how'), URGENCIES.map((one) => [one, t(`priority.${one}`)]), pick.priority, (value) => { pick.priority = value; }),
      modes.length > 1 && select('booking-as', t('booking.mode'), modes.map((mode) => [mode, t(`mode.${mode}`)]), pick.mode, (value) => { pick.mode = value; }),
      repeat?.nodes),
    reason, others,
    h('div', { class: 'row' }, act, plain && hold, button('booking-back', t('back'), back, 'quiet')));
    act.focus();
  }

  const booked = (made) => finished(made, t('done.booked', { patient: made.patient.name, code: made.code }));

  /** The form has done its work: the board shows where. */
  async function finished(made, text) {
    window.close();
    if (!made) return;
    if (dayKey(made.start, zone) !== board.day) await board.go(dayKey(made.start, zone));
    await board.changed(text, made.id);
  }

  /** The time is kept while the caller asks at home; it is dashed on the board meanwhile. */
  function held(made) {
    const path = (what) => `/v1/appointments/${made.id}/${what}`;
    const take = button('booking-take', t('booking.held.take'), (event) => window.busy(event.currentTarget, async () => booked(await api.post(path('confirm')))));
    const release = button('booking-release', t('booking.held.release'), (event) => window.busy(event.currentTarget, async () => {
      await api.post(path('cancel'), { code: 'patient' });
      await finished(made, t('booking.released', { patient: made.patient.name }));
    }), 'danger');
    const leave = button('booking-leave', t('booking.held.leave'), () => finished(made, t('booking.keeps', { patient: made.patient.name })), 'quiet');
    refill(times, h('div', { class: 'card live', id: 'booking-held', data: { appointment: made.id } },
      h('p', {}, h('strong', {}, made.patient.name), ` · ${made.service.name} · ${made.practitioner.name}`),
      h('p', {}, when(made.start)),
      countdown(made.hold_expires_at, t('booking.held', { when: clock(made.hold_expires_at, zone) })),
      h('p', {}, `${t('booking.held.lead')} `, h('span', { class: 'code', translate: 'no' }, made.code))),
    h('div', { class: 'row' }, take, release, leave));
    take.focus();
  }
}
