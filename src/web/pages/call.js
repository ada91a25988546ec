// A call: the seat, the edges to the others, the stage, and one truthful line of state.
import './call-words.js';
import './role-words.js';
import { t } from './i18n.js';
import * as api from './api.js';
import { Signal } from './signal.js';
import { Seat, join } from './doorway.js';
import { Edge } from './peer.js';
import { Stage } from './call-view.js';
import { onCall } from './ui.js';
import { stopMedia } from './media.js';
import { totals, between, Bytes } from './quality.js';
import { isBelow } from './rungs.js';
import { Ladder } from './call-ladder.js';
import { CallDevices } from './call-devices.js';
import { INSIDE, others, verdict } from './call-verdict.js';
import { clock } from './time.js';
import { waitWords } from './waiting.js';

export { openMedia, loudness, stopMedia } from './media.js';

const QUALITY_MS = 5000;
// A picture that does not fit takes the first seconds from the voice: at first it is looked at more often.
const EARLY_MS = [0, 1500, 3000, 4500];
const FOUND_MS = 15_000;
// Two looks that are closer together than this have too few packets between them to tell a loss from chance.
const STRETCH_MS = 1000;
// Without a packet for so long where some should come all is lost; before that the far side may still be starting.
const NOTHING_MS = 4000;
// A connection that was only out of reach comes to life by itself: it is given so long before a new one is asked for.
const ALIVE_AGAIN_MS = 1000;
// So often in a row no sound where there should be some: the connection is up and carries nothing.
const DUMB_MAX = 2;
const DOUBLINGS_MAX = 4;
// A connection that was out of reach and looks alive must bring a sound within so long, or it is made anew.
const PROOF_MS = 4500;
// A long talk without a request must not let the sign-in run out for want of use.
const ALIVE_MS = 240_000;
// Whoever is let in and finds no way for so long is told so, and can write.
const SEEK_MS = 10_000;

export class Call extends EventTarget {
  /** `media` is {stream, mic, camera, voiceOnly}; `doorway` is what `prepare` answered. */
  constructor({ encounter, side, media, zone, doorway = null, appointment = null }) {
    super();
    Object.assign(this, { encounter, side, zone, appointment, stream: media.stream, roster: new Map(), edges: new Map(), me: null, over: null, opening: null });
    this.wish = { mic: media.mic ?? true, camera: media.camera ?? true, voiceOnly: media.voiceOnly ?? false, saver: media.saver ?? navigator.connection?.saveData ?? false };
    this.ice = [];
    const seat = Seat.read(side);
    this.before = seat?.encounter === encounter && seat.sid ? seat : null;
    this.me = this.before?.me ?? null;
    this.ice = this.before?.ice ?? [];
    // A page may lie in the background, whether it came back by itself or was opened there beside
    // another call; `away`: whoever looks at it is to be told what others have of them by then.
    this.unseen = document.hidden;
    this.away = this.before ? this.before.waits : document.hidden;
    this.gate();
    this.stage = new Stage({
      mic: (off) => this.set({ mic: !off }), camera: (off) => this.set(off ? { camera: false } : { camera: true, voiceOnly: false }),
      audioOnly: (on) => this.set({ voiceOnly: on }), leave: () => this.leave(),
    });
    this.bytes = new Bytes(this.before?.bytes);
    this.ladder = new Ladder(this);
    this.listens = media.listens ?? false;
    this.devices = new CallDevices(this);
    this.signal = new Signal({
      join: join(encounter),
      seat: this.before,
      doorway,
      keep: () => this.remember(),
    });
    this.signal.addEventListener('joined', ({ detail }) => { this.ice = detail.ice_servers ?? []; this.me = detail.participant.id; });
    this.signal.addEventListener('message', ({ detail }) => this.hear(detail));
    this.signal.addEventListener('link', ({ detail }) => {
      this.linked = detail;
      if (detail) for (const edge of this.edges.values()) this.prove(edge);
      this.draw();
    });
    this.signal.addEventListener('over', ({ detail }) => this.finish(reasonOf(detail), detail.error));
    this.online = () => { for (const edge of this.edges.values()) if (!edge.up) edge.later(500); };
    window.addEventListener('online', this.online);
    this.seen = () => { this.look(); this.appear(); };
    document.addEventListener('visibilitychange', this.seen);
    // Nobody is signed in any more: nobody is heard or seen, on whatever screen that was.
    this.gone = () => this.finish('left-screen');
    window.addEventListener('feldsher:gone', this.gone);
    window.feldsher = { call: { stats: () => this.stats(), dropSocket: () => this.signal.drop(), state: () => this.stage.line.dataset.state } };
  }

  start() {
    this.appear();
    this.draw();
    // Taken off the screen for a while, a picture stands still.
    this.stage.play();
    if (this.tick) return this;
    onCall(true);
    this.tick = setInterval(() => { this.draw(); }, 1000);
    this.meter = setInterval(() => this.measure(), QUALITY_MS);
    this.alive = setInterval(() => api.get('/v1/me').catch(() => {}), ALIVE_MS);
    this.signal.connect();
    // A phone that dims its screen in the middle of the talk also stops its camera.
    navigator.wakeLock?.request('screen').then((lock) => { this.lock = lock; if (this.over) lock.release(); }, () => {});
    return this;
  }

  /**
   * Nobody is heard or seen before they see the call themselves: whoever is let in while they look at
   * something else, or whose page lies in the background from the beginning, sends nothing
   * until the stage is before their eyes. Whoever waits with it there has seen themself, and pressed
   * "I am ready" for that.
   */
  hide() {
    Object.assign(this, { unseen: true, away: true });
    this.set({});
  }

  appear() {
    if (!this.unseen || !this.isLookedAt) return;
    this.unseen = false;
    if (this.waits) this.away = false;
    this.set({});
  }

  get isLookedAt() { return this.stage.node.isConnected && !document.hidden; }

  /** A seat that was given up must not come back with a late message. */
  remember() {
    const { seat } = this.signal;
    if (this.over || !seat?.sid) return;
    Seat.write(this.side, { ...seat, encounter: this.encounter, me: this.me, waits: this.away || this.waits, ice: this.ice, wish: this.wish, bytes: this.bytes.sum, edges: [...this.edges.values()].map(({ id, peer, policy, flow }) => ({ id, peer, policy, flow })) });
  }

  /* What the server says */

  hear(message) {
    const { t: kind, body } = message;
    const act = {
      welcome: () => this.seated(body, true),
      resumed: () => { this.returning = true; },
      // What was lost may have said that there is something to be asked for.
      reset: () => this.news(kind),
      snapshot: () => this.seated(body, false),
      peer: () => this.peer(body),
      waiting: () => { this.mark('waiting', body.since); this.place = body.position ? body : null; this.awaited = body.awaited ?? []; },
      admitted: () => this.mark('admitted'),
      denied: () => this.finish('denied'),
      removed: () => this.finish('removed'),
      lock: () => { this.locked = body.locked; this.changed(); },
      negotiate: () => {
        if (body.ice_servers) this.ice = body.ice_servers;
        this.edge(message.edge, body.peer).negotiate(body);
      },
      // A page that was loaded anew asks for a negotiation of its own: an offer from before it is not worked through.
      offer: () => { if (!this.returning || this.edges.get(message.edge)?.pc) this.edge(message.edge).receive(message); },
      answer: () => this.edge(message.edge).receive(message),
      candidate: () => this.edge(message.edge).receive(message),
      ended: () => this.finish('ended', null, body),
      ringing: () => this.news(kind), care: () => this.news(kind), chat: () => this.news(kind),
      rung: () => { if (this.edges.has(body.edge)) this.edge(body.edge).climb(body); },
    }[kind];
    act?.();
    this.draw();
  }

  seated(body, fresh) {
    if (body.participant) this.me = body.participant.id;
    if (body.ice_servers) this.ice = body.ice_servers;
    if (body.locked !== undefined) this.locked = body.locked;
    if (body.roster) this.roster = new Map(body.roster.map((one) => [one.id, one]));
    if (fresh) for (const edge of this.edges.values()) edge.close();
    if (fresh) this.edges.clear();
    // A snapshot names the edges; where it does not, the page remembers which it had.
    for (const known of body.edges ?? (this.returning ? this.before?.edges : null) ?? []) {
      this.adopt(known);
      const edge = this.edge(known.id, known.peer);
      edge.plan(known.send, known.receive);
      if (known.ladder && known.ladder.step !== edge.ladder.step) edge.climb(known.ladder);
      // A server that has started anew counts on from another number; what came before this is worked through first.
      if (!edge.pc && known.gen) Object.assign(edge, { gen: known.gen, offerer: known.role === 'offerer', polite: known.polite });
      else if (known.gen) edge.inTurn(() => { edge.gen = known.gen; });
      // A reloaded page has the seat but not the connection: it asks for a new one.
      if (this.returning && !edge.pc && !fresh) this.signal.send('negotiate_request', { edge: known.id, why: 'reload' }, { edge: known.id });
      else if (this.returning && edge.pc && !edge.up) edge.later(ALIVE_AGAIN_MS);
    }
    // Whom the snapshot does not name there is nothing to say to: they went aside, or one did oneself.
    if (body.edges && !fresh) for (const id of [...this.edges.keys()]) if (!body.edges.some((known) => known.id === id)) this.end(id);
    this.returning = false;
    if (!this.isIn) this.ladder.discard();
    // Back in the waiting room, before anybody has let them in.
    if (this.waits && this.isLookedAt) this.away = false;
    this.part();
    this.tellMedia();
    this.look();
    this.ladder.wish(true);
    this.changed();
  }

  peer({ op, participant, state }) {
    const id = participant?.id ?? participant;
    const was = this.roster.get(id)?.state;
    if (op === 'left' || op === 'remove') this.roster.delete(id);
    else this.roster.set(id, { ...this.roster.get(id), ...(participant?.id ? participant : { id }), ...(state ? { state } : {}) });
    this.part();
    if (was === 'reconnecting') for (const edge of this.edges.values()) if (edge.peer === id) this.prove(edge);
    this.changed();
  }

  /** Whoever is out of the room has no edge: the picture of a person who left must not stand there. */
  part() {
    for (const [id, edge] of this.edges) {
      const far = this.roster.get(edge.peer);
      if (!edge.peer || (far && INSIDE.includes(far.state))) continue;
      this.end(id);
    }
  }

  end(id) {
    this.edges.get(id)?.close();
    this.edges.delete(id);
  }

  mark(state, since) {
    this.roster.set(this.me, { ...this.roster.get(this.me), id: this.me, state, ...(since ? { since } : {}) });
    if (state !== 'admitted') this.hangUp();
  }

  hangUp() {
    this.ladder.discard();
    for (const edge of this.edges.values()) edge.close();
    this.edges.clear();
  }

  /** There is something new that is asked for over HTTP. */
  news(kind) { this.dispatchEvent(new CustomEvent('news', { detail: kind })); }

  /** A page in the background is not looked at: who is away is rung when the door opens. */
  look() { this.signal.send('presence', { state: document.hidden ? 'away' : this.checking ? 'device_check' : 'ready' }); }

  /** Whoever looks after their devices is not quite ready. */
  checks(yes) {
    this.checking = yes;
    this.look();
  }

  changed() { this.dispatchEvent(new CustomEvent('roster', { detail: [...this.roster.values()] })); }

  /** A server that has started anew gives an edge another name; the connection itself lives on. */
  adopt({ id, peer, gen }) {
    const old = [...this.edges.values()].find((edge) => edge.peer && edge.peer === peer && edge.id !== id);
    if (!old || this.edges.has(id)) return;
    this.edges.delete(old.id);
    this.edges.set(id, Object.assign(old, { id, gen, neg: 0 }));
  }

  /** A new edge to somebody replaces the earlier one: that belonged to a seat they no longer have. */
  replaceFor(peer, id) {
    for (const [other, edge] of this.edges) {
      if (!peer || edge.peer !== peer || other === id) continue;
      edge.close();
      this.edges.delete(other);
    }
  }

  edge(id, peer) {
    this.replaceFor(peer, id);
    if (this.edges.has(id)) return Object.assign(this.edges.get(id), peer ? { peer } : {});
    const edge = new Edge(id, { send: (kind, body, extra) => this.signal.send(kind, body, extra), ice: () => this.ice, tracks: () => this.tracks(), here: ({ peer: far }) => this.here(far) });
    edge.addEventListener('stream', () => this.draw());
    edge.addEventListener('state', ({ detail }) => {
      if (detail === 'up') {
        // Only one that was up before has anything to prove.
        this.prove(edge);
        Object.assign(edge, { metBy: edge.pc, sought: 0 });
      } else edge.sought ||= Date.now();
      this.draw();
      if (detail === 'up') this.signal.calm();
      if (detail === 'up') for (const at of EARLY_MS) setTimeout(() => { if (!this.over) this.measureEdge(edge, true); }, at);
    });
    this.ladder.follow(edge);
    // An offer may be replayed before the server says again how this edge may go.
    const { policy, flow } = this.before?.edges?.find((known) => known.id === id) ?? {};
    Object.assign(edge, { peer, policy, ...(flow ? { flow } : {}) });
    this.edges.set(id, edge);
    return edge;
  }

  here(peer) {
    const far = this.roster.get(peer);
    return this.signal.linked && (!far || (INSIDE.includes(far.state) && far.state !== 'reconnecting'));
  }

  /* Media */

  tracks() {
    if (this.unseen || this.roster.get(this.me)?.role === 'trainee') return { audio: null, video: null };
    const [audio] = this.stream.getAudioTracks();
    const [video] = this.stream.getVideoTracks();
    return { audio: audio ?? null, video: this.wish.voiceOnly || !this.wish.camera ? null : video ?? null };
  }

  /** Whether this person has a picture to show: who only listens has none, and an interpreter's goes to nobody. */
  get maySee() { return !this.listens && !['interpreter', 'trainee'].includes(this.roster.get(this.me)?.role); }

  /** Whether this person wants to be seen, and can be. */
  shows({ camera, voiceOnly }) { return camera && !voiceOnly && this.maySee; }

  /** Whoever began with the voice alone has no camera open yet: the wish counts when its picture has come. */
  opens(change) {
    if (!('voiceOnly' in change)) return false;
    if (this.stream.getVideoTracks().length || !this.shows({ ...this.wish, ...change })) {
      this.opening = null;
      return false;
    }
    // Pressed once more, it is the same camera that is waited for.
    if (!this.opening) {
      this.opening = change;
      this.devices.turnOn('video', change);
    }
    return true;
  }

  set(change) {
    if (this.opens(change)) {
      this.draw();
      return;
    }
    Object.assign(this.wish, change);
    if (change.mic === false || this.unseen) this.ladder.discard();
    this.gate();
    for (const edge of this.edges.values()) edge.refresh();
    this.tellMedia();
    this.ladder.wish();
    this.remember();
    this.draw();
  }

  /** What comes of each device is as the person left it, also in a page that was loaded anew. */
  gate() {
    for (const track of this.stream.getAudioTracks()) track.enabled = this.wish.mic && !this.unseen;
    for (const track of this.stream.getVideoTracks()) track.enabled = this.wish.camera && !this.wish.voiceOnly && !this.unseen;
  }

  get sends() {
    const { audio, video } = this.tracks();
    return { audio: audio?.readyState === 'live' && !audio.muted && this.wish.mic, video: Boolean(video) };
  }

  /** Nobody shall take the silence of a microphone that was pulled out, or that a telephone call has, for a broken line. */
  tellMedia() { this.signal.send('media_state', { ...this.sends, screen: false }); }

  /** What others have of them from now on, to whoever was let in without looking. */
  tellLetIn() {
    const { audio, video } = this.sends;
    const seen = video && this.maySee;
    // Nobody lets the doctor in, and to an empty room there is nothing to say.
    const how = this.side === 'doctor' ? 'opened' : 'letin';
    if (how === 'opened' && !others(this).length) return;
    this.stage.tellLetIn(t(`call.${how}.${audio && seen ? 'both' : audio ? 'heard' : seen ? 'seen' : 'neither'}`));
  }

  /* The line of truth */

  draw() {
    this.ladder.draw();
    this.stage.local(this.stream, { ...this.wish, ...this.opening }, this.maySee, this.listens);
    // Whoever waits sees nobody yet, and their own picture has the room.
    const there = this.isIn ? others(this) : [];
    this.stage.tiles.draw(there);
    this.stage.node.classList.toggle('with-remote', there.length > 0);
    const [name, values = {}] = verdict(this);
    this.stage.state(name.split('.')[0], t(`call.${name}`, values));
    const waits = name.startsWith('waiting') && this.place;
    const missed = name.startsWith('waiting') && this.awaited?.length ? t('call.awaited', { who: this.awaited.map((role) => t(`role.${role}`).toLowerCase()).join(', ') }) : '';
    this.stage.wait([...(waits ? waitWords(this.place, this.zone) : []), missed].filter(Boolean).join(' '), waits && this.place.late_minutes && this.appointment);
    if (this.away && this.isIn && this.isLookedAt) {
      this.away = false;
      this.tellLetIn();
    }
    if (this.shown !== name) {
      this.shown = name;
      this.dispatchEvent(new CustomEvent('state', { detail: name }));
    }
  }

  /** Whether one sits in the waiting room, and whether one was let in. */
  get waits() { return this.roster.get(this.me)?.state === 'waiting'; }
  get isIn() { return INSIDE.includes(this.roster.get(this.me)?.state); }

  /** Whether somebody is there whom no connection has reached for a while. */
  get seeks() {
    return !this.over && [...this.edges.values()].some(({ peer, sought }) => sought && Date.now() - sought > SEEK_MS && this.here(peer));
  }

  since(me) {
    const when = me.waiting_since ?? me.since;
    return when ? clock(when, this.zone) : clock(this.waitingSince ??= new Date(), this.zone);
  }

  /* Quality */

  current() { return [...this.edges.values()].find((edge) => edge.pc); }
  async stats() { return { ...(await totals(this.current()?.pc)), edges: this.edges.size, epoch: this.signal.seat?.epoch, state: this.shown }; }

  async measure() {
    for (const edge of this.edges.values()) await this.measureEdge(edge);
    this.ladder.count(this.bytes.sum);
  }

  /** Whether somebody is to be heard on an edge; `unsaid` where the far side has not said what it sends. */
  sounds(edge, unsaid = false) { return edge.ladder.send.audio_bps > 0 && edge.flow.receive.audio && (this.roster.get(edge.peer)?.media?.audio ?? unsaid); }

  /**
   * After a gap a connection may look alive while the far side has another by now: it is listened to. One
   * that was not up before or has brought no sound yet is only beginning, and has the longer time of `isDumb`.
   */
  async prove(edge) {
    const { pc } = edge;
    if (!edge.up || edge.metBy !== pc || edge.proving === pc || !this.sounds(edge, true)) return;
    edge.proving = pc;
    const heard = async () => (await totals(pc)).audioPacketsReceived;
    const before = await heard();
    if (before) await new Promise((done) => { setTimeout(done, PROOF_MS * 2 ** Math.min(edge.deaf ?? 0, DOUBLINGS_MAX)); });
    if (edge.proving === pc) edge.proving = null;
    if (!before || this.over || edge.pc !== pc || !edge.up || await heard() > before) return;
    // Whoever is still away cannot be asked, and a rung without a voice has none to prove it with.
    if (!this.sounds(edge) || !this.here(edge.peer)) return;
    Object.assign(edge, { dumb: 0, deaf: (edge.deaf ?? 0) + 1 });
    edge.rebuild('silent');
  }

  /** Whether an edge that seems up has been without a sound for too long; each time in a row it is given twice as long. */
  isDumb(edge, silent) {
    edge.dumb = silent && this.here(edge.peer) ? (edge.dumb ?? 0) + 1 : 0;
    if (!silent && edge.ladder.send.audio_bps > 0) edge.deaf = 0;
    const dumb = edge.dumb >= DUMB_MAX * 2 ** Math.min(edge.deaf ?? 0, DOUBLINGS_MAX);
    if (dumb) Object.assign(edge, { dumb: 0, deaf: (edge.deaf ?? 0) + 1 });
    return dumb;
  }

  async measureEdge(edge, early = false) {
    const { pc } = edge;
    if (!pc) return undefined;
    const now = await totals(pc);
    this.bytes.take(pc, now);
    const at = performance.now();
    const then = edge.measured?.pc === pc ? edge.measured : null;
    if (edge.up && then && at - then.at < STRETCH_MS) return undefined;
    const came = then?.now.packetsReceived === now.packetsReceived ? then.came : at;
    // The browser begins low and finds its way up, and so it does when more is to be sent than before.
    const { rung } = edge.ladder;
    const since = then && !isBelow(then.rung, rung) ? then.since : at;
    edge.measured = edge.up ? { pc, at, now, came, rung, since } : null;
    // Kept for later, a report would speak of a line that is another by then.
    if (!edge.up || !then || !this.signal.linked) return undefined;
    const sends = this.sounds(edge);
    if (!early && this.isDumb(edge, sends && now.audioPacketsReceived === then.now.audioPacketsReceived)) return edge.rebuild('silent');
    const quality = between(then.now, now, (at - then.at) / 1000, sends && at - came >= NOTHING_MS);
    // Until it has found it, its estimate says nothing of the line.
    if (at - since < FOUND_MS) delete quality.room;
    this.signal.send('quality', { ...quality, rung }, { edge: edge.id });
    return undefined;
  }

  /* Leaving */

  leave() { this.finish('left'); }

  finish(why, error = null, body = {}) {
    if (this.over) return;
    if (why.startsWith('left')) this.signal.send('leave', { reason: 'user' });
    this.over = why.startsWith('left') ? 'left' : why;
    window.removeEventListener('online', this.online);
    document.removeEventListener('visibilitychange', this.seen);
    window.removeEventListener('feldsher:gone', this.gone);
    clearInterval(this.tick);
    clearInterval(this.meter);
    clearInterval(this.alive);
    this.ladder.stop();
    this.devices.stop();
    this.hangUp();
    // The last message must leave before the socket does.
    setTimeout(() => this.signal.close(), 50);
    Seat.clear(this.side);
    stopMedia(this.stream);
    this.lock?.release();
    onCall(false);
    this.draw();
    delete window.feldsher;
    this.dispatchEvent(new CustomEvent('over', { detail: { why, error, body } }));
  }
}

function reasonOf({ code }) {
  if (code === 4409) return 'elsewhere';
  if (code === 4410 || code === 410) return 'ended';
  return 'failed';
}
