// One visit on the board: who it is, and what the office can do with it.
import { t } from './i18n.js';
import { h, put, refill, button, asking } from './ui.js';
import * as api from './api.js';
import { clock, date, dateTime, now, cityOf } from './time.js';
import { MOVABLE, patientClock, statusWord, ms } from './board-grid.js';
import { sheet } from './sheet.js';
import { mayUndo, takeBack } from './board-off.js';

const NOSHOW = ['patient', 'link', 'practitioner', 'clinic'];
const DAY_MS = 86_400_000;
const CANCEL = ['clinic', 'patient', 'technical'];

export function openVisit(board, visit, column) {
  const window = sheet('visit', visit.patient.name, () => board.focus(visit.id));
  const { zone } = board;
  const facts = h('dl', { class: 'facts', id: 'visit-facts' });
  const fact = (name, ...value) => put(facts, h('dt', {}, name), h('dd', {}, value));
  fact(t('grid.doctor'), column.title);
  fact(t('visit.service'), `${visit.service.name} · ${t(`mode.${visit.mode}`)}`);
  fact(t('board.time', { zone: cityOf(zone) }), `${clock(visit.start, zone)}–${clock(visit.end, zone)}`);
  fact(t('board.there', { zone: cityOf(visit.time_zone) }), patientClock(visit));
  fact(t('home.code'), h('span', { class: 'code' }, visit.code));
  fact(t('visit.status'), h('span', { class: 'tag', id: 'visit-status', data: { status: visit.status } }, statusWord(visit)),
    visit.hold_expires_at && ` ${t('visit.until', { when: dateTime(visit.hold_expires_at, zone) })}`,
    visit.noshow_cause && ` ${t(`noshow.${visit.noshow_cause}`)}`);
  if (visit.overbooked) fact('', t('visit.second'));
  if (visit.priority !== 'routine') fact(t('visit.priority'), t(`priority.${visit.priority}`));
  const acts = h('div', { class: 'stack', id: 'visit-acts' });
  put(window.body, facts, acts);
  // The office telephones; whoever may not see the number does without. The lines are there from the beginning, so
  // that no button moves away from under a finger.
  const [born, village, phone] = ['dv.born', 'dv.village', 'visit.phone.number'].map((name) => {
    const value = h('dd', {}, '…');
    put(facts, h('dt', {}, t(name)), value);
    return value;
  });
  const known = (patient) => {
    refill(born, patient.birth_date ? date(`${patient.birth_date}T12:00:00Z`, 'UTC') : '—');
    refill(village, patient.location?.name ?? '—');
    refill(phone, patient.phone ? h('a', { href: `tel:${patient.phone}`, id: 'visit-phone' }, patient.phone) : '—');
  };
  api.get(`/v1/patients/${visit.patient.id}`).then(known, () => known({}));
  // Whatever else the visit takes: a room, a device, who sits beside the patient, who translates.
  const others = h('dd', { id: 'visit-others' }, '…');
  put(facts, h('dt', {}, t('visit.others')), others);
  const whole = ({ participants = [] }) => refill(others, participants.length
    ? h('ul', { class: 'plain' }, participants.map((one) => h('li', { data: { kind: one.kind } }, `${t(`kind.${one.kind}`)}: ${one.name}`))) : '—');
  api.get(`/v1/appointments/${visit.id}`).then(async (appointment) => {
    whole(appointment);
    if (appointment.status !== 'fulfilled') return;
    const { followUp } = await import('./doctor-followup.js');
    put(window.body, followUp({ appointment, zone }));
  }).catch(() => whole({}));

  const path = (act) => `/v1/appointments/${visit.id}/${act}`;
  /** That a visit took place is taken back by whoever runs the clinic; its doctor has the same at the desk. */
  const reopen = async () => {
    await api.post(`/v1/encounters/${visit.encounter}/reopen`);
    window.close();
    await board.changed(t('done.reopened', { patient: visit.patient.name }), visit.id);
  };
  const runs = (board.me?.memberships ?? []).some((one) => one.organization.id === board.clinic.id && one.role === 'clinic_admin');
  const doing = (act, body, words) => (event) => window.busy(event.currentTarget, async () => {
    await api.post(path(act), body ?? {});
    window.close();
    // Whoever pressed the wrong card has one press to put that right; what was only held comes back by no press.
    const back = act === 'cancel' && ['booked', 'arrived'].includes(visit.status) && now() < ms(visit.start) && mayUndo(board, visit);
    await board.changed(t(words, { patient: visit.patient.name }), visit.id, back && (() => takeBack(board, visit)));
  });
  const begun = ms(visit.start) <= now();
  const record = () => api.get(`/v1/encounters/${visit.encounter}/call`);
  const showCall = (event) => window.busy(event.currentTarget, async () => {
    const [{ timeline }, call] = await Promise.all([import('./timeline.js'), record()]);
    const other = sheet('call', t('visit.call'));
    other.node.classList.add('wide');
    put(other.body, timeline(call, zone));
  });
  const waits = visit.encounter_status === 'planned' || visit.encounter_status === 'arrived';

  // Whoever is in the room has come: the server knows, and says so.
  const undoable = visit.undo_until && now() < ms(visit.undo_until) && mayUndo(board, visit);
  // What it was, once it should be over, is said by "did not take place".
  const over = visit.encounter_status === 'planned' && ms(visit.over_at) <= now();

  function all() {
    refill(acts, h('div', { class: 'row' },
      MOVABLE(visit) && button('visit-move', t('visit.move'), () => {
        window.close();
        board.mover.lift(visit, column);
      }),
      visit.status === 'pending' && !visit.offered && button('visit-confirm', t('visit.confirm'), doing('confirm', {}, 'done.confirmed'), 'second'),
      visit.status === 'proposed' && button('visit-accept', t('visit.accept'), doing('accept', {}, 'done.accepted'), 'second'),
      visit.status === 'proposed' && button('visit-decline', t('visit.decline'), () => ask('decline'), 'danger'),
      visit.status === 'booked' && !begun && button('visit-earlier', t('visit.earlier'), () => {
        window.close();
        board.waitFor({ patient: visit.patient, service: visit.service.id, visit });
      }, 'second'),
      visit.status === 'booked' && !over && !visit.offer_over && !visit.confirmed_at && button('visit-attend', t('visit.attend'), doing('attend', {}, 'done.attend'), 'second'),
      ['booked', 'arrived'].includes(visit.status) && waits && begun && button('visit-noshow', t('visit.noshow'), () => ask('noshow'), 'danger'),
      undoable && button('visit-undo', t(visit.status === 'noshow' ? 'visit.undo' : 'visit.undo.arrived'), doing('undo', {}, 'done.undone'), 'second'),
      ['proposed', 'pending', 'booked', 'arrived'].includes(visit.status) && waits && !over && !visit.offered && button('visit-cancel', t('visit.cancel'), () => ask('cancel'), 'danger')),
    visit.status === 'fulfilled' && runs && now() - ms(visit.end) < DAY_MS
      && asking('visit-reopen', t('visit.reopen'), t('visit.reopen.ask'), t('visit.reopen.yes'), reopen, 'quiet', window.busy),
    visit.encounter_status !== 'planned' && button('visit-call', t('visit.call'), showCall, 'quiet'),
    visit.offered && h('p', { class: 'hint' }, t('visit.offered')),
    visit.offer_over && h('p', { class: 'banner', id: 'visit-offer-over' }, t('visit.offer_over')));
  }

  /** Who was there and whose line failed did not miss the visit: the record of the call speaks for them. */
  async function advise(options) {
    const { outcome: { noshow_advice: cause } } = await record().catch(() => ({ outcome: {} }));
    const choice = cause && options.isConnected && options.querySelector(`[value=${cause}]`);
    if (!choice) return;
    choice.checked = true;
    options.append(h('p', { id: 'noshow-advice', class: 'hint', role: 'status' }, t(`noshow.advice.${cause}`)));
  }

  /** The words that an act needs, in place of the buttons. */
  function ask(act) {
    const codes = act === 'noshow' ? NOSHOW : act === 'cancel' ? CANCEL : [];
    const options = h('fieldset', { class: 'options', id: `${act}-code` }, h('legend', {}, t(`${act}.ask`)), codes.map((code, at) =>
      h('label', { class: 'check' }, h('input', { type: 'radio', name: act, value: code, checked: at === 0 }), h('span', {}, t(`${act === 'cancel' ? 'call-off' : act}.${code}`)))));
    const reason = act !== 'noshow' && h('textarea', { id: `${act}-reason`, rows: 2, maxlength: 500 });
    const form = h('form', { class: 'stack' }, options,
      reason && h('div', { class: 'field' }, h('label', { for: `${act}-reason` }, t('visit.reason')), reason),
      h('div', { class: 'row' },
        h('button', { type: 'submit', class: 'danger', id: `${act}-yes` }, t(`${act}.yes`)),
        button(`${act}-no`, t('back'), () => { all(); acts.querySelector('button')?.focus(); }, 'quiet')));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const chosen = form.querySelector('input:checked')?.value;
      const words = reason ? reason.value.trim() : '';
      const body = { ...(act === 'noshow' ? { cause: chosen } : {}), ...(act === 'cancel' ? { code: chosen } : {}), ...(words ? { reason: words } : {}) };
      doing(act, body, `done.${act}`)({ currentTarget: form.querySelector('[type=submit]') });
    });
    refill(acts, form);
    (form.querySelector('input, textarea')).focus();
    if (act === 'noshow') advise(options);
  }
  all();
}
