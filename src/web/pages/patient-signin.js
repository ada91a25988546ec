// Signing in with a phone number and a one-time code; both steps survive a reload.
import { t } from './i18n.js';
import { $, show, h, button, field, busy, problemBox, tell, say, onLeave, keepDraft } from './ui.js';
import * as api from './api.js';

const KEY = 'feldsher.challenge';
const RESEND_AFTER_S = 60;

const stored = () => JSON.parse(sessionStorage.getItem(KEY) ?? 'null');
const keep = (challenge) => sessionStorage.setItem(KEY, JSON.stringify(challenge));

export function signInScreen(done, note = '') {
  const challenge = stored();
  if (challenge && challenge.until > Date.now()) codeScreen(done, challenge);
  else phoneScreen(done, note);
}

/** People write the same number in many ways; the server wants one. */
function normal(typed) {
  const digits = typed.replace(/[^\d+]/g, '');
  if (/^8\d{10}$/.test(digits)) return `+7${digits.slice(1)}`;
  if (/^9\d{9}$/.test(digits)) return `+7${digits}`;
  return digits.startsWith('+') ? digits : `+${digits}`;
}

function phoneScreen(done, note) {
  const form = h('form', { class: 'stack', id: 'phone-form', novalidate: true },
    field('phone', t('signin.phone'), { type: 'tel', inputmode: 'tel', autocomplete: 'tel', required: true }, t('signin.phone.hint')),
    problemBox(),
    h('button', { id: 'send-code', class: 'primary', type: 'submit' }, t('signin.send')));
  show(h('h1', {}, t('signin.title')), note && h('p', { class: 'banner', role: 'status' }, note), h('p', { class: 'lead' }, t('signin.lead')), form,
    h('a', { class: 'button quiet', id: 'look-up', href: '#/status' }, t('lookup.title')));
  keepDraft($('#phone'), 'phone');
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const phone = normal($('#phone').value);
    if (phone.length < 8) {
      tell($('#problem'), { code: 'phone', detail: t('signin.phone.bad') });
      return $('#phone').focus();
    }
    return busy($('#send-code'), async () => codeScreen(done, await ask(phone)));
  });
}

async function ask(phone) {
  const answer = await api.sendCode(phone);
  const challenge = { id: answer.challenge_id, phone, sent: Date.now(), until: Date.now() + answer.expires_in * 1000 };
  keep(challenge);
  return challenge;
}

function codeScreen(done, first) {
  let challenge = first;
  const note = h('p', { id: 'code-state', class: 'lead', role: 'status', data: { state: 'sent' } }, t('signin.sent', { phone: challenge.phone }));
  const form = h('form', { class: 'stack', id: 'code-form', novalidate: true },
    field('code', t('signin.code'), { inputmode: 'numeric', autocomplete: 'one-time-code', maxlength: 8, pattern: '[0-9]*', required: true }),
    problemBox(),
    h('button', { id: 'verify', class: 'primary', type: 'submit' }, t('signin.verify')));
  const resend = button('resend', t('signin.resend'), (event) => busy(event.currentTarget, again), 'second');
  const change = button('change-phone', t('signin.change'), () => {
    sessionStorage.removeItem(KEY);
    phoneScreen(done, '');
  }, 'quiet');
  show(h('h1', {}, t('signin.code.title')), note, form, resend, change);
  const input = $('#code');
  input.focus();

  const become = (state, text) => {
    note.dataset.state = state;
    note.textContent = text;
    note.className = state === 'expired' ? 'problem' : 'lead';
  };
  async function again() {
    challenge = await ask(challenge.phone);
    input.value = '';
    become('resent', t('signin.resent'));
    input.focus();
  }
  const tick = () => {
    const left = Math.ceil(RESEND_AFTER_S - (Date.now() - challenge.sent) / 1000);
    if (resend.getAttribute('aria-busy') !== 'true') resend.disabled = left > 0;
    resend.textContent = left > 0 ? t('signin.resend.in', { s: left }) : t('signin.resend');
    if (Date.now() > challenge.until && note.dataset.state !== 'expired') become('expired', t('signin.expired'));
  };
  const timer = setInterval(tick, 1000);
  onLeave(() => clearInterval(timer));
  tick();

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const code = input.value.replace(/\D/g, '');
    if (!code) return input.focus();
    return busy($('#verify'), async () => {
      try {
        await api.verifyCode(challenge.id, code);
      } catch (error) {
        if (error.code === 'wrong_code') become('wrong', t('signin.sent', { phone: challenge.phone }));
        input.select();
        throw error;
      }
      sessionStorage.removeItem(KEY);
      sessionStorage.removeItem('feldsher.typed.phone');
      say('');
      await done();
    });
  });
}
