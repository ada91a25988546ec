// "Check my connection": camera, microphone and loudspeaker here, then the line to the server.
import { t } from './i18n.js';
import { show, h, refill, button, busy, problemBox, onLeave, say } from './ui.js';
import { loudness, stopMedia } from './media.js';
import { toneTest } from './devices.js';
import { probe } from './probe.js';
import './probe-words.js';

/** What a browser says when it gives no device. */
const why = (error) => (['NotAllowedError', 'SecurityError'].includes(error?.name) ? 'denied' : 'missing');

async function device(wanted) {
  try {
    return { stream: await navigator.mediaDevices.getUserMedia(wanted), state: 'ok' };
  } catch (error) {
    return { stream: null, state: why(error) };
  }
}

class Devices {
  constructor() {
    this.states = { camera: 'untested', microphone: 'untested', speaker: 'untested' };
    this.streams = [];
    this.quiet = () => {};
    this.list = h('dl', { id: 'probe-devices' });
    this.video = h('video', { id: 'local-preview', autoplay: true, playsInline: true, muted: true });
    this.picture = h('div', { class: 'preview', hidden: true }, this.video);
    this.meter = h('meter', { id: 'mic-level', min: 0, max: 1, value: 0, 'aria-label': t('probe.level') });
    this.level = h('div', { class: 'field', hidden: true }, h('span', { class: 'hint' }, t('probe.level')), this.meter);
    this.ear = h('div', { id: 'probe-ear' }, toneTest((heard) => this.set('speaker', heard ? 'ok' : 'missing')));
    this.node = h('section', { class: 'card' }, h('h2', {}, t('probe.devices')), this.picture, this.list, this.level,
      button('try-devices', t('probe.devices.start'), (event) => busy(event.currentTarget, () => this.look()), 'second'), this.ear);
    this.draw();
  }

  set(name, state) {
    this.states[name] = state;
    this.draw();
  }

  draw() {
    refill(this.list, ['camera', 'microphone', 'speaker'].map((name) => [
      h('dt', {}, t(`probe.${name}`)),
      h('dd', { id: `probe-${name}`, data: { state: this.states[name] } }, t(`probe.device.${this.states[name]}`)),
    ]));
  }

  async look() {
    this.release();
    if (!navigator.mediaDevices?.getUserMedia) {
      this.set('camera', 'missing');
      this.set('microphone', 'missing');
      return;
    }
    const voice = await device({ audio: true });
    const picture = await device({ video: true });
    for (const { stream } of [voice, picture]) if (stream) this.streams.push(stream);
    if (this.gone) { this.release(); return; }
    this.set('microphone', voice.state);
    this.set('camera', picture.state);
    this.picture.hidden = !picture.stream;
    this.video.srcObject = picture.stream;
    this.level.hidden = !voice.stream;
    if (voice.stream) this.quiet = loudness(voice.stream, (level) => { this.meter.value = level; });
  }

  release() {
    this.quiet();
    this.quiet = () => {};
    this.streams.forEach(stopMedia);
    this.streams = [];
    this.picture.hidden = true;
    this.level.hidden = true;
  }
}

const percent = (permille) => (permille / 10).toLocaleString(document.documentElement.lang);

function figures({ measures, mos }) {
  if (!measures) return null;
  const rows = [
    ['probe.rtt', t('probe.ms', { p50: measures.rtt_p50_ms, p95: measures.rtt_p95_ms })],
    ['probe.loss', t('probe.percent', { up: percent(measures.loss_up_permille), down: percent(measures.loss_down_permille) })],
    ['probe.rate', t('probe.kbits', { up: measures.up_kbits, down: measures.down_kbits })],
    ['probe.mos', mos.toLocaleString(document.documentElement.lang)],
  ];
  return h('details', {}, h('summary', {}, t('probe.numbers')), h('dl', {}, rows.map(([name, value]) => [h('dt', {}, t(name)), h('dd', {}, value)])));
}

/** `back` is the screen from which one came. */
export function probeScreen(encounter, back = `#/visit/${encounter}`) {
  const devices = new Devices();
  const ways = h('dl', { id: 'probe-ways' });
  const bar = h('progress', { id: 'probe-progress', max: 1, value: 0, hidden: true, 'aria-label': t('probe.line') });
  const step = h('p', { id: 'probe-step', class: 'hint', role: 'status' });
  const result = h('div', { id: 'probe-result', class: 'stack', 'aria-live': 'polite' });
  const start = button('start-probe', t('probe.start'), (event) => busy(event.currentTarget, measure));
  let running = null;
  const state = {};

  function hear(what, detail) {
    const far = (share) => { bar.value = share; };
    if (what === 'begun') for (const leg of detail) state[leg] = { state: 'trying' };
    if (what === 'begun') step.textContent = t('probe.step.ways');
    if (what === 'way') state[detail.leg] = detail;
    if (what === 'begun' || what === 'way') {
      refill(ways, Object.entries(state).map(([leg, one]) => [
        h('dt', {}, t(`probe.leg.${leg}`)),
        h('dd', { data: { leg, state: one.state } }, t(`probe.way.${one.state}`, { ms: one.ms })),
      ]));
    }
    if (what === 'way') far(0.1);
    if (what === 'ramp') step.textContent = t(`probe.step.${detail.way}`, { kbits: detail.best });
    if (what === 'ramp') far(0.1 + 0.2 * detail.done + (detail.way === 'down' ? 0.2 : 0));
    if (what === 'voice') step.textContent = t('probe.step.voice');
    if (what === 'voice') far(0.5 + 0.5 * detail.done);
  }

  async function measure() {
    for (const leg of Object.keys(state)) delete state[leg];
    refill(result);
    refill(ways);
    bar.hidden = false;
    bar.value = 0;
    running = probe(encounter, () => devices.states, hear);
    try {
      const found = await running.done;
      if (!found) return;
      refill(result, h('div', { class: found.verdict === 'phone' ? 'problem' : 'good', id: 'probe-verdict', data: { verdict: found.verdict, advice: found.advice, tries: JSON.stringify(found.tries) } },
        h('strong', {}, t(`probe.verdict.${found.verdict}`)), h('p', { id: 'probe-advice' }, found.advice_text)), figures(found));
      say(found.advice_text);
    } finally {
      running = null;
      bar.hidden = true;
      step.textContent = '';
      start.textContent = t('probe.again');
    }
  }

  show(h('h1', {}, t('probe.title')), h('p', { class: 'lead' }, t('probe.lead')),
    h('section', { class: 'card' }, h('h2', {}, t('probe.line')), ways, bar, step, problemBox(), result, start),
    devices.node,
    h('a', { class: 'button quiet', id: 'to-visit', href: back }, t('probe.back')));
  onLeave(() => {
    devices.gone = true;
    devices.release();
    running?.stop();
  });
}
