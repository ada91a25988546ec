// The visit as the patient lives it: wait for the hour, check the devices, wait for the doctor, talk, read.
import { t } from './i18n.js';
import { $, show, h, put, refill, button, busy, problemBox, tell, poll, onLeave, words, say } from './ui.js';
import * as api from './api.js';
import { namedDay, clock, dayKey, now, trustServerTime } from './time.js';
import { whenLine, whenOf } from './patient-times.js';
import { waitCard } from './waiting.js';
import { loadCall } from './call-code.js';
import { keepSeat, takeSeat } from './kept-seat.js';

const SEAT = 'feldsher.seat.patient';
/** A note can take hours, and every look costs money on a thin line: each waits twice as long as the one before. */
const NOTE_POLL_S = 10;
const NOTE_POLL_S_MAX = 300;
/** As the server has it: a line can be measured all of the day before. */
const PROBE_AHEAD_MS = 48 * 3_600_000;
const CARE_POLL_S = 30;
const BEGIN_MS_MAX = 10_000;

function seatedIn() {
  return JSON.parse(sessionStorage.getItem(SEAT) ?? 'null')?.encounter ?? null;
}


/** Being rung, writing and consenting: fetched when a visit is opened, not with the first screen. */
async function care(visit, answer) {
  const [{ ringCard }, { chatPanel }, { consentsCard }, { takenOver }] = await Promise.all([import('./ringing.js'), import('./chat.js'), import('./consents.js'), import('./taken-over.js')]);
  const zone = visit.time_zone;
  const ring = ringCard({ zone, answer });
  const chat = chatPanel({ encounter: visit.id, side: 'patient', zone });
  const consents = consentsCard({ encounter: visit.id, zone });
  const taken = takenOver();
  return {
    ring, chat, consents, taken,
    draw(waiting) {
      ring.draw(waiting);
      taken.draw(waiting);
      if (waiting.last_message) chat.look(waiting.last_message);
    },
  };
}

async function fetchVisit(id) {
  const visit = await api.get(`/v1/encounters/${id}`);
  trustServerTime(visit.server_time);
  return visit;
}

export async function visit(id) {
  const kept = takeSeat(id);
  // Nothing is fetched first: whoever was let in sees at once that they are.
  if (kept && !kept.over) return sit(kept.visit, kept.call);
  show(h('p', { class: 'loading', 'aria-busy': 'true' }, t('loading')));
  if (kept) return over(kept.visit, kept.over);
  const found = await fetchVisit(id);
  if (seatedIn() === id && !['finished', 'cancelled'].includes(found.status)) return enter(found, null);
  if (seatedIn()) sessionStorage.removeItem(SEAT);
  return lobby(found);
}

const isOver = (visit) => ['finished', 'cancelled'].includes(visit.status) || ['over', 'cancelled'].includes(visit.reason);

const probeLink = ({ id, start, can_join: open }) => (open || Date.parse(start) - now() < PROBE_AHEAD_MS)
  && h('a', { class: 'button second', id: 'to-probe', href: `#/probe/${id}` }, t('visit.probe'));

/** `comes`: whoever stands here is most likely on their way in. */
function lobby(first, note = '', comes = !note) {
  if (isOver(first)) return ended(first);
  const place = h('div', { id: 'visit-state', class: 'stack', 'aria-live': 'polite' });
  const wait = waitCard(first);
  const calls = h('div', {});
  const talk = h('div', { class: 'stack' });
  const others = h('div', { id: 'others' });
  import('./people.js').then(async ({ People }) => {
    const panel = new People({ path: `/v1/encounters/${first.id}`, changed: () => panel.look() });
    await panel.look();
    refill(others, panel.node);
  }).catch(() => {});
  const doctor = h('strong', {}, first.practitioner.name);
  show(h('h1', {}, t('visit.title')), calls,
    note && h('p', { id: 'visit-left', class: 'good', role: 'status' }, note),
    h('div', { class: 'card' }, whenLine(first), h('p', {}, doctor), h('p', {}, first.service.name)),
    wait.node, problemBox(), place, talk, others,
    h('a', { class: 'button quiet', href: '#/', id: 'to-home' }, t('visit.home')));
  let cared = null;
  let last = null;
  // Whoever was rung goes straight in: the devices are opened without another question.
  care(first, () => enter(current, null, through())).then((parts) => {
    if (!place.isConnected) return;
    cared = parts;
    refill(calls, parts.ring.node, parts.taken.node);
    if (last) cared.draw(last);
    offerTalk();
  }, () => {});
  const offerTalk = () => {
    if (cared && current.can_join && !talk.childElementCount) refill(talk, cared.chat.node, cared.consents.node);
  };
  let drawn = '';
  let current = first;
  // The way in is opened before they press anything, and as long as one ticket lasts; nobody sees them.
  let ahead = null;
  let passed = false;
  const open = async () => {
    const { prepare } = await import('./doorway.js');
    if (place.isConnected && !passed) ahead ??= prepare(first.id, 'patient', 0, true);
    await loadCall();
  };
  const through = () => {
    const way = ahead;
    [ahead, passed] = [null, true];
    return way;
  };
  const ready = () => { if (current.can_join && !last?.offer_over && comes && !document.hidden) open().catch(() => {}); };
  const draw = () => {
    const away = last?.offer_over;
    const state = away ? 'offer_over' : current.can_join ? 'open' : current.reason;
    ready();
    if (drawn === state) return;
    drawn = state;
    place.dataset.state = state;
    if (away) {
      refill(place, h('p', { class: 'banner', id: 'offer-over' }, t('home.away.over', { name: current.practitioner.name })),
        h('a', { class: 'button primary', id: 'move-visit', href: `#/move/${current.appointment.id}` }, t('home.choose')));
    } else if (current.can_join) {
      refill(place, h('p', { class: 'good' }, t('visit.open')),
        button('enter-waiting-room', note ? t('visit.return') : t('visit.enter'), (event) => busy(event.currentTarget, () => check(current, through()))), probeLink(current));
    } else if (state === 'on_hold') {
      refill(place, h('p', { class: 'banner' }, t('visit.onhold')), button('confirm-hold', t('visit.confirm'), (event) => busy(event.currentTarget, async () => {
        await api.post(`/v1/appointments/${current.appointment.id}/confirm`);
        await watch.now();
      })));
    } else {
      const day = namedDay(dayKey(current.opens_at, current.time_zone), current.time_zone);
      const when = t('visit.at', { day, time: clock(current.opens_at, current.time_zone) });
      refill(place, h('p', { class: 'banner', id: 'opens-at' }, t('visit.early', { when })), h('p', { class: 'hint' }, t('visit.early.hint')), probeLink(current),
        current.appointment && h('a', { class: 'button quiet', id: 'move-visit', href: `#/move/${current.appointment.id}` }, t('home.move')));
    }
  };
  draw();
  const ask = api.watched(`/v1/encounters/${first.id}/waiting`);
  const watch = poll(async () => {
    const waiting = await ask();
    // The whole visit is fetched only when something about the door has changed.
    if (['status', 'can_join', 'reason', 'opens_at'].some((field) => waiting[field] !== current[field])) current = await fetchVisit(first.id);
    if (isOver(current)) return ended(current);
    doctor.textContent = current.practitioner.name;
    last = waiting;
    // Nobody waits in line for a doctor who is away.
    wait.draw(waiting.offer_over ? {} : waiting);
    draw();
    cared?.draw(waiting);
    offerTalk();
    return waiting.poll_after;
  }, 15);
  document.addEventListener('visibilitychange', ready);
  onLeave(() => {
    document.removeEventListener('visibilitychange', ready);
    watch.stop();
    cared?.ring.quiet();
    ahead?.close();
  });
  return undefined;
}

/* Device check */

/** `ahead` is the way in that was opened already, if one was. */
async function check(visit, ahead) {
  let gone = false;
  onLeave(() => { gone = true; });
  const code = loadCall();
  // Nobody sees them before they press the button; then it is one message.
  let doorway = ahead?.keep().comes() ?? (await import('./doorway.js')).prepare(visit.id, 'patient');
  const { DeviceCheck } = await code.catch((error) => { doorway?.close(); throw error; });
  if (gone) {
    doorway?.close();
    return;
  }
  const join = button('join', t('check.join'), () => {
    const taken = { ...tried.take(), doorway };
    doorway = null;
    enter(visit, taken);
  }, 'primary', { disabled: true });
  const tried = new DeviceCheck({
    opened: (problem) => {
      join.textContent = t(problem === 'nomic' ? 'check.join.anyway' : 'check.join');
      join.disabled = problem === 'nothing';
    },
  });
  show(h('h1', {}, t('check.title')), tried.above, join, tried.below, h('a', { class: 'button quiet', href: '#/', id: 'to-home' }, t('visit.home')));
  onLeave(() => { tried.close(); doorway?.close(); });
  await tried.again();
}

/* The call */

/** `media` is null when a reloaded page comes back: then the devices are opened again without a question. */
async function enter(visit, media, ahead = null) {
  let gone = false;
  let doorway = media?.doorway ?? ahead;
  show(h('h1', { class: 'unseen' }, t('visit.title')), h('p', { class: 'loading', 'aria-busy': 'true' }, t('visit.preparing')));
  onLeave(() => { gone = true; });
  try {
    const code = loadCall();
    if (!media) doorway = ahead?.keep() ?? (await import('./doorway.js')).prepare(visit.id, 'patient');
    const { Call, openMedia, stopMedia } = await code;
    const kept = JSON.parse(sessionStorage.getItem(SEAT) ?? 'null');
    const wish = media ? { mic: true, camera: true, voiceOnly: media.voiceOnly } : { voiceOnly: false, ...kept?.wish };
    const stream = media?.stream ?? (gone ? null : (await openMedia({ video: !wish.voiceOnly })).stream);
    if (gone) {
      doorway?.close();
      return stopMedia(stream);
    }
    return sit(visit, new Call({ encounter: visit.id, side: 'patient', doorway, zone: visit.time_zone, appointment: visit.appointment?.id, media: { ...wish, stream } }));
  } catch (error) {
    // On a bad line the code of the call may not arrive: nobody waits for it with the camera on.
    for (const track of media?.stream?.getTracks() ?? []) track.stop();
    doorway?.close();
    if (gone) return undefined;
    lobby(visit);
    const problem = $('#problem');
    return problem && tell(problem, error);
  }
}

/** The call comes first; what stands beside it comes when the line lets it. */
function sit(visit, call) {
  const calls = h('div', {});
  const beside = h('div', {});
  show(h('h1', { class: 'unseen' }, t('visit.title')), calls, problemBox(), call.stage.node, beside);
  document.body.classList.add('in-call');
  // Whoever looked at other times comes back to the same call.
  const ear = new AbortController();
  const heard = { signal: ear.signal };
  let caring = null;
  let cared = null;
  const ask = api.watched(`/v1/encounters/${visit.id}/waiting`);
  const answer = async (ring) => {
    await api.post(`/v1/encounters/${visit.id}/rings/${ring.id}/answer`);
    cared.draw(await ask());
  };
  const cares = () => {
    caring ??= care(visit, answer).then((parts) => {
      cared = parts;
      calls.replaceWith(parts.ring.node, parts.taken.node);
      beside.replaceWith(parts.chat.node, parts.consents.node);
    }, (error) => { caring = null; throw error; });
    return caring;
  };
  // The call has a thin line to itself until it stands, or waits.
  let begins = true;
  const begun = new Promise((done) => {
    if (call.waits) done();
    call.addEventListener('state', ({ detail }) => { if (!['connecting', 'admitted'].includes(detail)) done(); }, heard);
    setTimeout(done, BEGIN_MS_MAX);
  }).then(() => { begins = false; });
  // The socket says that there is something; where it is silent, a slow look finds it.
  const news = poll(async () => {
    await begun;
    await cares();
    if (!call.over) cared.draw(await ask());
  }, CARE_POLL_S);
  const looked = () => cared?.ring.looked();
  document.addEventListener('visibilitychange', looked);
  call.addEventListener('news', () => { if (!begins) news.now(); }, heard);
  call.stage.node.classList.toggle('lobby', call.waits);
  call.addEventListener('state', ({ detail }) => call.stage.node.classList.toggle('lobby', detail.startsWith('waiting')), heard);
  onLeave(() => {
    document.body.classList.remove('in-call');
    document.removeEventListener('visibilitychange', looked);
    news.stop();
    cared?.ring.quiet();
    ear.abort();
    if (!keepSeat(visit, call)) call.finish('left-screen');
  });
  call.addEventListener('over', ({ detail }) => over(visit, detail), heard);
  call.start();
}

async function over(visit, { why, error, body }) {
  if (why === 'left-screen') return;
  const current = await fetchVisit(visit.id).catch(() => ({ ...visit, status: why === 'ended' ? 'finished' : visit.status, outcome: body?.outcome }));
  if (location.hash !== `#/visit/${visit.id}`) return;
  if (why === 'elsewhere') return elsewhere(current);
  if (!isOver(current) && current.start !== visit.start) return lobby(current, t('visit.moved', { when: whenOf(current) }), false);
  if (isOver(current) || why === 'ended') {
    ended(current);
    return;
  }
  lobby(current, why === 'left' ? t('visit.left') : why === 'denied' ? t('call.denied') : error ? words(error) : t('call.failed'), why === 'left');
}

function elsewhere(visit) {
  show(h('h1', {}, t('visit.title')), h('p', { id: 'elsewhere', class: 'banner', role: 'status' }, t('call.elsewhere')),
    button('continue-here', t('call.here'), () => enter(visit, null)),
    h('a', { class: 'button quiet', href: '#/', id: 'to-home' }, t('visit.home')));
}

/* After */

function ended(visit) {
  sessionStorage.removeItem(SEAT);
  const cancelled = visit.status === 'cancelled' || visit.reason === 'cancelled';
  // Nobody spoke before the door closed: there is nothing to wait for here.
  const passed = ['planned', 'arrived'].includes(visit.status);
  const cutOff = !cancelled && visit.status === 'onleave';
  const calls = h('div', {});
  let rung = null;
  let chat = null;
  let written = false;
  const talk = h('div', {});
  const place = h('div', { id: 'note-place', class: 'stack', 'aria-live': 'polite' });
  show(h('h1', { id: 'visit-over' }, t(cancelled ? 'visit.cancelled' : passed ? 'visit.passed' : cutOff ? 'visit.cut' : 'visit.over')),
    h('div', { class: 'card' }, whenLine(visit), h('p', {}, h('strong', {}, visit.practitioner.name)), h('p', {}, visit.service.name)),
    visit.outcome === 'converted_to_phone' && h('p', { class: 'banner', id: 'by-phone' }, t('visit.phone')),
    calls, place, talk,
    h('a', { class: 'button second', href: '#/', id: 'to-home' }, t('visit.home')));
  if (passed && !cancelled) refill(place, h('p', { class: 'lead' }, t(visit.status === 'arrived' ? 'visit.unseen.hint' : 'visit.passed.hint')));
  if (cutOff) refill(place, h('p', { class: 'lead' }, t('visit.cut.hint')));
  const isWritten = !cancelled && !passed && !cutOff;
  if (isWritten) refill(place, h('p', { class: 'lead' }, t('visit.over.hint')));
  const ask = api.watched(`/v1/encounters/${visit.id}/waiting`);
  let pause = NOTE_POLL_S / 2;
  // Whoever looks again is shown what is new at once, and soon again.
  const woken = () => { if (!document.hidden) pause = NOTE_POLL_S / 2; };
  document.addEventListener('visibilitychange', woken);
  const look = poll(async () => {
    pause = document.hidden ? NOTE_POLL_S_MAX : Math.min(2 * pause, NOTE_POLL_S_MAX);
    // It was ended, or called off, by mistake.
    const waiting = await ask();
    if (isOver(waiting) && waiting.status !== visit.status) {
      look.stop();
      const fresh = await fetchVisit(visit.id);
      if (place.isConnected) ended(fresh);
      return undefined;
    }
    if (!isOver(waiting)) {
      // Asked again if this fails.
      const again = await fetchVisit(visit.id);
      look.stop();
      if (place.isConnected) lobby(again, visit.status === 'finished' && again.can_join ? t('visit.reopened') : '');
      return undefined;
    }
    // That somebody will call is not forgotten with the visit.
    const promised = (waiting.tasks ?? []).filter((one) => one.code !== 'interrupted');
    if (promised.length || rung) {
      rung ??= await import('./ringing.js').then(({ ringCard }) => ringCard({ zone: visit.time_zone }));
      if (!rung.node.isConnected) put(calls, rung.node);
      rung.draw({ tasks: promised });
    }
    // What was asked may still be answered.
    if (waiting.last_message) {
      chat ??= await import('./chat.js').then(({ chatPanel }) => chatPanel({ encounter: visit.id, side: 'patient', zone: visit.time_zone, open: true, over: true }));
      if (!chat.node.isConnected) put(talk, chat.node);
      chat.look(waiting.last_message);
    }
    if (!isWritten || written) return waiting.poll_after;
    const notes = await api.items(`/v1/encounters/${visit.id}/notes`);
    const note = notes.find((one) => one.signed_at);
    if (!note) return undefined;
    written = true;
    if (!chat) look.stop();
    refill(place, h('a', { class: 'button primary', id: 'read-note', href: `#/note/${note.id}` }, t('visit.readnote')));
    say(t('visit.readnote'));
    return undefined;
  }, isWritten ? () => pause : CARE_POLL_S);
  onLeave(() => {
    document.removeEventListener('visibilitychange', woken);
    look.stop();
  });
}
