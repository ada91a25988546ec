// The patient's page: who is here, and which screen the address asks for.
import './words.js';
import { t } from './i18n.js';
import { $, show, h, button, frame, maySignOut, openScreen, say, words } from './ui.js';
import * as api from './api.js';
import { signInScreen } from './patient-signin.js';

const state = { me: null };

// Each screen is fetched when it is first needed: signing in must not wait for the rest.
const routes = [
  [/^#offer=(\w+)$/, async (code) => (await import('./patient-waitlist.js')).offerScreen(code, toHome)],
  [/^#\/status$/, async () => (await import('./patient-lookup.js')).lookupScreen()],
  [/^#\/book$/, async () => (await import('./patient-book.js')).book(state.me)],
  [/^#\/visit\/([\w-]+)$/, async (id) => (await import('./patient-visit.js')).visit(id)],
  [/^#\/probe\/([\w-]+)$/, async (id) => (await import('./patient-probe.js')).probeScreen(id)],
  [/^#\/guest\/([\w-]+)$/, async (id) => (await import('./guest-visit.js')).guest(id)],
  [/^#\/move\/([\w-]+)$/, async (id) => (await import('./patient-move.js')).move(id, state.me)],
  [/^#\/offer\/([\w-]+)$/, async (id) => (await import('./patient-move.js')).offer(id, state.me)],
  [/^#\/note\/([\w-]+)$/, async (id) => (await import('./patient-note.js')).noteScreen(id, state.me.patient.time_zone)],
  [/^/, async () => (state.me.patient ? (await import('./patient-home.js')).home(state.me) : (await import('./guest-visit.js')).guestHome(notPatient))],
];

/** Whoever is nobody's patient here and is asked to no visit of others. */
function notPatient() {
  show(h('h1', {}, t('brand')), h('p', { id: 'not-patient' }, t('home.notpatient')),
    h('a', { class: 'button second', href: '/doctor' }, t('home.doctorpage')));
}

/** The visit in which this tab was sitting when it was reloaded. */
const SEAT = 'feldsher.seat.patient';
const seatedIn = () => JSON.parse(sessionStorage.getItem(SEAT) ?? 'null')?.encounter ?? null;

/** The link from an SMS works without signing in, and so does the question whether a visit is booked. */
const isOpen = () => location.hash.startsWith('#offer=') || location.hash === '#/status';

function toHome() {
  history.replaceState(null, '', '/');
  return start();
}

async function route() {
  if (!state.me && !isOpen()) return;
  await openScreen(routes, failed);
}

function failed(error) {
  show(h('h1', {}, t('failed')),
    h('p', { id: 'problem', class: 'problem', role: 'alert', data: { code: error.code ?? 'unknown' } }, words(error)),
    error.status !== 404 && button('retry', t('retry'), start),
    state.me && h('a', { class: 'button second', href: '#/', id: 'to-home' }, t('visit.home')));
}

function signedOut(note) {
  state.me = null;
  // Whoever signs in next may be somebody else.
  sessionStorage.removeItem(SEAT);
  $('#sign-out').hidden = true;
  document.body.classList.remove('in-call');
  signInScreen(start, typeof note === 'string' ? note : '');
}

async function start() {
  if (isOpen()) return route();
  if (!api.hasSession()) return signedOut();
  try {
    state.me = await api.get('/v1/me');
  } catch (error) {
    return error.status === 401 ? undefined : failed(error);
  }
  $('#sign-out').hidden = false;
  // A reload in the middle of a call comes straight back to the call.
  const seat = seatedIn();
  if (seat && location.hash !== `#/visit/${seat}`) location.replace(`#/visit/${seat}`);
  else return route();
  return undefined;
}

frame(t('brand'));
api.configure('patient', () => { signedOut(t('session.over')); say(t('session.over')); });
const out = $('#sign-out');
out.textContent = t('sign.out');
out.addEventListener('click', () => {
  if (!maySignOut()) return;
  api.signOut();
  sessionStorage.clear();
  history.replaceState(null, '', '/');
  signedOut();
});
// From a screen that asks for nobody, the way leads to the sign-in.
window.addEventListener('hashchange', ({ oldURL }) => (state.me || !oldURL.endsWith('#/status') ? route() : start()));
start();
// Once the first screen stands, the next ones come on their own, so that a weak link does not stop in between.
const idle = window.requestIdleCallback ?? ((fn) => setTimeout(fn, 1500));
window.addEventListener('load', () => idle(() => Promise.all([import('./patient-home.js'), import('./patient-book.js')]).catch(() => {})));
