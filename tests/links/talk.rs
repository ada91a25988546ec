//! A patient behind a bad link and a doctor in town, in one visit.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::rt;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use crate::chromium::{Chromium, program};
use crate::clinic::Clinic;
use crate::netsim::profile::{LOOPBACK, Profile};
use crate::netsim::{Host, Net};
use crate::page::{Device, Page, quoted};
use crate::stage::{patient_signs_in, staff_signs_in, text};
use crate::support::Engine;

const LINKS: &str = include_str!("links.js");
/// One side of a call made by hand: the camera that the product opens, and one connection.
const HAND: &str = "
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 480, frameRate: 20 } });
    let pc = null;
    const told = async () => {
      await pc.setLocalDescription();
      while (pc.iceGatheringState !== 'complete') await new Promise((done) => { setTimeout(done, 5); });
      return pc.localDescription.toJSON();
    };
    const begins = () => {
      pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
      for (const track of stream.getTracks()) pc.addTrack(track, stream);
    };
    window.hand = {
      offers() { begins(); return told(); },
      async answers(offer) { begins(); await pc.setRemoteDescription(offer); return told(); },
      hears: (answer) => pc.setRemoteDescription(answer),
      hangsUp() { pc.close(); pc = null; },
    };";
/// A line that is too thin for a picture goes on with the voice alone.
const PICTURE_SECS_MAX: u64 = 30;
/// Whatever takes longer has failed.
pub const SECS_MAX: u64 = 90;

/// Two links at once would measure each other.
pub static ONE_LINK: Mutex<()> = Mutex::const_new(());

/// Two browsers, the server and the net between them. What is dropped first stands first.
pub struct Talk {
    pub patient: Page,
    pub doctor: Page,
    /// A page more in each browser, for a call that is made by hand.
    hands: [Page; 2],
    _browsers: [Chromium; 2],
    pub clinic: Clinic,
    pub net: Net,
    pub profile: Profile,
    /// From an empty cache to the first screen, over the link.
    pub page_secs: f64,
    visit: Value,
    _alone: MutexGuard<'static, ()>,
}

impl Talk {
    /// The patient is signed in and the doctor's page open; all of it over a good link.
    pub async fn prepared(profile: Profile) -> Self {
        Self::prepared_with(profile, |_| Vec::new()).await
    }

    /// As [`Talk::prepared`], with settings of the server.
    pub async fn prepared_with(
        profile: Profile,
        settings: impl FnOnce(&Net) -> Vec<(&'static str, String)>,
    ) -> Self {
        let alone = ONE_LINK.lock().await;
        let net = Net::new(profile, 8);
        let mut settings = settings(&net);
        settings.push(("FELDSHER__HTTP__LISTEN", format!("{}:1", net.server())));
        let clinic = Clinic::open_with(Engine::Sqlite, settings).await;
        let phone = browser(&net, Host::Patient, &clinic.url).await;
        let desk = browser(&net, Host::Doctor, &clinic.url).await;
        let patient = phone.page("patient", Device::Phone, "ru").await;
        let doctor = desk.page("doctor", Device::Desk, "en").await;
        let hands = [
            phone.page("near", Device::Phone, "ru").await,
            desk.page("far", Device::Desk, "en").await,
        ];
        for page in [&patient, &doctor, &hands[0], &hands[1]] {
            page.before(LINKS).await;
        }
        let begun = now_ms();
        patient.goto(&clinic.url).await;
        patient.see("#phone").await;
        let page_secs = secs(begun, now_ms());
        net.becomes(Host::Patient, LOOPBACK);
        for page in &hands {
            page.goto(&format!("{}/assets/favicon.svg", clinic.url)).await;
            page.run(HAND).await;
        }
        patient_signs_in(&patient, &clinic, &clinic.everybody("patient")[0]).await;
        Self {
            patient,
            doctor,
            hands,
            _browsers: [phone, desk],
            clinic,
            net,
            profile,
            page_secs,
            visit: Value::Null,
            _alone: alone,
        }
    }

    /// The patient is on her link, in the waiting room, and the doctor's hand on the door.
    pub async fn at_the_door(&mut self) {
        self.visit = book(&self.patient).await;
        self.net.becomes(Host::Patient, self.profile);
        let (encounter, patient, doctor) = (self.encounter(), &self.patient, &self.doctor);
        patient.goto_hash(&format!("#/visit/{encounter}")).await;
        self.joins().await;
        patient.see("#call-state[data-state=waiting]").await;

        let doctors = self.clinic.everybody("doctor");
        let who =
            doctors.iter().find(|who| self.visit["practitioner"]["name"] == *who.name).unwrap();
        staff_signs_in(doctor, &format!("{}/doctor", self.clinic.url), who).await;
        let waiting = format!("#waiting-room [data-encounter={}] .open-visit", quoted(&encounter));
        doctor.click(&waiting).await;
        doctor.see("#waiting-list .admit").await;
    }

    /// From the lobby into the room.
    pub async fn joins(&self) {
        self.joins_after(Duration::ZERO).await;
    }

    /// From the lobby into the room, with a look at oneself on the way.
    pub async fn joins_after(&self, look: Duration) {
        let page = &self.patient;
        page.click("#enter-waiting-room").await;
        page.wait_for("document.querySelector('#device-state')?.dataset.state === 'ok'").await;
        rt::time::sleep(look).await;
        page.click("#join").await;
    }

    /// The same two browsers on the same lines, connected by hand: what each has to say to the
    /// other is there at once. Seconds until both see the other.
    pub async fn by_hand(&self) -> f64 {
        for page in [&self.patient, &self.doctor, &self.hands[0], &self.hands[1]] {
            assert_eq!(page.eval("document.hidden").await, false, "a page with slow clocks");
        }
        let [near, far] = &self.hands;
        let begun = now_ms();
        let offer = near.run("return hand.offers();").await;
        let answer = far.run(&format!("return hand.answers({offer});")).await;
        near.run(&format!("return hand.hears({answer});")).await;
        let mut latest: f64 = 0.0;
        for page in [near, far] {
            let seen = format!("links.call('picture', {begun})?.picture ?? null");
            let at = whole(&page.wait_at_most(SECS_MAX, &seen).await);
            latest = latest.max(secs(begun, at));
        }
        for page in [near, far] {
            page.run("hand.hangsUp();").await;
        }
        latest
    }

    /// Sends the patient back to wait.
    pub async fn holds(&self) {
        self.doctor.click(".hold").await;
        self.patient.see("#call-state[data-state=waiting]").await;
        self.doctor.see("#waiting-list .admit").await;
    }

    /// Lets the patient in; seconds until each side has sound and picture.
    pub async fn lets_in(&self) -> Began {
        self.doctor.click("#waiting-list .admit").await;
        let pressed = whole(&self.doctor.eval("links.pressed()").await);
        self.began(pressed).await
    }

    /// Waits for sound and picture of connections that were made after an instant. What is not seen
    /// is seen after endless time.
    pub async fn began(&self, since: i64) -> Began {
        let mut sides = [(0.0, 0.0); 2];
        let mut agreed: f64 = 0.0;
        for (side, page) in sides.iter_mut().zip([&self.patient, &self.doctor]) {
            let reached = |step| format!("links.call('{step}', {since})?.{step} ?? null");
            agreed = agreed.max(happens(page, since, &reached("agreed")).await);
            side.0 = happens(page, since, &reached("sound")).await;
            let picture = may_happen(page, PICTURE_SECS_MAX, since, &reached("picture")).await;
            side.1 = picture.unwrap_or(f64::INFINITY);
        }
        let [patient, doctor] = sides;
        Began { since, agreed, sound: [patient.0, doctor.0], picture: [patient.1, doctor.1] }
    }

    pub fn encounter(&self) -> String {
        text(&self.visit["encounter"]["id"])
    }

    /// What each page remembers of its seat, without what may change.
    pub async fn seats(&self) -> [(Value, Value); 2] {
        let seat = |side| format!("JSON.parse(sessionStorage.getItem('feldsher.seat.{side}'))");
        let [patient, doctor] =
            [self.patient.eval(&seat("patient")).await, self.doctor.eval(&seat("doctor")).await];
        [patient, doctor].map(|seat| (seat["me"].clone(), seat["sid"].clone()))
    }

    /// How many visits the patient has, over her link, and how this one goes.
    pub async fn visits(&self) -> (usize, String) {
        let path = format!("/v1/encounters/{}", self.encounter());
        (self.count().await, text(&self.doctor.ask(&path).await["status"]))
    }

    /// How many visits the patient has.
    pub async fn count(&self) -> usize {
        let all = self.patient.ask("/v1/appointments?limit=100").await;
        all["items"].as_array().unwrap().len()
    }

    /// Nobody complained, and nothing that was said is missing.
    pub async fn assert_clean(&self) {
        for page in [&self.patient, &self.doctor] {
            assert_eq!(page.eval("links.gaps()").await, json!([]), "messages that never came");
            page.assert_content();
        }
    }
}

/// How a call began, in seconds: the later of both answers, and each side's first sound and
/// picture, the patient's first.
#[derive(Debug, Clone, Copy)]
pub struct Began {
    /// From when on it is counted.
    pub since: i64,
    pub agreed: f64,
    pub sound: [f64; 2],
    pub picture: [f64; 2],
}

/// How sound went over a stretch of time on one side.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    /// The least that came in any five seconds.
    pub least: i64,
    /// Packets a second.
    pub rate: f64,
    /// The share of what was played that the browser had to make up.
    pub concealed: f64,
    /// Pictures a second.
    pub frames: f64,
}

/// What came in at a page from `from` to now.
pub async fn flow(page: &Page, from: i64) -> Flow {
    let to = now_ms();
    let went = page.eval(&format!("links.flow({from}, {to})")).await;
    let number = |field: &str| went[field].as_f64().unwrap();
    let windows = went["windows"].as_array().unwrap().iter().map(whole);
    let lasted = secs(from, to);
    Flow {
        least: windows.min().expect("five seconds at least"),
        rate: number("audio") / lasted,
        concealed: number("concealed") / number("played").max(1.0),
        frames: number("frames") / lasted,
    }
}

/// Waits until `expression` says when something happened after `since`; seconds from then.
pub async fn happens(page: &Page, since: i64, expression: &str) -> f64 {
    if let Some(secs) = may_happen(page, SECS_MAX, since, expression).await {
        return secs;
    }
    let story = page.eval(&format!("links.story({since}, 40000, 120000)")).await;
    let last = page.eval("links.samples.slice(-2)").await;
    panic!("{expression} never came: {story}\n{last}")
}

/// As [`happens`], for what may also never happen.
pub async fn may_happen(page: &Page, secs: u64, since: i64, expression: &str) -> Option<f64> {
    for _ in 0..secs * 10 {
        if let Some(at) = page.eval(expression).await.as_i64() {
            return Some(self::secs(since, at));
        }
        rt::time::sleep(Duration::from_millis(100)).await;
    }
    None
}

async fn browser(net: &Net, host: Host, url: &str) -> Chromium {
    let mut command = net.command(host, &program());
    // Only a page from this machine or by HTTPS may use a camera; this one is by HTTP from afar.
    command.arg(format!("--unsafely-treat-insecure-origin-as-secure={url}"));
    Chromium::start_by(command, |port| net.door(host, port)).await
}

/// The first free time that there is.
async fn book(page: &Page) -> Value {
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

pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

pub fn secs(from: i64, to: i64) -> f64 {
    f64::from(i32::try_from(to - from).unwrap()) / 1e3
}

pub fn whole(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("a whole number, not {value}"))
}

pub async fn wait(secs: u64) {
    rt::time::sleep(Duration::from_secs(secs)).await;
}

/// The value that a share of all does not exceed.
pub fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted[at]
}

/// How often a measurement is made: `TEST_RUNS`, or a few times.
pub fn runs(few: usize) -> usize {
    std::env::var("TEST_RUNS").map_or(few, |runs| runs.parse().expect("TEST_RUNS is a number"))
}

/// A line for the table in docs/links.md. The harness would keep what is printed to itself.
pub fn tell(what: &str, profile: &str, figures: &str) {
    writeln!(std::io::stdout(), "\nlinks: {what}, {profile}: {figures}").unwrap();
}
