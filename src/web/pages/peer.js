// One edge of the call: an RTCPeerConnection, its negotiation, and the ladder that mends it.
import { BEGIN, passing, slim, thrifty, tune } from './rungs.js';
import { Side } from './side.js';

const PATIENCE_MS = 3000;
const STEP_MS = 8000;
const RESTARTS_MAX = 2;
const REBUILDS_BEFORE_VOICE = 1;

// Before the server has said what flows here.
const BOTH = { audio: true, video: true };

export class Edge extends EventTarget {
  /** `here` says whether the far side can answer at all; without it mending would only make noise. */
  constructor(id, { send, ice, tracks, here }) {
    super();
    Object.assign(this, { id, send, ice, tracks, here, pc: null, neg: 0, gen: 0, state: 'planned' });
    this.step = 0;
    this.ladder = BEGIN;
    this.early = [];
    this.flow = { send: BOTH, receive: BOTH };
    this.work = Promise.resolve();
  }

  emit(name, detail) { this.dispatchEvent(new CustomEvent(name, { detail })); }

  become(state) {
    if (this.state === state) return;
    this.state = state;
    this.emit('state', state);
  }

  /** Signals are handled strictly one after another: an offer must not overtake an answer. */
  inTurn(fn) {
    // What was still to be done when the edge was closed would build a connection that nobody closes.
    this.work = this.work.then(() => (this.state === 'down' ? undefined : fn())).catch((error) => {
      if (this.pc) this.emit('trouble', error);
      this.later(PATIENCE_MS);
    });
    return this.work;
  }

  /* Building */

  build(policy = this.policy) {
    this.discard();
    this.policy = policy;
    const iceServers = this.ice();
    const relayed = policy === 'relay' || (this.narrow && iceServers.some(isRelay));
    // Ways are looked for while the offer is still on its way; those over a relay take some round trips.
    const pc = new RTCPeerConnection({ iceServers, iceCandidatePoolSize: 1, bundlePolicy: 'max-bundle', ...(relayed ? { iceTransportPolicy: 'relay' } : {}) });
    this.pc = pc;
    this.stream = new MediaStream();
    this.side = new Side(pc);
    for (const name of ['text', 'still', 'note', 'open']) this.side.addEventListener(name, ({ detail }) => this.emit(`side-${name}`, detail));
    const mine = (fn) => (event) => { if (this.pc === pc) fn(event); };
    pc.onicecandidate = mine(({ candidate }) => {
      if (candidate?.candidate) this.signal('candidate', candidate.toJSON());
      else if (!candidate) this.signal('end_of_candidates', {});
    });
    pc.ontrack = mine(({ track }) => {
      this.stream.addTrack(track);
      this.emit('stream', this.stream);
    });
    pc.onconnectionstatechange = mine(() => this.watch());
    pc.oniceconnectionstatechange = mine(() => { if (pc.iceConnectionState === 'disconnected') this.watch(); });
    // What was up was the one before.
    this.become('negotiating');
    return pc;
  }

  discard() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.early = [];
    this.offerOpen = false;
    if (this.pc) this.pc.close();
    this.pc = null;
  }

  close() {
    this.discard();
    this.become('down');
  }

  signal(t, body) { this.send(t, body, { edge: this.id, neg: this.neg, gen: this.gen }); }

  /* Negotiation: the server names the offerer; both sides survive a surprise all the same */

  negotiate({ role, polite, gen, fresh, ice_policy: policy, send, receive, ladder }) {
    this.plan(send, receive);
    // Where it begins: what the check before the visit found no room for is not tried first.
    if (ladder && ladder.step !== this.ladder.step) this.climb(ladder);
    this.offerer = role === 'offerer';
    this.polite = polite ?? !this.offerer;
    return this.inTurn(async () => {
      const restart = this.pc && !fresh && gen > this.gen;
      this.gen = gen;
      if (this.state !== 'up') this.become('negotiating');
      if (!this.pc || fresh || (policy && policy !== this.policy)) this.build(policy);
      // A relay's password runs out: ways that are looked for anew are looked for with the one just heard.
      else if (restart) this.pc.setConfiguration({ ...this.pc.getConfiguration(), iceServers: this.ice() });
      if (this.offerer) await this.offer(restart);
      this.later(STEP_MS);
    });
  }

  async offer(iceRestart) {
    const { pc } = this;
    if (!pc.getTransceivers().length) {
      for (const kind of ['audio', 'video']) slim(pc.addTransceiver(kind, { direction: this.direction(kind) }));
    }
    await this.attach();
    if (pc.signalingState === 'have-local-offer') await pc.setLocalDescription({ type: 'rollback' });
    // Counted first: candidates may leave before the offer does.
    this.neg += 1;
    await pc.setLocalDescription(await pc.createOffer({ iceRestart: Boolean(iceRestart) }));
    this.signal('offer', { sdp: pc.localDescription.sdp });
  }

  receive({ t, neg = 0, gen = 0, body }) {
    return this.inTurn(async () => {
      if (t === 'offer') await this.answer(neg, gen, body.sdp);
      else if (t === 'answer') await this.accept(neg, gen, body.sdp);
      else if (t === 'candidate') await this.candidate(gen, body);
    });
  }

  async answer(neg, gen, sdp) {
    if (gen < this.gen) return;
    // Another certificate means another page on the far side: the old connection cannot go on.
    const stranger = this.pc?.remoteDescription && print(this.pc.remoteDescription.sdp) !== print(sdp);
    if (!this.pc || stranger) this.build();
    const { pc } = this;
    if (pc.signalingState === 'have-local-offer') {
      if (!this.polite) return;
      await pc.setLocalDescription({ type: 'rollback' });
    }
    Object.assign(this, { neg, gen });
    if (this.state !== 'up') this.become('negotiating');
    await pc.setRemoteDescription({ type: 'offer', sdp: thrifty(sdp) });
    for (const transceiver of pc.getTransceivers()) transceiver.direction = this.direction(transceiver.receiver.track.kind);
    await this.attach();
    await pc.setLocalDescription(await pc.createAnswer());
    this.signal('answer', { sdp: pc.localDescription.sdp });
    await this.catchUp();
    await tune(pc, this.ladder);
  }

  async accept(neg, gen, sdp) {
    const { pc } = this;
    if (neg !== this.neg || gen !== this.gen || pc?.signalingState !== 'have-local-offer') return;
    await pc.setRemoteDescription({ type: 'answer', sdp: thrifty(sdp) });
    await this.catchUp();
    await tune(pc, this.ladder);
  }

  async candidate(gen, candidate) {
    if (gen < this.gen) return;
    if (!this.pc?.remoteDescription || gen > this.gen || this.pc.signalingState === 'have-local-offer') {
      this.early.push([gen, candidate]);
      return;
    }
    // A candidate of an older generation may still be under way; it is no use and no harm.
    await this.pc.addIceCandidate(candidate).catch(() => {});
  }

  async catchUp() {
    for (const [gen, candidate] of this.early.splice(0)) {
      if (gen === this.gen) await this.pc.addIceCandidate(candidate).catch(() => {});
    }
  }

  /* Media */

  /** What the server wants to flow here, each way: what nobody needs costs nobody's line. */
  plan(send, receive) {
    if (send && receive) this.flow = { send, receive };
  }

  direction(kind) {
    const { send, receive } = this.flow;
    if (send[kind]) return receive[kind] ? 'sendrecv' : 'sendonly';
    return receive[kind] ? 'recvonly' : 'inactive';
  }

  async attach() {
    const wanted = passing(this.tracks(), this.ladder);
    for (const kind of ['audio', 'video']) if (!this.flow.send[kind]) wanted[kind] = null;
    // The last try to mend a line goes with the voice alone.
    if (this.narrow) wanted.video = null;
    await Promise.all(this.pc.getTransceivers().map((transceiver) =>
      transceiver.sender.replaceTrack(wanted[transceiver.receiver.track.kind] ?? null)));
  }

  /** What is to be sent is another: a device, or a wish. */
  refresh() {
    return this.inTurn(async () => {
      if (!this.pc) return;
      await this.attach();
      await tune(this.pc, this.ladder);
    });
  }

  /** The server says on which rung this connection is: both sides send what belongs to it. */
  climb(ladder) {
    this.ladder = { ...BEGIN, ...ladder };
    return this.inTurn(async () => {
      if (this.pc) {
        await this.attach();
        await tune(this.pc, this.ladder);
      }
      this.send('rung_ack', { step: this.ladder.step }, { edge: this.id });
      this.emit('rung', this.ladder);
    });
  }

  /* Recovery */

  watch() {
    const { pc } = this;
    if (pc.connectionState === 'connected' && pc.iceConnectionState !== 'disconnected') {
      clearTimeout(this.timer);
      this.timer = 0;
      this.step = 0;
      if (this.narrow) {
        this.narrow = false;
        this.inTurn(() => this.attach());
      }
      this.become('up');
    } else if (pc.connectionState === 'failed') {
      this.become('recovering');
      this.recover();
    } else if (pc.connectionState === 'disconnected' || pc.iceConnectionState === 'disconnected') {
      this.become('recovering');
      if (!this.timer) this.later(PATIENCE_MS);
    }
  }

  later(ms) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => { this.timer = 0; this.recover(); }, ms);
  }

  get up() { return this.pc?.connectionState === 'connected' && this.pc.iceConnectionState !== 'disconnected'; }

  /** It is up by all that the browser says, and carries nothing. */
  rebuild(why) { this.send('negotiate_request', { edge: this.id, why }, { edge: this.id, neg: this.neg, gen: this.gen }); }

  /** One rung at a time: two ICE restarts, a new connection, then voice only over a relay. */
  recover() {
    if (this.up || this.state === 'down') return;
    if (!this.here(this)) {
      this.later(PATIENCE_MS);
      return;
    }
    this.step += 1;
    const extra = { edge: this.id, neg: this.neg, gen: this.gen };
    if (this.step <= RESTARTS_MAX && this.pc) this.send('ice_restart_request', { edge: this.id, why: this.pc.connectionState }, extra);
    else {
      this.narrow = this.step > RESTARTS_MAX + REBUILDS_BEFORE_VOICE;
      // Nothing comes through: the ladder goes down with every further try, and proposes the telephone at its end.
      if (this.narrow) this.send('fallback', { rung: this.ladder.rung === 'audio' || this.ladder.rung === 'text' ? 'text' : 'audio', why: 'no_media' }, { edge: this.id });
      this.rebuild('rebuild');
    }
    this.later(STEP_MS);
  }
}

const isRelay = ({ urls }) => [urls].flat().some((url) => url.startsWith('turn'));
const print = (sdp) => /a=fingerprint:(\S+ \S+)/.exec(sdp)?.[1];
