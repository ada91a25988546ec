// The way to a seat before it is taken: a ticket and an open socket, both asked for at the same time.
// While somebody still looks at the visit or at their own picture it is kept open, so that a press on
// "join" is one message. The server knows nothing of them before that, and nobody sees them.
import * as api from './api.js';

export const PROTOCOL = 'feldsher.rtc.v1';
const PING_MS = 5000;
// A socket that has said nothing for so long may be dead.
const SILENT_MS = 8000;
// The server takes a ticket for two minutes.
const TICKET_MS = 110_000;
// A lost first packet of TCP is noticed after a second. Whoever knows how long a round trip takes sees it sooner.
const LATE_MS_MIN = 400;
const ROUNDS = 3;
// TLS takes two of its own before a socket is open.
const SOCKET_ROUNDS = location.protocol === 'https:' ? 5 : 3;
const REQUESTS = 8;
const TRIES_MAX = 4;
const TICKETS_MAX = 2;
const GIVE_UP_MS = 8000;
const RENEWALS_MAX = 5;

/** What a tab must remember to sit down again after a reload. */
export class Seat {
  static key(side) { return `feldsher.seat.${side}`; }
  static read(side) { return JSON.parse(sessionStorage.getItem(Seat.key(side)) ?? 'null'); }
  static write(side, seat) { sessionStorage.setItem(Seat.key(side), JSON.stringify(seat)); }
  static clear(side) { sessionStorage.removeItem(Seat.key(side)); }
}

/** Asks the API for a ticket; `ahead` of somebody who has not asked for their seat. */
export const join = (encounter) => (ahead = false) => api.call('POST', `/v1/encounters/${encounter}/join`, { body: ahead ? { ahead } : {} }).then(({ data }) => data);

/** Opens the way in while devices are opened and looked at; null for a tab that has its seat. */
export function prepare(encounter, side, renewals = RENEWALS_MAX, ahead = false) {
  const seat = Seat.read(side);
  return seat?.encounter === encounter && seat.sid ? null : new Doorway(join(encounter), { ahead }).keep(renewals);
}

/** The server may name its socket by a path alone; then it is on this very host. */
export function socketUrl(given) {
  const url = new URL(given, location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  return url.href;
}

/** Whether sockets to this server were cut in this tab, and HTTP served: whoever enters again or reloads
 * does not try them first. */
const cutKey = (url) => `feldsher.nosocket.${new URL(url).host}`;
export const socketsDie = (url = socketUrl('/v1/rtc')) => sessionStorage.getItem(cutKey(url)) !== null;
export const socketsDied = (url) => sessionStorage.setItem(cutKey(url), '1');
export const socketsLive = (url) => sessionStorage.removeItem(cutKey(url));

/** How long this page's last requests waited for an answer, the quickest of them, in milliseconds. */
export function roundTrip() {
  const waits = performance.getEntriesByType('resource').filter((one) => one.transferSize > 0).slice(-REQUESTS)
    .map(({ requestStart, responseStart }) => responseStart - requestStart);
  return waits.length ? Math.min(...waits) : 0;
}

/** After so long something should be there, unless a packet was lost. */
const late = (rounds = ROUNDS) => Math.max(LATE_MS_MIN, rounds * roundTrip());
const isPassing = ({ status }) => status === 0 || status === 429 || status >= 500;

/** Asks once more when an answer is late; the first that comes counts, and of refusals one that will stay or the last. */
function soon(ask) {
  return new Promise((done, fail) => {
    let [asked, open, over] = [0, 0, false];
    const end = (tell) => (what) => { over = true; tell(what); };
    const go = () => {
      asked += 1;
      open += 1;
      ask().then(end(done), (error) => {
        open -= 1;
        if (!open || !isPassing(error)) end(fail)(error);
      });
      if (asked < TICKETS_MAX) setTimeout(() => { if (!over) go(); }, late());
    };
    go();
  });
}

export class Doorway {
  /** `join` asks the API for a ticket. Where no socket lives none is wanted. `ahead`: nobody has pressed anything yet. */
  constructor(join, { socket = !socketsDie(), ahead = false } = {}) {
    Object.assign(this, { join, ahead, wanted: socket, socket: null, coming: new Set(), closed: false, left: 0, failed: false });
    this.begin();
  }

  begin() {
    this.drop();
    Object.assign(this, { born: Date.now(), url: socketUrl('/v1/rtc'), ticket: null, tries: 0, refused: false });
    this.dial();
    const asked = soon(() => this.join(this.ahead)).then((joined) => {
      if (this.joined === asked) {
        this.ticket = joined.ticket;
        this.ticketed(socketUrl(joined.ws_url));
      }
      return joined;
    });
    this.joined = asked;
    // Whoever takes it hears of a refusal; until then nobody needs to.
    asked.catch(() => { if (this.joined === asked) this.refused = true; });
  }

  /** One socket more is on its way. Those before it go on: the first that is open is taken. */
  dial() {
    if (!this.wanted || this.closed || this.socket) return;
    this.tries += 1;
    const socket = new WebSocket(this.url, PROTOCOL);
    this.coming.add(socket);
    // Whether sockets live here is asked of those that were never open: the others the server may have closed.
    this.failed = false;
    socket.onopen = () => this.came(socket);
    socket.onmessage = () => { if (this.socket === socket) this.heard = Date.now(); };
    socket.onclose = () => this.lost(socket);
    // A socket that should be open by now, and is not, has lost a packet: another may be quicker.
    if (this.tries >= TRIES_MAX) return;
    setTimeout(() => {
      if (this.coming.has(socket) && socket.readyState === WebSocket.CONNECTING) this.dial();
    }, late(SOCKET_ROUNDS));
  }

  came(socket) {
    // Another was quicker, or nobody waits for it any more.
    if (!this.coming.has(socket)) {
      socket.close();
      return;
    }
    this.coming.clear();
    Object.assign(this, { socket, heard: Date.now() });
    this.tell();
    this.stir?.();
  }

  lost(socket) {
    if (this.socket === socket) this.socket = null;
    else if (!this.coming.delete(socket)) return;
    else if (!this.coming.size) this.failed = true;
    this.stir?.();
  }

  /** The ticket is there, and says where the socket is. */
  ticketed(url) {
    if (this.closed) return;
    if (url !== this.url) {
      this.url = url;
      this.drop();
      this.dial();
    }
    this.tell();
  }

  /** Whoever shows the ticket may keep the socket open until they come. */
  tell() {
    if (!this.kept || !this.ticket || !this.open || this.socket === this.told) return;
    this.told = this.socket;
    this.say('prepare', { ticket: this.ticket });
  }

  get open() { return this.socket?.readyState === WebSocket.OPEN; }
  get isOld() { return Date.now() - this.born > TICKET_MS; }
  say(t, body) { this.socket.send(JSON.stringify({ v: 1, t, body })); }

  /** Keeps it open until it is taken or closed, through as many more tickets; then nobody is waited for any more. */
  keep(renewals = RENEWALS_MAX) {
    Object.assign(this, { kept: true, left: renewals });
    if (this.isOld || this.refused) this.begin();
    this.tell();
    clearInterval(this.beat);
    this.beat = setInterval(() => {
      if (document.hidden) return;
      if (this.isOld && !this.left) this.rest();
      else if (this.isOld) {
        this.left -= 1;
        this.begin();
      } else if (this.open && this.socket === this.told) this.say('ping', {});
      else if (!this.socket && !this.coming.size && this.ticket && this.tries < TRIES_MAX) this.dial();
    }, PING_MS);
    return this;
  }

  /** A ticket that has run out is not shown; whoever comes after all begins anew. */
  rest() {
    clearInterval(this.beat);
    this.kept = false;
    this.drop();
  }

  /** Somebody has pressed the button: who looks after their devices now is shown as coming in. */
  comes() {
    if (!this.ahead) return this;
    this.ahead = false;
    // The way that is open stays as good as it is; this ticket only says so.
    this.join().catch(() => {});
    return this;
  }

  /** The ticket and, where one could be opened soon, the socket. */
  async take() {
    clearInterval(this.beat);
    this.kept = false;
    // What was refused a while ago may be granted now.
    if (this.isOld || this.refused) this.begin();
    const joined = await this.joined;
    // What was open a while ago may lead nowhere by now.
    if (this.open && Date.now() - this.heard > SILENT_MS) {
      this.drop();
      this.dial();
    }
    const until = Date.now() + GIVE_UP_MS;
    while (!this.open && this.coming.size && Date.now() < until) {
      await new Promise((stir) => { this.stir = stir; setTimeout(stir, until - Date.now()); });
    }
    const socket = this.open ? this.socket : null;
    if (!socket) this.drop();
    this.socket = null;
    return { joined, socket, failed: this.failed };
  }

  /** What is still on its way is closed when it comes: to break off in the middle is an error to the browser. */
  drop() {
    const { socket } = this;
    this.socket = null;
    this.coming.clear();
    socket?.close();
  }

  close() {
    this.closed = true;
    clearInterval(this.beat);
    this.drop();
    this.stir?.();
  }
}
