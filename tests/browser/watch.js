// Injected before a page's own code: what a test needs to see of it and cannot see from outside.
(() => {
  // Camera and sound were tried here today; a test of the trial forgets it.
  try { localStorage.setItem('feldsher.tried', Date.now()); } catch { /* an empty page keeps nothing */ }

  const connections = [];
  const Real = window.RTCPeerConnection;
  if (Real) {
    window.RTCPeerConnection = class RTCPeerConnection extends Real {
      constructor(...given) {
        super(...given);
        connections.push(this);
      }
    };
  }

  // A page that still loads something may push an element away from under a finger.
  let loading = 0;
  const fetched = window.fetch;
  window.fetch = async (...given) => {
    // What only waits for news to come moves nothing, and may wait for long.
    if (String(given[0]).endsWith('/v1/rtc/poll')) return fetched(...given);
    loading += 1;
    try {
      return await fetched(...given);
    } finally {
      loading -= 1;
    }
  };
  const frame = () => new Promise((done) => { setTimeout(done, 100); requestAnimationFrame(() => requestAnimationFrame(done)); });

  const box = (selector) => {
    const node = document.querySelector(selector);
    if (!node || node.closest('[hidden]')) return null;
    const { width, height } = node.getBoundingClientRect();
    return width > 0 && height > 0 ? node : null;
  };

  // A press reaches the element it was meant for, or nothing: the page may have moved meanwhile.
  let meant = null;
  const guard = (event) => {
    if (!meant) return;
    const { node } = meant;
    const reached = node.contains(event.target) || event.target.contains?.(node) || event.target.closest?.('label')?.control === node;
    if (!reached) {
      event.preventDefault();
      event.stopImmediatePropagation();
    } else if (event.type === 'click') meant.done = true;
  };
  for (const kind of ['pointerdown', 'mousedown', 'pointerup', 'mouseup', 'click']) window.addEventListener(kind, guard, true);

  /* What a person with poor eyes or a screen reader would stumble over */

  /** What only a screen reader hears is cut to nothing. */
  const unseen = (node) => Boolean(node) && (getComputedStyle(node).clipPath === 'inset(50%)' || unseen(node.parentElement));
  const shown = (node) => node.checkVisibility({ checkVisibilityCSS: true, checkOpacity: true }) && !unseen(node);
  const parts = (color) => {
    const [r, g, b, a = 1] = color.match(/[\d.]+/g)?.map(Number) ?? [0, 0, 0, 0];
    return [r, g, b, a];
  };
  const over = ([r, g, b, a], [x, y, z]) => [r * a + x * (1 - a), g * a + y * (1 - a), b * a + z * (1 - a)];
  const light = (color) => {
    const [r, g, b] = color.map((one) => (one / 255 <= 0.03928 ? one / 255 / 12.92 : ((one / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const far = (one, other) => {
    const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };

  /** How far the words of an element stand out, or null where a picture or a pattern lies behind them. */
  const contrast = (node) => {
    const layers = [];
    let dim = 1;
    for (let at = node; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      dim *= Number(style.opacity);
      if (style.backgroundImage !== 'none' || at.matches('video, .stage')) return null;
      const colour = parts(style.backgroundColor);
      if (colour[3] > 0) layers.push(colour);
      if (colour[3] === 1) break;
    }
    const behind = layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255]);
    const [r, g, b, a] = parts(getComputedStyle(node).color);
    return far(over([r, g, b, a * dim], behind), behind);
  };

  const nameOf = (node) => {
    const said = (ids) => ids.split(/\s+/).map((id) => document.getElementById(id)?.textContent ?? '').join(' ');
    const typed = node.matches('input, select, textarea');
    return [node.getAttribute('aria-label'), said(node.getAttribute('aria-labelledby') ?? ''), ...[...(node.labels ?? [])].map((one) => one.textContent),
      typed ? '' : node.textContent, ...[...node.querySelectorAll('img[alt]')].map((one) => one.alt)].join(' ').trim();
  };

  window.watched = {
    connections,

    /** Controls without a name, words that hardly stand out, words that are broken or cut off. */
    hard() {
      const found = new Set();
      const range = document.createRange();
      for (const node of document.querySelectorAll('button, a[href], input, select, textarea, summary')) {
        if (shown(node) && !nameOf(node)) found.add(`no name: ${node.outerHTML.slice(0, 120)}`);
      }
      const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      for (let text = walk.nextNode(); text; text = walk.nextNode()) {
        const node = text.parentElement;
        if (!text.data.trim() || node.matches('script, style, option, noscript') || !shown(node) || node.closest(':disabled')) continue;
        const style = getComputedStyle(node);
        const size = parseFloat(style.fontSize);
        const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
        const ratio = contrast(node);
        for (const { 0: word, index } of text.data.matchAll(/[\p{L}\p{N}]{4,}/gu)) {
          range.setStart(text, index);
          range.setEnd(text, index + word.length);
          const lines = [...range.getClientRects()].map(({ top }) => top);
          if (Math.max(...lines) - Math.min(...lines) > size / 2) found.add(`broken in the middle: ${word}`);
        }
        if (ratio !== null && ratio < (large ? 3 : 4.5)) found.add(`hardly stands out (${ratio.toFixed(2)}): ${text.data.trim().slice(0, 60)}`);
      }
      for (const node of document.querySelectorAll('#screen *, .top *, dialog *')) {
        const style = getComputedStyle(node);
        const cut = ['hidden', 'clip'].includes(style.overflowX) && style.textOverflow !== 'ellipsis' && node.scrollWidth > node.clientWidth + 1;
        if (cut && node.clientWidth && shown(node) && !node.closest('.stage, .preview, .lane, svg')) found.add(`cut off: ${node.textContent.trim().slice(0, 60)}`);
      }
      return [...found];
    },

    /** Whether the press that was announced last has reached its element; another document knows of none. */
    pressed() {
      const done = meant?.done ?? true;
      meant = null;
      return done;
    },

    /** Whether an element is there and takes up room. */
    seen: (selector) => box(selector) !== null,

    /** The words that lie under one's own picture in a call. */
    covered() {
      const picture = box('.stage .self');
      if (!picture) return [];
      const over = picture.getBoundingClientRect();
      const walk = document.createTreeWalker(document.querySelector('#screen'), NodeFilter.SHOW_TEXT);
      const range = document.createRange();
      const covered = [];
      for (let text = walk.nextNode(); text; text = walk.nextNode()) {
        if (text.parentElement.closest('.unseen')) continue;
        range.selectNodeContents(text);
        const under = [...range.getClientRects()].some(({ left, right, top, bottom }) => Math.min(right, over.right) - Math.max(left, over.left) > 2 && Math.min(bottom, over.bottom) - Math.max(top, over.top) > 2);
        if (under) covered.push(text.data);
      }
      return covered;
    },

    /** Where to press an element, or null as long as a finger could not, or it may still move. */
    async place(selector) {
      const node = box(selector);
      // The controls of a call that is small in its corner: one goes back to the call first.
      if (!node) document.querySelector(selector)?.closest('.stage.afar')?.parentElement.scrollIntoView({ block: 'center' });
      if (loading || !node || node.disabled) return null;
      node.scrollIntoView({ block: 'center', inline: 'center', behavior: 'instant' });
      const before = node.getBoundingClientRect();
      await frame();
      const { left, top, width, height } = node.getBoundingClientRect();
      if (loading || !node.isConnected || left !== before.left || top !== before.top) return null;
      const at = { x: left + width / 2, y: top + height / 2 };
      const under = document.elementFromPoint(at.x, at.y);
      const reached = under && (node.contains(under) || under.contains(node) || under.closest('label')?.control === node);
      if (!reached) return null;
      meant = { node, done: false };
      return at;
    },

    /** How the connection that lives goes, at both of its ends, and whether it knows another way. */
    async way() {
      const pc = connections.findLast((one) => one.connectionState === 'connected');
      if (!pc) return null;
      const stats = await pc.getStats();
      const transport = [...stats.values()].find((one) => one.type === 'transport' && one.selectedCandidatePairId);
      const pair = stats.get(transport?.selectedCandidatePairId);
      const near = stats.get(pair?.localCandidateId);
      const far = stats.get(pair?.remoteCandidateId);
      const known = [pc.localDescription, pc.remoteDescription].map(({ sdp }) => sdp).join('');
      return { near: near?.candidateType, far: far?.candidateType, over: near?.relayProtocol, direct: / typ (host|srflx|prflx)/.test(known) };
    },

    /** What has come in and gone out over each connection that lives, the quietest first. */
    async edges() {
      const alive = connections.filter((one) => one.connectionState === 'connected');
      const sums = await Promise.all(alive.map(async (pc) => {
        const sum = { audio: 0, video: 0, audioSent: 0, videoSent: 0 };
        for (const report of (await pc.getStats()).values()) {
          if (report.type === 'inbound-rtp') sum[report.kind] += report.packetsReceived;
          if (report.type === 'outbound-rtp') sum[`${report.kind}Sent`] += report.packetsSent;
        }
        return sum;
      }));
      return sums.sort((a, b) => a.video - b.video);
    },

    /** What has come in so far over the connection that lives, from the browser's own counters. */
    async media() {
      const pc = connections.findLast((one) => one.connectionState === 'connected');
      const sums = { made: connections.length, audio: 0, video: 0, frames: 0, lost: 0, sent: 0 };
      if (!pc) return sums;
      for (const report of (await pc.getStats()).values()) {
        if (report.type === 'inbound-rtp') sums.lost += report.packetsLost;
        if (report.type === 'inbound-rtp' && report.kind === 'audio') sums.audio += report.packetsReceived;
        if (report.type === 'inbound-rtp' && report.kind === 'video') {
          sums.video += report.packetsReceived;
          sums.frames += report.framesDecoded;
        }
        if (report.type === 'outbound-rtp') sums.sent += report.packetsSent;
      }
      return sums;
    },
  };
})();
