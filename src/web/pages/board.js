// The clinic's board: sign-in, the day, and the week of one doctor.
import './words.js';
import './doctor-words.js';
import './board-words.js';
import { t } from './i18n.js';
import { $, show, h, frame, openScreen } from './ui.js';
import * as api from './api.js';
import { signIn, tokenAsked, failed, signOutButton, narrow } from './staff-signin.js';
import { board } from './board-day.js';

const ROLES = ['registrar', 'clinic_admin', 'feldsher'];
const CLINIC = 'feldsher.board.clinic';
const state = { me: null, clinic: null, clinics: [], choose: null };

const routes = [
  [/^#\/week\/([\w-]+)$/, async (id) => (await import('./doctor-week.js')).week(await of(id))],
  [/^#\/hours\/([\w-]+)$/, async (id) => (await import('./doctor-hours.js')).hours(await of(id))],
  [/^#\/leave\/([\w-]+)$/, async (id) => (await import('./doctor-leave.js')).settle(id, { office: true })],
  [/^/, () => board(state)],
];

/** A doctor as the pages of the week want them. */
async function of(id) {
  const practitioner = await api.get(`/v1/practitioners/${id}`);
  return { practitioner, organization: practitioner.organization, zone: practitioner.time_zone, office: true };
}

async function route() {
  if (!state.me) return;
  narrow(false);
  await openScreen(routes, (error) => failed(error, start, state.me));
}

function signedOut(note) {
  state.me = null;
  signIn(t('board.title'), start, note);
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
  const clinics = state.me.memberships.filter((one) => ROLES.includes(one.role)).map((one) => one.organization);
  state.clinics = clinics.filter((one, at) => clinics.findIndex((other) => other.id === one.id) === at);
  if (!state.clinics.length) {
    narrow(true);
    return show(h('h1', {}, t('board.title')), h('p', { id: 'not-office' }, t('board.notoffice')),
      h('a', { class: 'button second', href: '/doctor' }, t('home.doctorpage')));
  }
  state.clinic = state.clinics.find((one) => one.id === sessionStorage.getItem(CLINIC)) ?? state.clinics[0];
  return route();
}

state.choose = (id) => {
  sessionStorage.setItem(CLINIC, id);
  state.clinic = state.clinics.find((one) => one.id === id);
  route();
};
frame(`${t('brand')} · ${t('board.title')}`);
api.configure('board', () => signedOut(t('session.over')));
signOutButton(signedOut);
window.addEventListener('hashchange', () => (state.me && !location.hash.startsWith('#token') ? route() : start()));
start();
