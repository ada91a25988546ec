//! Somebody floods the server with frames, well made and ill made, while two others talk
//! (OWASP ASVS 5.0, 17.3.1 and 17.3.2).
//!
//! `TEST_FRAMES` asks for another number of ill-made frames.

use std::cell::Cell;
use std::time::{Duration, Instant as Stopwatch};

use actix_web::rt::time::sleep;
use awc::ws::Message;
use futures_util::future::join;
use serde_json::{Value, json};

use super::hostile::next_visit;
use super::{Call, call, describe, sdp, status};
use crate::on_both;
use crate::support::peer::{Edge, PROTOCOL, Peer, dial};
use crate::support::{Engine, World, percentile};

/// Ill-made frames.
const FRAMES: u64 = 2000;
/// How long well-made frames come as fast as they can be written.
const FLOOD: Duration = Duration::from_secs(6);
/// Frames of a flood between two looks at what was answered; more than a socket may say at once.
const WAVE: u64 = 200;
/// How long a word between the two others may take.
const WORD_MS_MAX: u128 = 100;
/// Words that are looked at together: about a second of them.
const STRETCH: usize = 40;
/// The machine of a test does other things as well, and is slow for a while at any time. The flood goes
/// on all the while, and so makes every stretch slow if it makes anything slow: the quickest counts. On
/// a machine that is slow from end to end so are the words that are said right after the flood, and
/// those of a stretch may take so many times as long.
const TIMES_MAX: u128 = 5;

/// Two who talk, undisturbed.
struct Talk {
    offers: (Peer, Edge),
    answers: (Peer, Edge),
    neg: u64,
}

impl Talk {
    async fn begin(world: &World) -> Self {
        let visit = next_visit(world).await;
        let (mut boris, _) = Peer::enter(&world.boris.client, &visit).await;
        let (mut stranger, _) = Peer::enter(&world.stranger.client, &visit).await;
        stranger.say("admit", json!({"participant": boris.id})).await;
        let offers = Edge::of(&stranger.hear_of("negotiate").await);
        let answers = Edge::of(&boris.hear_of("negotiate").await);
        Self { offers: (stranger, offers), answers: (boris, answers), neg: 0 }
    }

    /// Says and hears as long as it `goes_on`, after so many words, and notes how long each took.
    async fn go_on(&mut self, took: &mut Vec<u128>, goes_on: impl Fn(usize) -> bool) {
        while goes_on(took.len()) {
            self.neg += 1;
            let neg = self.neg;
            let (offerer, edge) = &mut self.offers;
            let (answerer, other) = &mut self.answers;
            let said = Stopwatch::now();
            offerer.say_on(&edge.with_neg(neg), "offer", sdp("of the doctor")).await;
            answerer.hear_of("offer").await;
            took.push(said.elapsed().as_millis());
            let said = Stopwatch::now();
            answerer.say_on(&other.with_neg(neg), "answer", sdp("of Boris")).await;
            offerer.hear_of("answer").await;
            took.push(said.elapsed().as_millis());
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Does something while two others talk, and looks at how long their words took.
async fn beside<T>(world: &World, what: &str, work: impl Future<Output = T>) -> T {
    let mut talk = Talk::begin(world).await;
    let (mut took, mut after) = (Vec::new(), Vec::new());
    let is_over = Cell::new(false);
    let work = async {
        let done = work.await;
        is_over.set(true);
        done
    };
    let goes_on = |count| !is_over.get() || count < STRETCH;
    let (done, ()) = join(Box::pin(work), Box::pin(talk.go_on(&mut took, goes_on))).await;
    talk.go_on(&mut after, |count| count < STRETCH).await;
    let slowest = |words: &[u128]| words.iter().copied().max().unwrap_or_default();
    let quickest = took.chunks_exact(STRETCH).map(slowest).min().expect("they came to speak");
    let quiet = slowest(&after);
    took.sort_unstable();
    println!(
        "{what}, {:?}: {} words between two others took {} ms (half) to {} ms (99 of 100), {quickest} ms \
         at most in the quickest stretch and {quiet} ms in the one after",
        world.house.engine,
        took.len(),
        percentile(&took, 50),
        percentile(&took, 99)
    );
    assert!(quickest <= WORD_MS_MAX.max(quiet * TIMES_MAX), "{quickest} ms, and {quiet} ms after");
    done
}

on_both! {
    async fn whoever_speaks_too_fast_is_cut_off_and_nobody_else_waits(world: World) {
        let Call { mut doctor, asha, .. } = call(world).await;
        let flood = async {
            let (mut peer, mut sent, begun) = (asha, 0, Stopwatch::now());
            while begun.elapsed() < FLOOD {
                for _ in 0..WAVE {
                    peer.say("ping", json!({})).await;
                }
                sent += WAVE;
                assert_eq!(peer.closed().await, Some(4429));
                peer = Peer::come_back(&world.house.url, &peer.cut()).await.0;
            }
            println!("{sent} frames in {:?}", begun.elapsed());
            peer
        };
        let mut asha = beside(world, "a flood", flood).await;
        assert!(asha.lives().await);
        assert!(doctor.lives().await, "her doctor was not thrown out");
    }
}

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        // Knuth's MMIX constants; the high bits are the good ones.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

/// Frames as a page says them, but for those that would end the visit.
fn good(edge: &Edge) -> Vec<Value> {
    let on = |kind: &str, body: Value| json!({"v": 1, "id": "c1", "t": kind, "edge": edge.name, "neg": 1, "gen": edge.generation, "body": body});
    vec![
        on("offer", sdp("of Asha")),
        on("answer", sdp("of Asha")),
        on(
            "candidate",
            json!({"candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host", "sdpMid": "0", "sdpMLineIndex": 0}),
        ),
        on(
            "quality",
            json!({"rtt": 84, "jitter": 6, "loss_in": 0.01, "loss_out": 0.0, "bitrate": 1, "mos": 4.2}),
        ),
        on("negotiate_request", json!({"why": "rebuild"})),
        json!({"v": 1, "t": "media_state", "body": {"audio": true, "video": false}}),
        json!({"v": 1, "t": "presence", "body": {"state": "ready"}}),
        json!({"v": 1, "t": "admit", "body": {"participant": "019dab12-0000-7000-8000-000000000000"}}),
        json!({"v": 1, "t": "ack", "ack": 1, "body": {}}),
    ]
}

/// Something that does not belong there.
fn strange(dice: &mut Dice) -> Value {
    match dice.throw(9) {
        0 => Value::Null,
        1 => json!(-1),
        2 => json!(1e308),
        3 => json!(u64::MAX),
        4 => json!(""),
        5 => json!("\u{0}\u{202e}\u{ffff}"),
        6 => json!("x".repeat(5000)),
        7 => json!([[[[[[[[[[[[]]]]]]]]]]]]),
        _ => json!({"v": 1, "t": "end", "body": {"outcome": {}}}),
    }
}

/// A frame that is not what a page says, and whether it is sent as text.
fn ill_made(edge: &Edge, dice: &mut Dice) -> (bool, String) {
    let frames = good(edge);
    let mut frame = frames[dice.throw(frames.len())].clone();
    for _ in 0..=dice.throw(3) {
        let part = if dice.throw(2) == 0 { "" } else { "/body" };
        let Some(fields) = frame.pointer_mut(part).and_then(Value::as_object_mut) else { break };
        let names: Vec<String> = fields.keys().cloned().collect();
        let Some(name) = names.get(dice.throw(names.len().max(1))) else { continue };
        match dice.throw(3) {
            0 => drop(fields.remove(name)),
            1 => drop(fields.insert(name.clone(), strange(dice))),
            _ => drop(fields.insert(format!("{name}x"), strange(dice))),
        }
    }
    let mut bytes = frame.to_string().into_bytes();
    match dice.throw(12) {
        // Cut off, or with a byte that is another one.
        0 => bytes.truncate(dice.throw(bytes.len())),
        1 => {
            let at = dice.throw(bytes.len());
            bytes[at] = b"\0\"\\{}[],:"[dice.throw(9)];
        }
        2 => return (false, frame.to_string()),
        3 => bytes = [&bytes[..], &bytes[..]].concat(),
        _ => {}
    }
    (true, String::from_utf8_lossy(&bytes).into_owned())
}

fn message((is_text, frame): &(bool, String)) -> Message {
    if *is_text {
        Message::Text(frame.as_str().into())
    } else {
        Message::Binary(frame.clone().into_bytes().into())
    }
}

/// Says one, and whether it was refused; the code when the socket was closed for it.
async fn refused(peer: &mut Peer, frame: Message) -> Result<bool, Option<u16>> {
    peer.send_raw(frame).await;
    peer.say("ping", json!({})).await;
    let mut is_refused = false;
    loop {
        let said = peer.next().await?;
        is_refused |= said["t"] == "error";
        if said["t"] == "pong" {
            return Ok(is_refused);
        }
    }
}

on_both! {
    async fn ill_made_frames_are_refused_one_by_one_and_break_nothing(world: World) {
        let frames = std::env::var("TEST_FRAMES").map_or(FRAMES, |count| count.parse().unwrap());
        let mut mine = call(world).await;
        describe(&mut mine).await;
        let Call { mut doctor, asha, ashas, visit, .. } = mine;
        let url = &world.house.url;
        let garbage = async {
            let (mut peer, mut dice, mut count) = (asha, Dice(20_260_224), 0);
            let (mut closed, mut answered) = (0_u64, 0_u64);
            while count < frames {
                let frame = ill_made(&ashas, &mut dice);
                match refused(&mut peer, message(&frame)).await {
                    // By chance it was a good one.
                    Ok(false) => continue,
                    Ok(true) => answered += 1,
                    Err(code) => {
                        assert!(matches!(code, Some(4400 | 4413 | 4429)), "{code:?} for {frame:?}");
                        closed += 1;
                        peer = Peer::come_back(url, &peer.cut()).await.0;
                    }
                }
                count += 1;
                if count % 20 == 0 {
                    // Her doctor listens all the while, as a page does.
                    doctor.hear_all().await;
                    // As somebody's first word as well.
                    let mut stranger = dial(url, None, Some(PROTOCOL)).await.unwrap();
                    stranger.send_raw(message(&frame)).await;
                    let code = stranger.closed().await;
                    assert!(matches!(code, Some(4400 | 4401 | 4413)), "{code:?}");
                }
            }
            println!("{answered} were answered by an error, {closed} by a close");
            (doctor, peer)
        };
        let (mut doctor, mut asha) = beside(world, "ill-made frames", garbage).await;
        assert!(asha.lives().await && doctor.lives().await);
        assert_eq!(status(&world.doctor.client, &visit).await, "in-progress");
    }
}
