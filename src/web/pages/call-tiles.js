// The others in a call: a tile for each, with the name, the part, and what they send.
import { t } from './i18n.js';
import { h, refill } from './ui.js';
import { playThrough } from './devices.js';

export class Tiles {
  /** `blocked` hears that the browser does not play sound without a touch, or does again. */
  constructor(blocked) {
    this.blocked = blocked;
    this.known = new Map();
    this.node = h('div', { id: 'tiles', class: 'tiles' });
  }

  /** Draws who is there now: {id, name, role, stream, lost, media, seen, still, stills, note, beside: [names]}; `lost`: what was connected is not; `still`: the rung of the ladder lets no moving picture through, `stills`: photos come instead. */
  draw(people) {
    for (const [id, tile] of this.known) {
      if (people.some((one) => one.id === id)) continue;
      tile.video.srcObject = null;
      tile.node.remove();
      this.known.delete(id);
    }
    for (const one of people) this.tile(one.id).draw(one);
    if (this.node.dataset.count !== String(people.length)) this.node.dataset.count = people.length;
  }

  tile(id) {
    if (!this.known.has(id)) {
      const tile = new Tile(id, (video) => this.playOne(video));
      playThrough(tile.video);
      this.known.set(id, tile);
      this.node.append(tile.node);
    }
    return this.known.get(id);
  }

  /** A photo in place of somebody's moving picture. */
  photo(id, image) { this.known.get(id)?.photo(image); }

  /** Without a recent touch a phone may refuse to play sound; then one button asks for it. */
  play() { for (const { video } of this.known.values()) if (video.srcObject) this.playOne(video); }

  /** Sends the sound where the person said. */
  playThrough() { for (const { video } of this.known.values()) playThrough(video); }

  playOne(video) {
    video.play().then(() => this.blocked(false), (error) => {
      if (error.name === 'NotAllowedError') this.blocked(true);
    });
  }
}

class Tile {
  constructor(id, play) {
    this.play = play;
    this.video = h('video', { autoplay: true, playsInline: true });
    this.picture = h('canvas', { class: 'still', hidden: true, role: 'img', 'aria-label': t('rung.still') });
    this.name = h('strong');
    this.part = h('span', { class: 'part' });
    this.muted = h('span', { class: 'muted', hidden: true }, t('call.muted'));
    this.note = h('p', { class: 'remote-note', hidden: true });
    this.node = h('figure', { class: 'tile', data: { participant: id } }, this.video, this.picture, this.note,
      h('figcaption', {}, this.name, this.part, this.muted));
  }

  photo(image) {
    Object.assign(this.picture, { width: image.width, height: image.height });
    this.picture.getContext('2d').drawImage(image, 0, 0);
    this.picture.dataset.at = Number(this.picture.dataset.at ?? 0) + 1;
  }

  /** For a screen reader the picture, too, is the person. */
  label(who) {
    if (this.node.getAttribute('aria-label') === who) return;
    for (const node of [this.node, this.video]) node.setAttribute('aria-label', who);
    this.picture.setAttribute('aria-label', `${who}: ${t('rung.still')}`);
  }

  draw({ name, role, stream, lost, media, seen, still, stills, note, beside }) {
    this.node.dataset.role = role;
    const who = [name, ...beside].join(' + ');
    write(this.name, who);
    this.label(`${who}, ${t(`role.${role}`)}`);
    write(this.part, t(`role.${role}`));
    this.muted.hidden = media?.audio !== false || role === 'trainee';
    const dark = lost || !seen || media?.video === false || !stream;
    write(this.note, note || (seen ? t('call.audio') : t('call.voice')));
    this.note.hidden = !dark;
    // The last frame of a camera that went off would look like a frozen person.
    this.video.classList.toggle('dark', dark || still === true);
    this.picture.hidden = dark || !stills || !this.picture.dataset.at;
    this.node.classList.toggle('faceless', !seen);
    if (this.video.srcObject === (stream ?? null)) return;
    this.video.srcObject = stream ?? null;
    if (stream) this.play(this.video);
  }
}

function write(node, text) {
  if (node.textContent !== text) refill(node, text);
}
