// The note editor: four sections that save themselves, a signature, then addenda only.
import { t } from './i18n.js';
import { $, h, put, refill, button, busy, problemBox, asking, field, keepDraft, onLeave, say } from './ui.js';
import * as api from './api.js';
import { SECTIONS, noteBody } from './patient-note.js';
import { date } from './time.js';

const PAUSE_MS = 800;
const RETRY_MS = 4000;

export class NoteEditor {
  constructor(encounter, me, zone) {
    Object.assign(this, { encounter, me, zone, note: null, saving: null, timer: 0 });
    this.mirror = `feldsher.draft.${encounter}`;
    this.creationKey = null;
    this.node = h('section', { id: 'note-pane', class: 'stack', 'aria-label': t('dn.title') });
    this.online = () => this.touched() && this.save();
    window.addEventListener('online', this.online);
    onLeave(() => this.close());
  }

  async open() {
    const notes = await api.items(`/v1/encounters/${this.encounter}/notes`);
    this.note = notes.findLast?.((note) => note.author.id === this.me.practitioner.id) ?? notes.at(-1) ?? null;
    if (this.note && this.note.status !== 'draft') this.drawSigned();
    else this.drawDraft();
    return this;
  }

  /* Draft */

  drawDraft() {
    const kept = JSON.parse(localStorage.getItem(this.mirror) ?? 'null');
    this.areas = Object.fromEntries(SECTIONS.map((name) => [name, h('textarea', {
      id: `note-${name}`, rows: 4, maxlength: 20_000, value: this.note?.[name] ?? '', on: { input: () => this.typed() },
    })]));
    this.state = h('p', { id: 'note-state', class: 'note-state', role: 'status', 'aria-live': 'polite', data: { state: 'saved' } }, this.note ? t('dn.saved') : t('dn.empty'));
    this.conflictBox = h('div', { id: 'note-conflict', class: 'card', hidden: true });
    refill(this.node,
      h('div', { class: 'spread' }, h('h2', {}, t('dn.title')), this.state),
      this.conflictBox,
      SECTIONS.map((name) => h('div', { class: 'field' }, h('label', { for: `note-${name}` }, t(`dn.${name}`)), this.areas[name])),
      problemBox('note-problem'),
      asking('sign-note', t('dn.sign'), t('dn.sign.ask'), t('dn.sign.yes'), () => this.sign(), 'primary'));
    if (!kept) return;
    // Text of a lost page: it goes on where it was, unless the server's text moved on meanwhile.
    for (const name of SECTIONS) this.areas[name].value = kept.fields[name] ?? '';
    if (!this.touched()) localStorage.removeItem(this.mirror);
    else if ((this.note?.version ?? 0) !== kept.version) this.conflict(this.note);
    else this.save();
  }

  fields() { return Object.fromEntries(SECTIONS.map((name) => [name, this.areas[name].value])); }

  touched() {
    return Boolean(this.areas) && SECTIONS.some((name) => this.areas[name].value !== (this.note?.[name] ?? ''));
  }

  become(state) {
    this.state.dataset.state = state;
    this.state.textContent = t(`dn.${state}`);
  }

  typed() {
    localStorage.setItem(this.mirror, JSON.stringify({ version: this.note?.version ?? 0, fields: this.fields() }));
    if (this.state.dataset.state !== 'conflict') this.become('dirty');
    this.later(PAUSE_MS);
  }

  later(ms) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), ms);
  }

  /** One save in flight; what was typed meanwhile follows in the next. */
  async save() {
    clearTimeout(this.timer);
    if (this.saving) return this.saving;
    if (!this.areas || this.state.dataset.state === 'conflict') return undefined;
    if (!this.touched()) return this.settled();
    this.saving = this.send(this.fields()).finally(() => { this.saving = null; });
    return this.saving;
  }

  async send(fields) {
    this.become('saving');
    try {
      if (this.note) this.note = (await api.call('PATCH', `/v1/notes/${this.note.id}`, { body: fields, etag: `"${this.note.version}"` })).data;
      else this.note = await this.create(fields);
    } catch (error) {
      if (error.status === 412) return this.refused(fields);
      if (error.code === 'note_signed') return this.open();
      this.become('error');
      if (error.status && error.status < 500 && error.status !== 401 && error.status !== 429) this.complain(error);
      else this.later(RETRY_MS);
      return undefined;
    }
    $('#note-problem').hidden = true;
    return this.settled();
  }

  async create(fields) {
    const mark = JSON.stringify(fields);
    if (this.creationKey?.mark !== mark) this.creationKey = { mark, key: api.newKey() };
    return api.post(`/v1/encounters/${this.encounter}/notes`, fields, this.creationKey.key);
  }

  settled() {
    if (this.touched()) {
      this.become('dirty');
      this.later(PAUSE_MS);
      return;
    }
    localStorage.removeItem(this.mirror);
    this.become('saved');
  }

  /** Stale version: either our own save whose answer was lost, or another window wrote. */
  async refused(sent) {
    const theirs = await api.get(`/v1/notes/${this.note.id}`).catch(() => null);
    if (!theirs) {
      this.become('error');
      return this.later(RETRY_MS);
    }
    if (theirs.status !== 'draft') return this.open();
    if (SECTIONS.every((name) => (theirs[name] ?? '') === sent[name])) {
      this.note = theirs;
      return this.settled();
    }
    return this.conflict(theirs);
  }

  conflict(theirs) {
    this.become('conflict');
    this.conflictBox.hidden = false;
    const decide = (mine) => {
      this.note = theirs;
      if (!mine) for (const name of SECTIONS) this.areas[name].value = theirs?.[name] ?? '';
      this.conflictBox.hidden = true;
      this.become('dirty');
      this.save();
    };
    refill(this.conflictBox,
      h('p', { class: 'question', role: 'alert' }, t('dn.conflict.ask')),
      h('details', {}, h('summary', {}, t('dn.theirs.title')), SECTIONS.filter((name) => theirs?.[name]).map((name) => h('p', { class: 'prewrap' }, theirs[name]))),
      h('div', { class: 'row' },
        button('conflict-mine', t('dn.mine'), () => decide(true), 'second'),
        button('conflict-theirs', t('dn.theirs'), () => decide(false), 'second')));
  }

  complain(error) {
    const box = $('#note-problem');
    box.textContent = error.detail || error.title || t('problem.unknown');
    box.hidden = false;
  }

  /* Signature and after */

  async sign() {
    const problem = $('#note-problem');
    problem.hidden = true;
    await this.save();
    if (this.saving) await this.saving;
    if (this.touched()) await this.save();
    if (!this.note) return this.complain({ detail: t('problem.note_empty') });
    if (this.touched()) return this.complain({ detail: t('dn.error') });
    try {
      const { data } = await api.call('POST', `/v1/notes/${this.note.id}/sign`, { body: {}, etag: `"${this.note.version}"`, key: api.newKey() });
      this.note = data;
    } catch (error) {
      if (error.status === 412) return this.refused(this.fields());
      if (error.code === 'note_signed') return this.open();
      return this.complain(error.code === 'note_empty' ? { detail: t('problem.note_empty') } : error);
    }
    localStorage.removeItem(this.mirror);
    this.drawSigned();
    return undefined;
  }

  drawSigned() {
    this.areas = null;
    const form = h('form', { class: 'stack', id: 'addendum-form' },
      field('addendum', t('dn.addendum'), { rows: 3, maxlength: 10_000, required: true }),
      problemBox('addendum-problem'),
      h('button', { id: 'add-addendum', class: 'second', type: 'submit' }, t('dn.addendum.add')));
    refill(this.node, h('h2', {}, t('dn.title')), noteBody(this.note, this.zone, 'dn'), form);
    say(t('dn.saved'));
    const input = $('#addendum', form);
    const forget = keepDraft(input, `addendum.${this.note.id}`);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      if (!input.value.trim()) return;
      busy($('#add-addendum'), async () => {
        await api.post(`/v1/notes/${this.note.id}/addenda`, { text: input.value.trim() });
        forget();
        input.value = '';
        this.note = await api.get(`/v1/notes/${this.note.id}`);
        this.drawSigned();
      }, $('#addendum-problem'));
    });
  }

  close() {
    window.removeEventListener('online', this.online);
    clearTimeout(this.timer);
    if (this.touched()) this.save();
  }
}

/** Everything signed about this patient before. */
export async function pastNotes(patient, encounter, zone) {
  const place = h('details', { id: 'past-notes', class: 'card' }, h('summary', {}, t('dn.past')));
  const notes = (await api.items(`/v1/patients/${patient}/notes?limit=50`).catch(() => []))
    .filter((note) => note.encounter.id !== encounter && note.signed_at);
  if (!notes.length) put(place, h('p', { class: 'hint' }, t('dn.nopast')));
  for (const note of notes) {
    const body = noteBody(note, zone, 'dn');
    body.removeAttribute('id');
    body.querySelector('#note-signature')?.removeAttribute('id');
    put(place, h('details', { data: { note: note.id } }, h('summary', {}, `${date(note.signed_at, zone)}, ${note.author.name}`), body));
  }
  return place;
}
