//! The ladder on lines of every kind.

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;

fn at(seconds: i64) -> Instant {
    let base: Instant = "2026-11-24T02:00:00Z".parse().unwrap();
    base.plus(TimeDelta::seconds(seconds))
}

fn reading(loss: f64, rtt: f64) -> Reading {
    Reading { loss, rtt, mos: 4.0, room: None }
}

const GOOD: Reading = Reading { loss: 0.0, rtt: 80.0, mos: 4.2, room: Some(2e6) };

/// Both sides report every five seconds for so long; when and to which rung it went.
fn drive(
    ladder: &mut Ladder,
    from: i64,
    seconds: i64,
    mut line: impl FnMut(Rung, i64) -> Reading,
) -> Vec<(i64, Rung)> {
    let mut steps = Vec::new();
    for now in (from..from + seconds).step_by(5) {
        for side in [0, 1] {
            let before = ladder.rung();
            let reading = line(before, now);
            ladder.report(side, reading, Some(before), at(now));
            if ladder.rung() != before {
                steps.push((now, ladder.rung()));
            }
        }
    }
    steps
}

#[test]
fn one_bad_report_of_each_side_is_no_reason_and_two_of_one_are() {
    let mut ladder = Ladder::default();
    assert!(!ladder.report(0, reading(0.04, 80.0), None, at(0)));
    assert!(!ladder.report(1, reading(0.04, 80.0), None, at(1)));
    assert!(ladder.report(0, reading(0.04, 80.0), None, at(5)));
    assert_eq!((ladder.rung(), ladder.why()), (Rung::SmallVideo, RungWhy::Loss));
}

#[test]
fn one_terrible_report_takes_the_picture_at_once_and_leaves_the_voice() {
    let mut ladder = Ladder::default();
    assert!(ladder.report(0, reading(0.9, 80.0), None, at(0)));
    assert_eq!(ladder.rung(), Rung::Audio);
    let steps = drive(&mut ladder, 6, 10, |_, _| reading(0.9, 80.0));
    assert_eq!(steps, [], "the voice is given up last");
    let steps = drive(&mut ladder, 16, 10, |_, _| reading(0.9, 80.0));
    assert_eq!(steps.last().unwrap().1, Rung::Text);
}

#[test]
fn it_begins_where_the_check_before_the_visit_ended_and_goes_on_from_there() {
    assert!(Ladder::begun(Rung::Video).view(ENDS).is_none(), "that says nothing new");
    let mut ladder = Ladder::begun(Rung::Audio);
    let view = ladder.view(ENDS).unwrap();
    assert_eq!((view.step, view.rung, view.why), (1, Rung::Audio, RungWhy::Probed));
    assert_eq!(Ladder::begun(Rung::Text).rung(), Rung::Audio, "the voice is always tried");
    let steps = drive(&mut ladder, 0, 40, |_, _| GOOD);
    assert_eq!(steps.first().unwrap(), &(HOLD_SECS, Rung::AudioStills));
}

#[test]
fn the_voice_is_back_with_the_connection_and_not_half_a_minute_later() {
    let mut ladder = Ladder::default();
    ladder.report(0, GOOD, None, at(0));
    ladder.wish(0, Rung::Audio, WishWhy::NoMedia, false, at(20));
    ladder.wish(0, Rung::Text, WishWhy::NoMedia, false, at(28));
    assert_eq!(ladder.rung(), Rung::Text);
    assert!(ladder.report(1, GOOD, Some(Rung::Text), at(40)));
    assert_eq!((ladder.rung(), ladder.why()), (Rung::Audio, RungWhy::Recovered));
    // Whoever asked for text keeps it, and a line that carries no voice is not tried at once.
    let mut ladder = Ladder::default();
    ladder.wish(0, Rung::Text, WishWhy::Asked, false, at(0));
    ladder.wish(1, Rung::Text, WishWhy::NoMedia, false, at(1));
    assert!(!ladder.report(1, GOOD, Some(Rung::Text), at(40)));
    assert_eq!(ladder.rung(), Rung::Text);
    let mut ladder = Ladder::default();
    drive(&mut ladder, 0, 60, |_, _| reading(0.9, 80.0));
    assert_eq!(ladder.rung(), Rung::Text);
    assert!(!ladder.report(0, GOOD, Some(Rung::Text), at(70)));
}

const ENDS: [ParticipantId; 2] =
    [ParticipantId(uuid::Uuid::from_u128(1)), ParticipantId(uuid::Uuid::from_u128(2))];

#[test]
fn the_reason_is_the_one_that_was_measured() {
    for (reading, why) in [
        (reading(0.05, 80.0), RungWhy::Loss),
        (reading(0.0, 500.0), RungWhy::Rtt),
        (Reading { mos: 2.0, ..reading(0.0, 80.0) }, RungWhy::Rtt),
        (Reading { room: Some(200_000.0), ..GOOD }, RungWhy::Bitrate),
    ] {
        let mut ladder = Ladder::default();
        drive(&mut ladder, 0, 10, |_, _| reading);
        assert_eq!((ladder.rung(), ladder.why()), (Rung::SmallVideo, why));
    }
}

#[test]
fn up_goes_one_rung_after_half_a_minute_and_longer_after_each_fall() {
    let mut ladder = Ladder::default();
    let mut now = 0;
    let mut holds = Vec::new();
    for _ in 0..6 {
        drive(&mut ladder, now, 10, |_, _| reading(0.05, 80.0));
        assert_eq!(ladder.rung(), Rung::SmallVideo);
        let fell = now + 5;
        let steps = drive(&mut ladder, now + 10, 400, |_, _| GOOD);
        let (rose, rung) = steps[0];
        assert_eq!(rung, Rung::Video);
        holds.push(rose - fell);
        now = rose + 10;
    }
    let expected = [30, 60, 120, 240, 240, 240];
    for (hold, least) in holds.iter().zip(expected) {
        assert!((least..=least + 15).contains(hold), "{holds:?}");
    }
    drive(&mut ladder, now, FORGIVE_SECS + 10, |_, _| GOOD);
    now += FORGIVE_SECS + 10;
    drive(&mut ladder, now, 10, |_, _| reading(0.05, 80.0));
    let steps = drive(&mut ladder, now + 10, 60, |_, _| GOOD);
    assert_eq!(steps.len(), 1, "after ten good minutes all is forgiven");
}

#[test]
fn a_bad_report_of_either_side_begins_the_wait_anew() {
    let mut ladder = Ladder::default();
    drive(&mut ladder, 0, 10, |_, _| reading(0.05, 80.0));
    drive(&mut ladder, 15, 25, |_, _| GOOD);
    ladder.report(1, reading(0.029, 80.0), None, at(40));
    assert_eq!(drive(&mut ladder, 45, 30, |_, _| GOOD), [], "good for here is not for above");
    assert_eq!(drive(&mut ladder, 75, 10, |_, _| GOOD).len(), 1);
}

#[test]
fn nobody_gets_more_than_they_asked_for_and_less_at_once() {
    let mut ladder = Ladder::default();
    assert!(ladder.wish(0, Rung::AudioStills, WishWhy::DataSaver, false, at(0)));
    assert_eq!((ladder.rung(), ladder.why()), (Rung::AudioStills, RungWhy::DataSaver));
    assert!(ladder.wish(1, Rung::Audio, WishWhy::Asked, false, at(1)));
    assert_eq!(ladder.rung(), Rung::Audio);
    assert_eq!(drive(&mut ladder, 10, 600, |_, _| GOOD), []);
    assert!(ladder.wish(1, Rung::Video, WishWhy::Asked, false, at(610)));
    assert_eq!(ladder.rung(), Rung::AudioStills, "as far as the other wants");
    assert!(ladder.wish(0, Rung::Video, WishWhy::Asked, false, at(611)));
    assert_eq!(ladder.rung(), Rung::Video, "and at once: the line was never the reason");
}

#[test]
fn whoever_asks_for_more_on_a_bad_line_gets_what_it_carries() {
    let mut ladder = Ladder::default();
    ladder.wish(0, Rung::Audio, WishWhy::Asked, false, at(0));
    drive(&mut ladder, 10, 20, |_, _| reading(0.08, 80.0));
    ladder.wish(0, Rung::Video, WishWhy::Asked, false, at(30));
    assert_eq!(ladder.rung(), Rung::AudioStills);
}

#[test]
fn a_bad_voice_is_better_than_none() {
    let mut ladder = Ladder::default();
    drive(&mut ladder, 0, 120, |_, _| reading(0.3, 4000.0));
    assert_eq!(ladder.rung(), Rung::Audio);
}

#[test]
fn a_wish_at_a_bad_moment_costs_neither_the_voice_nor_the_way_back() {
    // Voice alone, one lost second, and the same person asks once more.
    let mut ladder = Ladder::default();
    ladder.wish(0, Rung::Audio, WishWhy::Asked, false, at(0));
    ladder.report(0, reading(0.2, 80.0), None, at(10));
    ladder.wish(0, Rung::Video, WishWhy::Asked, false, at(11));
    assert_eq!(ladder.rung(), Rung::Audio, "the voice is not given up for one report");
    let steps = drive(&mut ladder, 15, 120, |_, _| GOOD);
    let rungs: Vec<Rung> = steps.iter().map(|(_, rung)| *rung).collect();
    assert_eq!(rungs, [Rung::AudioStills, Rung::SmallVideo, Rung::Video]);

    // Somebody who asks for the voice while it is lost hears it, or the telephone is proposed.
    let mut ladder = Ladder::default();
    drive(&mut ladder, 0, 30, |_, _| reading(0.7, 80.0));
    assert_eq!((ladder.rung(), ladder.why()), (Rung::Text, RungWhy::Loss));
    ladder.wish(1, Rung::Audio, WishWhy::Asked, false, at(31));
    assert_eq!((ladder.rung(), ladder.why()), (Rung::Text, RungWhy::Loss));
    drive(&mut ladder, 35, PHONE_SECS, |_, _| reading(0.0, 80.0));
    assert!(ladder.phone_proposed || ladder.rung() == Rung::Audio);
    drive(&mut ladder, 35 + PHONE_SECS, 60, |_, _| GOOD);
    assert_eq!(ladder.rung(), Rung::Audio, "as much as was asked for");
}

#[test]
fn a_good_line_gives_the_picture_back_whatever_a_browser_that_sent_none_thinks_of_its_room() {
    let mut ladder = Ladder::default();
    drive(&mut ladder, 0, 20, |_, _| reading(0.12, 600.0));
    assert_eq!(ladder.rung(), Rung::Audio);
    // As low as the bad line has made it: a voice alone does not bring it up again.
    let unasked = Reading { room: Some(32_000.0), ..GOOD };
    let line = |rung: Rung, _| if rung.send().video.is_some() { GOOD } else { unasked };
    let steps: Vec<Rung> =
        drive(&mut ladder, 20, 300, line).into_iter().map(|(_, rung)| rung).collect();
    assert_eq!(steps, [Rung::AudioStills, Rung::SmallVideo, Rung::Video]);
}

#[test]
fn room_is_no_reason_against_what_has_not_been_tried() {
    let mut ladder = Ladder::default();
    ladder.wish(0, Rung::Audio, WishWhy::Asked, false, at(0));
    ladder.report(0, Reading { room: Some(50_000.0), ..GOOD }, None, at(10));
    ladder.wish(0, Rung::Video, WishWhy::Asked, false, at(11));
    assert_eq!(ladder.rung(), Rung::Video, "an estimate does not grow beyond what is sent");
    ladder.report(0, Reading { room: Some(50_000.0), ..GOOD }, None, at(20));
    assert_eq!((ladder.rung(), ladder.why()), (Rung::Audio, RungWhy::Bitrate));
    let steps = drive(&mut ladder, 25, 300, |_, _| GOOD);
    assert_eq!(steps.last().unwrap().1, Rung::Video);
}

#[test]
fn the_telephone_needs_both_or_one_whose_other_side_is_gone() {
    let mut ladder = Ladder::default();
    let ends = [uuid::Uuid::from_u128(1), uuid::Uuid::from_u128(2)].map(ParticipantId);
    assert!(ladder.wish(0, Rung::Phone, WishWhy::Asked, false, at(0)), "the other hears of it");
    assert_eq!(ladder.rung(), Rung::Video);
    let phone = ladder.view(ends).unwrap().phone.unwrap();
    assert_eq!((phone.proposed, phone.agreed), (false, vec![ends[0]]));
    assert!(!ladder.wish(0, Rung::Phone, WishWhy::Asked, false, at(1)), "once is enough");
    assert!(ladder.wish(1, Rung::Phone, WishWhy::Asked, false, at(2)));
    assert_eq!(ladder.rung(), Rung::Phone);
    assert!(ladder.wish(1, Rung::Video, WishWhy::Asked, false, at(3)), "and may think better");
    assert_eq!(ladder.rung(), Rung::Video);
    assert!(ladder.wish(0, Rung::Phone, WishWhy::Asked, true, at(9)));
    assert_eq!(ladder.rung(), Rung::Phone);
}

#[test]
fn where_nothing_comes_through_the_telephone_is_proposed() {
    let mut ladder = Ladder::default();
    let ends = [uuid::Uuid::from_u128(1), uuid::Uuid::from_u128(2)].map(ParticipantId);
    assert!(ladder.wish(0, Rung::Audio, WishWhy::NoMedia, false, at(0)));
    assert!(ladder.wish(0, Rung::Text, WishWhy::NoMedia, false, at(20)));
    assert_eq!((ladder.rung(), ladder.why()), (Rung::Text, RungWhy::NoMedia));
    assert!(!ladder.wish(1, Rung::Text, WishWhy::NoMedia, false, at(30)));
    assert!(ladder.wish(1, Rung::Text, WishWhy::NoMedia, false, at(20 + PHONE_SECS)));
    assert!(ladder.view(ends).unwrap().phone.unwrap().proposed);
    assert_eq!(ladder.rung(), Rung::Text, "proposed is not done");
    drive(&mut ladder, 60, 120, |_, _| GOOD);
    assert!(ladder.rung() > Rung::Text, "and the voice comes back by itself");
    assert_eq!(ladder.view(ends).unwrap().phone, None);
}

#[test]
fn after_a_restart_an_edge_is_where_its_pages_are() {
    let mut ladder = Ladder::default();
    let ends = [uuid::Uuid::from_u128(1), uuid::Uuid::from_u128(2)].map(ParticipantId);
    assert_eq!(ladder.view(ends), None, "nobody has said, and nobody is told otherwise");
    assert!(ladder.report(0, GOOD, Some(Rung::Audio), at(0)));
    assert_eq!(ladder.rung(), Rung::Audio);
}

#[test]
fn a_step_is_agreed_when_both_have_carried_it_out() {
    let mut ladder = Ladder::default();
    ladder.wish(0, Rung::Audio, WishWhy::Asked, false, at(0));
    ladder.acknowledge(0, 1);
    assert!(!ladder.is_agreed());
    ladder.acknowledge(1, 99);
    assert!(ladder.is_agreed(), "nobody is ahead of what was said");
    ladder.wish(0, Rung::Video, WishWhy::Asked, false, at(1));
    assert!(!ladder.is_agreed());
}

/// A line of `docs/signaling.md`'s profiles: what it carries and what reports say of it.
struct Profile {
    name: &'static str,
    /// The thinner way, in bits per second.
    thin: f64,
    rtt: f64,
    jitter: f64,
    loss: f64,
    /// The line is off for so many seconds of so many.
    off: (i64, i64),
    /// Where it may stand at the end.
    ends: &'static [Rung],
}

const PROFILES: [Profile; 5] = [
    Profile {
        name: "2g-village",
        thin: 64_000.0,
        rtt: 600.0,
        jitter: 200.0,
        loss: 0.03,
        off: (5, 120),
        ends: &[Rung::AudioStills, Rung::Audio],
    },
    Profile {
        name: "3g-edge",
        thin: 384_000.0,
        rtt: 200.0,
        jitter: 60.0,
        loss: 0.01,
        off: (0, 1),
        ends: &[Rung::Video, Rung::SmallVideo],
    },
    Profile {
        name: "geo-sat",
        thin: 1_000_000.0,
        rtt: 650.0,
        jitter: 30.0,
        loss: 0.005,
        off: (0, 1),
        ends: &[Rung::SmallVideo],
    },
    Profile {
        name: "bad-wifi",
        thin: 3_000_000.0,
        rtt: 40.0,
        jitter: 40.0,
        loss: 0.08,
        off: (0, 1),
        ends: &[Rung::AudioStills, Rung::Audio],
    },
    Profile {
        name: "blackout",
        thin: 3_000_000.0,
        rtt: 40.0,
        jitter: 5.0,
        loss: 0.0,
        off: (30, 600),
        ends: &[Rung::Video],
    },
];

impl Profile {
    /// What a report says when `rung` is sent. A browser sends as much picture as there is room for,
    /// and never less than its encoder can; what is too much for the line then fills its queue.
    fn reading(&self, rung: Rung, now: i64, chance: f64) -> Reading {
        const LEAST_PICTURE: f64 = 30_000.0;
        let send = rung.send();
        let voice = f64::from(send.audio_bps) + if send.audio_bps > 0 { 12_000.0 } else { 0.0 };
        let still = if send.still_secs.is_some() { 16_000.0 } else { 0.0 };
        let free = (self.thin * 0.9 - voice).max(LEAST_PICTURE);
        let picture = send.video.map_or(0.0, |video| f64::from(video.max_bps).min(free));
        let over = ((voice + still + picture) / self.thin - 1.0).max(0.0);
        let is_off = now % self.off.1 < self.off.0;
        let loss = if is_off { 0.9 } else { self.loss * (0.7 + 0.6 * chance) + over.min(0.5) };
        let rtt = self.rtt + self.jitter * (2.0 * chance - 1.0) + over.min(1.0) * 2000.0;
        // Queueing is what the sender sees first; its estimate follows the line.
        let room = send.video.is_some().then_some(self.thin * 0.9);
        Reading { loss, rtt: rtt.max(1.0), mos: 3.5, room }
    }
}

#[test]
fn on_every_profile_it_ends_where_the_line_carries_it() {
    for profile in &PROFILES {
        let mut ladder = Ladder::default();
        let mut dice = 7_u64;
        let mut chance = move || {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            f64::from(u32::try_from(dice >> 40).unwrap()) / f64::from(1_u32 << 24)
        };
        let steps = drive(&mut ladder, 1, 590, |rung, now| profile.reading(rung, now, chance()));
        let name = profile.name;
        assert!(profile.ends.contains(&ladder.rung()), "{name}: {:?} {steps:?}", ladder.rung());
        // Three steps down and three probes at most in ten minutes, besides the line's own gaps.
        assert!(steps.len() <= 16, "{name} is restless: {steps:?}");
        // Half a minute of nothing takes the voice as well, and it comes back by itself.
        let voice_lives = steps.iter().all(|(_, rung)| *rung >= Rung::Audio);
        assert!(voice_lives || name == "blackout", "{name}: {steps:?}");
    }
}

fn any_reading() -> impl Strategy<Value = Reading> {
    let room = prop::option::of(0.0..2e6);
    (0.0..0.3, 10.0..4000.0, 1.0..4.5, room).prop_map(|(loss, rtt, mos, room)| Reading {
        loss,
        rtt,
        mos,
        room,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_worse_line_never_carries_more(one in any_reading(), worse in 1.0..5.0_f64) {
        let other = Reading {
            loss: one.loss * worse,
            rtt: one.rtt * worse,
            mos: 1.0 + (one.mos - 1.0) / worse,
            room: one.room.map(|room| room / worse),
        };
        prop_assert!(other.carried(Rung::Video) <= one.carried(Rung::Video));
        for rung in Rung::ALL {
            prop_assert!(!other.is_good_for(*rung) || one.is_good_for(*rung));
        }
    }

    #[test]
    fn up_is_slow_down_leaves_the_voice_and_wishes_hold_whatever_is_reported(
        said in prop::collection::vec((0..2_usize, any_reading(), 1..8_i64, 0..40_usize), 1..150),
    ) {
        let mut ladder = Ladder::default();
        let (mut now, mut changed_at, mut fell_at) = (0, None::<i64>, None::<i64>);
        let mut most = [Rung::Video; 2];
        for (side, reading, pause, wish) in said {
            now += pause;
            let before = ladder.rung();
            if let Some(rung) = Rung::ALL.get(wish).filter(|rung| **rung != Rung::Phone) {
                most[side] = *rung;
                ladder.wish(side, *rung, WishWhy::Asked, false, at(now));
            } else {
                ladder.report(side, reading, None, at(now));
                let after = ladder.rung();
                if after > before {
                    prop_assert!(fell_at.is_none_or(|fell| now - fell >= HOLD_SECS));
                    prop_assert_eq!(before.down_to(after), 0);
                    prop_assert_eq!(after.down_to(before), 1, "one at a time");
                }
                if after < before {
                    fell_at = Some(now);
                    prop_assert!(changed_at.is_none_or(|at| now - at >= SETTLE_SECS));
                    prop_assert!(after >= Rung::Audio || before == Rung::Audio);
                }
            }
            if ladder.rung() != before {
                changed_at = Some(now);
            }
            prop_assert!(ladder.rung() <= most[0].min(most[1]));
        }
        // Wherever that has led: on a good line both get what they ask for, step by step.
        for side in [0, 1] {
            ladder.wish(side, Rung::Video, WishWhy::Asked, false, at(now));
        }
        let rungs = i64::try_from(Rung::ALL.len()).unwrap();
        drive(&mut ladder, now + SETTLE_SECS, rungs * (HOLD_SECS_MAX + 20), |_, _| GOOD);
        prop_assert_eq!(ladder.rung(), Rung::Video);
    }
}
