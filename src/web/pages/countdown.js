// A time that runs out, told second by second for as long as it is shown.
import './waitlist-words.js';
import { t } from './i18n.js';
import { h } from './ui.js';
import { now } from './time.js';

/** "Held for you until 9:30, 24:10 left"; `words` are what stands before the comma. */
export function countdown(until, words) {
  const left = h('strong', { class: 'left' });
  const line = h('p', { class: 'hint countdown' }, `${words}, `, left);
  const tick = () => {
    const seconds = Math.max(0, Math.floor((Date.parse(until) - now()) / 1000));
    const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
    const shown = [...(hours ? [hours] : []), hours ? String(minutes).padStart(2, '0') : minutes, String(rest).padStart(2, '0')];
    left.textContent = seconds ? t('wait.left.time', { left: shown.join(':') }) : t('wait.over');
  };
  tick();
  const timer = setInterval(() => (line.isConnected ? tick() : clearInterval(timer)), 1000);
  return line;
}
