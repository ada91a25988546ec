// The way to a seat before it is taken: a ticket and an open socket, both asked for at the same time.
// While somebody still looks at their own picture it is kept open, so that a press on "join" is one
// message. The server knows nothing of them before that, and nobody sees them.
export const PROTOCOL = 'feldsher.rtc.v1';
const PING_MS = 5000;
// A socket that has said nothing for so long may be dead.
const SILENT_MS = 8000;
// The server takes a ticket for two minutes.
const TICKET_MS = 110_000;
// A lost first packet of TCP is noticed after a second. Whoever knows how long a round trip takes sees it sooner.
const OPEN_MS_MIN = 400;
const ROUNDS = 3;
const REQUESTS = 8;
const TRIES_MAX = 4;
const GIVE_UP_MS = 8000;
const RENEWALS_MAX = 5;

/** The server may name its socket by a path alone; then it is on this very host. */
export function socketUrl(given) {
  const url = new URL(given, location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  return url.href;
}

/** How long this page's last requests waited for an answer, the quickest of them, in milliseconds. */
function roundTrip() {
  const waits = performance.getEntriesByType('resource').filter((one) => one.transferSize > 0).slice(-REQUESTS)
    .map(({ requestStart, responseStart }) => responseStart - requestStart);
  return waits.length ? Math.min(...waits) : 0;
}

export class Doorway {
  /** `join` asks the API for a ticket. Where no socket lives none is wanted. */
  constructor(join, { socket = true } = {}) {
    Object.assign(this, { join, wanted: socket, socket: null, closed: false, renewals: 0, failed: false });
    this.begin();
  }

  begin() {
    Object.assign(this, { born: Date.now(), url: socketUrl('/v1/rtc'), ticket: null, tries: 0 });
    this.dial();
    this.joined = this.join().then((joined) => {
      this.ticket = joined.ticket;
      this.ticketed(socketUrl(joined.ws_url));
      return joined;
    });
    // Whoever takes it hears of a refusal; until then nobody needs to.
    this.joined.catch(() => {});
  }

  dial() {
    this.drop();
    if (!this.wanted || this.closed) return;
    this.tries += 1;
    const socket = new WebSocket(this.url, PROTOCOL);
    this.socket = socket;
    const mine = (fn) => () => { if (this.socket === socket) fn(); };
    // Whether sockets live here is asked of those that were never open: the others the server may have closed.
    this.failed = false;
    socket.onopen = mine(() => { this.heard = Date.now(); this.opened = socket; this.tell(); this.stir?.(); });
    socket.onmessage = mine(() => { this.heard = Date.now(); });
    socket.onclose = mine(() => { this.socket = null; this.failed = this.opened !== socket; this.stir?.(); });
    // A socket that should be open by now, and is not, has lost a packet: another is quicker.
    if (this.tries >= TRIES_MAX) return;
    setTimeout(() => {
      if (this.socket === socket && socket.readyState === WebSocket.CONNECTING) this.dial();
    }, Math.max(OPEN_MS_MIN, ROUNDS * roundTrip()) * 2 ** (this.tries - 1));
  }

  /** The ticket is there, and says where the socket is. */
  ticketed(url) {
    if (this.closed) return;
    if (url !== this.url) {
      this.url = url;
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

  /** Keeps it open until it is taken or closed; after ten minutes nobody is waited for any more. */
  keep() {
    this.kept = true;
    this.beat = setInterval(() => {
      if (document.hidden) return;
      if (this.isOld && this.renewals < RENEWALS_MAX) {
        this.renewals += 1;
        this.begin();
      } else if (this.open && this.socket === this.told) this.say('ping', {});
      else if (!this.socket && this.ticket && this.tries < TRIES_MAX) this.dial();
    }, PING_MS);
    return this;
  }

  /** The ticket and, where one could be opened soon, the socket. */
  async take() {
    clearInterval(this.beat);
    this.kept = false;
    if (this.isOld) this.begin();
    const joined = await this.joined;
    // What was open a while ago may lead nowhere by now.
    if (this.open && Date.now() - this.heard > SILENT_MS) this.dial();
    const late = Date.now() + GIVE_UP_MS;
    while (this.socket && !this.open && Date.now() < late) {
      await new Promise((stir) => { this.stir = stir; setTimeout(stir, late - Date.now()); });
    }
    const socket = this.open ? this.socket : null;
    if (!socket) this.drop();
    this.socket = null;
    return { joined, socket, failed: this.failed };
  }

  drop() {
    const { socket } = this;
    this.socket = null;
    socket?.close();
  }

  close() {
    this.closed = true;
    clearInterval(this.beat);
    this.drop();
    this.stir?.();
  }
}
