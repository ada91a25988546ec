//! How long it takes to come into a room over a bad link, again and again.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::netsim::profile::{
    BAD_WIFI, EDGE_3G, LOOPBACK, LOSS_10, LOSS_20, Profile, SATELLITE, VILLAGE_2G,
};
use crate::stage::text;
use crate::talk::{Began, Talk, percentile, runs, tell, whole};

/// What a beginning may take at most, in seconds: some four times the slowest that docs/links.md says
/// of the profile. Only a real fault takes longer, on a busy machine too.
struct Limits {
    /// Until both have the other's description, and until both hear.
    answered: f64,
    sound: f64,
    /// Until both see, of the quicker half: a line that is found too thin for a picture has none.
    picture: f64,
}

const QUICK: Limits = Limits { answered: 8.0, sound: 12.0, picture: 10.0 };
const FAR: Limits = Limits { answered: 15.0, sound: 25.0, picture: 20.0 };
const LOSSY: Limits = Limits { answered: 30.0, sound: 40.0, picture: 15.0 };
const THIN: Limits = Limits { answered: 25.0, sound: 40.0, picture: 30.0 };

#[actix_web::test]
async fn on_one_machine_nobody_waits() {
    joins_again_and_again(LOOPBACK, &QUICK).await;
}

#[actix_web::test]
async fn a_station_with_3g_joins_in_time() {
    joins_again_and_again(EDGE_3G, &FAR).await;
}

#[actix_web::test]
async fn a_satellite_joins_in_time() {
    joins_again_and_again(SATELLITE, &FAR).await;
}

#[actix_web::test]
async fn bad_wifi_joins_in_time() {
    joins_again_and_again(BAD_WIFI, &QUICK).await;
}

#[actix_web::test]
async fn a_village_joins_in_time() {
    joins_again_and_again(VILLAGE_2G, &THIN).await;
}

#[actix_web::test]
async fn everybody_connects_when_a_tenth_is_lost() {
    joins_again_and_again(LOSS_10, &LOSSY).await;
}

#[actix_web::test]
async fn everybody_connects_when_a_fifth_is_lost() {
    joins_again_and_again(LOSS_20, &LOSSY).await;
}

/// What somebody waits for who looks at themself before they press "join".
const LOOK: Duration = Duration::from_secs(3);
/// How long each time takes at least: nobody has more than twenty tickets in two minutes, and where
/// the first is late each "join" takes two.
const PACE: Duration = Duration::from_secs(24);

/// Again and again, each time all of it: a call by hand, the press on "admit", and the press on
/// "join" with a new ticket and seat, at once and after a look at oneself. Whoever was let in stays
/// let in.
async fn joins_again_and_again(profile: Profile, limits: &Limits) {
    let mut talk = Talk::prepared(profile).await;
    talk.at_the_door().await;
    let first = talk.lets_in().await;
    tell("first", profile.name, &format!("{first:.1?}"));
    let (mut by_hand, mut admitted) = (Vec::new(), Kind::new("admit"));
    let (mut at_once, mut looked) = (Kind::new("join, at once"), Kind::new("join, after a look"));
    for _ in 0..runs(5) {
        let begun = Instant::now();
        talk.holds().await;
        by_hand.push(talk.by_hand().await);
        let began = talk.lets_in().await;
        admitted.add(&talk, began).await;
        for (kind, look) in [(&mut at_once, Duration::ZERO), (&mut looked, LOOK)] {
            talk.patient.click("#leave").await;
            talk.doctor.see("#call-state[data-state=alone]").await;
            talk.joins_after(look).await;
            let pressed = whole(&talk.patient.eval("links.pressed()").await);
            kind.add(&talk, talk.began(pressed).await).await;
        }
        actix_web::rt::time::sleep(PACE.saturating_sub(begun.elapsed())).await;
    }
    let limit = [50, 95].map(|percent| percentile(&by_hand, percent));
    row(profile.name, "by hand, without a server", None, limit, None);
    for kind in [&admitted, &at_once, &looked] {
        kind.tell(profile.name, limit);
    }
    for kind in [&admitted, &at_once, &looked] {
        kind.assert_within(limits);
    }
    talk.assert_clean().await;
}

/// One kind of beginning, measured some times.
struct Kind {
    name: &'static str,
    agreed: Vec<f64>,
    sound: Vec<f64>,
    picture: Vec<f64>,
    /// What happened in the slowest of them, on both sides.
    slowest: [String; 2],
}

impl Kind {
    fn new(name: &'static str) -> Self {
        let slowest = Default::default();
        Self { name, agreed: Vec::new(), sound: Vec::new(), picture: Vec::new(), slowest }
    }

    async fn add(&mut self, talk: &Talk, began: Began) {
        let picture = began.picture[0].max(began.picture[1]);
        if self.picture.iter().all(|before| *before < picture) {
            let story = format!("links.story({}, 200, 20000)", began.since);
            let [patient, doctor] = [&talk.patient, &talk.doctor];
            self.slowest = [text(&patient.eval(&story).await), text(&doctor.eval(&story).await)];
        }
        self.agreed.push(began.agreed);
        self.sound.push(began.sound[0].max(began.sound[1]));
        self.picture.push(picture);
    }

    fn assert_within(&self, limits: &Limits) {
        let Limits { answered, sound, picture } = limits;
        let all = |values: &[f64], most: &f64| values.iter().all(|value| value <= most);
        assert!(all(&self.agreed, answered), "{}: answered after {:.1?} s", self.name, self.agreed);
        assert!(all(&self.sound, sound), "{}: sound after {:.1?} s", self.name, self.sound);
        let half = percentile(&self.picture, 50);
        assert!(half <= *picture, "{}: pictures after {:.1?} s", self.name, self.picture);
    }

    /// Half and nineteen of twenty, and the picture beside what the line can bear.
    fn tell(&self, profile: &str, limit: [f64; 2]) {
        let [agreed, sound, picture] = [&self.agreed, &self.sound, &self.picture]
            .map(|values| [50, 95].map(|percent| percentile(values, percent)));
        tell(self.name, profile, &format!("sound {sound:.2?}, pictures {:.2?}", self.picture));
        for (side, story) in ["patient", "doctor"].iter().zip(&self.slowest) {
            tell("slowest", self.name, &format!("{side}: {story}"));
        }
        row(profile, self.name, Some(agreed), picture, Some(limit));
    }
}

/// A line of the table that `tests/run links` shows at its end: seconds, p50 and p95, until both had
/// the other's description, until both saw the other, and the latter in times of by hand.
fn row(
    profile: &str,
    what: &str,
    agreed: Option<[f64; 2]>,
    picture: [f64; 2],
    limit: Option<[f64; 2]>,
) {
    let pair = |pair: Option<[f64; 2]>| {
        pair.map_or_else(String::new, |[half, most]| format!("{half:.2} / {most:.2}"))
    };
    let times = limit.map(|[half, most]| [picture[0] / half, picture[1] / most]);
    let (agreed, picture, times) = (pair(agreed), pair(Some(picture)), pair(times));
    let line = format!("{profile:<11} {what:<26} {agreed:>13} {picture:>13} {times:>13}");
    writeln!(std::io::stdout(), "\nlinks table: {line}").unwrap();
}
