// Injected before a page's own code, after watch.js: when things happened, by the clock of the
// machine that both browsers share.
(() => {
  const LOOK_MS = 250;
  // While a call begins it is looked at more often.
  const BEGIN_MS = 50;
  const calls = [];
  const heard = [];
  const samples = [];
  const states = [];
  let pressed = 0;
  addEventListener('click', ({ isTrusted }) => { if (isTrusted) pressed = Date.now(); }, true);

  /** The first picture that was decoded; what is asked for in between may be a step older. */
  async function seen(track, tell) {
    const own = track.clone();
    const pictures = new MediaStreamTrackProcessor({ track: own }).readable.getReader();
    const { value } = await pictures.read();
    if (value) tell();
    value?.close();
    own.stop();
  }

  const Connection = window.RTCPeerConnection;
  window.RTCPeerConnection = class RTCPeerConnection extends Connection {
    constructor(...given) {
      super(...given);
      const call = { made: Date.now(), agreed: 0, reached: 0, connected: 0, sound: 0, picture: 0 };
      calls.push({ pc: this, call });
      this.addEventListener('track', ({ track }) => { if (track.kind === 'video') seen(track, () => { call.picture ||= Date.now(); }); });
      this.addEventListener('iceconnectionstatechange', () => {
        if (this.iceConnectionState === 'connected') call.reached ||= Date.now();
      });
      this.addEventListener('signalingstatechange', () => {
        if (this.signalingState === 'stable' && this.remoteDescription) call.agreed ||= Date.now();
      });
      this.addEventListener('connectionstatechange', () => {
        if (this.connectionState === 'connected') call.connected ||= Date.now();
      });
    }
  };

  const Socket = window.WebSocket;
  window.WebSocket = class WebSocket extends Socket {
    constructor(...given) {
      super(...given);
      heard.push({ at: Date.now(), t: '(opening)' });
      this.addEventListener('open', () => heard.push({ at: Date.now(), t: '(open)' }));
      this.addEventListener('close', ({ code }) => heard.push({ at: Date.now(), t: `(closed ${code})` }));
      this.addEventListener('message', ({ data }) => {
        const { t, seq, neg, gen, body } = JSON.parse(data);
        heard.push({ at: Date.now(), t, seq, more: [gen, neg, body?.fresh, body?.rung, body?.why].filter((one) => one !== undefined).join('/') });
      });
    }
    send(text) {
      const { t, neg, gen, body = {} } = JSON.parse(text);
      const bytes = t === 'offer' || t === 'answer' ? [`${text.length} bytes`] : [];
      heard.push({ at: Date.now(), t: `to ${t}`, more: [gen, neg, ...(t === 'quality' ? [body.loss_in, body.loss_out, body.rtt, body.room] : []), ...bytes].filter((one) => one !== undefined).join('/') });
      super.send(text);
    }
  };
  for (const event of ['online', 'offline']) addEventListener(event, () => heard.push({ at: Date.now(), t: `(${event})` }));

  /** The counters of the newest connection. */
  async function sample() {
    const { pc, call } = calls.at(-1) ?? {};
    const state = document.querySelector('#call-state')?.dataset.state ?? '';
    if (states.at(-1)?.state !== state) states.push({ at: Date.now(), state });
    if (!pc) return;
    const now = { at: Date.now(), made: call.made, audio: 0, video: 0, frames: 0, lost: 0, concealed: 0, played: 0 };
    // A connection that is closed meanwhile may never answer.
    const late = new Promise((_, give) => { setTimeout(give, 2000); });
    for (const one of (await Promise.race([pc.getStats(), late])).values()) {
      if (one.type !== 'inbound-rtp') continue;
      now[one.kind] += one.packetsReceived;
      if (one.kind === 'audio') {
        now.lost += one.packetsLost;
        // What is made up in silence is no loss that anybody hears.
        now.concealed += one.concealedSamples ?? 0;
        now.played += one.totalSamplesReceived ?? 0;
      } else now.frames += one.framesDecoded;
    }
    if (now.audio) call.sound ||= now.at;
    if (now.frames) call.picture ||= now.at;
    samples.push(now);
  }
  (function look() { sample().catch(() => {}).finally(() => setTimeout(look, calls.at(-1)?.call.picture ? LOOK_MS : BEGIN_MS)); })();

  window.links = {
    states, heard, samples,
    /** When the last press came. */
    pressed: () => pressed,
    /** The newest connection, or null until it is as far as `step`. */
    call: (step = 'made', since = 0) => { const call = calls.at(-1)?.call; return call?.made >= since && call[step] ? call : null; },
    made: () => calls.length,
    /** When a kind of media first came in after an instant; what stood in a queue does not count. */
    back(since, kind) {
      const after = samples.filter((one) => one.at >= since);
      for (let at = 1; at < after.length; at += 1) {
        const [then, now] = [after[at - 1], after[at]];
        if (now[kind] > (now.made === then.made ? then[kind] : 0)) return now.at;
      }
      return null;
    },
    /** Between two instants, and each five seconds of it. */
    flow(from, to) {
      const within = samples.filter(({ at }) => at >= from && at <= to);
      const grown = (some, field) => some.slice(1).reduce((sum, now, at) => sum + now[field] - (now.made === some[at].made ? some[at][field] : 0), 0);
      const windows = [];
      for (let begin = from; begin + 5000 <= to; begin += 5000) windows.push(grown(within.filter(({ at }) => at >= begin && at <= begin + 5000), 'audio'));
      return {
        windows, audio: grown(within, 'audio'), frames: grown(within, 'frames'),
        lost: grown(within, 'lost'), concealed: grown(within, 'concealed'), played: grown(within, 'played'),
      };
    },
    /** The numbers of messages that never came, of the newest seat. */
    gaps() {
      const seats = heard.findLastIndex(({ t }) => t === 'welcome');
      const came = new Set(heard.slice(Math.max(seats, 0)).map(({ seq }) => seq).filter(Boolean));
      const least = Math.min(...came);
      return Array.from({ length: Math.max(...came) - least + 1 }, (_, at) => least + at).filter((seq) => !came.has(seq));
    },
    /** When a message of a kind first came after an instant. */
    came: (t, since) => heard.find((one) => one.t === t && one.at >= since)?.at ?? null,
    /** What was said of the ladder after an instant: when, and the rung with its reason. */
    rungs: (since) => heard.filter(({ at, t }) => t === 'rung' && at >= since).map(({ at, more }) => ({ at, more })),
    /** What happened around an instant, in seconds from it: for whoever wants to know why. */
    story(since, before, after) {
      const made = calls.flatMap(({ call }) => Object.entries(call).filter(([, at]) => at).map(([t, at]) => ({ at, t: `[${t}]` })));
      const asked = performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/join'))
        .flatMap(({ startTime, duration }) => [[startTime, '(asks for a ticket)'], [startTime + duration, '(has a ticket)']])
        .map(([when, t]) => ({ at: Math.round(performance.timeOrigin + when), t }));
      const shown = states.map(({ at, state }) => ({ at, t: `<${state}>` }));
      const dull = ['candidate', 'end_of_candidates', 'pong', 'to candidate', 'to end_of_candidates', 'to ping', 'to ack', 'to media_state', 'media_state'];
      return [...heard, ...made, ...asked, ...shown].filter(({ at, t }) => at >= since - before && at < since + after && !dull.includes(t))
        .sort((one, other) => one.at - other.at).map(({ at, t, more = '' }) => `${((at - since) / 1000).toFixed(2)} ${t} ${more}`.trim()).join(', ');
    },
    /** The state that the page shows at an instant. */
    shown: (when) => states.findLast(({ at }) => at <= when)?.state ?? '',
  };
})();
