// What WebSocket does, over plain HTTP: for networks that let no socket live.
// One request waits for what is said; what we say goes up in others, one after another. Both ways
// are counted, so that a request that was cut is simply made again.
const TRIES_MAX = 4;
const AGAIN_MS = 700;
const FRAMES_MAX = 30;
const LOST = 1006;
// The server answers within 25 s.
const WAIT_MS = 40_000;
// What a browser still sends for a page that has gone: 64 KiB, and a letter may take three bytes.
const KEPT_MAX = 20_000;

const sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });

export class PollSocket {
  constructor(url) {
    this.url = url.replace(/^ws/, 'http');
    Object.assign(this, { readyState: WebSocket.OPEN, line: null, after: 0, number: 1, up: [], sending: false });
    this.asking = new Set();
    setTimeout(() => this.onopen?.({}));
  }

  send(text) {
    if (this.readyState !== WebSocket.OPEN) return;
    if (!this.begun) {
      this.begun = true;
      this.fetch(text);
      return;
    }
    this.up.push(text);
    this.flush();
  }

  /** What was said last, "leave" above all, still goes up; the request that waits does not. */
  close(code = 1000) {
    this.leaving = code === 1000;
    this.end(code, false);
    if (this.leaving) this.flush();
  }

  /** Whether something that was said has not got there yet. */
  get busy() { return this.sending || this.up.length > 0; }

  /** Whether a request is still to be made. */
  goesOn(path) { return this.readyState === WebSocket.OPEN || (this.leaving && path === 'send'); }

  end(code, tell = true) {
    if (this.readyState === WebSocket.CLOSED) return;
    this.readyState = WebSocket.CLOSED;
    for (const { stop, path } of this.asking) if (!this.goesOn(path)) stop.abort();
    if (tell) this.onclose?.({ code });
  }

  /** One request, made again when the network loses it. `null` when it will not be. */
  async ask(path, body, { once = false } = {}) {
    for (let tries = 0; tries < (once ? 1 : TRIES_MAX) && this.goesOn(path); tries += 1) {
      if (tries) await sleep(AGAIN_MS * tries);
      const stop = new AbortController();
      const timer = setTimeout(() => stop.abort(), WAIT_MS);
      const asked = { stop, path };
      this.asking.add(asked);
      try {
        const answer = await fetch(`${this.url}/${path}`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json', ...(this.line ? { 'Rtc-Line': this.line } : {}) },
          body,
          cache: 'no-store',
          credentials: 'omit',
          referrerPolicy: 'no-referrer',
          keepalive: path === 'send' && body.length < KEPT_MAX,
          signal: stop.signal,
        });
        if (answer.status === 204) return {};
        if (answer.ok) return await answer.json();
        if (answer.status < 500) return null;
      } catch {
        // The network: once more.
      } finally {
        clearTimeout(timer);
        this.asking.delete(asked);
      }
    }
    return null;
  }

  async fetch(first) {
    // A ticket works once: when its answer is lost, a new one must be asked for.
    let said = await this.ask('poll', `{"first":${first}}`, { once: true });
    this.line = said?.line ?? null;
    if (this.line) this.flush();
    while (this.readyState === WebSocket.OPEN) {
      if (!said) return this.end(LOST);
      this.after = said.batch;
      for (const frame of said.frames) this.onmessage?.({ data: JSON.stringify(frame) });
      if (said.close) return this.end(said.close);
      said = await this.ask('poll', JSON.stringify({ after: this.after }));
    }
    return undefined;
  }

  async flush() {
    if (this.sending || !this.line) return;
    this.sending = true;
    while (this.up.length && this.goesOn('send')) {
      const frames = this.up.slice(0, FRAMES_MAX);
      const taken = await this.ask('send', `{"number":${this.number},"frames":[${frames.join(',')}]}`);
      if (!taken) { this.end(LOST); break; }
      this.number += 1;
      this.up.splice(0, frames.length);
    }
    this.sending = false;
  }
}
