// The devices of a call: chosen while it runs, and replaced by another when one goes away.
import { t } from './i18n.js';
import { h, say } from './ui.js';
import { openTrack } from './media.js';
import { KINDS, Picker, choose, chosen, devices, whenPlugged } from './devices.js';

const KIND_OF = { audio: 'audioinput', video: 'videoinput' };

export class CallDevices {
  constructor(call) {
    Object.assign(this, { call, missing: new Set(), work: Promise.resolve() });
    const { stage } = call;
    // Who only listens has nothing to choose but where the sound comes out.
    const kinds = call.listens ? ['audiooutput'] : Object.keys(KINDS);
    this.picker = new Picker({ kinds, current: (kind) => this.idOf(KINDS[kind]), change: (kind, id) => this.change(kind, id) });
    this.note = h('p', { id: 'call-device', class: 'call-rung', role: 'status', hidden: true });
    this.panel = h('div', { id: 'call-devices', class: 'call-phone', role: 'group', 'aria-label': t('device.title'), hidden: true }, this.picker.node,
      h('button', { type: 'button', id: 'devices-done', class: 'second', on: { click: () => this.show(false) } }, t('device.done')));
    this.panel.addEventListener('keydown', ({ key }) => { if (key === 'Escape') this.show(false); });
    this.opener = h('button', { type: 'button', id: 'open-devices', class: 'opener', 'aria-expanded': 'false', 'aria-controls': 'call-devices', on: { click: () => this.show(this.panel.hidden) } }, t('device.title'));
    stage.under(this.note, this.panel);
    stage.bottom.querySelector('.call-meter').append(this.opener);
    for (const track of call.stream.getTracks()) this.follow(track);
    this.unplug = whenPlugged(() => this.inTurn(() => this.look()));
  }

  stop() { this.unplug(); }

  /** One device after another: a phone opens only one camera at a time. */
  inTurn(fn) {
    this.work = this.work.then(() => (this.call.over ? undefined : fn())).catch(() => {});
    return this.work;
  }

  show(open) {
    this.panel.hidden = !open;
    this.opener.setAttribute('aria-expanded', String(open));
    if (open) this.picker.draw().then(() => this.panel.querySelector('select:enabled, button')?.focus());
    else this.opener.focus();
    this.call.checks(open);
  }

  track(media) { return this.call.stream.getTracks().find(({ kind }) => kind === media) ?? null; }
  idOf(media) { return (media && this.track(media)?.getSettings().deviceId) ?? null; }

  /** A camera that nobody wants is not opened, whatever is plugged in or chosen. */
  wants(media) { return media !== 'video' || this.call.shows(this.call.wish); }

  follow(track) {
    track.addEventListener('ended', () => this.inTurn(() => this.lost(track)));
    // A telephone call takes the microphone for a while.
    for (const name of ['mute', 'unmute']) track.addEventListener(name, () => { if (this.track(track.kind) === track) this.call.tellMedia(); });
  }

  tell(what, media, track) {
    const words = t(`device.${what}.${media}`, { name: track?.label });
    Object.assign(this.note, { hidden: false, textContent: words }).dataset.state = what;
    say(words);
  }

  /** What the person has chosen; only a track that has come is put in the place of the one before. */
  change(kind, id) {
    choose(kind, id);
    const media = KINDS[kind];
    if (!media) return this.call.stage.tiles.playThrough();
    return this.inTurn(async () => {
      this.track(media)?.stop();
      const track = await this.take(media);
      if (this.wants(media)) this.tell(track ? (track.getSettings().deviceId === id ? 'taken' : 'other') : 'refused', media, track);
      await this.picker.draw();
    });
  }

  /** What was not opened before: whoever began with the voice alone turns the camera on. `wish` comes true with the track. */
  turnOn(media, wish) {
    const wanted = () => this.call.opening === wish;
    return this.inTurn(async () => {
      if (!wanted()) return;
      if (this.track(media)) {
        this.call.set(wish);
        return;
      }
      const track = await this.take(media, { wish, wanted });
      // Whoever has thought better of it knows.
      if (!track && !wanted()) return;
      this.call.opening = null;
      this.call.draw();
      this.tell(track ? 'taken' : 'absent', media, track);
      await this.picker.draw();
    });
  }

  /** A device was pulled out, or the browser took it away: another speaks for it, and the person is told. */
  async lost(track) {
    if (this.track(track.kind) !== track) return;
    const other = await this.take(track.kind);
    if (this.wants(track.kind)) this.tell(other ? 'instead' : 'gone', track.kind, other);
    await this.picker.draw();
  }

  /** Puts a new track in the place of the one before; none, if nobody wants one or wants it no more when it comes. */
  async take(media, { wish = {}, wanted = () => this.wants(media) } = {}) {
    // A voice note is of the microphone that it was begun with.
    if (media === 'audio') this.call.ladder.discard();
    const opened = wanted() ? await openTrack(media) : null;
    const track = !this.call.over && wanted() ? opened : null;
    if (!track) opened?.stop();
    if (this.call.over) return null;
    if (track || !wanted()) this.missing.delete(media);
    else this.missing.add(media);
    for (const old of this.call.stream.getTracks()) {
      if (old.kind !== media) continue;
      this.call.stream.removeTrack(old);
      old.stop();
    }
    if (track) {
      this.call.stream.addTrack(track);
      this.follow(track);
    }
    this.call.set(track ? wish : {});
    return track;
  }

  /** Something was plugged in or out: what is missing is looked for, and what was chosen is taken again. */
  async look() {
    const all = await devices();
    for (const [media, kind] of Object.entries(KIND_OF)) {
      const id = chosen(kind);
      const back = id && this.track(media) && this.idOf(media) !== id && all.some((one) => one.kind === kind && one.deviceId === id);
      if ((!back && !this.missing.has(media)) || !this.wants(media)) continue;
      if (back) this.track(media).stop();
      const track = await this.take(media);
      if (track) this.tell('taken', media, track);
      else if (back) this.tell('gone', media);
    }
    this.call.stage.tiles.playThrough();
    await this.picker.draw();
  }
}
