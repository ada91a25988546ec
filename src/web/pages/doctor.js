// The doctor's page: sign-in, the day, and one visit at a time.
import './words.js';
import './doctor-words.js';
import { t } from './i18n.js';
import { $, show, h, button, field, busy, problemBox, frame, words } from './ui.js';
import * as api from './api.js';
import { day } from './doctor-day.js';
import { visit } from './doctor-visit.js';

const state = { me: null, zone: 'UTC' };
const narrow = (yes) => $('#screen').classList.toggle('narrow', yes);

async function route() {
  if (!state.me) return;
  narrow(false);
  const match = /^#\/visit\/([\w-]+)$/.exec(location.hash);
  try {
    await (match ? visit(match[1], state) : day(state));
  } catch (error) {
    if (error.status !== 401) failed(error);
  }
}

function failed(error) {
  narrow(true);
  show(h('h1', {}, t('failed')),
    h('p', { id: 'problem', class: 'problem', role: 'alert', data: { code: error.code ?? 'unknown' } }, words(error)),
    error.status !== 404 && button('retry', t('retry'), start),
    state.me && h('a', { class: 'button second', href: '#/', id: 'back' }, t('dv.back')));
}

function signIn(note = '') {
  state.me = null;
  $('#sign-out').hidden = true;
  narrow(true);
  const form = h('form', { class: 'stack', id: 'sign-in-form', novalidate: true },
    field('login', t('doc.login'), { autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false', required: true }),
    field('password', t('doc.password'), { type: 'password', autocomplete: 'current-password', required: true }),
    problemBox(),
    h('button', { id: 'sign-in', class: 'primary', type: 'submit' }, t('doc.signin')));
  show(h('h1', {}, t('doc.title')), note && h('p', { class: 'banner', role: 'status' }, note), form,
    h('a', { id: 'first-sign-in', class: 'button quiet', href: '#token' }, t('doc.first.link')));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    busy($('#sign-in'), async () => {
      await api.signIn($('#login').value.trim(), $('#password').value);
      await start();
    });
  });
}

/** A new account has no password yet: the one-time token sets the first one. */
function firstSignIn(token) {
  $('#sign-out').hidden = true;
  narrow(true);
  const form = h('form', { class: 'stack', id: 'token-form', novalidate: true },
    field('token', t('doc.first.token'), { autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', required: true, value: token }),
    field('new-password', t('doc.first.password'), { type: 'password', autocomplete: 'new-password', required: true }),
    problemBox(),
    h('button', { id: 'save-password', class: 'primary', type: 'submit' }, t('doc.first.save')));
  show(h('h1', {}, t('doc.first.title')), h('p', { class: 'lead' }, t('doc.first.lead')), form,
    h('a', { class: 'button quiet', href: '#/' }, t('doc.first.back')));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    busy($('#save-password'), async () => {
      await api.redeem($('#token').value.trim(), $('#new-password').value);
      history.replaceState(null, '', '/doctor');
      await start();
    });
  });
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
  const token = /^#token(?:=(.*))?$/.exec(location.hash);
  if (token) return firstSignIn(decodeURIComponent(token[1] ?? ''));
  if (!api.hasSession()) return signIn();
  try {
    state.me = await api.get('/v1/me');
  } catch (error) {
    return error.status === 401 ? undefined : failed(error);
  }
  $('#sign-out').hidden = false;
  if (!state.me.practitioner) {
    narrow(true);
    return show(h('h1', {}, t('doc.title')), h('p', { id: 'not-practitioner' }, t('doc.notdoctor')),
      h('a', { class: 'button second', href: '/' }, t('doc.patientpage')));
  }
  state.zone = await clinicZone(state.me.practitioner);
  return route();
}

frame(`${t('brand')} · ${t('doc.title')}`);
$('.brand').href = '#/';
api.configure('doctor', () => signIn(t('session.over')));
const out = $('#sign-out');
out.textContent = t('sign.out');
out.addEventListener('click', async () => {
  // Leaving with a text that the server has not got would lose it for everyone else on this desk.
  if ($('#note-state') && ['dirty', 'error', 'conflict'].includes($('#note-state').dataset.state) && !window.confirm(t('dn.unsent'))) return;
  await api.signOut();
  sessionStorage.clear();
  history.replaceState(null, '', '/doctor');
  signIn();
});
window.addEventListener('hashchange', () => (state.me && !location.hash.startsWith('#token') ? route() : start()));
start();
