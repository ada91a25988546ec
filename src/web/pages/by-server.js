// What is written in a call while no connection between the browsers carries it: it goes over the chat
// of the visit, which the patient and the practitioner read and nobody else.
import * as api from './api.js';

// So many characters are one line there.
export const LINE = /[^]{1,500}/gu;
// As many as the server lists at once.
const PAGE = 100;

export class ByServer {
  constructor(encounter) {
    this.path = `/v1/encounters/${encounter}/messages`;
    this.known = null;
  }

  async say(text) {
    for (const line of text.trim().match(LINE) ?? []) {
      if (line.trim()) await api.post(this.path, { text: line, to: 'practitioner' });
    }
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
