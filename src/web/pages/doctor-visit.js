// One visit at the doctor's desk: the call beside the note, the door beside the call.
import { t } from './i18n.js';
import { $, show, h, put, refill, arrange, button, busy, problemBox, poll, onLeave, words, asking } from './ui.js';
import * as api from './api.js';
import { clock, date, namedDay, dayKey, now, waitingFor, trustServerTime } from './time.js';
import { NoteEditor, pastNotes } from './doctor-note.js';
import { probeLine } from './probe-words.js';
import { hasPatientsPlace } from './role-words.js';
import { careBox } from './doctor-care.js';
import { chatPanel } from './chat.js';
import { consentsCard } from './consents.js';
import { loadCall } from './call-code.js';
import { INSIDE } from './call-verdict.js';
import { keepInSight } from './call-sight.js';

const DOOR_POLL_S = 4;
const CARE_POLL_S = 15;
const RINGING_POLL_S = 3;
const DAY_MS = 24 * 60 * 60 * 1000;
// What can be said of a visit depends on how far it came: nobody misses a talk that has begun.
const OUTCOMES = {
  planned: ['patient_absent'], arrived: ['completed', 'technical_failure', 'patient_absent'],
  'in-progress': ['completed', 'technical_failure'], onleave: ['completed', 'technical_failure'],
};
const SEAT = 'feldsher.seat.doctor';

export async function visit(id, state) {
  show(h('p', { class: 'loading', 'aria-busy': 'true' }, t('loading')));
  const room = new Room(id, state);
  await room.open();
}

/** Somebody may have a seat and not be there: the line is silent, or the page is in the background. */
const looks = (one) => !['away', 'reconnecting'].includes(one?.state) && one?.presence !== 'away';

class Room {
  constructor(id, { me, zone }) {
    Object.assign(this, { id, me, zone, call: null, gone: false, rows: new Map(), holds: new Map() });
    this.path = `/v1/encounters/${id}`;
  }

  async fetch() {
    this.visit = await api.get(this.path);
    trustServerTime(this.visit.server_time);
    return this.visit;
  }

  get over() { return ['finished', 'cancelled'].includes(this.visit.status); }

  async open() {
    const found = await this.fetch();
    const mine = location.hash;
    const [patient, appointment, past] = await Promise.all([
      api.get(`/v1/patients/${found.patient.id}`).catch(() => found.patient),
      api.get(`/v1/appointments/${found.appointment.id}`).catch(() => ({})),
      pastNotes(found.patient.id, this.id, this.zone),
    ]);
    if (location.hash !== mine) return;
    this.callPlace = h('div', { id: 'call-place', class: 'stack' });
    this.door = h('ul', { id: 'waiting-list', class: 'list', 'aria-live': 'polite' });
    this.line = h('p', { id: 'probe-line', class: 'hint', hidden: true });
    this.doorBox = h('section', { class: 'stack', hidden: true }, h('h2', {}, t('dv.waiting')), this.door, this.line);
    this.ends = h('div', { id: 'visit-ends', class: 'stack' });
    this.care = careBox({ encounter: this.id, zone: this.zone, present: () => this.present(), guest: (id) => this.isGuest(id) });
    this.chat = chatPanel({ encounter: this.id, side: 'doctor', zone: this.zone });
    this.consents = consentsCard({ encounter: this.id, zone: this.zone, side: 'doctor' });
    this.appointment = appointment;
    const [{ People }, follow] = await Promise.all([import('./people.js'), import('./doctor-followup.js')]);
    this.follow = follow;
    this.people = new People({ path: this.path, clinic: this.me.practitioner.organization.id, conducts: true, looks, refused: (error) => this.askFirst(error), changed: () => { this.doorMark = ''; return this.watch ? this.watch.now() : this.people.look(); } });
    this.people.node.hidden = this.over;
    const left = h('div', { class: 'stack sticky' }, this.doorBox, this.callPlace, problemBox(), this.care.node, this.people.node, this.consents.node, this.chat.node, this.ends);
    const right = h('div', { class: 'stack' }, h('p', { class: 'loading' }, t('loading')));
    show(
      h('div', { class: 'spread' },
        h('div', {}, h('h1', { id: 'patient-name' }, found.patient.name), this.about(patient)),
        h('div', { class: 'row' }, h('a', { class: 'button quiet', href: `#/timeline/${this.id}`, id: 'to-timeline' }, t('dv.timeline')),
          h('a', { class: 'button quiet', href: '#/', id: 'back' }, t('dv.back')))),
      follow.followsLine(appointment, this.zone),
      appointment.reason && h('p', { id: 'visit-reason', class: 'card' }, h('span', { class: 'hint' }, t('dv.reason')), appointment.reason),
      h('div', { class: 'columns' }, left, right));
    onLeave(() => this.close());
    const editor = new NoteEditor(this.id, this.me, this.zone);
    const note = editor.open().then(() => refill(right, editor.node, past), (error) => refill(right, h('p', { class: 'problem' }, words(error)), past));
    this.drawEnds();
    this.attend();
    if (!this.over) this.people.look().catch(() => {});
    await Promise.all([note, this.enter()]);
  }

  about(patient) {
    const facts = [
      patient.birth_date && `${t('dv.born')}: ${date(`${patient.birth_date}T12:00:00Z`, 'UTC')}`,
      patient.location && `${t('dv.village')}: ${patient.location.name}`,
      patient.phone,
    ].filter(Boolean);
    return h('p', { class: 'hint', id: 'patient-facts' }, facts.join(' · '));
  }

  /* Who is missing, and what is written */

  /** The patient looks at the page, in the waiting room or in the call: there is nobody to ring. */
  present() {
    const there = [...(this.call?.roster.values() ?? [])].some((one) => this.isPatient(one) && looks(one));
    return there || Boolean(this.waits) || this.over || this.visit.can_join === false;
  }

  /** Whose place it is to be rung: the patient, or whoever comes for one who has no part of their own. */
  isPatient({ role }) {
    const { people = [], awaits = [] } = this.people ?? {};
    const own = awaits.includes('patient') || [...people, ...(this.call?.roster.values() ?? [])].some((one) => one.role === 'patient');
    return hasPatientsPlace(role, own);
  }

  /** Whoever is rung is not in the room: who they are stands in the list of people. */
  isGuest(id) {
    const one = this.people?.people.find((known) => known.id === id) ?? this.call?.roster.get(id);
    return Boolean(one) && !this.isPatient(one);
  }

  attend() {
    const asked = api.watched(`${this.path}/waiting`);
    this.attending = poll(async () => {
      const { last_message: last } = await asked();
      if (last) this.chat.look(last);
      return (await this.care.look()) ? RINGING_POLL_S : CARE_POLL_S;
    }, CARE_POLL_S);
  }

  /* The call */

  /** Camera and sound before the first call of the day; the way in is open from the start. */
  async check(DeviceCheck) {
    if (this.gone) return undefined;
    const tried = new DeviceCheck({ words: { nocamera: t('dv.dark'), nomic: t('dv.silent') } });
    this.checking = tried;
    refill(this.callPlace, h('section', { id: 'device-check', class: 'card' }, h('h2', {}, t('check.title')), tried.above,
      button('join', t('dv.enter'), (event) => busy(event.currentTarget, () => (this.over ? this.showOver() : this.enter(tried.take())))), tried.below));
    await tried.again();
    return undefined;
  }

  /** `media` is what the check has opened. */
  async enter(media = null) {
    if (this.over) return this.showOver();
    const [{ Call, openMedia, DeviceCheck, triedLately }, { prepare }] = await Promise.all([loadCall(), import('./doorway.js')]);
    if (this.gone) return undefined;
    if (!this.visit.can_join && this.visit.reason === 'too_early') return this.showEarly();
    const seat = JSON.parse(sessionStorage.getItem(SEAT) ?? 'null');
    const kept = seat?.encounter === this.id ? seat : null;
    // Once a day, and never in the way: a call that one comes back to is not asked about.
    if (!media && !kept && !this.entered && !triedLately()) return this.check(DeviceCheck);
    this.entered = true;
    const doorway = prepare(this.id, 'doctor');
    const wish = { mic: true, camera: true, voiceOnly: media?.voiceOnly ?? false, ...kept?.wish };
    const stream = media?.stream ?? (await openMedia({ video: !wish.voiceOnly })).stream;
    const problem = !stream.getAudioTracks().length ? 'nomic' : !wish.voiceOnly && !stream.getVideoTracks().length ? 'nocamera' : null;
    if (this.gone) {
      stream.getTracks().forEach((track) => track.stop());
      doorway?.close();
      return undefined;
    }
    this.call = new Call({ encounter: this.id, side: 'doctor', zone: this.zone, doorway, media: { ...wish, stream } });
    const sight = keepInSight(this.call.stage);
    refill(this.callPlace,
      problem && h('p', { id: 'device-problem', class: 'banner' }, t(problem === 'nocamera' ? 'dv.dark' : 'dv.silent')),
      sight.node);
    this.call.addEventListener('over', ({ detail }) => { sight.stop(); this.callOver(detail); });
    this.call.addEventListener('roster', () => { this.watch?.now(); this.care.draw(); });
    this.call.addEventListener('news', () => this.attending.now());
    // Both have agreed to the telephone: what is left to press lies under the doctor's hand.
    this.call.addEventListener('phone', () => $('#to-phone')?.focus());
    this.call.start();
    this.watch ??= poll(() => this.lookAtDoor(), DOOR_POLL_S);
    this.drawEnds();
    return undefined;
  }

  showEarly() {
    const when = t('visit.at', { day: namedDay(dayKey(this.visit.opens_at, this.zone), this.zone), time: clock(this.visit.opens_at, this.zone) });
    refill(this.callPlace, h('p', { id: 'opens-at', class: 'banner', role: 'status' }, t('dv.early', { when })));
    this.early = setTimeout(async () => {
      await this.fetch().catch(() => {});
      if (!this.gone) this.enter();
    }, (this.visit.poll_after || 30) * 1000);
  }

  showOver() {
    this.checking?.close();
    const text = this.visit.status === 'cancelled' ? t('dv.cancelled')
      : t('dv.finished', { outcome: t(`outcome.${this.visit.outcome ?? 'completed'}`).toLowerCase() });
    refill(this.callPlace, h('p', { id: 'visit-finished', class: 'good', role: 'status', data: { outcome: this.visit.outcome ?? '' } }, text));
    this.drawFollow();
    this.drawReopen();
    this.doorBox.hidden = true;
    this.people.node.hidden = true;
    this.watch?.stop();
    this.drawEnds();
  }

  async callOver({ why, error }) {
    this.call = null;
    if (this.gone || why === 'left-screen') return;
    const found = await this.fetch().catch((error) => error);
    if (found.status === 404) return this.taken();
    if (this.over || why === 'ended') return this.showOver();
    const text = why === 'left' ? t('dv.left') : why === 'elsewhere' ? t('call.elsewhere') : error ? words(error) : t('call.failed');
    refill(this.callPlace, h('div', { id: 'call-left', class: 'card', data: { why } }, h('p', {}, text),
      button('rejoin', t(why === 'elsewhere' ? 'call.here' : 'dv.rejoin'), (event) => busy(event.currentTarget, () => this.enter()))));
    this.drawEnds();
    return undefined;
  }

  /** A colleague sees this patient now: what is left here is one's own note. */
  taken() {
    this.watch?.stop();
    this.attending?.stop();
    this.call?.finish('left-screen');
    this.call = null;
    refill(this.callPlace, h('p', { id: 'visit-taken', class: 'banner', role: 'status' }, t('dv.taken')),
      h('div', { class: 'row' }, h('a', { class: 'button second', href: '#/' }, t('dv.back'))));
    for (const node of [this.doorBox, this.people.node, this.care.node, this.chat.node]) node.hidden = true;
    refill(this.ends);
  }

  /* The door: who waits, who is in */

  async lookAtDoor() {
    if (this.over) return;
    this.people.look(this.call?.roster).catch(() => {});
    const { items } = await api.get(`${this.path}/waiting-room`).catch((error) => {
      if (error.status === 404) this.taken();
      throw error;
    });
    const others = items.filter((one) => one.role !== 'practitioner' && ['waiting', 'reconnecting', 'checking'].includes(one.state));
    const inside = this.call ? [...this.call.roster.values()].filter((one) => one.role !== 'practitioner' && INSIDE.includes(one.state)) : [];
    const waiting = others.filter((one) => !inside.some((other) => other.id === one.id));
    this.waits = waiting.some((one) => this.isPatient(one) && looks(this.call?.roster.get(one.id)));
    const mark = JSON.stringify([waiting.map((one) => [one.id, one.state, this.absence(one)]), inside.map((one) => one.id), this.waits]);
    if (mark === this.doorMark) return;
    this.doorMark = mark;
    this.doorBox.hidden = !waiting.length;
    arrange(this.door, waiting.map((one) => this.doorRow(one)));
    this.inside = inside;
    this.care.draw();
    this.drawEnds();
    this.keepFocus();
    if (waiting.length) await this.readLine();
  }

  /** What the line of whoever waits carried when it was measured last; nothing when it was not. */
  async readLine() {
    const [newest] = await api.items(`${this.path}/probes`).catch(() => []);
    this.line.hidden = !newest;
    if (newest) Object.assign(this.line, { textContent: probeLine(newest) }).dataset.verdict = newest.verdict;
  }

  /** Why whoever waits would not notice that they are let in; nothing where they would. */
  absence({ id }) {
    const seen = this.call?.roster.get(id);
    return !seen || looks(seen) ? '' : t(seen.standing === 'disconnected' ? 'dv.silentline' : 'dv.away');
  }

  /** A row that says the same as before stays the same row, with the focus on its button. */
  doorRow(one) {
    const mark = JSON.stringify([one.name, one.role, one.state, one.waiting_since ?? one.since, this.absence(one)]);
    if (this.rows.get(one.id)?.mark !== mark) this.rows.set(one.id, { mark, node: this.doorEntry(one) });
    return this.rows.get(one.id).node;
  }

  /** Where the keyboard goes on when the button that was pressed is no longer there: to the next who
   * waits, to whoever was sent back to wait, or else to the call. */
  keepFocus(wanted = this.wanted) {
    this.wanted = wanted;
    if (!wanted) return;
    const { stage } = this.call ?? {};
    const { activeElement: focused } = document;
    if (focused !== document.body && focused !== stage?.node) {
      // Whoever has gone elsewhere meanwhile stays there.
      if (!this.door.contains(focused) && !this.ends.contains(focused)) this.wanted = null;
      return;
    }
    const place = wanted.back ? this.rows.get(wanted.back)?.node : this.door;
    const next = place?.isConnected ? place.querySelector('.admit:enabled') : null;
    if (next || !wanted.back) this.wanted = null;
    (next ?? stage?.node)?.focus({ preventScroll: true });
  }

  /** Who may not come in before the patient agrees: what to read to them lies open. */
  askFirst(error) {
    if (error.code === 'consent_missing') this.consents.ask(error.consent);
    throw error;
  }

  doorEntry(one) {
    const since = one.waiting_since ?? one.since;
    const act = (what) => (event) => busy(event.currentTarget, async () => {
      const seen = this.call?.roster.get(one.id);
      // Whoever is let in and does not look is rung as well.
      if (what === 'admit' && !looks(seen)) await api.post(`${this.path}/rings`, { participant: one.id }).catch(() => {});
      await api.post(`${this.path}/${what}`, { participant: one.id }).catch((error) => this.askFirst(error));
      this.doorMark = '';
      await this.watch.now();
      this.keepFocus({});
    });
    return h('li', { class: 'entry waiting', data: { participant: one.id, state: one.state } },
      since ? h('time', {}, clock(since, this.zone)) : h('span'),
      h('div', {}, h('strong', {}, one.name), one.role !== 'patient' && h('p', { class: 'hint' }, t(`role.${one.role}`)), since && h('p', { class: 'hint' }, waitingFor(since)), this.absence(one) && h('p', { class: 'hint absent' }, this.absence(one))),
      h('div', { class: 'row' },
        h('button', { type: 'button', class: 'primary admit', on: { click: act('admit') } }, t('dv.admit')),
        h('button', { type: 'button', class: 'quiet deny', on: { click: act('deny') } }, t('dv.deny'))));
  }

  /* Ways out */

  /** What is open here, as the question how the visit ended, stays open whoever comes or goes. */
  drawEnds() {
    if (this.over || (this.visit.can_join === false && this.visit.reason === 'too_early')) {
      this.holdRow = null;
      refill(this.ends);
      return;
    }
    if (!this.holdRow) {
      this.holdRow = h('div', { class: 'row holds' });
      refill(this.ends, h('div', { class: 'row' }, this.holdRow,
        asking('to-phone', t('dv.phone'), t('dv.phone.ask'), t('dv.phone.yes'), () => this.end('convert', { to: 'phone' }), 'second')),
        this.finishForm());
    }
    const inside = this.inside ?? [];
    arrange(this.holdRow, inside.map((one) => this.holdButton(one)));
    for (const one of inside) this.holds.get(one.id).textContent = inside.length > 1 ? `${t('dv.hold')}: ${one.name}` : t('dv.hold');
    this.holdRow.hidden = !inside.length;
  }

  holdButton({ id }) {
    const hold = async () => {
      await api.post(`${this.path}/hold`, { participant: id });
      this.doorMark = '';
      await this.watch?.now();
    };
    const press = async ({ currentTarget }) => {
      await busy(currentTarget, hold);
      this.keepFocus({ back: id });
    };
    if (!this.holds.has(id)) this.holds.set(id, h('button', { type: 'button', class: 'second hold', data: { participant: id }, on: { click: press } }));
    return this.holds.get(id);
  }

  /** A visit that took place can have a next one. */
  drawFollow() {
    if (this.visit.status !== 'finished' || !this.appointment.id || this.appointment.practitioner.id !== this.me.practitioner?.id) return;
    this.next ??= this.follow.followUp({ appointment: this.appointment, zone: this.zone });
    put(this.callPlace, this.next);
  }

  /** What was finished by mistake goes on; the server has the last word on how long and on a signed note. */
  drawReopen() {
    const mine = this.appointment.practitioner?.id === this.me.practitioner?.id;
    if (this.visit.status !== 'finished' || !mine || now() - Date.parse(this.appointment.end) > DAY_MS) return;
    put(this.callPlace, asking('reopen', t('dv.reopen'), t('dv.reopen.ask'), t('dv.reopen.yes'), async () => {
      await api.post(`${this.path}/reopen`);
      // The whole screen anew: the door, the people and the ways out are open again.
      window.dispatchEvent(new Event('hashchange'));
    }));
  }

  finishForm() {
    const place = h('div', { class: 'asking' });
    const rest = () => refill(place, button('finish', t('dv.finish'), (event) => busy(event.currentTarget, ask), 'danger'));
    const ask = async () => {
      await this.fetch();
      if (this.over) return this.showOver();
      const outcomes = OUTCOMES[this.visit.status] ?? ['completed'];
      const choice = h('fieldset', { id: 'finish-outcome', class: 'options' }, h('legend', {}, t('dv.finish.ask')), outcomes.map((name, at) =>
        h('label', { class: 'check' }, h('input', { type: 'radio', name: 'outcome', value: name, checked: at === 0 }), h('span', {}, t(`outcome.${name}`)))));
      refill(place, h('div', { class: 'card' }, choice, h('p', { class: 'hint' }, t('dv.finish.hint')),
        h('div', { class: 'row' },
          button('finish-confirm', t('dv.finish.yes'), (event) => busy(event.currentTarget, () => this.end('finish', { outcome: $('input:checked', choice).value })), 'danger'),
          button('finish-cancel', t('no'), rest, 'quiet'))));
      $('input', choice).focus();
      return undefined;
    };
    rest();
    return place;
  }

  async end(what, body) {
    await api.post(`${this.path}/${what}`, body);
    await this.fetch();
    this.call?.finish('ended');
    this.showOver();
  }

  close() {
    this.gone = true;
    this.checking?.close();
    clearTimeout(this.early);
    this.watch?.stop();
    this.attending?.stop();
    this.call?.finish('left-screen');
  }
}
