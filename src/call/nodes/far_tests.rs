use std::slice::from_ref;

use super::super::bus::{Outbox, way_out};
use super::super::tenure::Moment;
use super::*;

/// A socket of a test: what it is to hear, and what was written to it.
struct Socket {
    heard: mpsc::Receiver<Heard>,
    written: Vec<String>,
}

impl Wire for Socket {
    async fn hear(&mut self) -> Heard {
        self.heard.recv().await.unwrap_or(Heard::Gone)
    }

    async fn write(&mut self, text: String) -> Result<(), Ended> {
        self.written.push(text);
        Ok(())
    }

    async fn is_gone(&mut self) -> bool {
        false
    }

    async fn close(self, _code: u16) {}
}

fn office() -> (Arc<Office>, Outbox) {
    let (out, outbox) = way_out();
    let tenure = Arc::new(Tenure::of(1, Moment::now()));
    (Arc::new(Office::new(tenure, out)), outbox)
}

/// Carries a line to node 2 until its end, while `meanwhile` happens.
async fn carried(
    office: &Arc<Office>,
    meanwhile: impl AsyncFnOnce(mpsc::Sender<Heard>),
) -> (Carriage, Vec<String>) {
    let (says, heard) = mpsc::channel(100);
    let mut socket = Socket { heard, written: Vec::new() };
    let kept = says.clone();
    let ended = tokio::select! {
        ended = carry(office, &mut socket, (2, 7), "hello", Uuid::nil()) => ended,
        () = async {
            tokio::task::yield_now().await;
            meanwhile(says).await;
            kept.closed().await;
        } => panic!("its socket is there all the time"),
    };
    assert!(locked(&office.carried).is_empty());
    (ended, socket.written)
}

#[actix_web::test]
async fn a_line_that_was_not_answered_tries_again_when_its_owner_dies() {
    let (office, _outbox) = office();
    office.know([1, 2]);
    let dies = async |_says: mpsc::Sender<Heard>| drop(office.know([1]));
    assert_eq!(carried(&office, dies).await, (Carriage::Moved, Vec::new()));
}

#[actix_web::test]
async fn a_line_that_was_answered_is_told_to_come_back_when_its_owner_dies() {
    let (office, _outbox) = office();
    let text = "welcome".to_owned();
    let dies = async |_says: mpsc::Sender<Heard>| {
        office.told(2, Post::Send { line: 7, text });
        // What another node says for it is not heard.
        office.told(3, Post::Close { line: 7, code: 4403 });
        office.break_off(Some(3));
        tokio::task::yield_now().await;
        office.break_off(Some(2));
    };
    let (ended, written) = carried(&office, dies).await;
    assert_eq!(ended, Carriage::Ended(Some(1012)));
    assert_eq!(written.len(), 2);
    assert!(written[0] == "welcome" && written[1].contains(r#""action":"resume""#));
}

#[actix_web::test]
async fn a_flood_is_stopped_at_the_node_that_has_the_socket() {
    let (office, _outbox) = office();
    let floods = async |says: mpsc::Sender<Heard>| {
        while says.send(Heard::Text("{}".to_owned())).await.is_ok() {}
    };
    let (ended, _) = carried(&office, floods).await;
    assert_eq!(ended, Carriage::Ended(Some(4429)));
}

#[actix_web::test]
async fn a_flood_of_few_large_frames_is_stopped_as_well() {
    let (office, mut outbox) = office();
    let large = " ".repeat(60 * 1024);
    let floods = async |says: mpsc::Sender<Heard>| {
        while says.send(Heard::Text(large.clone())).await.is_ok() {}
    };
    let (ended, _) = carried(&office, floods).await;
    assert_eq!(ended, Carriage::Ended(Some(4429)));
    let frames =
        told(&mut outbox).await.into_iter().filter(|post| matches!(post, Post::Frame { .. }));
    assert!(frames.count() <= 9, "half a megabyte, and what was earned meanwhile");
}

#[actix_web::test]
async fn one_ticket_opens_few_lines_and_another_is_not_troubled() {
    let (office, _outbox) = office();
    let (mine, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let open = |line: FarLine, shown| {
        let (said, orders) = mpsc::channel(1);
        office.take_up(line, Carried { owner: 2, shown, said });
        orders
    };
    let mut far = open(1, other);
    let mut lines: Vec<_> = (2..12).map(|line| open(line, mine)).collect();
    let kept = lines.split_off(lines.len() - CARRIED_LEN_MAX);
    for mut old in lines {
        assert!(matches!(old.try_recv(), Ok(Said::Close(1012))));
    }
    assert!(kept.into_iter().all(|mut one| one.try_recv().is_err()));
    assert!(far.try_recv().is_err());
    assert_eq!(locked(&office.carried).len(), CARRIED_LEN_MAX + 1);
}

#[actix_web::test]
async fn a_sign_out_reaches_who_was_not_there_yet_and_names_whom_it_did_not_reach() {
    let (office, mut outbox) = office();
    let session = SessionId(Uuid::from_u128(7));
    let signed_out = Post::SignedOut { session };
    assert!(office.sign_out(session).is_empty(), "nobody is known yet");
    assert!(office.know([1, 2]).is_empty());
    assert_eq!(told(&mut outbox).await, from_ref(&signed_out), "a heartbeat later");
    assert!(office.know([1, 2]).is_empty());
    assert!(office.sign_out(session).is_empty());
    assert_eq!(told(&mut outbox).await, from_ref(&signed_out), "once");
    while office.out.tell(2, &Post::Sign { line: 1 }) {}
    assert_eq!(office.sign_out(session), [2], "too much waits");
    outbox.batch().await.unwrap();
    assert!(office.tell_each(&[2], &signed_out).is_empty());
    office.know([1]);
    assert!(office.tell_each(&[2], &signed_out).is_empty(), "the dead are not told");
}

#[actix_web::test]
async fn a_room_that_is_not_told_of_a_frame_has_the_line_begin_anew() {
    let (office, _outbox) = office();
    let Told::Opened(mut wire, first) =
        office.told(2, Post::Open { line: 9, text: "hello".to_owned() })
    else {
        panic!("nobody came")
    };
    assert_eq!(first, "hello");
    office.told(2, Post::Frame { line: 9, text: "one".to_owned() });
    assert!(matches!(wire.hear().await, Heard::Text(text) if text == "one"));
    for _ in 0..=FRAMES_LEN_MAX {
        office.told(2, Post::Frame { line: 9, text: "more".to_owned() });
    }
    assert!(locked(&office.hosted).is_empty(), "it says more than is worked through");
    let mut frames = 0;
    while let Heard::Text(_) = wire.hear().await {
        frames += 1;
    }
    assert_eq!(frames, FRAMES_LEN_MAX);
}

/// What was told to node 2.
async fn told(outbox: &mut Outbox) -> Vec<Post> {
    let batch = outbox.batch().await.unwrap();
    assert!(batch.iter().all(|(node, _)| *node == 2));
    batch.iter().map(|(_, body)| serde_json::from_slice(body).unwrap()).collect()
}

fn hosted(office: &Arc<Office>, line: FarLine) -> FarWire {
    let Told::Opened(wire, _) = office.told(2, Post::Open { line, text: "{}".to_owned() }) else {
        panic!("nobody came")
    };
    wire
}

#[actix_web::test]
async fn however_the_serving_of_a_line_ends_its_socket_hears_of_it_once() {
    let (office, mut outbox) = office();
    let restart = |line| Post::Close { line, code: 1012 };
    drop(hosted(&office, 1));
    let wire = hosted(&office, 2);
    office.break_off(Some(2));
    drop(wire);
    hosted(&office, 3).close(4410).await;
    hosted(&office, 4).send_on();
    let dies = hosted(&office, 5);
    let panics = actix_web::rt::spawn(async move {
        let _wire = dies;
        panic!("the task that serves it")
    });
    assert!(panics.await.is_err());
    let over = Post::Close { line: 3, code: 4410 };
    let all = [restart(1), restart(2), over, Post::NotMine { line: 4 }, restart(5)];
    assert_eq!(told(&mut outbox).await, all);
    // Also of a line that nobody here knows.
    office.told(2, Post::Sign { line: 6 });
    assert_eq!(told(&mut outbox).await, [restart(6)]);
}

#[actix_web::test]
async fn a_line_that_says_nothing_and_lives_is_no_dead_one_where_its_room_is() {
    let (office, mut outbox) = office();
    let mut wire = hosted(&office, 9);
    office.told(2, Post::Sign { line: 9 });
    assert!(matches!(wire.hear().await, Heard::Sign));

    const { assert!(2 * SIGN_MS < SILENCE_SECS_MAX * 1000) };
    let long_ago = tokio::time::Instant::now() - Duration::from_millis(SIGN_MS);
    let budget = || Budget::full(FRAMES_BURST, FRAMES_PER_SECOND);
    let office = &office;
    let (budget, bytes) = (budget(), budget());
    let mut carrier = Carrier { office, owner: 2, line: 7, budget, bytes, told_at: long_ago };
    let (_says, heard) = mpsc::channel(1);
    let mut socket = Socket { heard, written: Vec::new() };
    for heard in [Heard::Sign, Heard::Sign, Heard::Text("{}".to_owned()), Heard::Sign] {
        carrier.heard(&mut socket, heard).await.unwrap();
    }
    let frame = Post::Frame { line: 7, text: "{}".to_owned() };
    assert_eq!(told(&mut outbox).await, [Post::Sign { line: 7 }, frame]);
}
