// Which camera, microphone and loudspeaker: what there is, what the person chose, and a tone to hear.
import './device-words.js';
import { t } from './i18n.js';
import { $, h, refill, button } from './ui.js';

/** As the browser names them; the media that each gives. */
export const KINDS = { videoinput: 'video', audioinput: 'audio', audiooutput: null };
const KEY = 'feldsher.devices';
const TONE_HZ = 523;
const TONE_S = 0.9;

/** Only some browsers let a page say where its sound goes. */
const PLAYS_ELSEWHERE = 'setSinkId' in HTMLMediaElement.prototype;

const kept = () => {
  try { return JSON.parse(localStorage.getItem(KEY)) ?? {}; } catch { return {}; }
};

/** The chosen device of a kind, by the id that the browser gives it for this site; kept for next time. */
export const chosen = (kind) => kept()[kind] ?? null;
export function choose(kind, id) { localStorage.setItem(KEY, JSON.stringify({ ...kept(), [kind]: id })); }

/** All that the browser has; without leave to use one it tells no name, and perhaps nothing. */
export async function devices() {
  return navigator.mediaDevices?.enumerateDevices?.().catch(() => []) ?? [];
}

/** Where the sound shall go: where the person said, while that is there. */
async function speaker() {
  const id = chosen('audiooutput');
  return id && (await devices()).some((one) => one.kind === 'audiooutput' && one.deviceId === id) ? id : '';
}

export async function playThrough(element) {
  if (!PLAYS_ELSEWHERE) return;
  const id = await speaker();
  if (element.sinkId !== id) await element.setSinkId(id).catch(() => {});
}

export function whenPlugged(fn) {
  navigator.mediaDevices?.addEventListener?.('devicechange', fn);
  return () => navigator.mediaDevices?.removeEventListener?.('devicechange', fn);
}

/** One list for each kind of device. `current(kind)` is the id in use, `change(kind, id)` what a choice does. */
export class Picker {
  constructor({ kinds = Object.keys(KINDS), current = () => null, change }) {
    this.current = current;
    this.fields = kinds.map((kind) => {
      const input = h('select', { id: `device-${kind}`, on: { change: () => change(kind, input.value) } });
      return { kind, input, mark: '', node: h('div', { class: 'field', hidden: true }, h('label', { for: input.id }, t(`device.${kind}`)), input) };
    });
    this.node = h('div', { class: 'stack devices' }, this.fields.map(({ node }) => node));
  }

  async draw() {
    const all = await devices();
    for (const field of this.fields) {
      const { kind, input, node } = field;
      const some = all.filter((one) => one.kind === kind && one.deviceId);
      node.hidden = !some.length || (kind === 'audiooutput' && !PLAYS_ELSEWHERE);
      const mark = JSON.stringify(some.map(({ deviceId, label }) => [deviceId, label]));
      // A list that somebody is looking through stays as it is while nothing has changed.
      if (mark !== field.mark) {
        field.mark = mark;
        refill(input, some.map(({ deviceId, label }, at) => h('option', { value: deviceId }, label || t('device.nth', { kind: t(`device.${kind}`), n: at + 1 }))));
      }
      input.disabled = some.length < 2;
      const now = [this.current(kind), chosen(kind), 'default'].find((id) => some.some((one) => one.deviceId === id));
      if (now) input.value = now;
    }
    return all;
  }
}

/** Plays a tone where the call's sound will come out. */
async function tone() {
  const Context = window.AudioContext;
  if (!Context) return;
  const context = new Context();
  const [source, volume] = [context.createOscillator(), context.createGain()];
  source.frequency.value = TONE_HZ;
  volume.gain.setValueAtTime(0.2, context.currentTime);
  volume.gain.linearRampToValueAtTime(0, context.currentTime + TONE_S);
  source.connect(volume);
  if (PLAYS_ELSEWHERE && await speaker()) {
    const far = context.createMediaStreamDestination();
    const element = new Audio();
    element.srcObject = far.stream;
    volume.connect(far);
    await playThrough(element);
    await element.play().catch(() => {});
  } else volume.connect(context.destination);
  source.start();
  source.stop(context.currentTime + TONE_S);
  source.onended = () => context.close();
}

/** A button that plays a tone and asks whether it was heard; `answered` is told true or false. */
export function toneTest(answered) {
  const place = h('div', { class: 'stack' });
  const said = h('p', { id: 'tone-said', class: 'hint', role: 'status', hidden: true });
  const answer = (heard) => {
    said.hidden = false;
    said.textContent = t(heard ? 'device.heard.yes' : 'device.heard.no');
    rest();
    $('#play-tone', place).focus();
    answered(heard);
  };
  const rest = () => refill(place, button('play-tone', t('device.tone'), () => {
    tone();
    said.hidden = true;
    refill(place, h('p', { class: 'question' }, t('device.heard')), h('div', { class: 'row' },
      button('tone-heard', t('yes'), () => answer(true), 'second'),
      button('tone-silent', t('no'), () => answer(false), 'quiet')));
    $('#tone-heard', place).focus();
  }, 'second'));
  rest();
  return h('div', { class: 'stack' }, place, said);
}
