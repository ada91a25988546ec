// Measures the line to the server: which ways there are, what passes, how late and how much is lost.
// docs/probe.md is the list of the messages.
import * as api from './api.js';

const TRIES = 3;
// A way over a relay in TLS takes many turns, each of them slow on a thin line.
const FIND_MS = 8000;
const OPEN_MS = 4000;
const STEPS = [30, 80, 160, 320, 600];
const STEP_MS = 500;
const SMALL = 160;
const LARGE = 900;
const RAMP_MS = 4500;
const GRACE_MS = 200;
const PINGS_MS = 8000;
// The server ends a connection 20 seconds after its answer.
const WHOLE_MS = 18_500;
/** A connection that has waited longer for the others has too little left to measure on. */
const STALE_MS = 2000;
const [PING, PONG, UP, ASK_UP, TOLD_UP, ASK_DOWN, DOWN] = [1, 2, 3, 4, 5, 6, 7];
const BEST_FIRST = ['direct', 'relay_udp', 'relay_tls'];

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const now = () => performance.now();

/** One connection to the server's peer. It may hang while it opens, and then only another one helps. */
class Line {
  constructor({ policy, ice_servers: iceServers }) {
    this.pc = new RTCPeerConnection({ iceServers, iceTransportPolicy: policy });
    this.channel = this.pc.createDataChannel('probe', { ordered: false, maxRetransmits: 0 });
    this.channel.binaryType = 'arraybuffer';
    this.heard = () => {};
    this.channel.onmessage = ({ data }) => this.heard(new DataView(data));
  }

  get open() { return this.channel.readyState === 'open'; }

  /** Answers why it did not open, or nothing. */
  async connect(ask) {
    const opened = new Promise((done) => { this.channel.onopen = () => done(''); });
    await this.pc.setLocalDescription(await this.pc.createOffer());
    const { sdp } = await ask(this.pc.localDescription.sdp);
    const found = new Promise((done) => {
      this.pc.oniceconnectionstatechange = () => { if (['connected', 'completed'].includes(this.pc.iceConnectionState)) done(); };
    });
    this.since = now();
    await this.pc.setRemoteDescription({ type: 'answer', sdp });
    const hung = found.then(() => sleep(OPEN_MS)).then(() => 'hung');
    let way = false;
    found.then(() => { way = true; });
    const none = sleep(FIND_MS).then(() => (way ? hung : 'no_way'));
    return Promise.race([opened, hung, none]);
  }

  send(bytes) {
    if (!this.open) throw new Error('closed');
    this.channel.send(bytes);
  }

  close() { this.pc.close(); }
}

/** Tries a way, anew when it hangs. */
export async function find(path, way, note) {
  const begun = now();
  const found = { leg: way.leg, state: 'failed', tries: 0, whys: [] };
  for (let turn = 0; turn < TRIES && found.state === 'failed' && !note.stopped; turn += 1) {
    const line = new Line(way);
    note.lines.push(line);
    found.tries += 1;
    let why;
    try {
      why = await line.connect(async (sdp) => (await api.call('POST', `${path}/offers`, { body: { leg: way.leg, sdp }, retry: false })).data);
    } catch (error) {
      // A refusal says nothing of the line.
      if (error.status) throw error;
      why = error.code ?? 'trouble';
    }
    if (!why) Object.assign(found, { state: 'connected', ms: Math.round(now() - begun), line });
    else {
      found.whys.push(why);
      line.close();
      // Where nothing comes through, trying again brings nothing.
      if (why === 'no_way') break;
    }
  }
  note.tell('way', found);
  return found;
}

/** Sends so many messages evenly over a time. */
async function pace(line, count, ms, make, stopped = () => false) {
  const begun = now();
  for (let sent = 0; sent < count && !stopped();) {
    const due = Math.min(count, Math.ceil(((now() - begun) / ms) * count));
    for (; sent < due; sent += 1) line.send(make(sent));
    if (sent < count) await sleep(10);
  }
}

class Meter {
  constructor(line, note) {
    Object.assign(this, { line, note, seq: 0, sent: new Map(), trips: [], arrived: 0, upTo: -1, told: new Map(), came: new Map() });
    line.heard = (view) => this.hear(view);
  }

  get spent() { return now() - this.line.since; }
  get stopped() { return this.note.stopped; }

  hear(view) {
    const kind = view.byteLength >= 2 ? view.getUint8(0) : 0;
    if (kind === PONG && view.byteLength >= 9) {
      const seq = view.getUint32(1);
      if (!this.sent.has(seq)) return;
      this.trips.push([seq, now() - this.sent.get(seq)]);
      this.sent.delete(seq);
      const arrived = view.getUint32(5);
      if (arrived > this.arrived) Object.assign(this, { arrived, upTo: seq });
    } else if (kind === TOLD_UP && view.byteLength >= 14) {
      this.told.set(view.getUint8(1), { packets: view.getUint32(2), bytes: view.getUint32(6), span: view.getUint32(10) });
    } else if (kind === DOWN && view.byteLength >= 6) {
      const step = view.getUint8(1);
      const seen = this.came.get(step) ?? { packets: new Set(), bytes: 0, first: now() };
      if (!seen.packets.has(view.getUint16(2))) seen.bytes += view.byteLength;
      seen.packets.add(view.getUint16(2));
      Object.assign(seen, { of: view.getUint16(4), last: now() });
      this.came.set(step, seen);
    }
  }

  ping(bytes) {
    const view = new DataView(new ArrayBuffer(bytes));
    view.setUint8(0, PING);
    view.setUint32(1, this.seq);
    this.sent.set(this.seq, now());
    this.seq += 1;
    return view.buffer;
  }

  /** How long an answer is waited for. */
  patience() {
    const slowest = Math.max(0, ...this.trips.slice(-20).map(([, trip]) => trip));
    return Math.min(1500, GRACE_MS + 1.5 * (slowest || 400));
  }

  async until(fn, ms) {
    const end = now() + ms;
    while (!fn() && now() < end && this.line.open && !this.stopped) await sleep(15);
    return fn();
  }

  /** One step of the ramp: {rate, enough}; `enough` when the line would not carry more. */
  async step(way, number) {
    const kbits = STEPS[number];
    const size = kbits < 160 ? SMALL : LARGE;
    const count = Math.ceil((kbits * STEP_MS) / 8 / size);
    const seen = way === 'up' ? await this.up(number, count, size) : await this.down(number);
    if (!seen?.packets) return { rate: 0, enough: true };
    const of = seen.of ?? count;
    const rate = Math.round((seen.bytes * 8) / Math.max(seen.span, STEP_MS));
    const lost = of - seen.packets;
    return { rate, enough: lost > Math.max(2, of * 0.05) || seen.span > STEP_MS * 1.5 };
  }

  async up(number, count, size) {
    await pace(this.line, count, STEP_MS, () => {
      const bytes = new Uint8Array(size);
      bytes.set([UP, number]);
      return bytes;
    }, () => this.stopped);
    await sleep(this.patience());
    for (let turn = 0; turn < 3 && !this.told.has(number); turn += 1) {
      this.line.send(new Uint8Array([ASK_UP, number]));
      await this.until(() => this.told.has(number), this.patience());
    }
    return this.told.get(number);
  }

  async down(number) {
    const came = () => this.came.get(number);
    for (let turn = 0; turn < 3 && !came(); turn += 1) {
      this.line.send(new Uint8Array([ASK_DOWN, number]));
      await this.until(came, this.patience());
    }
    await this.until(() => came()?.packets.size >= came()?.of, STEP_MS + this.patience());
    const seen = came();
    return seen && { packets: seen.packets.size, of: seen.of, bytes: seen.bytes, span: seen.last - seen.first };
  }

  async ramp(way) {
    const begun = now();
    let best = 0;
    for (let number = 0; number < STEPS.length && now() - begun < RAMP_MS && !this.stopped; number += 1) {
      const { rate, enough } = await this.step(way, number);
      best = Math.max(best, rate);
      this.note.tell('ramp', { way, best, done: (number + 1) / STEPS.length });
      if (enough) break;
    }
    return best;
  }

  async measure() {
    await pace(this.line, 5, 500, () => this.ping(60), () => this.stopped);
    await sleep(this.patience());
    const up = await this.ramp('up');
    const down = await this.ramp('down');
    // As a call would then speak: a voice where there is room, a lean one where there is not.
    const [every, size] = Math.min(up, down) >= 100 ? [20, 160] : [60, 90];
    const ms = Math.max(1000, Math.min(PINGS_MS, WHOLE_MS - this.spent));
    const from = this.seq;
    const begun = now();
    const talking = setInterval(() => this.note.tell('voice', { done: Math.min(1, (now() - begun) / ms) }), 250);
    try {
      await pace(this.line, Math.round(ms / every), ms, () => this.ping(size), () => this.stopped || !this.line.open);
      await this.until(() => !this.sent.size, Math.min(this.patience(), 800));
    } finally {
      clearInterval(talking);
    }
    return this.summary(from, up, down);
  }

  summary(from, up, down) {
    const trips = this.trips.filter(([seq]) => seq >= from).sort(([a], [b]) => a - b).map(([, trip]) => trip);
    if (!trips.length) return null;
    const sorted = [...trips].sort((a, b) => a - b);
    const at = (share) => Math.min(60_000, Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]));
    const changes = trips.slice(1).map((trip, index) => Math.abs(trip - trips[index]));
    const jitter = changes.length ? changes.reduce((sum, one) => sum + one, 0) / changes.length : 0;
    // The server says in each answer how many questions have come to it.
    const share = (lost, of) => Math.max(0, Math.min(1000, Math.round((1000 * lost) / Math.max(1, of))));
    const back = this.trips.filter(([seq]) => seq <= this.upTo).length;
    return {
      rtt_p50_ms: at(0.5), rtt_p95_ms: at(0.95), jitter_ms: Math.min(60_000, Math.round(jitter)),
      loss_up_permille: share(this.upTo + 1 - this.arrived, this.upTo + 1),
      loss_down_permille: share(this.arrived - back, this.arrived),
      up_kbits: Math.min(100_000, up), down_kbits: Math.min(100_000, down),
    };
  }
}

/** Measures, and answers what the server makes of it. `tell` hears how far it is; `stop` ends it. */
export function probe(encounter, devices, tell) {
  const note = { stopped: false, lines: [], tell: (what, detail) => { if (!note.stopped) tell(what, detail); } };
  const work = async () => {
    const begun = await api.post(`/v1/encounters/${encounter}/probes`);
    const path = `/v1/encounters/${encounter}/probes/${begun.id}`;
    note.tell('begun', begun.legs.map(({ leg }) => leg));
    const found = await Promise.all(begun.legs.map((way) => find(path, way, note)));
    const best = BEST_FIRST.map((leg) => found.find((one) => one.leg === leg && one.line)).find(Boolean);
    for (const one of found) if (one !== best) one.line?.close();
    let measures = null;
    if (best && !note.stopped) {
      try {
        let { line } = best;
        if (now() - line.since > STALE_MS) {
          line.close();
          ({ line } = await find(path, begun.legs.find(({ leg }) => leg === best.leg), note));
        }
        if (line) measures = await new Meter(line, note).measure();
      } catch (error) {
        if (error.message !== 'closed') throw error;
      }
    }
    if (note.stopped) return null;
    const legs = found.map(({ leg, state, ms }) => ({ leg, state, ...(state === 'connected' ? { ms: Math.min(60_000, ms) } : {}) }));
    const body = { legs, devices: devices(), ...(measures ? { measured_on: best.leg, measures } : {}) };
    return { ...(await api.post(`${path}/result`, body)), tries: found.map(({ leg, tries, whys }) => ({ leg, tries, whys })) };
  };
  const close = () => { for (const line of note.lines) line.close(); };
  return { done: work().finally(close), stop() { note.stopped = true; close(); } };
}
