// Camera and microphone: ask kindly, fall back to the voice, measure how loud it is.
import { chosen, devices } from './devices.js';

const PLAIN = {
  video: { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 20, max: 24 }, facingMode: 'user' },
  audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
};

// The chosen device is not there, or another program has it.
const BUSY = new Set(['OverconstrainedError', 'NotReadableError', 'AbortError']);

/** What is asked for, of the device that was chosen unless it is known to be gone. */
function wanted(media, all) {
  const kind = `${media}input`;
  const id = chosen(kind);
  const plain = PLAIN[media];
  const known = all.filter((one) => one.kind === kind && one.deviceId);
  if (!id || (known.length && !known.some((one) => one.deviceId === id))) return plain;
  // Whoever has chosen a camera does not ask for the one that looks at them.
  const { facingMode, ...rest } = plain;
  return { ...rest, deviceId: { exact: id } };
}

/** A stream with these media; null when the browser gives none. Another device is better than none. */
async function ask(...media) {
  const of = (what) => Object.fromEntries(media.map((one) => [one, what(one)]));
  const open = (what) => navigator.mediaDevices.getUserMedia(what);
  const all = await devices();
  return open(of((one) => wanted(one, all)))
    .catch((error) => (BUSY.has(error.name) ? open(of((one) => PLAIN[one])) : null))
    .catch(() => null);
}

/** One track, of the chosen device if it is there; null when none is to be had. */
export async function openTrack(media) {
  const stream = navigator.mediaDevices?.getUserMedia ? await ask(media) : null;
  return stream?.getTracks()[0] ?? null;
}

/** Answers {stream, problem}; the stream holds whatever was allowed, the problem says what was not. */
export async function openMedia({ video = true } = {}) {
  if (!navigator.mediaDevices?.getUserMedia || !window.RTCPeerConnection) return { stream: new MediaStreamOrNothing(), problem: 'nothing' };
  const both = await (video ? ask('audio', 'video') : ask('audio'));
  if (both) return { stream: both, problem: null };
  const voice = video ? await ask('audio') : null;
  if (voice) return { stream: voice, problem: 'nocamera' };
  const picture = video ? await ask('video') : null;
  return { stream: picture ?? new MediaStream(), problem: 'nomic' };
}

// A browser without WebRTC may lack MediaStream too; the caller only ever asks for its tracks.
const MediaStreamOrNothing = window.MediaStream ?? class { getTracks() { return []; } getAudioTracks() { return []; } getVideoTracks() { return []; } };

/** Draws the microphone's loudness (0..1) until the answered function is called. */
export function loudness(stream, draw) {
  const Context = window.AudioContext;
  if (!Context || !stream.getAudioTracks().length) return () => {};
  const context = new Context();
  const analyser = context.createAnalyser();
  analyser.fftSize = 512;
  context.createMediaStreamSource(stream).connect(analyser);
  const wave = new Uint8Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getByteTimeDomainData(wave);
    let peak = 0;
    for (const value of wave) peak = Math.max(peak, Math.abs(value - 128));
    draw(Math.min(1, peak / 64));
  }, 120);
  return () => {
    clearInterval(timer);
    context.close();
  };
}

export function stopMedia(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}
