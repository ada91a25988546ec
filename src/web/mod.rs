//! The pages, inside the binary: no build step, no framework, the public API and nothing else.
//!
//! Pages name their assets under `/assets/`; they are served under a path that holds the hash of
//! all assets, so that a phone on a thin line fetches each of them once per release.

use std::sync::OnceLock;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::base::error::Error;
use crate::base::problem;
use crate::base::seal::{hex, sha256};

/// Nothing inline, nothing from elsewhere; the WebSocket may be on another host of ours.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; media-src 'self' blob:; \
    img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
    object-src 'none'";

macro_rules! files {
    ($($name:literal)+) => {
        &[$(($name, include_str!(concat!("pages/", $name)))),+]
    };
}

/// Every asset that a page can name.
const ASSETS: &[(&str, &str)] = files!(
    "api.js" "board-book.js" "board-closures.js" "board-day.js" "board-gone.js" "board-grid.js" "board-ill.js"
    "board-join.js" "board-move.js" "board-off.js" "board-places.js" "board-promises.js" "board-requests.js"
    "board-rights.js" "board-series.js"
    "board-setup.js" "board-tasks.js" "board-things.js" "board-visit.js" "board-waitlist.js" "board-waits.js" "board-ways.js"
    "board-words.js" "board.js" "booking-words.js" "by-server.js" "call-code.js" "call-devices.js" "call-ladder.js"
    "call-sight.js" "call-tiles.js" "call-verdict.js" "call-view.js" "call-words.js" "call.js" "chat.js"
    "claim-words.js" "consents.js" "countdown.js" "demo.js" "device-check.js" "device-words.js"
    "devices.js" "doctor-care.js" "doctor-claim.js" "doctor-day.js" "doctor-followup.js"
    "doctor-hours.js" "doctor-leave.js" "doctor-note.js" "doctor-visit.js" "doctor-week.js"
    "doctor-words.js" "doctor.js" "doorway.js" "favicon.svg" "find-patient.js" "free-times.js"
    "grid.css" "guest-visit.js" "i18n.js" "kept-seat.js" "ladder-words.js" "languages.js" "late.js" "media.js" "office-words.js"
    "patient-book.js" "patient-home.js" "patient-lookup.js" "patient-move.js" "patient-note.js"
    "patient-probe.js" "patient-signin.js" "patient-times.js" "patient-visit.js"
    "patient-waitlist.js" "patient.js" "peer.js" "people.js" "poll-socket.js" "probe-words.js"
    "probe.js" "quality.js" "ringing.js" "role-words.js" "rungs.js" "sheet.js" "side.js" "signal.js"
    "staff-signin.js" "style.css" "taken-over.js" "task-list.js" "time.js" "timeline-words.js"
    "timeline.js" "ui.js" "waiting.js" "waitlist-words.js" "wall.js" "words.js"
);

const PATIENT: &str = include_str!("pages/index.html");
const DOCTOR: &str = include_str!("pages/doctor.html");
const BOARD: &str = include_str!("pages/board.html");
const DEMO: &str = include_str!("pages/demo.html");

/// Mounts the pages.
pub fn routes(app: &mut web::ServiceConfig) {
    app.route("/", web::get().to(|request| async move { page(&request, PATIENT) }))
        .route("/doctor", web::get().to(|request| async move { page(&request, DOCTOR) }))
        .route("/board", web::get().to(|request| async move { page(&request, BOARD) }))
        .route("/favicon.ico", web::get().to(no_icon))
        .route("/assets/{release}/{name}", web::get().to(released))
        .route("/assets/{name}", web::get().to(current));
}

/// Mounts the page that shows the demo's SMS.
pub fn demo_routes(app: &mut web::ServiceConfig) {
    app.route("/demo/sms/view", web::get().to(|request| async move { page(&request, DEMO) }));
}

fn release() -> &'static str {
    static RELEASE: OnceLock<String> = OnceLock::new();
    RELEASE.get_or_init(|| {
        let all = ASSETS.iter().fold(String::new(), |all, (name, text)| all + name + text);
        hex(&sha256(all.as_bytes())).chars().take(16).collect()
    })
}

fn page(request: &HttpRequest, text: &'static str) -> HttpResponse {
    // Weak: the same page leaves compressed and plain.
    let tag = format!("W/\"{}\"", release());
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|tag| tag.to_str().ok());
    let mut answer =
        if known == Some(tag.as_str()) { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::ETAG, tag.clone()));
    if known == Some(tag.as_str()) {
        return answer.finish();
    }
    answer.body(text.replace("\"/assets/", &format!("\"/assets/{}/", release())))
}

async fn released(path: web::Path<(String, String)>) -> Result<HttpResponse, Error> {
    let (asked, name) = path.into_inner();
    // An older page may ask for an older release: it gets what there is, but must not keep it.
    let keep = if asked == release() { "public, max-age=31536000, immutable" } else { "no-cache" };
    asset(&name, keep)
}

async fn current(name: web::Path<String>) -> Result<HttpResponse, Error> {
    asset(&name, "no-cache")
}

fn asset(name: &str, keep: &'static str) -> Result<HttpResponse, Error> {
    let found = ASSETS.iter().find(|(asset, _)| *asset == name);
    let (_, text) = found.ok_or_else(|| Error::from(&problem::NOT_FOUND))?;
    let kind = match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "text/javascript; charset=utf-8",
    };
    Ok(HttpResponse::Ok()
        .content_type(kind)
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::CACHE_CONTROL, keep))
        .body(*text))
}

async fn no_icon() -> HttpResponse {
    HttpResponse::NoContent().finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use actix_web::App;
    use actix_web::middleware::Compress;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};

    use super::*;

    /// What the patient's first screen may weigh on the line, in bytes.
    const FIRST_SCREEN_BYTES_MAX: usize = 30 * 1024;

    #[test]
    fn every_file_of_the_pages_is_served() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/pages");
        let names = std::fs::read_dir(directory).unwrap();
        let names = names.map(|file| file.unwrap().file_name().into_string().unwrap());
        let files: BTreeSet<String> = names.filter(|name| !name.ends_with(".html")).collect();
        let served: BTreeSet<String> = ASSETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(files, served);
    }

    fn text(name: &str) -> &'static str {
        ASSETS.iter().find(|(asset, _)| *asset == name).unwrap_or_else(|| panic!("{name}")).1
    }

    /// What a page names in quotes after `before`.
    fn named(text: &str, before: &str) -> Vec<String> {
        let pieces = text.split(before).skip(1);
        pieces.map(|piece| piece.split(['"', '\'']).next().unwrap().to_owned()).collect()
    }

    /// A module and all that it imports before it runs.
    fn modules(name: &str, seen: &mut BTreeSet<String>) {
        if !seen.insert(name.to_owned()) {
            return;
        }
        for line in text(name).lines().filter(|line| line.starts_with("import ")) {
            for import in named(line, "'./") {
                modules(&import, seen);
            }
        }
    }

    #[actix_web::test]
    async fn the_patients_first_screen_is_light() {
        let mut assets = BTreeSet::new();
        for asset in named(PATIENT, "\"/assets/") {
            if asset.ends_with(".js") {
                modules(&asset, &mut assets);
            } else {
                assets.insert(asset);
            }
        }
        assert!(assets.contains("ui.js") && assets.contains("style.css"), "{assets:?}");
        let app = init_service(App::new().configure(routes).wrap(Compress::default())).await;
        let mut total = 0;
        let paths = assets.iter().map(|asset| format!("/assets/{asset}"));
        for path in std::iter::once("/".to_owned()).chain(paths) {
            let request = TestRequest::get().uri(&path).insert_header(("Accept-Encoding", "gzip"));
            let answer = call_service(&app, request.to_request()).await;
            assert_eq!(answer.status(), 200, "{path}");
            assert_eq!(answer.headers().get("content-encoding").unwrap(), "gzip", "{path}");
            total += read_body(answer).await.len();
        }
        println!("the patient's first screen: {total} bytes in {} files", assets.len() + 1);
        assert!(total <= FIRST_SCREEN_BYTES_MAX, "{total} bytes");
    }

    /// An import that is not on the list is found only when its importer has come: one more round
    /// trip for whoever has pressed to go in.
    #[test]
    fn the_code_of_a_call_is_asked_for_all_at_once() {
        let list = text("call-code.js").split_once("const PARTS = [").unwrap().1;
        let list = list.split_once("];").unwrap().0;
        let named: BTreeSet<String> =
            list.split('\'').skip(1).step_by(2).map(|name| format!("{name}.js")).collect();
        let mut needed = BTreeSet::new();
        for entry in ["call.js", "device-check.js"] {
            modules(entry, &mut needed);
        }
        // What every page has before.
        for common in ["api.js", "i18n.js", "ui.js"] {
            assert!(needed.remove(common), "{common}");
        }
        assert_eq!(named, needed);
    }

    #[actix_web::test]
    async fn assets_are_kept_for_a_year_and_pages_are_asked_for_again() {
        let app = init_service(App::new().configure(routes)).await;
        let get = async |path: &str, tag: Option<&str>| {
            let mut request = TestRequest::get().uri(path);
            if let Some(tag) = tag {
                request = request.insert_header(("If-None-Match", tag));
            }
            call_service(&app, request.to_request()).await
        };
        let page = get("/", None).await;
        let tag = page.headers().get("etag").unwrap().to_str().unwrap().to_owned();
        assert_eq!(page.headers().get("cache-control").unwrap(), "no-cache");
        let body = String::from_utf8(read_body(page).await.to_vec()).unwrap();
        let asset = format!("/assets/{}", named(&body, "\"/assets/").remove(0));
        assert!(asset.contains(release()), "{asset}");
        let kept = get(&asset, None).await;
        let keep = kept.headers().get("cache-control").unwrap().to_str().unwrap();
        assert_eq!(keep, "public, max-age=31536000, immutable");
        assert_eq!(get("/", Some(&tag)).await.status(), 304);
        let older = get("/assets/0123456789abcdef/ui.js", None).await;
        assert_eq!(older.headers().get("cache-control").unwrap(), "no-cache");
        assert_eq!(get("/assets/../mod.rs", None).await.status(), 404);
    }
}
