// Small DOM helpers: every piece of data goes in as text, never as markup.
import { t, lang, setLang } from './i18n.js';

const AS_PROPERTY = new Set(['hidden', 'disabled', 'value', 'checked', 'muted', 'autoplay', 'playsInline', 'srcObject']);

/** Makes an element: h('button', {id, class, data: {}, on: {click}}, 'text', child). */
export function h(tag, props, ...kids) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key === 'on') for (const [name, fn] of Object.entries(value)) node.addEventListener(name, fn);
    else if (key === 'data') Object.assign(node.dataset, value);
    else if (AS_PROPERTY.has(key)) node[key] = value;
    else node.setAttribute(key, value === true ? '' : value);
  }
  put(node, ...kids);
  return node;
}

export function put(node, ...kids) {
  node.append(...kids.flat(Infinity).filter((kid) => kid !== null && kid !== undefined && kid !== false));
  return node;
}

export function refill(node, ...kids) {
  node.replaceChildren();
  return put(node, ...kids);
}

/** Puts rows into a list and moves only those that must move; the focus stays where it is. */
export function arrange(list, rows) {
  const focused = document.activeElement;
  for (const node of [...list.children]) if (!rows.includes(node)) node.remove();
  rows.forEach((node, at) => { if (list.children[at] !== node) list.insertBefore(node, list.children[at] ?? null); });
  if (document.activeElement !== focused && list.contains(focused)) focused.focus();
}

export const $ = (selector, root = document) => root.querySelector(selector);

let leaving = [];
/** Registers what must stop (timers, cameras) when the present screen is replaced. */
export function onLeave(fn) { leaving.push(fn); }

export function leaveScreen() {
  const fns = leaving;
  leaving = [];
  for (const fn of fns) fn();
}

/** Opens the first screen whose shape the address has; a sign-in that has ended shows itself. */
export async function openScreen(routes, failed) {
  for (const [shape, open] of routes) {
    const match = shape.exec(location.hash);
    if (!match) continue;
    try {
      await open(...match.slice(1));
    } catch (error) {
      if (error.status !== 401) failed(error);
    }
    return;
  }
}

/** Replaces the screen and moves the focus to its heading, so that a screen reader starts there. */
export function show(...kids) {
  leaveScreen();
  const screen = $('#screen');
  refill(screen, ...kids);
  window.scrollTo(0, 0);
  const heading = $('h1', screen);
  if (heading) {
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }
  return screen;
}

/** Speaks to assistive technology without moving the focus. */
export function say(text) {
  const live = $('#live');
  if (live.textContent !== text) live.textContent = text;
}

export function button(id, label, click, kind = 'primary', extra = {}) {
  return h('button', { id, type: 'button', class: kind, on: { click }, ...extra }, label);
}

export function field(id, label, props = {}, hint) {
  const input = h(props.rows ? 'textarea' : 'input', { id, name: id, 'aria-describedby': hint ? `${id}-hint` : null, ...props });
  return h('div', { class: 'field' }, h('label', { for: id }, label), input, hint && h('p', { id: `${id}-hint`, class: 'hint' }, hint));
}

/** Runs one action of one button: no second press meanwhile, the failure is said beside it. */
export async function busy(target, work, problem = $('#problem')) {
  if (target.getAttribute('aria-busy') === 'true') return undefined;
  const focused = document.activeElement === target;
  target.setAttribute('aria-busy', 'true');
  target.disabled = true;
  if (problem) problem.hidden = true;
  try {
    return await work();
  } catch (error) {
    if (problem) tell(problem, error);
    else throw error;
    return undefined;
  } finally {
    target.removeAttribute('aria-busy');
    target.disabled = false;
    // A button that could not be pressed for a while has lost the focus; whoever went elsewhere stays there.
    if (focused && target.isConnected && document.activeElement === document.body) target.focus();
  }
}

export function problemBox(id = 'problem') {
  return h('p', { id, class: 'problem', role: 'alert', hidden: true });
}

export function tell(box, error) {
  box.textContent = words(error);
  box.dataset.code = error.code ?? 'unknown';
  box.hidden = false;
}

/** What to say of a failure: our own words for known codes, the server's sentence otherwise. */
export function words(error) {
  const own = error.code ? t(`problem.${error.code}`) : '';
  if (own && own !== `problem.${error.code}`) return own;
  return error.detail || error.title || t('problem.unknown');
}

/** Calls fn now and then again every so many seconds (fn may answer another interval). */
export function poll(fn, seconds) {
  let timer = 0;
  let stopped = false;
  const round = async () => {
    clearTimeout(timer);
    let next;
    try { next = await fn(); } catch { /* the next round tries again */ }
    if (stopped) return;
    next ||= typeof seconds === 'function' ? seconds() : seconds;
    clearTimeout(timer);
    timer = setTimeout(round, next * 1000);
  };
  // A page brought back to the front must not show old news.
  const woken = () => { if (!document.hidden && !stopped) round(); };
  document.addEventListener('visibilitychange', woken);
  round();
  return {
    now: round,
    stop() {
      stopped = true;
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', woken);
    },
  };
}

/** A button that asks once more before it acts: the question replaces it in place. */
export function asking(id, label, question, yes, act, kind = 'quiet', doing = busy) {
  const place = h('div', { class: 'asking' });
  const ask = () => {
    refill(place,
      h('p', { class: 'question' }, question),
      h('div', { class: 'row' },
        button(`${id}-yes`, yes, (event) => doing(event.currentTarget, act), 'danger'),
        button(`${id}-no`, t('no'), () => { rest(); place.firstChild.focus(); }, 'quiet')));
    place.querySelector('button').focus();
  };
  const rest = () => refill(place, button(id, label, ask, kind));
  return rest();
}

/** The parts of the frame that both pages share: language, the offline banner. */
export function frame(title) {
  document.documentElement.lang = lang();
  document.title = title;
  $('#brand').textContent = t('brand');
  const other = lang() === 'ru' ? 'en' : 'ru';
  const toggle = $('#lang');
  toggle.textContent = other === 'ru' ? 'РУС' : 'EN';
  toggle.setAttribute('aria-label', other === 'ru' ? 'Русский' : 'English');
  toggle.lang = other;
  toggle.addEventListener('click', () => { setLang(other); location.reload(); });
  const banner = $('#offline');
  const offline = (yes) => { banner.textContent = t('offline'); banner.hidden = !yes; };
  window.addEventListener('offline', () => offline(true));
  window.addEventListener('online', () => offline(false));
  window.addEventListener('feldsher:reach', (event) => offline(!event.detail));
  if (!navigator.onLine) offline(true);
}

/** While a call is on, the way out of the account says that it is not the way out of the call. */
export function onCall(yes) {
  document.body.classList.toggle('on-call', yes);
  $('#sign-out').textContent = t(yes ? 'sign.out.call' : 'sign.out');
}

/** Signing out ends a call and needs a new code: who meant the call's own button is asked. */
export const maySignOut = () => !document.body.classList.contains('on-call') || window.confirm(t('sign.out.ask'));

/** Text typed but not sent yet survives a reload of this tab. */
export function keepDraft(input, name) {
  const key = `feldsher.typed.${name}`;
  if (!input.value) input.value = sessionStorage.getItem(key) ?? '';
  input.addEventListener('input', () => sessionStorage.setItem(key, input.value));
  return () => sessionStorage.removeItem(key);
}
