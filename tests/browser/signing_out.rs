//! Signing out needs no network: whoever sat in a waiting room and looked at other times is gone from
//! it, and the next person at this page finds nothing of theirs.

use std::time::Duration;

use actix_web::rt;
use serde_json::{Value, json};

use crate::clinic::{Clinic, Person};
use crate::page::{Page, quoted};
use crate::stage::{Stage, text};

/// A line that is cut when the test says so, and what of the call is still open behind it.
const LINE: &str = "
    const Real = window.WebSocket;
    window.sockets = [];
    window.WebSocket = class WebSocket extends Real {
      constructor(url, ...given) {
        super(window.cut ? url.replace(/:[0-9]+/, ':1') : url, ...given);
        window.sockets.push(this);
      }
    };
    const through = window.fetch;
    window.told = [];
    window.fetch = async (path, ...given) => {
      if (window.cut) throw new TypeError('no line');
      const answer = await through(path, ...given);
      if (String(path).endsWith('/v1/auth/logout')) window.told.push(answer.status);
      return answer;
    };
    window.confirm = () => true;
    window.own = document.querySelector('#local-video').srcObject;
    window.feldsher.call.dropSocket();";
const LEFT_OPEN: &str = "({
    devices: window.own.getTracks().filter((track) => track.readyState === 'live').length,
    connections: watched.connections.filter((pc) => pc.signalingState !== 'closed').length,
    sockets: window.sockets.filter((one) => one.readyState < WebSocket.CLOSING).length,
    kept: sessionStorage.length,
    stage: document.querySelector('#stage, #tiles') !== null,
    call: document.body.classList.contains('on-call'),
})";

/// `visit` is sat in, and `tab` is another one of that browser; afterwards nobody is signed in.
pub async fn whoever_signs_out_without_a_line_leaves_nothing_behind(
    (page, tab): (&Page, &Page),
    clinic: &Clinic,
    stage: &Stage,
    visit: &Value,
    next: &Person,
) {
    tab.goto(&clinic.url).await;
    tab.see("#upcoming, #no-visits").await;
    page.run(LINE).await;
    page.wait_for("window.sockets.some((one) => one.readyState === WebSocket.OPEN)").await;
    page.wait_for("document.querySelector('#call-state')?.dataset.state === 'waiting'").await;
    page.goto_hash(&format!("#/move/{}", text(&visit["id"]))).await;
    page.see("#seat-kept").await;
    page.see("#slots [data-start]").await;
    page.run("window.cut = true; window.feldsher.call.dropSocket();").await;
    page.click("#sign-out").await;
    page.see("#phone").await;
    // The last message had its moment to leave.
    rt::time::sleep(Duration::from_millis(200)).await;
    let nothing = json!({"devices": 0, "connections": 0, "sockets": 0, "kept": 0, "stage": false, "call": false});
    assert_eq!(page.eval(LEFT_OPEN).await, nothing);
    assert_eq!(patient(stage, visit).await, "waiting", "nobody could tell the server");
    tab.see("#phone").await;

    page.run("window.cut = false; window.dispatchEvent(new Event('online'));").await;
    page.wait_for("window.told.length > 0").await;
    assert_eq!(page.eval("window.told").await, json!([204]));
    let mut state = patient(stage, visit).await;
    for _ in 0..50 {
        if state != "waiting" {
            break;
        }
        rt::time::sleep(Duration::from_millis(100)).await;
        state = patient(stage, visit).await;
    }
    assert_ne!(state, "waiting", "the server was told");

    page.write("#phone", &next.phone).await;
    page.click("#send-code").await;
    page.see("#code").await;
    page.write("#code", &clinic.code_for(&next.phone).await).await;
    page.click("#verify").await;
    page.see("#upcoming, #no-visits").await;
    assert_eq!(page.eval("location.hash").await, "", "somebody else comes to their own page");
    let open = page.eval(LEFT_OPEN).await;
    assert_eq!(open["devices"], 0);
    let me = page.ask("/v1/me").await;
    assert_eq!(me["patient"]["name"], *next.name);
    let theirs = quoted(&text(&visit["encounter"]["id"]));
    let asked = format!("sessionStorage.getItem('feldsher.seat.patient')?.includes({theirs})");
    assert_ne!(page.eval(&asked).await, json!(true));
    page.click("#sign-out").await;
    page.see("#phone").await;
}

async fn patient(stage: &Stage, visit: &Value) -> Value {
    let path = format!("/v1/encounters/{}", text(&visit["encounter"]["id"]));
    let found = stage.registrar.get(&path).await.expect(200);
    let people = found["participants"].as_array().unwrap();
    people.iter().find(|one| one["role"] == "patient").unwrap()["state"].clone()
}
