// A signed note as the patient reads it.
import { t } from './i18n.js';
import { show, h } from './ui.js';
import * as api from './api.js';
import { dateTime } from './time.js';

export const SECTIONS = ['subjective', 'objective', 'assessment', 'plan'];

/** The body of a note for either page: its times are told in `zone`, its headings in the `words` of the reader. */
export function noteBody(note, zone, words = 'note') {
  return h('article', { class: 'note card', id: 'note', data: { note: note.id, status: note.status } },
    SECTIONS.filter((name) => note[name]).map((name) =>
      h('section', { data: { section: name } }, h('h2', {}, t(`${words}.${name}`)), h('p', {}, note[name]))),
    note.signed_at && h('p', { class: 'hint', id: 'note-signature' },
      t('note.signed', { name: (note.signer ?? note.author).name, when: dateTime(note.signed_at, zone) })),
    (note.addenda ?? []).map((more) => h('section', { class: 'addendum', data: { addendum: more.id } },
      h('p', {}, more.text),
      h('p', { class: 'hint' }, t('note.addendum', { name: more.author.name, when: dateTime(more.created_at, zone) })))));
}

export async function noteScreen(id, zone) {
  show(h('p', { class: 'loading', 'aria-busy': 'true' }, t('loading')));
  const note = await api.get(`/v1/notes/${id}`);
  show(h('h1', {}, t('note.title')), noteBody(note, zone), h('a', { class: 'button second', href: '#/', id: 'to-home' }, t('visit.home')));
}
