// What is true of a call at this moment: who is there, and the one line that says it.
import { t } from './i18n.js';

/** The states of whoever is let in. */
export const INSIDE = ['admitted', 'connecting', 'connected', 'reconnecting'];

/** Whoever is in the room, as a tile shows them. Who sits at another's device stands on that tile. */
export function others(call) {
  const all = [...call.roster.values()].filter((one) => one.id !== call.me && INSIDE.includes(one.state));
  const hosted = (one) => one.sits_with && all.some((other) => other.id === one.sits_with);
  const aside = call.roster.get(call.me)?.aside ?? false;
  return all.filter((one) => !hosted(one) && one.sits_with !== call.me).map((one) => {
    const edge = [...call.edges.values()].find((known) => known.peer === one.id && known.pc);
    const apart = (one.aside ?? false) !== aside;
    // Their socket may be silent while sound and picture flow; a connection that broke leaves a frozen face.
    const lost = Boolean(edge?.metBy) && !edge.up;
    return {
      ...one, lost, stream: edge?.state === 'down' ? null : edge?.stream, seen: edge?.flow.receive.video ?? true,
      still: edge?.ladder.send.video === null, stills: edge?.ladder.rung === 'audio_stills',
      note: apart ? t(aside ? 'call.apart' : 'call.aside') : lost || one.state === 'reconnecting' ? t('call.silent') : '',
      beside: all.filter((other) => other.sits_with === one.id).map((other) => other.name),
    };
  });
}

/** Where the call is, as one line says it: the name of its words, and what they are about. */
export function verdict(call) {
  if (call.over) return [call.over];
  const edges = [...call.edges.values()];
  const up = edges.some((edge) => edge.up);
  if (!call.signal.linked) return [call.linked === undefined ? 'connecting' : up ? 'reconnecting.media' : 'reconnecting'];
  const me = call.roster.get(call.me);
  const others = [...call.roster.values()].filter((one) => one.id !== call.me);
  if (me && !INSIDE.includes(me.state)) {
    const doctor = others.find((one) => one.role === 'practitioner' && ['waiting', ...INSIDE].includes(one.state));
    // Who was let in before has been sent back to wait.
    return [call.wasIn ? 'waiting.held' : doctor ? 'waiting' : 'waiting.alone', { since: call.since(me) }];
  }
  call.wasIn ||= Boolean(me);
  const aside = me?.aside ?? false;
  const [inside, apart] = [false, true].map((parted) => others.filter((one) => INSIDE.includes(one.state) && ((one.aside ?? false) !== aside) === parted));
  const names = (some) => some.map((one) => one.name).join(', ');
  const isReached = (one) => edges.some((edge) => edge.up && edge.peer === one.id);
  const name = names(inside.filter(isReached)) || inside[0]?.name || t('call.other');
  const silent = inside.filter((one) => !isReached(one) && one.state === 'reconnecting');
  const missed = inside.filter((one) => silent.includes(one) || (!isReached(one) && edges.some((edge) => edge.metBy && edge.peer === one.id)));
  if (up) return missed.length ? ['in_call.missed', { name, missed: names(missed) }] : ['in_call', { name }];
  if (silent.length) return ['peer_lost', { name: names(silent) }];
  if (edges.some((edge) => edge.state === 'recovering' && edge.metBy)) return ['recovering'];
  if (edges.length && inside.length) {
    if (call.seeks) return [call.side === 'guest' ? 'admitted.seeks.guest' : 'admitted.seeks'];
    return call.side === 'doctor' ? ['admitted.doctor', { name }] : ['admitted'];
  }
  const doctor = call.side === 'doctor';
  if (aside) return [doctor ? 'side.doctor' : 'side'];
  const gone = apart.find((one) => doctor || one.role === 'practitioner');
  if (gone) return [doctor ? 'parted.doctor' : 'parted', { name: gone.name }];
  return [doctor ? 'alone.doctor' : 'alone'];
}
