// The signaling socket: one seat, numbered messages, and a way back after every cut.
import { PollSocket } from './poll-socket.js';
import { Doorway, PROTOCOL, roundTrip, socketsDie, socketsDied, socketsLive } from './doorway.js';
import { client } from './quality.js';

const PAUSES = [0, 300, 1200, 2700, 4800, 7000];
const JITTER_MS = 1000;
const PING_MS = 5000;
const DEAD_MS = 15_000;
// A network that comes back is waited for by TCP ever more rarely: a new try is asked for sooner.
const OPEN_MS = 8000;
const ANSWER_MS = 3000;
const FRESH_MS = 1500;
const ACK_MS = 1000;
// Below what the server takes at once, with room for what is said when the seat is back.
const QUEUE_MAX = 40;
// Of these only the newest word counts.
const STATES = new Set(['presence', 'media_state', 'fallback']);
// What the person waits for.
const URGENT = new Set(['hello', 'resume', 'negotiate', 'negotiate_request', 'ice_restart_request', 'offer', 'answer']);
const HASTE_MS = 3000;
const PACE_MS_MIN = 60;
const PACE_MS_MAX = 250;
const CUT = 4000;
// A socket that ends so soon has been cut by something on the way; after two of them HTTP is tried.
const YOUNG_MS = 20_000;
const DEATHS_MAX = 2;
// How long HTTP is used before the socket is tried again, the first time; then twice as long.
const SOCKET_AGAIN_MS = 120_000;
const SOCKET_AGAIN_MAX_MS = 900_000;
// How long such a socket may take until it has answered, and until what is on its way over HTTP has left.
const TRIAL_MS = 4500;
const TRIAL_LOOK_MS = 50;
// After these there is no seat to come back to; the number says why.
const FINAL = new Set([4403, 4404, 4409, 4410]);
// After these the ticket or the seat is no good, but a new one may be had.
const NEW_SEAT = new Set([4401]);
// The first frame took too long to get there: the seat is as good as before.
const TOO_LATE = 4408;

export class Signal extends EventTarget {
  /** `join` asks the API for a ticket; `seat` is what an earlier page of this tab left behind, and
   * `doorway` what was opened before the person came. */
  constructor({ join, seat, keep, doorway }) {
    super();
    Object.assign(this, { join, seat: seat ?? null, keep, doorway: doorway ?? null, pings: [], socket: null, linked: false, closed: false });
    this.turn = 0;
    this.count = 0;
    this.refusals = 0;
    this.deaths = socketsDie(seat?.url) ? DEATHS_MAX : 0;
    this.patience = SOCKET_AGAIN_MS;
    this.queue = [];
    this.wake = ({ type }) => { if (!document.hidden) this.hurry(type === 'online'); };
    window.addEventListener('online', this.wake);
    document.addEventListener('visibilitychange', this.wake);
  }

  emit(name, detail) { this.dispatchEvent(new CustomEvent(name, { detail })); }

  /* Connecting */

  async connect() {
    clearTimeout(this.retry);
    if (this.closed || this.socket || this.entering) return;
    if (this.seat?.sid) this.open();
    else await this.enter();
  }

  /** A new seat: its ticket and its socket are asked for at the same time. */
  async enter() {
    const doorway = this.doorway ?? new Doorway(this.join, { socket: this.deaths < DEATHS_MAX });
    this.doorway = null;
    this.entering = doorway;
    try {
      const { joined, socket, failed } = await doorway.take();
      if (failed) this.deaths += 1;
      this.seat = { url: doorway.url, last_seq: 0 };
      this.emit('joined', joined);
      if (this.closed) socket?.close();
      else this.open(joined.ticket, socket);
    } catch (error) {
      doorway.close();
      this.entering = null;
      if (error.status === 0 || error.status >= 500 || error.status === 429) return this.again();
      this.close();
      this.emit('over', { code: error.status, error });
    } finally {
      this.entering = null;
    }
    return undefined;
  }

  /** Takes the seat on a socket: on one that is open already, or on a new one. */
  open(ticket = null, ready = null) {
    const plain = !ready && this.deaths >= DEATHS_MAX;
    const socket = ready ?? (plain ? new PollSocket(this.seat.url) : new WebSocket(this.seat.url, PROTOCOL));
    this.socket = socket;
    this.pings = [];
    this.born = Date.now();
    this.heard = Date.now();
    clearTimeout(this.trial);
    if (plain) this.trial = setTimeout(() => this.tryASocket(), this.patience);
    const mine = (fn) => (event) => { if (this.socket === socket) fn(event); };
    setTimeout(mine(() => this.growOld()), YOUNG_MS);
    const greet = mine(() => this.raw(ticket
      ? { t: 'hello', body: { ticket, caps: ['trickle'], client: client(), tz: Intl.DateTimeFormat().resolvedOptions().timeZone, ...(document.hidden ? { away: true } : {}) } }
      : { t: 'resume', body: { sid: this.seat.sid, secret: this.seat.secret, epoch: this.seat.epoch, last_seq: this.seat.last_seq } }));
    socket.onopen = greet;
    socket.onmessage = mine((event) => this.receive(event.data));
    socket.onclose = mine((event) => this.lost(event.code));
    clearInterval(this.beat);
    this.beat = setInterval(() => this.pulse(), PING_MS);
    if (ready) greet();
  }

  /** Only what has lived long is come back to at once when it is cut; a socket has shown besides that
   * sockets live here. */
  growOld() {
    if (!this.linked || this.isSilent()) return;
    this.turn = 0;
    if (this.socket instanceof PollSocket) return;
    [this.deaths, this.patience] = [0, SOCKET_AGAIN_MS];
    socketsLive(this.seat.url);
  }

  /** HTTP has served for a while: perhaps this network lets a socket live by now. It is opened beside the
   * line, and takes the seat over only when it has answered. */
  tryASocket() {
    const line = this.socket;
    if (this.closed || !line) return;
    const socket = new WebSocket(this.seat.url, PROTOCOL);
    this.tried = socket;
    const isWanted = () => this.socket === line && this.linked && !this.closed;
    let over = false;
    const no = () => {
      if (over) return;
      over = true;
      clearTimeout(late);
      socket.close();
      this.waitLonger();
      if (this.socket === line && !this.closed) this.trial = setTimeout(() => this.tryASocket(), this.patience);
    };
    let late = setTimeout(no, OPEN_MS);
    const take = () => {
      if (over) return;
      if (!isWanted()) { no(); return; }
      // What is on its way is not said twice, and not lost.
      if (line.busy) { setTimeout(take, TRIAL_LOOK_MS); return; }
      over = true;
      clearTimeout(late);
      this.deaths = DEATHS_MAX - 1;
      this.waitLonger();
      // Until it has the seat, what is said is kept, and it is not waited for as long as a line that has.
      this.linked = false;
      this.open(null, socket);
      line.close(CUT);
    };
    socket.onopen = () => {
      // The server does not wait longer for whoever has not said who they are.
      clearTimeout(late);
      late = setTimeout(no, TRIAL_MS);
      socket.send(JSON.stringify({ v: 1, t: 'ping', body: {} }));
    };
    socket.onmessage = () => { socket.onmessage = null; take(); };
    socket.onclose = no;
  }

  /** The next try is as far off again; what lives long undoes it. */
  waitLonger() { this.patience = Math.min(this.patience * 2, SOCKET_AGAIN_MAX_MS); }

  isSilent() { return Date.now() - this.heard > PING_MS + ANSWER_MS; }

  /** A socket that the network cut before it was of use, or on which the first frame came too late: over
   * HTTP it comes with the request itself. One that the server closed for another reason is none. */
  countDeath(code) {
    const cut = code === 1006 || code === CUT || code === TOO_LATE;
    if (!cut || this.socket instanceof PollSocket || this.heard - this.born > YOUNG_MS) return;
    this.deaths += 1;
  }

  pulse() {
    if (Date.now() - this.heard > (this.linked ? DEAD_MS : OPEN_MS)) return this.drop();
    if (this.linked) this.ping(performance.now());
    return undefined;
  }

  /** Pongs come in the order of the pings. */
  ping(since = null) {
    this.pings.push(since);
    this.raw({ t: 'ping', body: this.rtt ? { rtt: Math.round(this.rtt) } : {} });
  }

  /** Something that somebody waits for is under way. Small frames follow it, and their answers follow
   * what comes back: a piece that was lost is then missed by the next one, and not by a timeout that is
   * longer each time. */
  hasten() {
    if (this.socket instanceof PollSocket) return;
    this.hasty = Date.now() + HASTE_MS;
    this.trail ??= setInterval(() => {
      if (this.socket && Date.now() < this.hasty) this.ping();
      else this.calm();
    }, Math.min(PACE_MS_MAX, Math.max(PACE_MS_MIN, (this.rtt ?? roundTrip()) / 3)));
  }

  /** It has arrived. */
  calm() {
    clearInterval(this.trail);
    this.trail = null;
  }

  lost(code) {
    this.countDeath(code);
    this.socket = null;
    clearInterval(this.beat);
    clearTimeout(this.acking);
    clearTimeout(this.trial);
    this.linked = false;
    this.calm();
    if (this.closed) return;
    if (FINAL.has(code)) {
      this.close();
      this.emit('over', { code });
      return;
    }
    if (NEW_SEAT.has(code)) {
      this.seat = null;
      this.refusals += 1;
      if (this.refusals > 2) {
        this.close();
        this.emit('over', { code });
        return;
      }
    }
    this.emit('link', false);
    this.again();
  }

  again() {
    clearTimeout(this.retry);
    if (this.closed) return;
    const pause = PAUSES[Math.min(this.turn, PAUSES.length - 1)] + (this.turn ? Math.random() * JITTER_MS : 0);
    this.turn += 1;
    this.retry = setTimeout(() => this.connect(), Math.max(pause, this.notBefore ?? 0));
    this.notBefore = 0;
  }

  /** The network came back or the page was brought to the front: do not wait out the pause. */
  hurry(anew = false) {
    if (this.closed) return;
    this.turn = 0;
    // A socket that was silent through a dead network hears of the new one late: a new one is sooner there.
    const silent = this.isSilent();
    const stuck = !this.linked && Date.now() - this.born > FRESH_MS;
    if (!this.socket) this.connect();
    else if (stuck || (anew && (silent || !this.linked))) this.drop();
    else if (this.linked) this.probe();
  }

  /** Asks whether the socket still lives, and does not wait for long. */
  probe() {
    const { socket } = this;
    const asked = Date.now();
    this.pulse();
    setTimeout(() => { if (this.socket === socket && this.heard < asked) this.drop(); }, ANSWER_MS);
  }

  /** Lets go of the socket without a word, as a dead network does. */
  drop() {
    const { socket } = this;
    if (!socket) return;
    this.lost(CUT);
    socket.close(CUT);
  }

  close() {
    this.closed = true;
    this.calm();
    for (const doorway of [this.doorway, this.entering]) doorway?.close();
    this.doorway = null;
    clearTimeout(this.retry);
    clearInterval(this.beat);
    clearTimeout(this.acking);
    clearTimeout(this.trial);
    window.removeEventListener('online', this.wake);
    document.removeEventListener('visibilitychange', this.wake);
    this.socket?.close(1000);
    this.tried?.close();
    this.socket = null;
    this.linked = false;
  }

  /* Messages */

  receive(text) {
    this.heard = Date.now();
    let message;
    try { message = JSON.parse(text); } catch { return; }
    const { t, seq, body = {} } = message;
    if (seq) {
      if (seq <= this.seat.last_seq) return;
      this.seat.last_seq = seq;
      this.acking ??= setTimeout(() => { this.acking = null; this.raw({ t: 'ack', body: {} }); }, ACK_MS);
    }
    if (t === 'pong') this.pong(this.pings.shift());
    else if (t === 'welcome' || t === 'resumed') this.seated(body);
    else if (t === 'bye') this.goodbye(body);
    if (this.seat) this.keep(this.seat);
    this.emit('message', { ...message, body });
    if (URGENT.has(t)) this.hasten();
  }

  pong(since) {
    if (since) this.rtt = performance.now() - since;
  }

  seated(body) {
    for (const name of ['sid', 'secret', 'epoch']) if (body[name] !== undefined && body[name] !== null) this.seat[name] = body[name];
    this.refusals = 0;
    this.linked = true;
    if (this.socket instanceof PollSocket) socketsDied(this.seat.url);
    // What was said first arrives first, before what others say when they hear of the link.
    this.flush();
    this.emit('link', true);
  }

  goodbye({ action, after_ms: after = 0 }) {
    this.notBefore = after;
    if (action === 'rejoin') this.seat = null;
  }

  /** Sends now, or keeps a few messages for the moment the seat is back. */
  send(t, body = {}, extra = {}) {
    const message = { t, ...extra, body };
    if (this.linked) { this.raw(message); return; }
    if (STATES.has(t)) this.queue = this.queue.filter((one) => one.t !== t || one.edge !== message.edge);
    // Whoever leaves must not be waited for.
    if (this.queue.length < QUEUE_MAX || t === 'leave') this.queue.push(message);
  }

  flush() {
    for (const message of this.queue.splice(0)) this.raw(message);
  }

  raw(message) {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    if (URGENT.has(message.t)) this.hasten();
    this.count += 1;
    this.socket.send(JSON.stringify({ v: 1, id: `c${this.count}`, ...(this.seat?.last_seq ? { ack: this.seat.last_seq } : {}), ...message }));
  }
}
