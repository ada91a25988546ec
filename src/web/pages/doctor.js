// The doctor's page: sign-in, the day, the week, and one visit at a time.
import './words.js';
import './doctor-words.js';
import { t } from './i18n.js';
import { $, show, h, frame, openScreen } from './ui.js';
import * as api from './api.js';
import { signIn, tokenAsked, failed, signOutButton, narrow } from './staff-signin.js';
import { day } from './doctor-day.js';
import { visit } from './doctor-visit.js';

const state = { me: null, zone: 'UTC' };

// The week and what belongs to it are fetched when they are first needed.
const mine = () => ({ practitioner: state.me.practitioner, organization: state.me.practitioner.organization, zone: state.zone });
const routes = [
  [/^#\/visit\/([\w-]+)$/, (id) => visit(id, state)],
  [/^#\/timeline\/([\w-]+)$/, async (id) => (await import('./timeline.js')).timelineScreen(id, state)],
  [/^#\/guest\/([\w-]+)$/, async (id) => (await import('./guest-visit.js')).guest(id)],
  [/^#\/probe\/([\w-]+)$/, async (id) => {
    const { probeScreen } = await import('./patient-probe.js');
    narrow(true);
    probeScreen(id, `#/guest/${id}`);
  }],
  [/^#\/week$/, async () => (await import('./doctor-week.js')).week(mine())],
  [/^#\/hours$/, async () => (await import('./doctor-hours.js')).hours(mine())],
  [/^#\/leave\/([\w-]+)$/, async (id) => (await import('./doctor-leave.js')).settle(id, mine())],
  [/^/, () => day(state)],
];

async function route() {
  if (!state.me) return;
  narrow(false);
  await openScreen(routes, (error) => failed(error, start, state.me));
}

function signedOut(note) {
  state.me = null;
  signIn(t('doc.title'), start, note);
}

/** The clinic's zone rules the doctor's clock; the schedule says which it is. */
async function clinicZone(practitioner) {
  try {
    return (await api.get(`/v1/practitioners/${practitioner.id}/schedule`)).time_zone;
  } catch {
    return Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
  }
}

async function start() {
  if (tokenAsked(start)) return undefined;
  if (!api.hasSession()) return signedOut();
  try {
    state.me = await api.get('/v1/me');
  } catch (error) {
    return error.status === 401 ? undefined : failed(error, start, state.me);
  }
  $('#sign-out').hidden = false;
  if (!state.me.practitioner) {
    narrow(true);
    const clerk = state.me.memberships.some((one) => ['registrar', 'clinic_admin'].includes(one.role));
    return show(h('h1', {}, t('doc.title')), h('p', { id: 'not-practitioner' }, t('doc.notdoctor')),
      clerk ? h('a', { class: 'button second', href: '/board' }, t('doc.boardpage')) : h('a', { class: 'button second', href: '/' }, t('doc.patientpage')));
  }
  state.zone = await clinicZone(state.me.practitioner);
  return route();
}

frame(`${t('brand')} · ${t('doc.title')}`);
$('.brand').href = '#/';
api.configure('doctor', () => signedOut(t('session.over')));
// Leaving with a text that the server has not got would lose it for everyone else on this desk.
const unsent = () => $('#note-state') && ['dirty', 'error', 'conflict'].includes($('#note-state').dataset.state);
signOutButton(signedOut, () => !unsent() || window.confirm(t('dn.unsent')));
window.addEventListener('hashchange', () => (state.me && !location.hash.startsWith('#token') ? route() : start()));
start();
