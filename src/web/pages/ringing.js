// The doctor rings: seen, heard and felt until somebody answers; and what the clinic does when nobody did.
import { t, learn } from './i18n.js';
import { h, refill, button, busy, say } from './ui.js';
import { clock } from './time.js';

const BEEP_S = 0.35;
const EVERY_MS = 2000;

learn({
  'ring.now': ['Врач вызывает вас', 'The doctor is calling you'],
  'ring.answer': ['Ответить', 'Answer'],
  'ring.missed': ['Врач вызывал вас в {at}. Войдите до {until}, или больница вам перезвонит.', 'The doctor called you at {at}. Come in before {until}, or the clinic calls you back.'],
  'ring.callback': ['Врач вызывал вас в {at}. Больница вам перезвонит; можно и войти самим.', 'The doctor called you at {at}. The clinic will call you back; you can also come in yourself.'],
  'ring.guest': ['Врач вызывал вас в {at}. Войдите, пока приём идёт.', 'The doctor called you at {at}. Come in while the visit goes on.'],
  'ring.callback.plain': ['Больница вам перезвонит.', 'The clinic will call you back.'],
  'ring.interrupted': ['Приём прервался, но не закончен. Больница об этом знает. Можно вернуться, пока комната открыта.', 'The visit was cut off, but it is not over. The clinic knows. You can come back while the room is open.'],
});

/** Two short tones; a browser that allows no sound yet stays silent, the card and the phone's buzz remain. */
class Bell {
  start() {
    if (this.timer) return;
    const Context = window.AudioContext ?? window.webkitAudioContext;
    this.sound = Context ? new Context() : null;
    this.title = document.title;
    const round = () => {
      this.beep(0, 660);
      this.beep(0.45, 880);
      navigator.vibrate?.([300, 150, 300]);
      document.title = document.title === this.title ? `● ${t('ring.now')}` : this.title;
    };
    round();
    this.timer = setInterval(round, EVERY_MS);
  }

  beep(after, pitch) {
    const { sound } = this;
    if (!sound) return;
    const [tone, level] = [sound.createOscillator(), sound.createGain()];
    const at = sound.currentTime + after;
    tone.frequency.value = pitch;
    level.gain.setValueAtTime(0.2, at);
    level.gain.exponentialRampToValueAtTime(0.001, at + BEEP_S);
    tone.connect(level).connect(sound.destination);
    tone.start(at);
    tone.stop(at + BEEP_S);
  }

  stop() {
    if (!this.timer) return;
    clearInterval(this.timer);
    this.timer = null;
    document.title = this.title;
    navigator.vibrate?.(0);
    this.sound?.close().catch(() => {});
  }
}

/** A card that is filled with each answer of `waiting`. `answer(ring)` is what coming means here. */
export function ringCard({ zone, answer, guest = false }) {
  const bell = new Bell();
  const node = h('div', { id: 'ring-card', class: 'stack', role: 'alert', hidden: true });
  let drawn = '';
  const quiet = () => bell.stop();
  let ringing = null;

  function draw({ ring, tasks = [] }) {
    const callback = tasks.some((one) => ['callback', 'unseen'].includes(one.code));
    const interrupted = tasks.some((one) => one.code === 'interrupted');
    const state = ring?.state === 'ringing' ? 'ringing'
      : callback ? 'callback' : interrupted ? 'interrupted' : ring?.state === 'no_answer' && ring.due_at ? 'missed' : '';
    // While it rings the card stays what it is, with the focus on its button.
    const mark = `${state} ${ring?.id ?? ''} ${state === 'ringing' ? '' : ring?.due_at ?? ''}`;
    if (mark === drawn) return;
    drawn = mark;
    ringing = state === 'ringing' ? ring : null;
    node.hidden = !state;
    node.dataset.state = state;
    if (state !== 'ringing') bell.stop();
    if (!state) return;
    if (state === 'ringing') {
      bell.start();
      refill(node, h('div', { class: 'card live ringing' }, h('p', { class: 'lead' }, t('ring.now')),
        button('answer-ring', t('ring.answer'), (event) => busy(event.currentTarget, async () => {
          bell.stop();
          try {
            await answer(ring);
          } catch (error) {
            if (node.dataset.state === 'ringing') bell.start();
            throw error;
          }
        }))));
      say(t('ring.now'));
      return;
    }
    const at = ring && clock(ring.rung_at, zone);
    const words = state === 'missed' ? t(guest ? 'ring.guest' : 'ring.missed', { at, until: clock(ring.due_at, zone) })
      : state === 'interrupted' ? t('ring.interrupted')
        : ring?.state === 'no_answer' ? t('ring.callback', { at }) : t('ring.callback.plain');
    refill(node, h('p', { id: 'ring-words', class: 'banner' }, words));
  }

  /** Whoever looks at the page of a visit they sit in is there: no press is needed. */
  const looked = async () => {
    if (document.hidden || !ringing) return;
    const ring = ringing;
    ringing = null;
    await answer(ring).catch(() => { ringing ??= ring; });
  };

  return { node, draw, quiet, looked };
}
