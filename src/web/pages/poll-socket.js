// What WebSocket does, over plain HTTP: for networks that let no socket live.
// One request waits for what is said; what we say goes up in others, one after another. Both ways
// are counted, so that a request that was cut is simply made again.
const TRIES_MAX = 4;
const AGAIN_MS = 700;
const FRAMES_MAX = 30;
const LOST = 1006;
// The server answers within 25 s.
const WAIT_MS = 40_000;

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

  close(code = 1000) { this.end(code, false); }

  end(code, tell = true) {
    if (this.readyState === WebSocket.CLOSED) return;
    this.readyState = WebSocket.CLOSED;
    for (const stop of this.asking) stop.abort();
    if (tell) this.onclose?.({ code });
  }

  /** One request, made again when the network loses it. `null` when it will not be. */
  async ask(path, body, { once = false } = {}) {
    for (let tries = 0; tries < (once ? 1 : TRIES_MAX) && this.readyState === WebSocket.OPEN; tries += 1) {
      if (tries) await sleep(AGAIN_MS * tries);
      const stop = new AbortController();
      const timer = setTimeout(() => stop.abort(), WAIT_MS);
      this.asking.add(stop);
      try {
        const answer = await fetch(`${this.url}/${path}`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json', ...(this.line ? { 'Rtc-Line': this.line } : {}) },
          body,
          cache: 'no-store',
          credentials: 'omit',
          referrerPolicy: 'no-referrer',
          signal: stop.signal,
        });
        if (answer.status === 204) return {};
        if (answer.ok) return await answer.json();
        if (answer.status < 500) return null;
      } catch {
        // The network: once more.
      } finally {
        clearTimeout(timer);
        this.asking.delete(stop);
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
    while (this.up.length && this.readyState === WebSocket.OPEN) {
      const frames = this.up.slice(0, FRAMES_MAX);
      const taken = await this.ask('send', `{"number":${this.number},"frames":[${frames.join(',')}]}`);
      if (!taken) { this.end(LOST); break; }
      this.number += 1;
      this.up.splice(0, frames.length);
    }
    this.sending = false;
  }
}
