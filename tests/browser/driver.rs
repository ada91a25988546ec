//! The driver itself: what it could miss, the story would miss too.

use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, rt, web};
use serde_json::json;

use crate::chromium::Chromium;
use crate::page::{Device, Page, quoted};
use crate::wire::Wire;

const PAGE: &str = r#"<!doctype html><meta name="viewport" content="width=device-width"><title>t</title>
<button id="press" onclick="document.title = 'pressed'">press</button>
<button id="covered" style="position:absolute;top:90px;left:0">covered</button>
<div style="position:absolute;top:80px;left:0;width:300px;height:60px;background:gray"></div>
<input id="field" style="position:absolute;top:200px;left:0">"#;

/// A page of our own, for which the product is not needed.
async fn server() -> (String, ServerHandle) {
    let page = || async { HttpResponse::Ok().content_type("text/html").body(PAGE) };
    let server = HttpServer::new(move || App::new().route("/", web::get().to(page)))
        .workers(1)
        .bind("127.0.0.1:0")
        .unwrap();
    let url = format!("http://{}", server.addrs()[0]);
    let server = server.run();
    let handle = server.handle();
    drop(rt::spawn(server));
    (url, handle)
}

#[actix_web::test]
async fn a_press_reaches_a_button_and_text_a_field() {
    let (url, handle) = server().await;
    let browser = Chromium::start().await;
    let page = browser.page("driver", Device::Phone, "ru").await;
    page.goto(&url).await;
    page.click("#press").await;
    page.wait_for("document.title === 'pressed'").await;
    page.write("#field", "Кедровка").await;
    assert_eq!(page.eval("document.querySelector('#field').value").await, "Кедровка");
    assert_eq!(page.eval("[innerWidth, navigator.language]").await, json!([360, "ru"]));
    assert_eq!(page.eval("watched.place('#covered')").await, json!(null));
    page.assert_content();
    handle.stop(false).await;
}

/// A field and a picture that nobody can name, words that are nearly their ground, words that are cut.
const HARD: &str = r##"document.body.innerHTML = `<main id="screen" style="background: #fff">
<label>Name <input></label> <input placeholder="no name"> <button><svg></svg></button> <button aria-label="Close">×</button>
<p style="color: #767676">dark enough</p> <p style="color: #777">not dark enough</p> <p style="opacity: .5">dimmed</p>
<p style="font-size: 24px; color: #949494">large enough</p> <button disabled style="color: #eee">not now</button>
<p style="width: 60px; overflow: hidden; white-space: nowrap">these words are cut</p> <p style="width: 40px; overflow-wrap: anywhere">afterwards</p> <p hidden style="color: #fff">unseen</p></main>`"##;

#[actix_web::test]
async fn what_is_hard_to_read_or_has_no_name_is_found() {
    let (url, handle) = server().await;
    let browser = Chromium::start().await;
    let page = browser.page("driver", Device::Phone, "en").await;
    page.goto(&url).await;
    page.eval(HARD).await;
    let found = page.eval("watched.hard()").await;
    let found: Vec<&str> =
        found.as_array().unwrap().iter().filter_map(|one| one.as_str()).collect();
    let expected = [
        "no name: <input",
        "no name: <button",
        "not dark enough",
        "dimmed",
        "broken in the middle: afterwards",
        "cut off: these",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.contains(expected), "{found}");
    }
    handle.stop(false).await;
}

#[actix_web::test]
async fn an_uncaught_exception_and_a_written_error_are_complaints() {
    let (url, handle) = server().await;
    let browser = Chromium::start().await;
    let page = browser.page("driver", Device::Desk, "en").await;
    page.goto(&url).await;
    page.eval("setTimeout(() => { throw new Error('uncaught'); }), console.error('written')").await;
    for _ in 0..50 {
        if page.complaints().len() >= 2 {
            break;
        }
        rt::time::sleep(Duration::from_millis(100)).await;
    }
    let complaints = page.complaints().join("\n");
    assert!(complaints.contains("uncaught") && complaints.contains("written"), "{complaints}");
    handle.stop(false).await;
}

#[actix_web::test]
async fn a_cut_wire_carries_nothing_and_a_mended_one_does() {
    let (url, handle) = server().await;
    let wire = Wire::to(&url);
    let browser = Chromium::start().await;
    let page = browser.page("driver", Device::Desk, "en").await;
    page.goto(&wire.url()).await;
    let reach = "fetch('/').then(() => 'came', () => 'lost')";
    wire.cut();
    assert_eq!(page.eval(reach).await, "lost");
    wire.mend();
    assert_eq!(page.eval(reach).await, "came");
    handle.stop(false).await;
}

/// One side of a call made by hand: a camera, a microphone, one connection.
const PHONE: &str = "
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
    window.pc = new RTCPeerConnection();
    for (const track of stream.getTracks()) pc.addTrack(track, stream);
    window.gathered = async () => {
      while (pc.iceGatheringState !== 'complete') await new Promise((done) => setTimeout(done, 50));
      return pc.localDescription.toJSON();
    };";

#[actix_web::test]
async fn two_browsers_on_this_machine_exchange_sound_and_picture() {
    let (url, handle) = server().await;
    let (one, other) = (Chromium::start().await, Chromium::start().await);
    let near = one.page("near", Device::Phone, "ru").await;
    let far = other.page("far", Device::Desk, "en").await;
    for page in [&near, &far] {
        page.goto(&url).await;
        page.run(PHONE).await;
    }
    let offer = near.run("await pc.setLocalDescription(); return gathered();").await;
    let answer = format!(
        "await pc.setRemoteDescription({offer}); await pc.setLocalDescription(); return gathered();"
    );
    let answer = far.run(&answer).await;
    near.run(&format!("await pc.setRemoteDescription({answer});")).await;
    for page in [&near, &far] {
        media_flows(page).await;
        page.assert_content();
    }
    handle.stop(false).await;
}

/// A busy machine may look like a bad line for a while: the ladder gives the picture back in so long.
const PICTURE_SECS_MAX: u64 = 120;

/// Waits until sound and picture have come in, and then go on coming in.
pub async fn media_flows(page: &Page) {
    let first = "watched.media().then((m) => m.audio > 0 && m.video > 0 && m.frames > 0)";
    page.wait_at_most(PICTURE_SECS_MAX, first).await;
    let then = page.eval("watched.media()").await;
    let more = format!(
        "watched.media().then((now) => {{ const then = JSON.parse({}); return now.made === then.made \
         && now.audio > then.audio + 20 && now.video > then.video + 20 && now.frames > then.frames + 5; }})",
        quoted(&then.to_string())
    );
    page.wait_at_most(PICTURE_SECS_MAX, &more).await;
}
