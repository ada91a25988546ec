// The visit of somebody else, for whoever is asked to come: wait for the hour, wait to be let in, talk.
import { t, learn } from './i18n.js';
import { show, h, refill, button, busy, problemBox, poll, onLeave, words } from './ui.js';
import * as api from './api.js';
import { namedDay, clock, dayKey, now, trustServerTime } from './time.js';
import { whenLine } from './patient-times.js';
import { loadCall } from './call-code.js';
import './role-words.js';

const SEAT = 'feldsher.seat.guest';
const RINGING_POLL_S = 5;

learn({
  'guest.title': ['Вас ждут на приёме', 'You are asked to join a visit'],
  'guest.as': ['Вы участвуете как: {role}', 'You take part as: {role}'],
  'guest.with': ['Врач: {name}', 'Doctor: {name}'],
  'guest.beside': ['Вы сидите рядом: {name}. Приём откроется на том устройстве, здесь ничего делать не нужно.', 'You sit beside {name}. The visit opens on that device; there is nothing to do here.'],
  'guest.locked': ['Врач закрыл дверь. Если вас ждут, позвоните тому, кто вас пригласил.', 'The doctor has locked the door. If you are expected, phone whoever asked you to come.'],
  'guest.enter': ['Войти', 'Enter'],
  'guest.over': ['Этот приём закончился. Спасибо, что пришли.', 'This visit is over. Thank you for coming.'],
  'guest.cancelled': ['Этот приём отменён или не состоялся.', 'This visit was called off or did not take place.'],
  'guest.on_hold': ['Этот приём ещё не подтверждён.', 'This visit is not confirmed yet.'],
  'guest.removed': ['Вас больше не ждут на этом приёме.', 'You are no longer expected at this visit.'],
  'guest.left': ['Вы вышли. Пока приём идёт, можно вернуться.', 'You have left. While the visit goes on you can come back.'],
  'guest.none': ['Приглашений на приём нет.', 'There are no invitations.'],
  'guest.list': ['Приглашения', 'Invitations'],
  'guest.open': ['Открыть', 'Open'],
});

/** As the server has it: a line can be measured all of the two days before. */
const PROBE_AHEAD_MS = 48 * 3_600_000;
/** A feldsher measures the station's line for the patient, who comes there. */
const probeLink = (visit) => visit.role === 'feldsher' && (visit.can_join || Date.parse(visit.start) - now() < PROBE_AHEAD_MS)
  && h('a', { class: 'button second', id: 'to-probe', href: `#/probe/${visit.encounter.id}` }, t('visit.probe'));

const asked = (id) => api.get(`/v1/encounters/${id}/invitation`);
const isOver = (visit) => ['finished', 'cancelled'].includes(visit.status) || ['over', 'cancelled'].includes(visit.reason);
const seatedIn = () => JSON.parse(sessionStorage.getItem(SEAT) ?? 'null')?.encounter ?? null;

export async function guest(id) {
  show(h('p', { class: 'loading', 'aria-busy': 'true' }, t('loading')));
  const visit = await asked(id);
  trustServerTime(visit.server_time);
  if (seatedIn() === id && !isOver(visit)) return enter(visit);
  return lobby(visit);
}

function card(visit) {
  return h('div', { class: 'card' }, whenLine(visit), h('p', {}, t('guest.with', { name: visit.practitioner })), h('p', {}, visit.organization),
    h('p', { id: 'guest-role', class: 'hint', data: { role: visit.role } }, t('guest.as', { role: t(`role.${visit.role}`).toLowerCase() })));
}

function lobby(first, note = '') {
  const place = h('div', { id: 'visit-state', class: 'stack', 'aria-live': 'polite' });
  show(h('h1', {}, t('guest.title')), note && h('p', { id: 'visit-left', class: 'good', role: 'status' }, note), card(first), problemBox(), place);
  let drawn = '';
  let rung = null;
  let current = first;
  bell(first, () => enter(current)).then((made) => { if (place.isConnected) { rung = made; place.before(made.node); made.draw(current); } }, () => {});
  const draw = (visit) => {
    const state = isOver(visit) ? (visit.reason === 'cancelled' ? 'cancelled' : 'over') : visit.sits_with ? 'beside' : visit.locked && visit.state === 'invited' ? 'locked' : visit.can_join ? 'open' : visit.reason;
    if (drawn === state) return;
    drawn = state;
    place.dataset.state = state;
    if (state === 'open') {
      refill(place, h('p', { class: 'good' }, t('visit.open')), button('enter-as-guest', t('guest.enter'), (event) => busy(event.currentTarget, () => check(visit))), probeLink(visit));
    } else if (state === 'too_early') {
      const day = namedDay(dayKey(visit.opens_at, visit.time_zone), visit.time_zone);
      refill(place, h('p', { class: 'banner', id: 'opens-at' }, t('visit.early', { when: t('visit.at', { day, time: clock(visit.opens_at, visit.time_zone) }) })), probeLink(visit));
    } else {
      refill(place, h('p', { class: 'banner' }, state === 'beside' ? t('guest.beside', { name: visit.sits_with }) : t(`guest.${['locked', 'cancelled', 'on_hold'].includes(state) ? state : 'over'}`)));
    }
  };
  draw(first);
  const watch = poll(async () => {
    const visit = await asked(first.encounter.id).catch((error) => (error.status === 404 ? null : Promise.reject(error)));
    if (!visit) return gone();
    current = visit;
    draw(visit);
    rung?.draw(visit);
    return visit.poll_after;
  }, 15);
  onLeave(() => { watch.stop(); rung?.quiet(); });
}

/** Being rung; fetched when the visit is open on the screen. */
async function bell(visit, answer) {
  const { ringCard } = await import('./ringing.js');
  return ringCard({ zone: visit.time_zone, answer, guest: true });
}

function gone() {
  sessionStorage.removeItem(SEAT);
  show(h('h1', {}, t('guest.title')), h('p', { id: 'guest-removed', class: 'banner', role: 'status' }, t('guest.removed')));
}

/** Camera and sound, for whoever has not tried them here today; who only listens has none to try. */
async function check(visit) {
  const [{ DeviceCheck, triedLately }, { prepare }] = await Promise.all([loadCall(), import('./doorway.js')]);
  if (visit.role === 'trainee' || triedLately()) return enter(visit);
  // Nobody sees them before they press the button; then it is one message.
  let doorway = prepare(visit.encounter.id, 'guest');
  const join = button('join', t('check.join'), () => {
    const taken = { ...tried.take(), doorway };
    doorway = null;
    enter(visit, taken);
  }, 'primary', { disabled: true });
  const tried = new DeviceCheck({
    video: visit.role !== 'interpreter',
    opened: (problem) => {
      join.textContent = t(problem === 'nomic' ? 'check.join.anyway' : 'check.join');
      join.disabled = problem === 'nothing';
    },
  });
  show(h('h1', {}, t('check.title')), tried.above, join, tried.below, h('a', { class: 'button quiet', href: '#/', id: 'to-home' }, t('visit.home')));
  onLeave(() => { tried.close(); doorway?.close(); });
  return tried.again();
}

/** `media` is what the check has opened. */
async function enter(visit, media = null) {
  let left = false;
  onLeave(() => { left = true; });
  const [{ Call, openMedia, stopMedia }, { prepare }] = await Promise.all([loadCall(), import('./doorway.js')]);
  const kept = JSON.parse(sessionStorage.getItem(SEAT) ?? 'null');
  const id = visit.encounter.id;
  const doorway = media ? media.doorway : prepare(id, 'guest');
  // Who only listens is not asked for a camera, and an interpreter only for the voice.
  const silent = visit.role === 'trainee';
  const wish = { mic: !silent, camera: true, voiceOnly: media?.voiceOnly ?? (silent || visit.role === 'interpreter'), ...(kept?.encounter === id ? kept.wish : {}) };
  const stream = media?.stream ?? (silent ? new MediaStream() : (await openMedia({ video: !wish.voiceOnly })).stream);
  const problem = silent || stream.getAudioTracks().length ? null : 'nomic';
  if (left) {
    doorway?.close();
    return stopMedia(stream);
  }
  const call = new Call({ encounter: id, side: 'guest', zone: visit.time_zone, doorway, media: { ...wish, stream, listens: silent } });
  const calls = h('div', {});
  show(h('h1', { class: 'unseen' }, t('guest.title')), calls, problemBox(),
    problem === 'nomic' && h('p', { id: 'device-problem', class: 'banner' }, t('check.nomic')), call.stage.node);
  document.body.classList.add('in-call');
  let rung = null;
  const look = async () => rung?.draw(await asked(id));
  const answer = async (ring) => {
    await api.post(`/v1/encounters/${id}/rings/${ring.id}/answer`);
    await look();
  };
  bell(visit, answer).then((made) => { if (calls.isConnected) { rung = made; calls.replaceWith(made.node); return look(); } return undefined; }).catch(() => {});
  // What follows a ring is not said on the socket to a guest: while it rings one asks.
  const ringing = poll(async () => { if (rung && !rung.node.hidden) await look(); }, RINGING_POLL_S);
  const looked = () => rung?.looked();
  document.addEventListener('visibilitychange', looked);
  onLeave(() => {
    document.body.classList.remove('in-call');
    document.removeEventListener('visibilitychange', looked);
    ringing.stop();
    rung?.quiet();
    call.finish('left-screen');
  });
  call.addEventListener('news', ({ detail }) => { if (['ringing', 'reset'].includes(detail)) look().catch(() => {}); });
  call.addEventListener('over', ({ detail }) => over(visit, detail));
  call.start();
  return undefined;
}

async function over(visit, { why, error }) {
  if (why === 'left-screen') return;
  const id = visit.encounter.id;
  // Only the server says that nobody asks for them any more: an answer that did not come says nothing.
  const current = await asked(id).catch((problem) => (problem.status === 404 ? null : visit));
  if (location.hash !== `#/guest/${id}`) return;
  if (why === 'removed' || !current) {
    gone();
    return;
  }
  sessionStorage.removeItem(SEAT);
  lobby(current, why === 'left' ? t('guest.left') : why === 'denied' ? t('call.denied') : why === 'elsewhere' ? t('call.elsewhere') : why === 'ended' ? '' : error ? words(error) : t('call.failed'));
}

/** The start of somebody who is nobody's patient here; `otherwise` is shown when nobody asks for them. */
export async function guestHome(otherwise) {
  const list = await api.items('/v1/invitations');
  if (!list.length) return otherwise();
  show(h('h1', {}, t('guest.list')), h('div', { id: 'invitations', class: 'stack' }, list.map(invitation)));
  return undefined;
}

/** One invitation, with the way to it. */
export function invitation(visit) {
  const node = card(visit);
  node.dataset.encounter = visit.encounter.id;
  node.append(h('a', { class: 'button second open-invitation', href: `#/guest/${visit.encounter.id}` }, t('guest.open')));
  return node;
}
