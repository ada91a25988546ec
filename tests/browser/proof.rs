//! What a page does after a gap: a connection that carried a sound must bring one soon, or another
//! is asked for; and what a server that has started anew counts is counted with it. The server and
//! the far sides are played by the test, so that only the page's own clock matters.

use std::ops::RangeInclusive;

use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::clinic::Clinic;
use crate::page::{Device, Page};
use crate::story::ONE_STORY;
use crate::support::Engine;

/// The page gives a connection 4.5 s; this is when nothing more can come of it.
const PROVED_MS: u64 = 5500;
/// The other rule, which asks whenever no sound comes for ten seconds, is switched off; what a busy
/// machine adds is not.
const ASKED_MS: RangeInclusive<f64> = 4300.0..=9000.0;

/// A server with two in the room: one speaks, of the other nothing is ever heard.
const STAGE: &str = "
    const source = document.querySelector('script[type=module]').src;
    const { Call, openMedia } = await import(source.replace(/[^/]+$/, 'call.js'));
    const { stream } = await openMedia({ video: false });
    const context = new AudioContext();
    await context.resume();
    const tone = context.createOscillator();
    const speech = context.createMediaStreamDestination();
    tone.connect(speech);
    tone.start();
    const flow = { audio: true, video: false };
    const far = {};
    let socket = null;
    let seq = 0;
    const say = (t, body, more = {}) => { seq += 1; socket.onmessage({ data: JSON.stringify({ v: 1, t, seq, ...more, body }) }); };
    const one = (id, role, audio) => ({ id, role, name: id, state: 'admitted', media: { audio, video: false } });
    const roster = [one('me', 'patient', true), one('doctor', 'practitioner', true), one('sister', 'relative', true)];
    const edges = () => Object.entries(far).map(([peer, { gen }]) => ({ id: `e-${peer}`, peer, role: 'answerer', polite: true, gen, send: flow, receive: flow }));
    /** The far side makes an offer in its present generation. */
    const offer = async (peer, options) => {
      const { pc, gen } = far[peer];
      far[peer].neg += 1;
      await pc.setLocalDescription(await pc.createOffer(options));
      say('offer', { sdp: pc.localDescription.sdp }, { edge: `e-${peer}`, neg: far[peer].neg, gen });
    };
    const meets = async (peer, track) => {
      const pc = new RTCPeerConnection();
      far[peer] = { pc, gen: 5000, neg: 0, sender: pc.addTransceiver(track ?? 'audio').sender };
      pc.onicecandidate = ({ candidate }) => { if (candidate?.candidate) say('candidate', candidate.toJSON(), { edge: `e-${peer}`, neg: far[peer].neg, gen: far[peer].gen }); };
      say('negotiate', { peer, role: 'answerer', polite: true, gen: 5000, fresh: true, send: flow, receive: flow }, { edge: `e-${peer}`, neg: 0, gen: 5000 });
      await offer(peer);
    };
    window.asked = [];
    window.answered = [];
    const hear = async ({ t, edge, gen, body }) => {
      const peer = edge?.slice(2);
      if (t === 'hello') {
        say('welcome', { sid: 'sid', secret: 'secret', epoch: 1, participant: { id: 'me', role: 'patient' }, roster, edges: [] });
        await meets('doctor', speech.stream.getAudioTracks()[0]);
        await meets('sister', null);
      } else if (t === 'resume') window.stage.comesBack();
      else if (t === 'answer') {
        window.answered.push([edge, gen]);
        await far[peer].pc.setRemoteDescription({ type: 'answer', sdp: body.sdp });
      } else if (t === 'candidate') await far[peer].pc.addIceCandidate(body);
      else if (/_request$/.test(t)) window.asked.push({ t, edge, gen, why: body.why, at: performance.now() });
    };
    window.WebSocket = class extends EventTarget {
      static CONNECTING = 0;
      static OPEN = 1;
      constructor() {
        super();
        this.readyState = 0;
        socket = this;
        setTimeout(() => { this.readyState = 1; this.onopen({}); });
      }
      send(text) { if (socket === this) hear(JSON.parse(text)); }
      close() { this.readyState = 3; }
    };
    const joined = { ws_url: '/v1/rtc', ticket: 'ticket', ice_servers: [], participant: { id: 'me' } };
    const doorway = { url: '/v1/rtc', take: async () => ({ joined, socket: null, failed: false }), close() {} };
    const call = new Call({ encounter: 'visit', side: 'patient', zone: 'Asia/Novosibirsk', doorway, media: { stream, voiceOnly: true } });
    call.measure = async () => {};
    call.signal.pulse = () => {};
    document.querySelector('#screen').replaceChildren(call.stage.node);
    window.stage = {
      call, far, offer,
      say: (t, body, more) => say(t, body, more),
      comesBack() {
        window.backAt = performance.now();
        socket.onmessage({ data: JSON.stringify({ v: 1, t: 'resumed', body: { epoch: 2 } }) });
        if (window.anew) say('reset', { reason: 'messages_lost' });
        say('snapshot', { rev: 1, participant: { id: 'me', role: 'patient' }, roster, edges: edges() });
      },
      breaks() {
        call.signal.deaths = 0;
        window.backAt = 0;
        const broken = socket;
        broken.readyState = 3;
        broken.onclose({ code: 1006 });
      },
      heard: async (peer) => [...(await call.edges.get(`e-${peer}`).pc.getStats()).values()].find((one) => one.type === 'inbound-rtp' && one.kind === 'audio')?.packetsReceived ?? 0,
    };
    call.start();";

#[actix_web::test]
async fn after_a_gap_a_connection_that_had_a_sound_must_bring_one_and_one_without_must_not() {
    let _alone = ONE_STORY.lock().await;
    let clinic = Clinic::open(Engine::Sqlite).await;
    let browser = Chromium::start().await;
    let page = browser.page("proof", Device::Phone, "en").await;
    page.goto(&clinic.url).await;
    page.see("#phone").await;
    page.run(STAGE).await;
    let up = "[...stage.call.edges.values()].filter((edge) => edge.up).length === 2";
    page.wait_for(up).await;
    page.wait_for("stage.heard('doctor').then((count) => count > 20)").await;
    assert_eq!(page.eval("stage.heard('sister')").await, 0);

    // A gap after which the sound goes on, or there never was one, is nobody's fault.
    page.run("stage.breaks();").await;
    page.wait_for("window.backAt > 0").await;
    wait(&page, PROVED_MS).await;
    assert_eq!(page.eval("window.asked").await, json!([]));
    page.wait_for(up).await;

    // The far side has fallen silent, and all that the browser says is that it is connected. The
    // server has started anew meanwhile, by a clock that is behind.
    page.run(
        "await stage.far.doctor.sender.replaceTrack(null);
         Object.assign(stage.far.doctor, { gen: 41, neg: 0 });
         Object.assign(stage.far.sister, { gen: 42, neg: 0 });
         window.anew = true;
         stage.breaks();",
    )
    .await;
    page.wait_for("window.asked.length > 0").await;
    let asked = page.eval("window.asked").await;
    let after = page.eval("window.asked[0].at - window.backAt").await.as_f64().unwrap();
    assert!(ASKED_MS.contains(&after), "asked after {after} ms");
    let what = ["t", "edge", "gen", "why"].map(|field| asked[0][field].clone());
    let wanted: [Value; 4] =
        ["negotiate_request".into(), "e-doctor".into(), 41.into(), "silent".into()];
    assert_eq!(what, wanted);
    page.wait_for(up).await;
    // The answer has had its time to prove itself as well: nothing is asked for again.
    wait(&page, PROVED_MS).await;
    let asked = page.eval("window.asked").await;
    assert_eq!(asked.as_array().unwrap().len(), 1, "{asked}");

    the_new_numbers_are_counted_on(&page).await;
    page.run("stage.call.finish('left');").await;
    page.assert_content();
}

/// A generation that is lower than those before the restart, and higher than the snapshot's, is
/// answered; the connection stays the same one.
async fn the_new_numbers_are_counted_on(page: &Page) {
    page.run(
        "window.before = stage.call.edges.get('e-sister').pc;
         Object.assign(stage.far.sister, { gen: 43 });
         const flow = { audio: true, video: false };
         stage.say('negotiate', { peer: 'sister', role: 'answerer', polite: true, gen: 43, fresh: false, send: flow, receive: flow }, { edge: 'e-sister', neg: 0, gen: 43 });
         await stage.offer('sister', { iceRestart: true });",
    )
    .await;
    page.wait_for("window.answered.some(([edge, gen]) => edge === 'e-sister' && gen === 43)").await;
    let same = "stage.call.edges.get('e-sister').pc === window.before";
    assert_eq!(page.eval(same).await, true);
    page.wait_for("stage.call.edges.get('e-sister').up").await;
}

async fn wait(page: &Page, millis: u64) {
    page.run(&format!("await new Promise((done) => {{ setTimeout(done, {millis}); }});")).await;
}
