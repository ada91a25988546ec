// What is written in a call while no connection between the browsers carries it: it goes over the chat
// of the visit, which the patient and the practitioner read and nobody else.
import * as api from './api.js';

// So many characters are one line there.
export const LINE = /[^]{1,500}/gu;
// As many as the server lists at once.
const PAGE = 100;
// The same words after so long are another line.
const AGAIN_MS = 60_000;

export class ByServer {
  constructor(encounter) {
    this.path = `/v1/encounters/${encounter}/messages`;
    this.known = null;
    // A piece of which nobody knows whether it has arrived is sent under the same key again.
    this.keys = new Map();
  }

  /** `{ said, left, error }`: what has arrived, and, where something stopped it, what has not, and why. */
  async say(text) {
    const pieces = (text.trim().match(LINE) ?? []).filter((piece) => piece.trim());
    for (const [at, piece] of pieces.entries()) {
      const kept = this.keys.get(piece);
      const one = kept && Date.now() - kept.at < AGAIN_MS ? kept : { key: api.newKey(), at: Date.now() };
      this.keys.set(piece, one);
      try {
        await api.post(this.path, { text: piece, to: 'practitioner' }, one.key);
      } catch (error) {
        return { said: pieces.slice(0, at).join(''), left: pieces.slice(at).join(''), error };
      }
      this.keys.delete(piece);
    }
    return { said: text, left: '', error: null };
  }

  /** What was written since one asked last, by anybody. */
  async fresh() {
    const all = [];
    for (;;) {
      const lines = await api.items(this.known ? `${this.path}?after=${this.known}` : this.path);
      all.push(...lines);
      this.known = lines.at(-1)?.id ?? this.known;
      if (lines.length < PAGE) return all;
    }
  }
}
