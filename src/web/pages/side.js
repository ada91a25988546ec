// The side channel of a connection: still pictures, text and voice notes go from browser to browser
// beside the sound, so that they work where a moving picture does not. Nothing of it is stored.
const CHUNK = 12_000;
const STILL_BYTES_MAX = 24_000;
const NOTE_BYTES_MAX = 200_000;
const TEXT_MAX = 1000;
// What waits in the browser's own queue is late already: a newer picture is better than a queue of old ones.
const QUEUE_MAX = 32_000;
const STILL_WIDTH = 320;
// A channel stays open for a while when the far side is gone: only what it says to have got has arrived.
const ANSWER_MS = 5000;
const ANSWER_MS_MAX = 15_000;
const LOOK_MS = 50;

export class Side extends EventTarget {
  constructor(pc) {
    super();
    // Both sides open the same channel, so that it costs no word of the negotiation.
    this.channel = pc.createDataChannel('side', { negotiated: true, id: 0 });
    this.channel.binaryType = 'arraybuffer';
    this.channel.onmessage = ({ data }) => this.receive(data);
    this.channel.onopen = () => this.emit('open');
    Object.assign(this, { count: 0, got: new Set() });
  }

  emit(name, detail) { this.dispatchEvent(new CustomEvent(name, { detail })); }
  get open() { return this.channel.readyState === 'open'; }
  get busy() { return this.channel.bufferedAmount > QUEUE_MAX; }

  /** Whether the far side has it; nobody waits for that once the connection is not `alive`. */
  async say(text, alive = () => true) {
    const words = text.trim().slice(0, TEXT_MAX);
    if (!words || !this.open) return false;
    const n = this.number();
    this.channel.send(JSON.stringify({ t: 'text', text: words, n }));
    return this.arrived(n, alive);
  }

  number() {
    this.count += 1;
    return this.count;
  }

  async arrived(n, alive = null) {
    const begun = Date.now();
    let until = begun + ANSWER_MS;
    while (!this.got.delete(n)) {
      // What has not left yet cannot be answered; but a word has another way, and does not wait for long.
      if (this.channel.bufferedAmount) until = Date.now() + ANSWER_MS;
      const late = Date.now() > until || (alive && Date.now() - begun > ANSWER_MS_MAX);
      if (!this.open || late || alive?.() === false) return false;
      await new Promise((done) => { setTimeout(done, LOOK_MS); });
    }
    return true;
  }

  /** A still picture or a voice note, one after another. A picture for which there is no room is left out. */
  give(t, bytes, type) {
    if (t === 'still' && (this.giving || this.busy)) return Promise.resolve(false);
    this.giving = (this.giving ?? Promise.resolve()).then(() => this.send(t, bytes, type)).finally(() => { this.giving = null; });
    return this.giving;
  }

  /** Announced, then sent in pieces, so that text gets in between. */
  async send(t, bytes, type) {
    if (!this.open || bytes.byteLength > (t === 'still' ? STILL_BYTES_MAX : NOTE_BYTES_MAX)) return false;
    const n = t === 'note' ? this.number() : undefined;
    this.channel.send(JSON.stringify({ t, type, bytes: bytes.byteLength, n }));
    for (let at = 0; at < bytes.byteLength; at += CHUNK) {
      while (this.busy && this.open) await new Promise((done) => { setTimeout(done, 100); });
      if (!this.open) return false;
      this.channel.send(bytes.slice(at, at + CHUNK));
    }
    return n ? this.arrived(n) : true;
  }

  /** Says that something has arrived, if its number was said. */
  thank(n) {
    if (Number.isSafeInteger(n) && this.open) this.channel.send(JSON.stringify({ t: 'got', n }));
  }

  receive(data) {
    if (typeof data !== 'string') { this.piece(new Uint8Array(data)); return; }
    let said;
    try { said = JSON.parse(data); } catch { return; }
    if (said.t === 'text') {
      if (typeof said.text === 'string') {
        this.emit('text', said.text.slice(0, TEXT_MAX));
        this.thank(said.n);
      }
      return;
    }
    if (said.t === 'got') {
      // Only what was said is waited for.
      if (said.n > 0 && said.n <= this.count) this.got.add(said.n);
      return;
    }
    const most = { still: STILL_BYTES_MAX, note: NOTE_BYTES_MAX }[said.t];
    this.coming = most && said.bytes > 0 && said.bytes <= most ? { ...said, at: 0, whole: new Uint8Array(said.bytes) } : null;
  }

  piece(bytes) {
    const { coming } = this;
    if (!coming || coming.at + bytes.length > coming.whole.length) { this.coming = null; return; }
    coming.whole.set(bytes, coming.at);
    coming.at += bytes.length;
    if (coming.at < coming.whole.length) return;
    this.coming = null;
    const type = coming.t === 'still' ? 'image/jpeg' : /^audio\/[\w+.;= -]{1,40}$/.test(coming.type) ? coming.type : 'audio/webm';
    this.emit(coming.t, new Blob([coming.whole], { type }));
    this.thank(coming.n);
  }
}

/** What a video shows now, as a small JPEG; null when it shows nothing. */
export async function still(video) {
  if (!video?.videoWidth || video.readyState < 2) return null;
  const canvas = document.createElement('canvas');
  canvas.width = STILL_WIDTH;
  canvas.height = Math.round((STILL_WIDTH * video.videoHeight) / video.videoWidth);
  canvas.getContext('2d').drawImage(video, 0, 0, canvas.width, canvas.height);
  for (const quality of [0.5, 0.3, 0.15]) {
    const blob = await new Promise((done) => { canvas.toBlob(done, 'image/jpeg', quality); });
    if (blob && blob.size <= STILL_BYTES_MAX / 2) return blob.arrayBuffer();
  }
  return null;
}

/** How wide and how high a JPEG says that it is, without opening it; null when it does not say so. */
export function jpegSize(bytes) {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return null;
  const two = (at) => bytes[at] * 256 + bytes[at + 1];
  for (let at = 2; at + 9 < bytes.length; at += 2 + two(at + 2)) {
    const mark = bytes[at + 1];
    if (bytes[at] !== 0xff || mark === 0xda) return null;
    // The heads of frames are C0 to CF; C4, C8 and CC are tables.
    if (mark >= 0xc0 && mark <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(mark)) return [two(at + 7), two(at + 5)];
  }
  return null;
}

/** Records a voice note of at most half a minute; `stop` ends it earlier, `discard` without anything to send.
 * `done` answers its bytes and type, or null. */
export function record(track) {
  const own = track.clone();
  // Whoever is muted in the call still wants this note to be heard.
  own.enabled = true;
  const recorder = new MediaRecorder(new MediaStream([own]), { audioBitsPerSecond: 16_000 });
  let pieces = [];
  recorder.ondataavailable = ({ data }) => pieces?.push(data);
  const done = new Promise((ended) => { recorder.onstop = ended; }).then(async () => {
    own.stop();
    return pieces && { bytes: await new Blob(pieces).arrayBuffer(), type: recorder.mimeType };
  });
  recorder.start();
  const stop = () => { if (recorder.state !== 'inactive') recorder.stop(); };
  const discard = () => {
    pieces = null;
    own.stop();
    stop();
  };
  setTimeout(stop, 30_000);
  return { stop, discard, done };
}
