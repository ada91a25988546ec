// How staff sign in, on every page of theirs: a login and a password, or the first one-time token.
import { t } from './i18n.js';
import { $, show, h, field, busy, maySignOut, problemBox, button, words } from './ui.js';
import * as api from './api.js';

export const narrow = (yes) => $('#screen').classList.toggle('narrow', yes);

export function signIn(title, start, note = '') {
  $('#sign-out').hidden = true;
  narrow(true);
  const form = h('form', { class: 'stack', id: 'sign-in-form', novalidate: true },
    field('login', t('doc.login'), { autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false', required: true }),
    field('password', t('doc.password'), { type: 'password', autocomplete: 'current-password', required: true }),
    problemBox(),
    h('button', { id: 'sign-in', class: 'primary', type: 'submit' }, t('doc.signin')));
  show(h('h1', {}, title), note && h('p', { class: 'banner', role: 'status' }, note), form,
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
function firstSignIn(token, start) {
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
      history.replaceState(null, '', location.pathname);
      await start();
    });
  });
}

/** Opens the sign-in with a one-time token if the address asks for it. */
export function tokenAsked(start) {
  const token = /^#token(?:=(.*))?$/.exec(location.hash);
  if (token) firstSignIn(decodeURIComponent(token[1] ?? ''), start);
  return Boolean(token);
}

export function failed(error, start, signedIn) {
  narrow(true);
  show(h('h1', {}, t('failed')),
    h('p', { id: 'problem', class: 'problem', role: 'alert', data: { code: error.code ?? 'unknown' } }, words(error)),
    error.status !== 404 && button('retry', t('retry'), start),
    signedIn && h('a', { class: 'button second', href: '#/', id: 'back' }, t('dv.back')));
}

/** The button in the frame; `mayLeave` can ask first. */
export function signOutButton(signedOut, mayLeave = () => true) {
  const out = $('#sign-out');
  out.textContent = t('sign.out');
  out.addEventListener('click', () => {
    if (!mayLeave() || !maySignOut()) return;
    api.signOut();
    sessionStorage.clear();
    history.replaceState(null, '', location.pathname);
    signedOut();
  });
}
