//! What a page says while its socket is away: it arrives once, in order, when the seat is back. The
//! server is played by the test, so that nothing depends on time.

use serde_json::json;

use crate::chromium::Chromium;
use crate::clinic::Clinic;
use crate::page::{Device, Page};
use crate::support::Engine;

/// Sockets that the test opens, speaks on and cuts; what the page says on each is kept.
const STAGE: &str = "
    const source = document.querySelector('script[type=module]').src;
    window.sockets = [];
    window.WebSocket = class extends EventTarget {
      static OPEN = 1;
      constructor() { super(); Object.assign(this, { readyState: 0, said: [] }); window.sockets.push(this); }
      send(text) { const { t, body, edge } = JSON.parse(text); if (t !== 'ping' && t !== 'ack') this.said.push([t, edge ?? null, body]); }
      close() { this.readyState = 3; }
      comes() { this.readyState = 1; this.onopen({}); }
      says(t, body, seq) { this.onmessage({ data: JSON.stringify({ v: 1, t, seq, body }) }); }
      breaks() { this.readyState = 3; this.onclose({ code: 1006 }); }
    };
    const { Signal } = await import(source.replace(/[^/]+$/, 'signal.js'));
    const join = async () => ({ ws_url: '/v1/rtc', ticket: 'ticket' });
    const signal = new Signal({ join, seat: null, keep: () => {} });
    signal.addEventListener('link', ({ detail }) => { if (detail) signal.send('side', { said: 'when linked' }); });
    window.signal = signal;
    // How long a busy machine takes between two steps must not count.
    signal.pulse = () => {};
    signal.connect();";

/// So many sockets were opened.
fn sockets(count: usize) -> String {
    format!("window.sockets.length === {count} && window.sockets.at(-1).onmessage !== undefined")
}

#[actix_web::test]
async fn what_is_said_while_the_socket_is_away_arrives_once_and_in_order() {
    let clinic = Clinic::open(Engine::Sqlite).await;
    let browser = Chromium::start().await;
    let page = browser.page("signal", Device::Phone, "en").await;
    page.goto(&clinic.url).await;
    page.see("#phone").await;
    page.run(STAGE).await;
    page.wait_for(&sockets(1)).await;
    page.run("signal.send('admit', { number: 0 }); window.sockets[0].comes();").await;
    page.wait_for("window.sockets[0].said.length === 1").await;
    page.run(
        "const [first] = window.sockets;
         first.says('welcome', { sid: 'sid', secret: 'secret', epoch: 1 }, 1);
         signal.send('admit', { number: 1 });
         first.breaks();
         signal.send('presence', { state: 'away' });
         signal.send('admit', { number: 2 });
         signal.send('fallback', { rung: 'audio' }, { edge: 'one' });
         signal.send('fallback', { rung: 'video' }, { edge: 'two' });
         signal.send('admit', { number: 3 });
         // Of what somebody's state is, only the newest word counts, connection by connection.
         signal.send('presence', { state: 'ready' });
         signal.send('fallback', { rung: 'phone' }, { edge: 'one' });",
    )
    .await;
    let said = |at: usize| format!("window.sockets[{at}].said");
    assert_eq!(
        page.eval(&format!("{}.slice(1)", said(0))).await,
        json!([
            ["admit", null, {"number": 0}],
            ["side", null, {"said": "when linked"}],
            ["admit", null, {"number": 1}],
        ])
    );

    page.wait_for(&sockets(2)).await;
    // A socket that breaks before the seat is back has taken nothing with it. After two that died
    // so young plain HTTP would be tried.
    page.run(
        "const socket = window.sockets[1]; socket.comes(); socket.breaks(); signal.deaths = 0;",
    )
    .await;
    let resume =
        json!([["resume", null, {"sid": "sid", "secret": "secret", "epoch": 1, "last_seq": 1}]]);
    assert_eq!(page.eval(&said(1)).await, resume);
    page.wait_for(&sockets(3)).await;
    page.run(
        "const socket = window.sockets[2];
         socket.comes();
         socket.says('resumed', { epoch: 2 }, 2);
         signal.send('admit', { number: 4 });",
    )
    .await;
    let mut expected = resume.as_array().unwrap().clone();
    expected.extend([
        json!(["admit", null, {"number": 2}]),
        json!(["fallback", "two", {"rung": "video"}]),
        json!(["admit", null, {"number": 3}]),
        json!(["presence", null, {"state": "ready"}]),
        json!(["fallback", "one", {"rung": "phone"}]),
        json!(["side", null, {"said": "when linked"}]),
        json!(["admit", null, {"number": 4}]),
    ]);
    assert_eq!(page.eval(&said(2)).await, json!(expected));

    // Nothing of it is said again.
    page.run("signal.deaths = 0; window.sockets[2].breaks();").await;
    page.wait_for(&sockets(4)).await;
    page.run(
        "const socket = window.sockets[3];
         socket.comes();
         socket.says('resumed', { epoch: 3 }, 3);
         signal.close();",
    )
    .await;
    let last = page.eval(&format!("{}.map(([t]) => t)", said(3))).await;
    assert_eq!(last, json!(["resume", "side"]));

    whoever_comes_does_not_wait_for_what_was_lost(&page).await;
    a_socket_is_tried_beside_the_line_over_http(&page).await;
    page.assert_content();
}

/// A tab that knows that sockets die here, and a server that the test plays over HTTP.
const PLAIN: &str = "
    const source = document.querySelector('script[type=module]').src;
    const { Signal } = await import(source.replace(/[^/]+$/, 'signal.js'));
    window.sockets.length = 0;
    const real = window.fetch;
    window.fetch = (path, options) => {
      if (!String(path).includes('/v1/rtc/')) return real(path, options);
      if (String(path).endsWith('/send')) return Promise.resolve(new Response(null, { status: 204 }));
      if (!options.body.includes('first')) return new Promise((done, fail) => { options.signal.addEventListener('abort', fail); });
      const frames = [{ v: 1, t: 'resumed', seq: 2, body: { epoch: 2 } }];
      return Promise.resolve(new Response(JSON.stringify({ line: 'line', batch: 1, frames })));
    };
    const url = new URL('/v1/rtc', location.href.replace('http', 'ws')).href;
    sessionStorage.setItem(`feldsher.nosocket.${location.host}`, '1');
    const seat = { url, sid: 'sid', secret: 'secret', epoch: 1, last_seq: 1 };
    const plain = new Signal({ join: null, seat, keep: () => {} });
    plain.pulse = () => {};
    window.links = [];
    plain.addEventListener('link', ({ detail }) => window.links.push(detail));
    window.plain = plain;
    plain.connect();";

/// What serves is not let go of for what may not: a socket that opens and stays silent, or is cut,
/// changes nothing; one that answers has the seat.
async fn a_socket_is_tried_beside_the_line_over_http(page: &Page) {
    page.run(PLAIN).await;
    page.wait_for("window.plain.linked").await;
    assert_eq!(page.eval("window.sockets.length").await, 0, "none is tried first");
    // Others that were dialled before may still come: the tried ones are known by name.
    page.run(
        "window.line = plain.socket;
         window.patience = plain.patience;
         window.tries = [];
         window.tries.next = () => {
           clearTimeout(plain.trial);
           plain.tryASocket();
           window.tries.push(plain.tried);
           plain.tried.comes();
         };
         window.tries.next();
         window.tries[0].breaks();
         window.tries.next();",
    )
    .await;
    let serves = "window.plain.linked && window.plain.socket === window.line";
    assert_eq!(page.eval(serves).await, true, "the line goes on");
    // It has opened, and nothing comes through: it is let go of, and says too late that it lives.
    page.wait_for("window.tries[1].readyState === 3").await;
    page.run("window.tries[1].says('pong', {});").await;
    assert_eq!(page.eval(serves).await, true, "the line goes on beside a silent one");
    assert_eq!(page.eval("plain.patience / window.patience").await, 4, "twice in vain");
    page.run("window.tries.next(); window.tries[2].says('pong', {});").await;
    assert_eq!(
        page.eval("window.tries.map(({ said }) => said.map(([t]) => t))").await,
        json!([[], [], ["resume"]])
    );
    page.run("window.tries[2].says('resumed', { epoch: 3 }, 3);").await;
    assert_eq!(page.eval("window.plain.socket === window.tries[2]").await, true);
    assert_eq!(page.eval("window.links").await, json!([true, true]), "nobody was without a line");
    page.run("window.plain.close(); sessionStorage.clear();").await;
}

/// The way in, with tickets that the test hands out.
const DOOR: &str = "
    const source = document.querySelector('script[type=module]').src;
    const { Doorway } = await import(source.replace(/[^/]+$/, 'doorway.js'));
    // From here on what does not open is late.
    window.WebSocket.CONNECTING = 0;
    window.sockets.length = 0;
    window.asked = [];
    window.door = (join) => new Doorway(join);
    window.comes = (door) => {
      window.taken = null;
      door.take().then((taken) => { window.taken = taken; }, ({ status }) => { window.taken = status; });
    };
    window.comes(window.door(() => new Promise((done, fail) => { window.asked.push({ done, fail }); })));";

/// A lost packet of the request for a ticket, or of a socket's opening, is made good by another, and
/// what comes first counts, be it the one that was late.
async fn whoever_comes_does_not_wait_for_what_was_lost(page: &Page) {
    page.run(DOOR).await;
    page.wait_for("window.sockets.length >= 2 && window.asked.length === 2").await;
    page.run(
        "const [first, second] = window.sockets;
         first.comes();
         second.comes();
         // A refusal that may pass waits for the other answer.
         window.asked[0].fail({ status: 0 });",
    )
    .await;
    assert_eq!(page.eval("window.taken").await, json!(null));
    page.run("window.asked[1].done({ ws_url: '/v1/rtc', ticket: 'second' });").await;
    page.wait_for("window.taken?.joined.ticket === 'second'").await;
    assert_eq!(page.eval("window.taken.socket === window.sockets[0]").await, true);
    let closed = "window.sockets.map(({ readyState }) => readyState).slice(0, 2)";
    assert_eq!(page.eval(closed).await, json!([1, 3]), "the one that was not needed is closed");

    // A refusal that will not pass is not waited with.
    page.run("window.comes(window.door(async () => { throw { status: 410 }; }));").await;
    page.wait_for("window.taken === 410").await;
    // What was refused while somebody only looked is asked for again when they come.
    page.run(
        "let count = 0;
         const door = window.door(async () => {
           count += 1;
           if (count === 1) throw { status: 409 };
           return { ws_url: '/v1/rtc', ticket: 'later' };
         });
         await new Promise((done) => { setTimeout(done, 50); });
         window.comes(door);
         window.sockets.at(-1).comes();",
    )
    .await;
    page.wait_for("window.taken?.joined?.ticket === 'later'").await;
}
