//! A call over the relay alone: a real coturn between two real browsers.

use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::clinic::Clinic;
use crate::driver::media_flows;
use crate::page::{Device, Page, quoted};
use crate::stage::{patient_signs_in, staff_signs_in, text};
use crate::story::ONE_STORY;
use crate::support::Engine;
use crate::support::relay::{Coturn, LOOPBACK, SECRET};

/// Who has waited for long has heard passwords that are good no more; only what is said with the
/// negotiation is. The page's sockets are kept at hand.
const RUN_OUT: &str = "
    const parse = JSON.parse;
    JSON.parse = (...given) => {
      const read = parse(...given);
      const servers = read?.ice_servers ?? (read?.t === 'welcome' ? read.body.ice_servers : []);
      for (const one of servers) if (one.credential) one.credential = 'run out';
      return read;
    };
    window.sockets = [];
    const Real = WebSocket;
    window.WebSocket = class WebSocket extends Real {
      constructor(...given) {
        super(...given);
        window.sockets.push(this);
      }
    };";

/// The same connection looks for its ways once more, with a password that has run out meanwhile.
const BEGIN_ANEW: &str = "
    const pc = watched.connections.at(-1);
    const before = pc.getConfiguration();
    const iceServers = before.iceServers.map((one) => ({ ...one, ...(one.credential ? { credential: 'run out' } : {}) }));
    pc.setConfiguration({ ...before, iceServers });
    const [{ id }] = JSON.parse(sessionStorage.getItem('feldsher.seat.patient')).edges;
    const ask = { v: 1, t: 'ice_restart_request', body: { edge: id, why: 'test' } };
    window.sockets.at(-1).send(JSON.stringify(ask));";

/// Of all ways this browser knows one.
fn knows_only(way: &str) -> String {
    format!(
        "const Full = window.RTCPeerConnection;
         const only = (given) => ({{ ...given, iceServers: given.iceServers.map((one) => ({{ ...one, urls: [one.urls].flat().filter((url) => url === {}) }})) }});
         window.RTCPeerConnection = class RTCPeerConnection extends Full {{
           constructor(given) {{ super(only(given)); }}
           setConfiguration(given) {{ super.setConfiguration(only(given)); }}
         }};",
        quoted(way)
    )
}

#[actix_web::test]
async fn a_call_goes_over_the_relay_alone_by_udp_where_the_clinic_says_so() {
    call_over(["udp", "udp"]).await;
}

#[actix_web::test]
async fn a_call_goes_over_the_relay_alone_by_tcp_and_by_tls_where_nothing_else_passes() {
    call_over(["tcp", "tls"]).await;
}

/// The patient's way to the relay, and the doctor's.
async fn call_over([near, far]: [&str; 2]) {
    let _alone = ONE_STORY.lock().await;
    let coturn = Coturn::start(LOOPBACK);
    let [udp, tcp, tls] = coturn.urls();
    let way = |protocol| match protocol {
        "udp" => &udp,
        "tcp" => &tcp,
        _ => &tls,
    };
    let settings = vec![
        ("FELDSHER__ICE__TURN_URLS", [udp.as_str(), &tcp, &tls].join(",")),
        ("FELDSHER__ICE__TURN_SECRET", SECRET.to_owned()),
        ("FELDSHER__ICE__TURN_CA", coturn.certificate("cert").display().to_string()),
        ("FELDSHER__ICE__POLICY", "relay".to_owned()),
    ];
    let clinic = Clinic::open_with(Engine::Sqlite, settings).await;
    let trusts = format!("--ignore-certificate-errors-spki-list={}", coturn.print_of_key());
    let (phone, desk) = (Chromium::start().await, Chromium::start_with(&[trusts.as_str()]).await);
    let patient = phone.page("patient", Device::Phone, "ru").await;
    let doctor = desk.page("doctor", Device::Desk, "en").await;
    patient.before(RUN_OUT).await;
    for (page, protocol) in [(&patient, near), (&doctor, far)] {
        page.before(&knows_only(way(protocol))).await;
    }

    patient_signs_in(&patient, &clinic, &clinic.everybody("patient")[0]).await;
    let visit = book(&patient).await;
    let encounter = text(&visit["encounter"]["id"]);
    patient.goto_hash(&format!("#/visit/{encounter}")).await;
    patient.click("#enter-waiting-room").await;
    patient.wait_for("document.querySelector('#device-state')?.dataset.state === 'ok'").await;
    patient.click("#join").await;
    patient.see("#call-state[data-state=waiting]").await;

    let doctors = clinic.everybody("doctor");
    let who = doctors.iter().find(|who| visit["practitioner"]["name"] == *who.name).unwrap();
    staff_signs_in(&doctor, &format!("{}/doctor", clinic.url), who).await;
    let waiting = format!("#waiting-room [data-encounter={}] .open-visit", quoted(&encounter));
    doctor.click(&waiting).await;
    doctor.click("#waiting-list .admit").await;
    the_relay_carries([(&patient, near), (&doctor, far)]).await;
    patient.run(BEGIN_ANEW).await;
    patient
        .wait_for(
            "watched.connections.at(-1).getConfiguration().iceServers[0].credential !== 'run out'",
        )
        .await;
    the_relay_carries([(&patient, near), (&doctor, far)]).await;

    // A page that is loaded anew makes a new connection, and must not find another way either.
    patient.reload().await;
    the_relay_carries([(&patient, near), (&doctor, far)]).await;
    for page in [&patient, &doctor] {
        page.assert_content();
    }
}

async fn the_relay_carries(ends: [(&Page, &str); 2]) {
    for (page, protocol) in ends {
        page.see("#call-state[data-state=in_call]").await;
        media_flows(page).await;
        let way = page.eval("watched.way()").await;
        let relayed = json!({"near": "relay", "far": "relay", "over": protocol, "direct": false});
        assert_eq!(way, relayed);
    }
}

/// The first free time that there is.
pub async fn book(page: &Page) -> Value {
    let services = page.ask("/v1/healthcare-services?limit=100").await;
    for service in services["items"].as_array().unwrap() {
        let id = text(&service["id"]);
        let slots = page.ask(&format!("/v1/slots?service={id}&limit=1")).await;
        if let Some(slot) = slots["items"].as_array().unwrap().first() {
            let wish = json!({
                "service": id, "practitioner": slot["practitioner"]["id"], "start": slot["start"],
            });
            return page.post("/v1/appointments", &wish).await;
        }
    }
    panic!("the region has no free time");
}
