// The only place that talks HTTP: tokens, their refresh, retries that cannot act twice.
import { lang } from './i18n.js';

const PAUSES = [400, 1500, 4000];
const TIMEOUT_MS = 25_000;
const GONE_MS_MAX = 60_000;
let side = 'patient';
let access = null;
let refreshing = null;
// Grows whenever somebody stops being signed in here: what was asked for them is not asked again for the next.
let life = 0;
let over = () => {};

/** A refusal by the server, or the lack of an answer (status 0, code "offline"). */
export class Problem extends Error {
  constructor(status, body) {
    super(body.title ?? body.code ?? String(status));
    Object.assign(this, { ...body, status });
  }
}

/** The two pages keep apart sessions, so one browser can show both; `onOver` hears that a session ended. */
export function configure(name, onOver) {
  side = name;
  over = onOver;
  // Signed out in another tab is signed out here.
  window.addEventListener('storage', ({ key, newValue }) => {
    if (key !== storeKey() || newValue || !access) return;
    forget();
    over(new Problem(401, { code: 'session_over' }));
  });
}

const storeKey = () => `feldsher.refresh.${side}`;
export const hasSession = () => access !== null || localStorage.getItem(storeKey()) !== null;

export function newKey() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function take(tokens) {
  access = tokens.access_token;
  localStorage.setItem(storeKey(), tokens.refresh_token);
}

/** Whoever was signed in is not any more, and whatever was theirs on this page hears it at once. A guest, who never
 * was, loses nothing by a refusal. */
function forget() {
  const wasSomebody = access || localStorage.getItem(storeKey());
  access = null;
  life += 1;
  localStorage.removeItem(storeKey());
  if (wasSomebody) window.dispatchEvent(new Event('feldsher:gone'));
}

const reach = (ok) => window.dispatchEvent(new CustomEvent('feldsher:reach', { detail: ok }));
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function once(method, path, body, headers, keepalive = false) {
  let answer;
  let text;
  try {
    answer = await fetch(path, {
      method,
      headers: { 'Accept-Language': lang(), ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout ? AbortSignal.timeout(TIMEOUT_MS) : undefined,
      cache: 'no-store',
      keepalive,
    });
    text = await answer.text();
  } catch {
    reach(false);
    throw new Problem(0, { code: 'offline' });
  }
  reach(true);
  let data = null;
  try { data = text ? JSON.parse(text) : null; } catch { /* a proxy's HTML page is not ours to read */ }
  if (!answer.ok && answer.status !== 304) throw new Problem(answer.status, data ?? {});
  return { data, text, etag: answer.headers.get('ETag'), link: answer.headers.get('Link') };
}

/** Only a lost answer is tried again, and only where a second arrival has no second effect. */
async function patiently(method, path, body, headers, repeatable) {
  for (let turn = 0; ; turn += 1) {
    try {
      return await once(method, path, body, headers);
    } catch (error) {
      const passing = error.status === 0 || error.status === 502 || error.status === 503;
      if (!repeatable || !passing || turn >= PAUSES.length) throw error;
      await sleep(PAUSES[turn] + Math.random() * 300);
    }
  }
}

/** One refresh at a time in this tab (the promise) and among tabs (the lock): the token rotates on use. */
function refresh() {
  refreshing ??= (navigator.locks ? navigator.locks.request(storeKey(), refreshNow) : refreshNow())
    .finally(() => { refreshing = null; });
  return refreshing;
}

async function refreshNow() {
  // Read inside the lock: another tab may have rotated it while this one waited.
  const token = localStorage.getItem(storeKey());
  if (!token) throw new Problem(401, { code: 'session_over' });
  const mine = life;
  const { data } = await patiently('POST', '/v1/auth/refresh', { refresh_token: token }, {}, true);
  // Signed out meanwhile, here or in another tab: new tokens would sign them in again.
  if (mine !== life || localStorage.getItem(storeKey()) === null) throw new Problem(401, { code: 'session_over' });
  take(data);
}

/** One call as the signed-in person. Options: body, etag (If-Match), key (Idempotency-Key), known (If-None-Match), retry. */
export async function call(method, path, { body, etag, key, known, retry } = {}) {
  const headers = {};
  if (etag) headers['If-Match'] = etag;
  if (key) headers['Idempotency-Key'] = key;
  if (known) headers['If-None-Match'] = known;
  const repeatable = retry ?? (method === 'GET' || Boolean(key));
  const mine = life;
  try {
    if (!access) await refresh();
    for (let fresh = false; ; fresh = true) {
      const used = access;
      headers.Authorization = `Bearer ${used}`;
      try {
        return await patiently(method, path, body, headers, repeatable);
      } catch (error) {
        if (error.status !== 401 || fresh || mine !== life) throw error;
        // Another call of this page may have brought new tokens meanwhile.
        if (access === used) await refresh();
        if (mine !== life) throw error;
      }
    }
  } catch (error) {
    if (error.status === 401 && mine === life) {
      forget();
      over(error);
    }
    throw error;
  }
}

export const get = async (path) => (await call('GET', path)).data;
/** What is asked for again and again: an unchanged answer does not come twice over a thin line. */
export function watched(path) {
  let kept = null;
  return async () => {
    const { data, etag } = await call('GET', path, { known: kept?.etag });
    if (data) kept = { data, etag };
    return kept.data;
  };
}
export const items = async (path) => (await get(path)).items;
/** The same, page after page, so many pages at most. */
export async function pages(path, most = 20) {
  const found = [];
  for (let next = path, page = 0; next && page < most; page += 1) {
    const { data, link } = await call('GET', next);
    found.push(...data.items);
    next = /<([^>]+)>;\s*rel="next"/.exec(link ?? '')?.[1];
  }
  return found;
}
/** A change under its own key: pressing twice, or a lost answer, acts once. */
export const post = async (path, body = {}, key = newKey()) => (await call('POST', path, { body, key })).data;

export const sendCode = async (phone) => (await once('POST', '/v1/auth/code', { phone }, {})).data;
export const verifyCode = async (challenge, code) =>
  take((await once('POST', '/v1/auth/code/verify', { challenge_id: challenge, code }, {})).data);
export const signIn = async (login, password) => take((await once('POST', '/v1/auth/password', { login, password }, {})).data);
export const redeem = async (token, password) => take((await once('POST', '/v1/auth/token', { token, password }, {})).data);

/** An offer is answered with a code and a birth date, signed in or not. */
export const answerOffer = async (body) => (await once('POST', '/v1/offers/answer', body, {})).data;

/** Whether a visit is booked: its code and a birth date, signed in or not. */
export const lookUp = async (body) => (await once('POST', '/v1/appointments/lookup', body, {})).data;

/** Signing out needs no network: from here on nobody is signed in. The server hears of it as soon as it can, as
 * long as this page is open; without that the session dies with its tokens. */
export function signOut() {
  const [bearer, token] = [access, localStorage.getItem(storeKey())];
  forget();
  sayGone(bearer, token);
}

async function sayGone(bearer, token) {
  let used = bearer;
  let renewed = false;
  for (let turn = 0; ; turn += 1) {
    try {
      if (!used) {
        renewed = true;
        used = (await once('POST', '/v1/auth/refresh', { refresh_token: token }, {})).data.access_token;
      }
      await once('POST', '/v1/auth/logout', {}, { Authorization: `Bearer ${used}` }, true);
      return;
    } catch ({ status }) {
      if (status === 401 && !renewed && token) used = null;
      else if (status === 0 || status === 429 || status >= 500) await nextChance(turn);
      else return;
    }
  }
}

/** The network comes back, or a while has passed: a longer one each time. */
const nextChance = (turn) => new Promise((done) => {
  setTimeout(done, Math.min(PAUSES[0] * 2 ** turn, GONE_MS_MAX));
  window.addEventListener('online', done, { once: true });
});

export function query(path, values) {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) if (value !== undefined && value !== null && value !== '') params.set(key, value);
  return `${path}?${params}`;
}
