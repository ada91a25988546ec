// The ladder as a person meets it: what the line carries now and why, what they can ask for, how many
// bytes it took, and what works without a picture: stills, text, voice notes, the telephone.
import { t, locale } from './i18n.js';
import { h, refill, say, words as refusal } from './ui.js';
import { isBelow } from './rungs.js';
import { still, record, jpegSize } from './side.js';
import { ByServer, LINE as PIECE } from './by-server.js';
import { now } from './time.js';
import { hasPatientsPlace } from './role-words.js';
import './ladder-words.js';

const MEGA = 1_000_000;
const LINES_MAX = 100;
// As much as a connection carries at once.
const LINE = /[^]{1,1000}/gu;
// One line comes by both ways within the time in which it is waited for that it was got.
const TWICE_MS = 20_000;
const STILL_PIXELS_MAX = 1280;

export class Ladder {
  constructor(call) {
    Object.assign(this, { call, told: '', sent: new Map(), came: new Map(), back: '', lines: 0, server: new ByServer(call.encounter) });
    const { stage } = call;
    this.why = h('p', { id: 'call-rung', class: 'call-rung', role: 'status', 'aria-live': 'polite', hidden: true });
    this.used = h('span', { id: 'call-bytes', data: { bytes: 0 } });
    this.saver = h('input', { id: 'data-saver', type: 'checkbox', checked: call.wish.saver, on: { change: ({ currentTarget }) => call.set({ saver: currentTarget.checked }) } });
    this.talk = this.talkBox();
    this.phone = h('div', { id: 'call-phone', class: 'call-phone', hidden: true, role: 'group', 'aria-labelledby': 'call-phone-words' });
    stage.under(this.why, this.phone, this.talk, h('div', { class: 'call-meter' }, h('label', { class: 'check', for: 'data-saver' }, this.saver, h('span', {}, t('rung.saver'))), this.used));
    this.count(0);
    this.timer = setInterval(() => this.sendStills(), 1000);
    call.addEventListener('news', ({ detail }) => { if (['chat', 'reset'].includes(detail) && this.since && call.side !== 'guest') this.ask(); });
  }

  stop() {
    clearInterval(this.timer);
    this.discard();
    for (const line of this.log.children) forget(line);
  }

  get edges() { return [...this.call.edges.values()]; }

  /**
   * The worst of several connections is the one to be explained; one over which no picture goes anyway,
   * as an interpreter's, only when its voice is lost.
   */
  get worst() {
    const told = this.edges.filter(({ flow, ladder }) => flow.send.video || flow.receive.video || isBelow(ladder.rung, 'audio'));
    return told.reduce((worst, edge) => (!worst || isBelow(edge.ladder.rung, worst.ladder.rung) ? edge : worst), null);
  }

  follow(edge) {
    this.since ??= now();
    edge.addEventListener('rung', () => this.draw());
    edge.addEventListener('state', ({ detail }) => { if (detail === 'up') this.wish(); this.draw(); });
    // Whoever is not heard or seen here has no say on the side channel either.
    const from = (kind, name, fn) => edge.addEventListener(name, ({ detail }) => { if (edge.flow.receive[kind]) fn(detail); });
    from('audio', 'side-text', (text) => this.read('side', this.name(edge), text, this.isOwn(edge)));
    from('audio', 'side-note', (note) => this.write(this.name(edge), h('audio', { controls: true, src: URL.createObjectURL(note) })));
    from('video', 'side-still', (picture) => this.show(edge, picture));
    edge.addEventListener('side-open', () => this.draw());
  }

  name({ peer }) { return this.call.roster.get(peer)?.name ?? t('call.other'); }

  /* What the person asks for */

  /** The most that this person wants; told again on every connection that has not heard it. */
  wish(anew = false) {
    // A server that has started anew knows of no wish.
    if (anew) this.sent.clear();
    for (const edge of this.edges) {
      const { rung, why } = this.wanted(edge);
      if ((this.sent.get(edge.id) ?? 'video/asked') !== `${rung}/${why}`) this.tell(edge);
    }
  }

  /** Whoever has agreed to the telephone does not take that back by wishing what they wished before. */
  wanted(edge) {
    const { voiceOnly, saver } = this.call.wish;
    if (edge.byPhone ?? edge.ladder.phone?.agreed?.includes(this.call.me)) return { rung: 'phone', why: 'asked' };
    return voiceOnly ? { rung: 'audio', why: 'asked' } : saver ? { rung: 'audio_stills', why: 'data_saver' } : { rung: 'video', why: 'asked' };
  }

  tell(edge) {
    const wanted = this.wanted(edge);
    this.sent.set(edge.id, `${wanted.rung}/${wanted.why}`);
    this.call.signal.send('fallback', wanted, { edge: edge.id });
  }

  /* What is to be said */

  draw() {
    const { worst } = this;
    const ladder = worst?.ladder;
    const mine = ladder?.by && ladder.by === this.call.me;
    const about = ladder && (ladder.step || ladder.rung !== 'video') ? this.words(worst, mine) : '';
    // Of several connections it is said whose.
    const words = about && this.edges.length > 1 ? `${this.name(worst)}: ${about}` : about;
    this.why.hidden = !words;
    Object.assign(this.why.dataset, { rung: ladder?.rung ?? '', why: ladder?.why ?? '' });
    if (this.told !== words) {
      this.told = words;
      this.why.textContent = words;
    }
    this.form.hidden = this.edges.length > 0 && !this.edges.some((edge) => edge.flow.send.audio);
    // A voice note needs a connection of its own; text has the server besides.
    this.noteButton.hidden = !this.recording && !this.edges.some(({ side }) => side?.open);
    const stuck = this.call.seeks && this.call.side !== 'guest';
    this.talk.hidden = !this.lines && !stuck && !(ladder && isBelow(ladder.rung, 'audio_stills'));
    if (stuck && !this.asked) this.ask();
    this.drawPhone(this.edges.find((edge) => this.mayPhone(edge)));
  }

  /** The telephone is between the doctor and the patient, or whoever comes for one who has no part of their own. */
  mayPhone({ peer }) {
    const { roster, me } = this.call;
    const roles = [me, peer].map((id) => roster.get(id)?.role);
    const own = [...roster.values()].some(({ role }) => role === 'patient');
    return roles.includes('practitioner') && roles.some((role) => hasPatientsPlace(role, own));
  }

  words(edge, mine) {
    const { why } = edge.ladder;
    const rung = edge.ladder.rung === 'text' && !edge.side?.open ? `text.${this.call.side === 'guest' ? 'none' : 'server'}` : edge.ladder.rung;
    if (why === 'asked' || why === 'data_saver') {
      if (rung === 'video') return t('rung.video');
      return `${mine ? t(`rung.mine.${why}`) : t(`rung.theirs.${why}`, { name: this.name(edge) })} ${t(`rung.now.${rung}`)}`;
    }
    if (why === 'recovered') return `${t('rung.better')} ${t(`rung.now.${rung}`)}`;
    return `${t(`rung.why.${why}`)} ${t(`rung.now.${rung}`)}`;
  }

  count(bytes) {
    const mega = new Intl.NumberFormat(locale(), { maximumFractionDigits: 1 }).format(bytes / MEGA);
    this.used.dataset.bytes = bytes;
    this.used.textContent = t('rung.bytes', { mega });
  }

  /* The telephone */

  drawPhone(edge) {
    const phone = edge?.ladder.phone;
    const byPhone = edge?.ladder.rung === 'phone';
    const mark = JSON.stringify([phone ?? null, byPhone]);
    if (mark === this.phoneMark) return;
    this.phoneMark = mark;
    this.phone.hidden = !phone && !byPhone;
    if (this.phone.hidden) this.phoneWords = '';
    if (byPhone) this.call.dispatchEvent(new CustomEvent('phone'));
    if (this.phone.hidden) return;
    const agreed = phone?.agreed?.includes(this.call.me);
    const others = (phone?.agreed ?? []).some((one) => one !== this.call.me);
    const words = byPhone ? t(`rung.phone.${this.call.side === 'doctor' ? 'doctor' : 'agreed'}`)
      : agreed ? t('rung.phone.asked', { name: this.name(edge) })
        : others ? t('rung.phone.wanted', { name: this.name(edge) }) : t('rung.phone.proposed');
    // To stay means what one wished before, saving data as well.
    const ask = (byPhone) => () => { edge.byPhone = byPhone; this.tell(edge); };
    const focused = this.phone.contains(document.activeElement);
    if (words !== this.phoneWords) say(words);
    this.phoneWords = words;
    refill(this.phone, h('p', { id: 'call-phone-words' }, words), h('div', { class: 'row' },
      !agreed && !byPhone && h('button', { type: 'button', id: 'phone-yes', class: 'primary', on: { click: ask(true) } }, t('rung.phone.yes')),
      (agreed || byPhone) && h('button', { type: 'button', id: 'phone-no', class: 'second', on: { click: ask(false) } }, t('rung.phone.no'))));
    if (focused) this.phone.querySelector('button')?.focus();
  }

  /* Stills */

  async sendStills() {
    const { video } = this.call.tracks();
    for (const edge of this.edges) {
      const every = edge.ladder.send.still_secs;
      if (!every || !video || !edge.flow.send.video || !edge.side?.open || Date.now() - (edge.stilled ?? 0) < every * 1000) continue;
      edge.stilled = Date.now();
      const bytes = await still(this.call.stage.self);
      if (bytes && edge.ladder.send.still_secs) await edge.side.give('still', bytes, 'image/jpeg');
    }
  }

  async show(edge, blob) {
    // A few bytes may claim to be a huge picture: what it claims is read before it is opened.
    const size = jpegSize(new Uint8Array(await blob.arrayBuffer()));
    const image = size && Math.max(...size) <= STILL_PIXELS_MAX ? await createImageBitmap(blob).catch(() => null) : null;
    if (!image) return;
    this.call.stage.tiles.photo(edge.peer, image);
    image.close();
    this.call.draw();
  }

  /* Text and voice notes */

  talkBox() {
    this.log = h('ol', { id: 'talk-log', class: 'talk-log', 'aria-live': 'polite' });
    this.field = h('input', { id: 'talk-text', type: 'text', maxlength: 1000, autocomplete: 'off', 'aria-label': t('talk.text') });
    this.noteButton = h('button', { type: 'button', id: 'talk-note', class: 'second', 'aria-pressed': 'false', on: { click: () => this.note() } }, t('talk.note'));
    this.form = h('form', { id: 'talk-form', class: 'talk-form' }, this.field, h('button', { type: 'submit', id: 'talk-send', class: 'primary' }, t('talk.send')), this.noteButton);
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      const said = this.field.value;
      if (!said.trim()) return;
      // The next line can be begun meanwhile; they arrive one after another.
      [this.field.value, this.back] = ['', ''];
      for (const line of said.match(LINE) ?? []) {
        this.saying = (this.saying ?? Promise.resolve()).then(() => this.deliver(line)).catch(() => this.giveBack(line));
      }
    });
    return h('section', { id: 'talk', class: 'talk', hidden: true, 'aria-label': t('talk.title') }, this.log, this.form);
  }

  /** What the far side does not say to have got goes by the server; what has not arrived stands in the field again. */
  async deliver(said) {
    const heard = await Promise.all(this.edges.map(async (edge) => ({ edge, got: edge.up && await edge.side?.say(said, () => edge.up) })));
    const gone = heard.some(({ got }) => got);
    const missed = !gone || heard.some(({ edge, got }) => !got && this.isOwn(edge));
    const needed = missed && this.call.side !== 'guest';
    const { said: arrived, left, error } = needed ? await this.server.say(said) : { said: gone ? said : '', left: gone ? '' : said };
    if (arrived) this.write(t('talk.me'), h('span', {}, arrived));
    if (left) this.giveBack(left, error);
  }

  /** What was not said stands in the field again, in its order, before what was begun meanwhile. */
  giveBack(said, error = null) {
    this.write('', error?.status ? t('talk.refused', { why: refusal(error) }) : t('talk.lost'));
    const before = this.back && this.field.value.startsWith(this.back) ? this.back : '';
    const begun = this.field.value.slice(before.length).trim();
    this.back = [before, said].filter(Boolean).join(' ');
    this.field.value = [this.back, begun].filter(Boolean).join(' ');
  }

  /** Whose line is kept in the visit when no connection carries it: patient and practitioner write to each other. */
  isOwn({ peer }) { return ['patient', 'practitioner'].includes(this.call.roster.get(peer)?.role); }

  /** What the others wrote by way of the server since this call has connections: also while one stands, for
   * whoever wrote may not have heard that it was got. */
  ask() {
    this.asked = (this.asked ?? Promise.resolve()).then(async () => {
      const fresh = await this.server.fresh();
      for (const one of fresh) if (!one.own && one.to === 'practitioner' && Date.parse(one.at) >= this.since) this.read('server', one.name, one.text);
    }).catch(() => {});
  }

  /** What was not acknowledged in time came by the server as well, perhaps in pieces: it is shown once. What
   * is said again later is another line. Only the patient and the practitioner write by the server. */
  read(way, who, text, own = true) {
    const pieces = (own && text.trim().match(PIECE)) || [];
    const other = way === 'side' ? 'server' : 'side';
    const isKnown = (piece) => Date.now() - (this.came.get(`${other} ${piece.trim()}`) ?? 0) < TWICE_MS;
    const fresh = pieces.filter((piece) => !isKnown(piece));
    for (const piece of pieces) {
      if (fresh.includes(piece)) this.came.set(`${way} ${piece.trim()}`, Date.now());
      else this.came.delete(`${other} ${piece.trim()}`);
    }
    const shown = fresh.length === pieces.length ? text : fresh.join('');
    if (shown) this.write(who, h('span', {}, shown));
  }

  write(who, what) {
    this.lines += 1;
    this.log.append(h('li', {}, who && h('strong', {}, `${who}: `), what));
    while (this.log.children.length > LINES_MAX) {
      forget(this.log.firstChild);
      this.log.firstChild.remove();
    }
    this.log.scrollTop = this.log.scrollHeight;
    this.draw();
  }

  async note() {
    if (this.recording) { this.recording.stop(); return; }
    const { audio } = this.call.tracks();
    if (!audio || !window.MediaRecorder) return;
    // Whoever comes meanwhile was not spoken to.
    const { edges } = this;
    this.recording = record(audio);
    this.noteButton.setAttribute('aria-pressed', 'true');
    this.noteButton.textContent = t('talk.note.stop');
    const said = await this.recording.done;
    this.recording = null;
    this.noteButton.setAttribute('aria-pressed', 'false');
    this.noteButton.textContent = t('talk.note');
    if (!said) {
      this.write('', t('talk.note.dropped'));
      return;
    }
    const { bytes, type } = said;
    const there = this.edges.filter((edge) => edges.includes(edge));
    const given = await Promise.all(there.map((edge) => edge.side?.give('note', bytes, type)));
    this.write(t('talk.me'), given.some(Boolean) ? h('audio', { controls: true, src: URL.createObjectURL(new Blob([bytes], { type })) }) : t('talk.lost'));
  }

  /** Nothing is recorded behind a microphone that is off, or out of a room that one is not in. */
  discard() { this.recording?.discard(); }
}

/** The sound of a line is kept by the browser until it is told otherwise. */
function forget(line) {
  for (const { src } of line.querySelectorAll('audio')) URL.revokeObjectURL(src);
}
