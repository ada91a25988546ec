use std::cell::RefCell;

use super::*;

#[derive(Default)]
struct Ear(RefCell<Vec<String>>);

impl Reader for &Ear {
    fn told(&self, sender: i64, post: Post) {
        let Post::Lost { line } = post else { panic!("{post:?}") };
        self.0.borrow_mut().push(format!("{sender}: {line}"));
    }

    fn lost(&self, sender: Option<i64>) {
        self.0.borrow_mut().push(format!("{sender:?} lost"));
    }
}

#[test]
fn a_message_is_told_once_and_a_gap_shows() {
    let seal = Seal::new(&[7; 32]).unwrap();
    let (ear, mut last) = (Ear::default(), HashMap::new());
    for (sender, number) in [(1_i64, 1_i64), (1, 2), (2, 1), (1, 2), (1, 1), (1, 5), (1, 6)] {
        let post = serde_json::to_vec(&Post::Lost { line: number.unsigned_abs() }).unwrap();
        let body = seal.seal(&place(sender, 9, number), &post).unwrap();
        take(&seal, 9, (sender, number), &body, &mut last, &&ear);
    }
    let heard = ["1: 1", "1: 2", "2: 1", "Some(1) lost", "1: 5", "1: 6"];
    assert_eq!(*ear.0.borrow(), heard);
}

#[test]
fn what_was_put_in_another_place_is_not_read() {
    let seal = Seal::new(&[7; 32]).unwrap();
    let (ear, mut last) = (Ear::default(), HashMap::new());
    let post = serde_json::to_vec(&Post::Lost { line: 4 }).unwrap();
    let body = seal.seal(&place(1, 8, 1), &post).unwrap();
    take(&seal, 9, (1, 1), &body, &mut last, &&ear);
    assert_eq!(*ear.0.borrow(), ["Some(1) lost"]);
}

#[test]
fn a_node_that_hears_or_tells_nothing_gives_up_as_long_as_the_server_hears_it() {
    let (ways, mut last) = (Ways::default(), Looked::default());
    let reads = || ways.read.fetch_add(1, Ordering::Relaxed);
    let look = |last: &mut Looked, is_heard| {
        ways.look(last, is_heard);
        last.blocked
    };
    for _ in 0..20 {
        reads();
        assert_eq!(look(&mut last, true), 0, "there is nothing to tell");
    }
    assert_eq!(look(&mut last, true), 1, "deaf");
    assert_eq!(look(&mut last, true), 2);
    assert_eq!(look(&mut last, false), 0, "nobody is heard while the server is down");
    ways.is_writing.store(true, Ordering::Relaxed);
    for blocked in 1..=BLOCKED_LOOKS_MAX {
        reads();
        assert_eq!(look(&mut last, true), blocked, "mute");
    }
    ways.written.fetch_add(1, Ordering::Relaxed);
    reads();
    assert_eq!(look(&mut last, true), 0, "much to tell, and it is told");
}

#[actix_web::test]
async fn what_waits_to_be_told_is_bounded() {
    let (out, mut outbox) = way_out();
    let post = |text: &str| Post::Send { line: 1, text: text.to_owned() };
    let taken = (0..20_000).take_while(|_| out.tell(2, &post("x"))).count();
    assert_eq!(taken, OUT_LEN_MAX - OUT_LEN_KEPT);
    let signed_out = Post::SignedOut { session: crate::account::SessionId(uuid::Uuid::nil()) };
    assert!(out.tell(2, &signed_out), "a flood on lines keeps nobody from hearing this");
    assert_eq!(outbox.batch().await.unwrap().len(), BATCH_LEN_MAX);
    assert!(out.tell(2, &post("x")), "what was written makes room");
    let (out, _outbox) = way_out();
    let large = post(&"x".repeat(64 * 1024));
    let taken = (0..20_000).take_while(|_| out.tell(2, &large)).count();
    assert_eq!(taken, 239, "15 MiB with their envelopes");
    assert!(out.tell(2, &signed_out), "nor does one of many bytes");
    let taken = (0..20_000).take_while(|_| out.tell(2, &signed_out)).count();
    assert!(taken < OUT_LEN_MAX, "what is kept for them is bounded as well");
}
