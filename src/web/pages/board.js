// The clinic's board: sign-in, the day, the waiting list, closures, and the week of one doctor.
import './words.js';
import './doctor-words.js';
import './board-words.js';
import { t } from './i18n.js';
import { $, show, h, refill, frame, openScreen, poll } from './ui.js';
import * as api from './api.js';
import { signIn, tokenAsked, failed, signOutButton, narrow } from './staff-signin.js';
import { board } from './board-day.js';
import { isAdmin } from './board-rights.js';

const ROLES = ['registrar', 'clinic_admin', 'feldsher'];
const CLINIC = 'feldsher.board.clinic';
const TABS = ['', 'tasks', 'waitlist', 'closures', 'setup'];
const TASKS_POLL_S = 20;
const state = { me: null, clinic: null, clinics: [], zone: null, many: null, choose: null, waiting: null, tasks: null, toDo: null };

const routes = [
  [/^#\/waitlist(?:\/([\w-]+))?$/, atClinic(async (...of) => (await import('./board-waitlist.js')).waitlist(...of))],
  [/^#\/tasks$/, atClinic(async (...of) => (await import('./board-tasks.js')).tasks(...of))],
  [/^#\/setup$/, atClinic(async (...of) => (await import('./board-setup.js')).setup(...of))],
  [/^#\/promises$/, atClinic(async (...of) => (await import('./board-promises.js')).promises(...of))],
  [/^#\/things$/, atClinic(async (...of) => (await import('./board-things.js')).things(...of))],
  [/^#\/practitioners$/, atClinic(async (...of) => (await import('./board-gone.js')).gone(...of))],
  [/^#\/closures$/, atClinic(async (...of) => (await import('./board-closures.js')).closures(...of))],
  [/^#\/closures\/([\w-]+)$/, atClinic(async (...of) => (await import('./board-closures.js')).closure(...of))],
  [/^#\/day\/(\d{4}-\d\d-\d\d)\/([\w-]+)$/, atClinic(board)],
  [/^#\/week\/([\w-]+)$/, async (id) => (await import('./doctor-week.js')).week(await of(id))],
  [/^#\/hours\/([\w-]+)$/, async (id) => (await import('./doctor-hours.js')).hours(await of(id))],
  [/^#\/leave\/([\w-]+)$/, async (id) => (await import('./doctor-leave.js')).settle(id, { office: true })],
  [/^/, atClinic(board)],
];

/** A doctor as the pages of the week want them. */
async function of(id) {
  const practitioner = await api.get(`/v1/practitioners/${id}`);
  return { practitioner, organization: practitioner.organization, zone: practitioner.time_zone, office: true };
}

/** A screen of the whole clinic, which tells the clinic's time. */
function atClinic(open) {
  return async (...what) => {
    show(h('p', { class: 'loading', 'aria-busy': 'true' }, t('loading')));
    const { hash } = location;
    const { clinic } = state;
    const zone = (await api.get(`/v1/organizations/${clinic.id}`)).time_zone;
    if (location.hash !== hash || state.clinic !== clinic) return;
    state.zone = zone;
    await open(state, ...what);
  };
}

/** The office's screens, with how many wait for a time. */
function tabs() {
  const here = /^#\/(tasks|waitlist|closures|setup|week|hours|leave|promises|things|practitioners)/.exec(location.hash)?.[1]?.replace(/promises|things|practitioners/, 'tasks') ?? '';
  refill($('#office'), TABS.filter((name) => name !== 'setup' || isAdmin(state.me, state.clinic)).map((name) => h('a', { href: `#/${name}`, class: 'tab', 'aria-current': name === here ? 'page' : null },
    t(`office.${name || 'day'}`),
    name === 'tasks' && [h('span', { id: 'to-do', class: 'tag urgent', 'aria-hidden': 'true' }), h('span', { id: 'to-do-words', class: 'unseen' })],
    name === 'waitlist' && [h('span', { id: 'waiting', class: 'tag', 'aria-hidden': 'true' }), h('span', { id: 'waiting-words', class: 'unseen' })])));
  $('#office').hidden = false;
  state.waiting(state.many);
  state.toDo(state.tasks);
}

async function route() {
  if (!state.me) return;
  narrow(false);
  tabs();
  await openScreen(routes, (error) => failed(error, start, state.me));
}

function signedOut(note) {
  Object.assign(state, { me: null, many: null, tasks: null });
  state.counting?.stop();
  $('#office').hidden = true;
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
  count();
  return route();
}

/** How much must still be done is known on every screen of the office. */
function count() {
  state.counting?.stop();
  state.counting = poll(async () => {
    const { clinic } = state;
    const { countTasks } = await import('./board-tasks.js');
    const many = await countTasks(clinic);
    if (state.me && state.clinic === clinic) state.toDo(many);
  }, TASKS_POLL_S);
}

/** Says how much must be done; nothing where there is nothing. */
state.toDo = (many) => {
  state.tasks = many ?? null;
  $('#to-do').hidden = !many;
  $('#to-do').textContent = many || '';
  $('#to-do-words').textContent = many ? t('office.todo', { n: many }) : '';
};

/** Says how many wait for a time; nothing where that is not known. */
state.waiting = (many) => {
  state.many = many ?? null;
  $('#waiting').hidden = state.many === null;
  $('#waiting').textContent = state.many ?? '';
  $('#waiting-words').textContent = state.many === null ? '' : t('office.waiting', { n: state.many });
};
state.choose = (id) => {
  sessionStorage.setItem(CLINIC, id);
  state.many = null;
  state.tasks = null;
  state.clinic = state.clinics.find((one) => one.id === id);
  count();
  route();
};
frame(`${t('brand')} · ${t('board.title')}`);
$('#office').setAttribute('aria-label', t('board.title'));
api.configure('board', () => signedOut(t('session.over')));
signOutButton(signedOut);
window.addEventListener('hashchange', () => (state.me && !location.hash.startsWith('#token') ? route() : start()));
start();
