// Camera and microphone: ask kindly, fall back to the voice, measure how loud it is.
const VIDEO = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 20, max: 24 }, facingMode: 'user' };
const AUDIO = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

/** Answers {stream, problem}; the stream holds whatever was allowed, the problem says what was not. */
export async function openMedia({ video = true } = {}) {
  const devices = navigator.mediaDevices;
  if (!devices?.getUserMedia || !window.RTCPeerConnection) return { stream: new MediaStreamOrNothing(), problem: 'nothing' };
  const ask = (wanted) => devices.getUserMedia(wanted).catch(() => null);
  const both = await ask({ audio: AUDIO, video: video ? VIDEO : false });
  if (both) return { stream: both, problem: null };
  const voice = await ask({ audio: AUDIO });
  if (voice) return { stream: voice, problem: video ? 'nocamera' : null };
  const picture = video ? await ask({ video: VIDEO }) : null;
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
