// Before one goes in: one's own picture, how loud one is, a tone to hear, and which device each comes from.
import { t } from './i18n.js';
import { h, button } from './ui.js';
import { openMedia, loudness, stopMedia } from './media.js';
import { KINDS, Picker, choose, toneTest, whenPlugged } from './devices.js';

const TRIED = 'feldsher.tried';
/** Whoever has one visit after another does not try the same devices before each. */
const TRIED_MS = 12 * 3_600_000;

/** Whether the devices were tried here today, or the trial was passed over. */
export const triedLately = () => Date.now() - Number(localStorage.getItem(TRIED) ?? 0) < TRIED_MS;

export class DeviceCheck {
  /** `opened(problem)` hears what came of each try; `words` may have words of their own for a problem. */
  constructor({ video = true, voiceOnly = false, opened = () => {}, words = {} }) {
    Object.assign(this, { stream: null, opened, words, gone: false, quiet: () => {}, turn: 0 });
    this.video = h('video', { id: 'local-preview', autoplay: true, playsInline: true, muted: true, hidden: true, 'aria-label': t('call.self') });
    this.picture = h('div', { class: 'preview' }, this.video);
    this.status = h('p', { id: 'device-state', class: 'lead', role: 'status', data: { state: 'asking' } }, t('check.asking'));
    this.meter = h('meter', { id: 'mic-level', min: 0, max: 1, value: 0, 'aria-label': t('check.level') });
    this.voiceOnly = h('input', { id: 'voice-only', type: 'checkbox', checked: voiceOnly || !video, on: { change: () => this.again() } });
    this.retry = button('retry-devices', t('check.again'), () => this.again(), 'second', { hidden: true });
    this.picker = new Picker({
      current: (kind) => this.stream?.getTracks().find((track) => track.kind === KINDS[kind])?.getSettings().deviceId,
      change: (kind, id) => { choose(kind, id); if (KINDS[kind]) this.again(); },
    });
    this.choice = h('details', { id: 'choose-devices', class: 'card' }, h('summary', {}, t('device.choose')), this.picker.node);
    // What goes above the way in, and what goes below it.
    this.above = [this.picture, this.status,
      video && h('label', { class: 'check', for: 'voice-only' }, this.voiceOnly, h('span', {}, t('check.audioonly'))),
      h('div', { class: 'field' }, h('span', { class: 'hint' }, t('check.level')), this.meter)];
    this.below = [this.retry, toneTest((heard) => { if (!heard) this.choice.open = true; }), this.choice];
    this.unplug = whenPlugged(() => this.plugged());
  }

  /** Opens what is chosen; the newest of several tries counts. */
  async again() {
    this.release();
    this.turn += 1;
    const { turn } = this;
    const { stream, problem } = await openMedia({ video: !this.voiceOnly.checked });
    if (this.gone || turn !== this.turn) {
      stopMedia(stream);
      return;
    }
    this.stream = stream;
    // Pulled out while one looks: what is left is tried at once.
    for (const track of stream.getTracks()) track.addEventListener('ended', () => { if (this.stream === stream) this.again(); });
    this.video.srcObject = stream;
    this.video.hidden = !stream.getVideoTracks().length;
    this.picture.hidden = this.video.hidden;
    this.status.dataset.state = problem ?? 'ok';
    this.status.textContent = this.words[problem] ?? t(`check.${problem ?? (this.voiceOnly.checked ? 'ok.voice' : 'ok')}`);
    this.status.className = problem && problem !== 'nocamera' ? 'problem' : 'lead';
    this.quiet = loudness(stream, (level) => { this.meter.value = level; });
    this.retry.hidden = !problem;
    this.opened(problem);
    await this.picker.draw();
  }

  /** A microphone that was missing may be there now. */
  plugged() {
    if (!this.stream) return;
    if (this.retry.hidden) this.picker.draw();
    else this.again();
  }

  release() {
    this.quiet();
    this.quiet = () => {};
    stopMedia(this.stream);
    this.stream = null;
  }

  /** Hands over what is open: {stream, voiceOnly}. */
  take() {
    // What did not work is tried again next time.
    if (['ok', 'asking'].includes(this.status.dataset.state)) localStorage.setItem(TRIED, Date.now());
    const taken = { stream: this.stream, voiceOnly: this.voiceOnly.checked };
    this.stream = null;
    this.close();
    return taken;
  }

  close() {
    this.gone = true;
    this.unplug();
    this.release();
  }
}
