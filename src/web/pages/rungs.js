// What a rung of the ladder means for one connection: what is sent, and how much of it.

/** Where every connection begins, until the server says otherwise. */
export const BEGIN = { step: 0, rung: 'video', why: 'begun', send: { audio_bps: 32_000, video: { max_bps: 600_000, width: 640, fps: 20 }, still_secs: null } };

const ORDER = ['phone', 'text', 'audio', 'audio_stills', 'small_video', 'video'];
export const isBelow = (rung, other) => ORDER.indexOf(rung) < ORDER.indexOf(other);

/** Of the tracks that a person would send, those that the rung lets pass. */
export function passing({ audio, video }, { send }) {
  return { audio: send.audio_bps ? audio : null, video: send.video ? video : null };
}

/** What every browser has; whatever else a browser could do only makes the offer longer, and a thin line feels that. */
const NAMED = /^(audio\/opus|video\/(vp8|rtx|red|ulpfec))$/i;
const usual = ({ mimeType, sdpFmtpLine = '' }) => NAMED.test(mimeType)
  || (/^video\/h264$/i.test(mimeType) && sdpFmtpLine.includes('packetization-mode=1') && sdpFmtpLine.includes('profile-level-id=42e01f'));
/** Of the extensions of RTP those that our calls use. */
const EXTENSIONS = /sdes:mid$|transport-wide-cc|abs-send-time|ssrc-audio-level|video-orientation|playout-delay/;

/** Says of a transceiver what an offer may hold; a browser that cannot do without keeps it. */
export function slim(transceiver) {
  const codecs = window.RTCRtpReceiver?.getCapabilities?.(transceiver.receiver.track.kind)?.codecs.filter(usual) ?? [];
  try {
    if (codecs.length) transceiver.setCodecPreferences?.(codecs);
    const extensions = transceiver.getHeaderExtensionsToNegotiate?.();
    if (extensions) transceiver.setHeaderExtensionsToNegotiate(extensions.map((one) => (EXTENSIONS.test(one.uri) ? one : { ...one, direction: 'stopped' })));
  } catch { /* the offer is longer, and as good */ }
}

/** Larger packets and silence that costs nothing: what the far side reads here is how it sends to us. */
export function thrifty(sdp) {
  const opus = /a=rtpmap:(\d+) opus\/48000/i.exec(sdp)?.[1];
  if (!opus) return sdp;
  return sdp
    .replace(new RegExp(`a=fmtp:${opus} ([^\\r\\n]*)`), (line, given) => {
      const kept = given.split(';').filter((one) => !/^(usedtx|useinbandfec)=/.test(one.trim()));
      return `a=fmtp:${opus} ${[...kept, 'useinbandfec=1', 'usedtx=1'].join(';')}\r\na=ptime:${PTIME_MS}`;
    });
}
const PTIME_MS = 40;

/** The voice goes first: video is capped and gives way in size before it gives way in motion. */
export async function tune(pc, { send }) {
  await Promise.all(pc.getTransceivers().map(async ({ sender, receiver }) => {
    const video = receiver.track.kind === 'video';
    const parameters = sender.getParameters();
    if (!parameters.encodings?.length) return;
    if (video) parameters.degradationPreference = 'maintain-framerate';
    const wide = sender.track?.getSettings?.().width;
    for (const encoding of parameters.encodings) {
      encoding.priority = video ? 'low' : 'high';
      encoding.networkPriority = video ? 'low' : 'high';
      if (!video && send.audio_bps) encoding.maxBitrate = send.audio_bps;
      if (video && send.video) {
        encoding.maxBitrate = send.video.max_bps;
        encoding.maxFramerate = send.video.fps;
        encoding.scaleResolutionDownBy = Math.max(1, (wide ?? send.video.width) / send.video.width);
      }
    }
    await sender.setParameters(parameters).catch(() => {});
  }));
}
