// Numbers of a running connection: for the doctor's record, for the voice-first hint, for tests.

// What the far side says of what it gets stays as it was when nothing is sent any more: it is news for so long.
const TOLD_MS = 10_000;

/** Totals since the connection began. */
export async function totals(pc) {
  const sum = {
    connectionState: pc?.connectionState ?? 'none', packetsSent: 0, packetsReceived: 0, packetsLost: 0, audioPacketsReceived: 0, audioPacketsSent: 0,
    videoPacketsReceived: 0, framesDecoded: 0, framesEncoded: 0, bytesSent: 0, bytesReceived: 0, jitter: 0, rtt: 0, remoteLoss: 0, transport: '', room: 0, lineSent: 0, lineReceived: 0,
  };
  if (!pc) return sum;
  const report = await pc.getStats();
  const newest = Math.max(...[...report.values()].map(({ timestamp }) => timestamp));
  for (const stat of report.values()) {
    if (stat.type === 'inbound-rtp') {
      sum.packetsReceived += stat.packetsReceived ?? 0;
      sum.packetsLost += stat.packetsLost ?? 0;
      sum.bytesReceived += stat.bytesReceived ?? 0;
      sum.framesDecoded += stat.framesDecoded ?? 0;
      sum[stat.kind === 'audio' ? 'audioPacketsReceived' : 'videoPacketsReceived'] += stat.packetsReceived ?? 0;
      if (stat.kind === 'audio') sum.jitter = (stat.jitter ?? 0) * 1000;
    } else if (stat.type === 'outbound-rtp') {
      sum.packetsSent += stat.packetsSent ?? 0;
      sum.bytesSent += stat.bytesSent ?? 0;
      sum.framesEncoded += stat.framesEncoded ?? 0;
      if (stat.kind === 'audio') sum.audioPacketsSent += stat.packetsSent ?? 0;
    } else if (stat.type === 'remote-inbound-rtp' && newest - stat.timestamp < TOLD_MS) {
      sum.remoteLoss = Math.max(sum.remoteLoss, stat.fractionLost ?? 0);
      if (stat.roundTripTime) sum.rtt = stat.roundTripTime * 1000;
    } else if (stat.type === 'transport') {
      sum.lineSent += stat.bytesSent ?? 0;
      sum.lineReceived += stat.bytesReceived ?? 0;
    } else if (stat.type === 'candidate-pair' && stat.nominated && stat.state === 'succeeded') {
      if (stat.currentRoundTripTime) sum.rtt = stat.currentRoundTripTime * 1000;
      sum.room = stat.availableOutgoingBitrate ?? 0;
      const local = report.get(stat.localCandidateId);
      sum.transport = local ? `${local.candidateType}/${local.relayProtocol ?? local.protocol}` : '';
    }
  }
  return sum;
}

const grown = (before, after) => Math.max(0, after - before);

/** Bytes of every connection of a call, also of those that are gone, and of those before a reload. */
export class Bytes {
  constructor(before = 0) { this.gone = before; this.known = new Map(); }

  take(pc, { lineSent, lineReceived }) {
    this.known.set(pc, lineSent + lineReceived);
    for (const [one, bytes] of this.known) {
      if (one.connectionState !== 'closed') continue;
      this.gone += bytes;
      this.known.delete(one);
    }
  }

  get sum() { return [...this.known.values()].reduce((sum, bytes) => sum + bytes, this.gone); }
}

/** Which browser on what, as a class: nobody is known again by it. */
export function client() {
  const said = navigator.userAgent;
  const family = /Firefox\//.test(said) ? 'firefox' : /Chrom(e|ium)\/|CriOS\//.test(said) ? 'chromium' : /Safari\//.test(said) ? 'safari' : 'other';
  const form = /iPad|Tablet/.test(said) || (/Android/.test(said) && !/Mobile/.test(said)) ? 'tablet' : /Mobi/.test(said) || matchMedia('(pointer: coarse) and (max-width: 40rem)').matches ? 'phone' : 'desktop';
  return `web/${family}/${form}`;
}

/** How a stretch between two totals felt: loss, rate, and the usual opinion score of the voice (1 to 4.5). */
export function between(before, after, seconds, expected = false) {
  const received = after.packetsReceived - before.packetsReceived;
  const lost = Math.max(0, after.packetsLost - before.packetsLost);
  // Where something should come and nothing does, the browser has counted nothing as lost either.
  const loss = received + lost > 0 ? lost / (received + lost) : expected ? 1 : 0;
  const delay = after.rtt + 2 * after.jitter + 10;
  const r = Math.max(0, Math.min(100, 93.2 - (delay < 160 ? delay / 40 : (delay - 120) / 10) - 250 * loss));
  const round = (value, digits = 0) => Number(value.toFixed(digits));
  return {
    rtt: round(after.rtt), jitter: round(after.jitter), loss_in: round(loss, 3), loss_out: round(after.remoteLoss, 3),
    bitrate: round(((after.bytesReceived - before.bytesReceived) * 8) / seconds), mos: round(1 + 0.035 * r + 7e-6 * r * (r - 60) * (100 - r), 2),
    transport: after.transport, sent: grown(before.lineSent, after.lineSent), received: grown(before.lineReceived, after.lineReceived),
    ...(after.room ? { room: round(after.room) } : {}),
  };
}
