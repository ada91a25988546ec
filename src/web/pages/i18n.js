// Two languages, one dictionary: every key holds the Russian and the English sentence.
const KEY = 'feldsher.lang';
const LANGS = ['ru', 'en'];
const book = new Map();

let current = localStorage.getItem(KEY);
if (!LANGS.includes(current)) {
  current = (navigator.languages ?? [navigator.language]).map((l) => l.slice(0, 2)).find((l) => LANGS.includes(l)) ?? 'en';
}

export const lang = () => current;
/** English dates are written day first, as Russian ones are. */
export const locale = () => (current === 'ru' ? 'ru-RU' : 'en-GB');

export function setLang(next) {
  current = next;
  localStorage.setItem(KEY, next);
}

/** Adds a page's sentences: {key: [ru, en]}. */
export function learn(words) {
  for (const [key, pair] of Object.entries(words)) book.set(key, pair);
}

/** The sentence in the reader's language with {names} filled in; an unknown key answers itself. */
export function t(key, values = {}) {
  const pair = book.get(key);
  if (!pair) return key;
  return pair[LANGS.indexOf(current)].replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** "5 минут", "1 minute": the platform knows the plural forms. */
export function counted(number, unit) {
  return new Intl.NumberFormat(locale(), { style: 'unit', unit, unitDisplay: 'long' }).format(number);
}
