use super::*;

fn line() -> (Arc<Polled>, mpsc::Receiver<String>) {
    Polled::new("198.51.100.7".to_owned())
}

fn ready(waiting: &Waiting) -> Option<String> {
    waiting.ready().map(|batch| batch.text(None))
}

fn turn(line: &Arc<Polled>, after: u64) -> Waiting {
    match line.begin(after).unwrap() {
        Begun::Turn(waiting) => waiting,
        Begun::Again(body) => panic!("{body}"),
    }
}

fn say(line: &Arc<Polled>, text: &str) {
    locked(&line.state).waiting.push_back(text.to_owned());
}

#[test]
fn what_was_cut_off_is_handed_out_again_and_nothing_twice() {
    let (line, _heard) = line();
    say(&line, "1");
    assert_eq!(ready(&turn(&line, 0)).unwrap(), r#"{"batch":1,"frames":[1]}"#);
    say(&line, "2");
    let Begun::Again(again) = line.begin(0).unwrap() else { panic!("a new batch") };
    assert_eq!(again, r#"{"batch":1,"frames":[1]}"#);
    assert_eq!(ready(&turn(&line, 1)).unwrap(), r#"{"batch":2,"frames":[2]}"#);
    assert!(line.begin(0).is_err() && line.begin(3).is_err());
    assert_eq!(ready(&turn(&line, 2)), None);
}

#[test]
fn a_later_request_takes_the_line_from_an_earlier_one() {
    let (line, _heard) = line();
    let (first, second) = (turn(&line, 0), turn(&line, 0));
    say(&line, "1");
    assert_eq!(ready(&first).unwrap(), r#"{"batch":0,"frames":[]}"#);
    assert_eq!(ready(&second).unwrap(), r#"{"batch":1,"frames":[1]}"#);
    drop((first, second));
    assert_eq!(locked(&line.state).open, 0);
}

#[test]
fn one_address_has_so_many_lines_and_what_has_ended_makes_room() {
    let (polls, mut kept) = (Polls::default(), Vec::new());
    for number in 0..ADDRESS_LINES_MAX {
        let (polled, heard) = line();
        polls.add(&number.to_string(), Arc::clone(&polled)).unwrap();
        kept.push((polled, heard));
    }
    let one_more = || polls.add("one more", line().0);
    assert!(one_more().unwrap_err().is(&problem::TOO_MANY_ATTEMPTS));
    polls.add("elsewhere", Polled::new("198.51.100.8".to_owned()).0).unwrap();
    locked(&kept[0].0.state).ended = Some((Stopwatch::now(), None));
    one_more().unwrap();
    assert!(one_more().is_err());
    assert_eq!(polls.line_count(), ADDRESS_LINES_MAX + 1);
    // What nobody can ask about goes as soon as it has ended.
    kept[1].0.forsaken.store(true, Ordering::Relaxed);
    polls.sweep();
    assert_eq!(polls.line_count(), ADDRESS_LINES_MAX + 1);
    for (polled, _) in &kept[1..3] {
        locked(&polled.state).ended = Some((Stopwatch::now(), None));
    }
    polls.sweep();
    assert_eq!(polls.line_count(), ADDRESS_LINES_MAX, "the other may be asked about");
}

#[test]
fn frames_are_taken_once_in_order_and_within_bounds() {
    let (line, mut heard) = line();
    let frames = |text: &str| vec![text.to_owned()];
    line.take(1, frames("a")).unwrap();
    line.take(1, frames("a")).unwrap();
    assert!(line.take(3, frames("c")).is_err());
    line.take(2, frames("b")).unwrap();
    assert_eq!((heard.try_recv().unwrap(), heard.try_recv().unwrap()), ("a".into(), "b".into()));
    assert!(heard.try_recv().is_err());
    assert!(line.take(3, vec!["x".to_owned(); 61]).is_err());
    assert!(line.take(3, frames(&"x".repeat(MESSAGE_BYTES_MAX + 1))).is_err());
    line.take(3, vec!["x".to_owned(); 60]).unwrap();
    line.take(4, vec!["x".to_owned(); 60]).unwrap();
    assert!(line.take(5, vec!["x".to_owned(); 60]).is_err(), "nobody works them through");
}
