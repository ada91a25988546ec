// The stage of a call: the others, one's own picture, one line of truth, four controls.
import { t } from './i18n.js';
import { h, refill, say } from './ui.js';
import { Tiles } from './call-tiles.js';

const SVG = 'http://www.w3.org/2000/svg';
const ICONS = {
  mic: 'M9 6a3 3 0 0 1 6 0v6a3 3 0 0 1-6 0zM5 11v1a7 7 0 0 0 14 0v-1M12 19v3',
  camera: 'M3 7h11a2 2 0 0 1 2 2v6a2 2 0 0 1-2 2H3zM16 11l5-3v8l-5-3',
  'audio-only': 'M4 10v4M8 7v10M12 4v16M16 7v10M20 10v4',
  leave: 'M3 14c0-7 18-7 18 0v2h-5v-3c-2-1-6-1-8 0v3H3z',
  sound: 'M4 9h4l5-4v14l-5-4H4zM16 9c2 2 2 4 0 6M19 6c4 4 4 8 0 12',
};

// So long it stands there that one was let in, unless something is pressed.
const LET_IN_MS = 20_000;

export class Stage {
  /** `act` holds what the controls do: mic(off), camera(off), audioOnly(on), leave(). */
  constructor(act) {
    this.tiles = new Tiles((blocked) => {
      if (blocked && this.sound.hidden) say(t('call.sound'));
      this.sound.hidden = !blocked;
    });
    this.self = h('video', { id: 'local-video', autoplay: true, playsInline: true, muted: true, 'aria-label': t('call.self') });
    this.line = h('p', { id: 'call-state', class: 'call-state', role: 'status', 'aria-live': 'polite', data: { state: 'connecting' } });
    this.letIn = h('p', { id: 'call-let-in', class: 'call-state', tabindex: -1, hidden: true });
    this.queue = h('p', { id: 'call-queue', class: 'call-state', role: 'status', hidden: true });
    this.muted = h('p', { id: 'call-muted', class: 'call-muted', role: 'status', hidden: true }, t('call.mic.off'));
    this.move = h('a', { id: 'call-move', class: 'button second', hidden: true }, t('wait.move'));
    this.mic = toggle('mic', t('call.mic'), (on) => act.mic(!on));
    this.camera = toggle('camera', t('call.camera'), (on) => act.camera(!on));
    this.voice = toggle('audio-only', t('call.audioonly'), act.audioOnly);
    this.sound = control('sound', t('call.sound'), () => this.tiles.play());
    this.sound.hidden = true;
    this.selfBox = h('div', { class: 'self', hidden: true }, this.self);
    this.node = h('section', { id: 'stage', class: 'stage', tabindex: -1, 'aria-label': t('call.connecting') },
      this.tiles.node, this.said = h('div', { class: 'said' }, this.letIn, this.line, this.queue, this.muted, this.move), this.selfBox,
      this.bottom = h('div', { class: 'bottom' },
        h('div', { class: 'controls' }, this.sound, this.mic, this.camera, this.voice, control('leave', t('call.leave'), () => act.leave(), 'hang'))));
    const measured = new ResizeObserver(() => {
      this.node.style.setProperty('--high', `${this.said.offsetHeight}px`);
      this.node.style.setProperty('--low', `${this.bottom.offsetHeight}px`);
    });
    for (const node of [this.said, this.bottom]) measured.observe(node);
  }

  play() {
    this.tiles.play();
    if (this.self.srcObject) this.self.play().catch(() => {});
  }

  /** Puts something above the controls. */
  under(...nodes) { this.bottom.prepend(...nodes); }

  state(name, text) {
    if (this.line.dataset.state !== name) this.line.dataset.state = name;
    if (this.line.textContent !== text) refill(this.line, h('span', {}, text));
    this.node.setAttribute('aria-label', text);
  }

  /** Whoever was let in while they looked at something else is told so, and has the keyboard there. */
  tellLetIn(text) {
    const { letIn, node } = this;
    refill(letIn, h('span', {}, text));
    letIn.hidden = false;
    letIn.focus();
    const gone = () => {
      if (document.activeElement === letIn) node.focus();
      letIn.hidden = true;
    };
    node.addEventListener('click', gone, { once: true });
    clearTimeout(this.letInFor);
    this.letInFor = setTimeout(gone, LET_IN_MS);
  }

  /** While one waits: the place and the time, and the way to another time. */
  wait(text, appointment) {
    this.queue.hidden = !text;
    this.node.classList.toggle('waits', Boolean(text));
    if (this.queue.textContent !== text) refill(this.queue, h('span', {}, text));
    this.move.hidden = !appointment;
    if (appointment) this.move.href = `#/move/${appointment}`;
  }

  /** `maySee`: whether there is anybody to whom a picture could go; `listens`: nobody is to hear them. */
  local(stream, { mic, camera, voiceOnly }, maySee, listens) {
    if (this.self.srcObject !== stream) this.self.srcObject = stream;
    const seen = camera && !voiceOnly && Boolean(stream?.getVideoTracks().length);
    this.selfBox.hidden = !seen;
    this.node.classList.toggle('mirrored', !this.selfBox.hidden);
    const speaks = mic && Boolean(stream?.getAudioTracks().length);
    press(this.mic, speaks);
    press(this.camera, seen);
    press(this.voice, voiceOnly);
    // Without a microphone nobody is heard either, whatever the switch says.
    this.muted.hidden = speaks || listens;
    this.camera.disabled = !maySee;
    this.mic.disabled = !stream?.getAudioTracks().length;
  }
}

function control(id, label, click, kind = '') {
  return h('button', { id, type: 'button', class: `control ${kind}`, on: { click } }, icon(id), h('span', {}, label));
}

/** The name says what it is, `aria-pressed` whether it is on; `act` hears whether it shall be. */
function toggle(id, label, act) {
  return control(id, label, (event) => act(event.currentTarget.getAttribute('aria-pressed') !== 'true'), 'switch');
}

function press(button, on) {
  if (button.getAttribute('aria-pressed') !== String(on)) button.setAttribute('aria-pressed', String(on));
}

function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', ICONS[name]);
  // Seen while it is off.
  const slash = document.createElementNS(SVG, 'path');
  slash.setAttribute('class', 'slash');
  slash.setAttribute('d', 'M3 3l18 18');
  svg.append(path, slash);
  return svg;
}
