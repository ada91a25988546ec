//! What one client does next, and what it makes of the answer.

use std::cell::{Cell, RefCell};

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::hammer::stage::{BIRTH_DATE, SLOTS, Stage};
use crate::hammer::tally::{Known, Ledger, Op, Tally};
use crate::support::{Answer, Client, key};

/// How many bookings are remembered to be sent again.
const REPEATS: usize = 64;

/// Numbers that look random, from a seed (splitmix64).
pub struct Dice(Cell<u64>);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    pub fn below(&self, end: u64) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn index(&self, length: usize) -> usize {
        usize::try_from(self.below(u64::try_from(length).unwrap())).unwrap()
    }

    pub fn of<'a, T>(&self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    pub fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Somebody who is signed in.
pub struct Signed {
    pub token: RefCell<String>,
    pub refresh: RefCell<String>,
    /// The patient they are; staff are none.
    pub patient: Option<String>,
}

/// What all clients share.
pub struct Hammer<'a> {
    pub stage: &'a Stage,
    pub people: Vec<Signed>,
    pub dice: Dice,
    /// How many requests make a run.
    pub total: u64,
    /// What the judge found meanwhile, if it was asked to look; a run ends with it.
    pub found: RefCell<Vec<String>>,
    /// What every second request is for.
    favourite: Option<Op>,
    pub tally: RefCell<Tally>,
    pub ledger: RefCell<Ledger>,
    /// Who waits: by whom they were put on the list, and which wish it is.
    pub wishes: RefCell<Vec<(usize, Value)>>,
    /// How many visits were booked in series.
    pub in_series: Cell<u64>,
    /// Bookings that were done: by whom, under which key, what, which visit came of it.
    repeats: RefCell<Vec<(usize, String, Value, Value)>>,
}

/// One client and its connection.
pub struct Line<'a> {
    pub hammer: &'a Hammer<'a>,
    pub http: Client,
    /// Which of the people it is.
    pub person: usize,
}

impl<'a> Hammer<'a> {
    pub fn new(
        stage: &'a Stage,
        people: Vec<Signed>,
        (total, seed): (u64, u64),
        favourite: Option<Op>,
    ) -> Self {
        Self {
            stage,
            people,
            dice: Dice::new(seed),
            total,
            found: RefCell::default(),
            favourite,
            tally: RefCell::default(),
            ledger: RefCell::default(),
            wishes: RefCell::default(),
            in_series: Cell::new(0),
            repeats: RefCell::default(),
        }
    }

    pub fn is_over(&self) -> bool {
        self.tally.borrow().done >= self.total || !self.found.borrow().is_empty()
    }

    /// A slot of the day; the next ones are the most wanted.
    fn slot(&self) -> i64 {
        let first = self.stage.first_slot().min(SLOTS - 6);
        let left = u64::try_from(SLOTS - first).unwrap();
        let end = if self.dice.chance(50) { left } else { left.div_ceil(3) };
        first + i64::try_from(self.dice.below(end)).unwrap()
    }
}

impl Line<'_> {
    pub fn slot(&self) -> i64 {
        self.hammer.slot()
    }

    pub fn me(&self) -> (&Signed, Client) {
        let signed = &self.hammer.people[self.person];
        (signed, self.http.with_token(&signed.token.borrow()))
    }

    pub fn note(&self, op: Op, answer: &Answer) -> bool {
        self.hammer.tally.borrow_mut().note(op, answer);
        answer.status.is_success()
    }

    pub async fn post(&self, op: Op, path: &str, body: &Value) -> Option<Value> {
        let answer = self.me().1.once(path, &key(), body).await;
        self.note(op, &answer).then_some(answer.body)
    }

    async fn get(&self, op: Op, path: &str) -> Option<Value> {
        let answer = self.me().1.get(path).await;
        self.note(op, &answer).then_some(answer.body)
    }

    /// One of the visits that may be live and that this client may change, if a few looks find one.
    pub fn any(&self, wanted: impl Fn(&Known) -> bool) -> Option<Known> {
        let hammer = self.hammer;
        let ledger = hammer.ledger.borrow();
        let own = &hammer.people[self.person].patient;
        for _ in 0..if ledger.open() == 0 { 0 } else { 16 } {
            let known = ledger.nth(hammer.dice.index(ledger.open()))?;
            if own.as_ref().is_none_or(|own| *own == known.patient) && wanted(known) {
                return Some(known.clone());
            }
        }
        None
    }

    /// Does the next thing.
    pub async fn act(&self) {
        let staff = self.me().0.patient.is_none();
        if let Some(favourite) =
            self.hammer.favourite.filter(|_| staff && self.hammer.dice.chance(50))
        {
            return self.book(favourite).await;
        }
        match self.hammer.dice.below(100) {
            0..7 => self.search().await,
            7..9 => self.wish().await,
            9..12 => self.answer().await,
            12..13 if staff => self.series().await,
            13..26 => self.book(Op::Book).await,
            26..36 => self.book(Op::BookAny).await,
            36..43 => self.book(Op::Hold).await,
            43..47 => self.book(Op::Ask).await,
            47..50 if staff => self.book(Op::Urgent).await,
            50..53 if staff => self.book(Op::Overbook).await,
            53..55 => self.again().await,
            55..62 => self.simple(Op::Confirm, |known| known.status == "pending").await,
            62..65 if staff => self.simple(Op::Reply, |known| known.status == "proposed").await,
            65..67 if staff => self.simple(Op::Attend, |known| known.status == "booked").await,
            67..79 => self.put_elsewhere().await,
            79..91 => self.call_off().await,
            91..92 if staff => self.fall_ill().await,
            92..93 if staff => self.leave().await,
            93..95 => self.look_up().await,
            95..97 => drop(self.get(Op::List, "/v1/appointments?limit=20").await),
            _ => self.show().await,
        }
    }

    async fn search(&self) {
        let hammer = self.hammer;
        let service = hammer.dice.of(&hammer.stage.services);
        let mut path = format!("/v1/slots?service={}&limit=20", service.id);
        let slot = hammer.slot();
        let to = hammer.stage.at(SLOTS.max(slot + 1));
        path += &format!("&from={}&to={to}", hammer.stage.at(slot));
        let Some(found) = self.get(Op::Search, &path).await else { return };
        // Most of those who looked take what they saw.
        let slots = found["items"].as_array().unwrap();
        if slots.is_empty() || hammer.dice.chance(30) {
            return;
        }
        let slot = hammer.dice.of(slots);
        let wish = json!({"service": service.id, "practitioner": slot["practitioner"]["id"],
            "start": slot["start"], "hold": true});
        self.send(Op::Hold, self.for_somebody(wish)).await;
    }

    /// Patients book for themselves, staff for anybody.
    pub fn for_somebody(&self, mut wish: Value) -> Value {
        if self.me().0.patient.is_none() {
            wish["patient"] = json!(self.hammer.dice.of(&self.hammer.stage.patients));
        }
        wish
    }

    async fn book(&self, op: Op) {
        let (dice, stage) = (&self.hammer.dice, self.hammer.stage);
        // Those without needs can lie in two lanes.
        let plain = matches!(op, Op::Urgent | Op::Overbook);
        let service = if plain { &stage.services[dice.index(2)] } else { dice.of(&stage.services) };
        let mut wish = json!({"service": service.id, "start": stage.at(self.hammer.slot())});
        if op != Op::BookAny {
            wish["practitioner"] = json!(dice.of(&stage.doctors));
        }
        match op {
            Op::Hold => wish["hold"] = json!(true),
            Op::Ask => wish["request"] = json!(true),
            Op::Urgent => wish["priority"] = json!("urgent"),
            Op::Overbook => wish["overbook"] = json!(true),
            _ => {}
        }
        if service.needs.contains(&"room") && dice.chance(30) {
            wish["resources"] = json!([dice.of(&stage.rooms)]);
        }
        self.send(op, self.for_somebody(wish)).await;
    }

    async fn send(&self, op: Op, wish: Value) {
        let key = key();
        let answer = self.me().1.once("/v1/appointments", &key, &wish).await;
        // What is booked on the grid of another service can be off one's own; patients must not.
        let own = self.me().0.patient.is_some();
        let off = own && answer.body["code"] == "off_grid";
        if !self.note(if off { Op::Hold } else { op }, &answer) {
            return;
        }
        self.hammer.ledger.borrow_mut().note(&answer.body);
        let mut repeats = self.hammer.repeats.borrow_mut();
        let done = (self.person, key, wish, answer.body);
        match repeats.len() {
            REPEATS.. => repeats[self.hammer.dice.index(REPEATS)] = done,
            _ => repeats.push(done),
        }
    }

    /// The answer may have been lost: the same again has no second effect.
    async fn again(&self) {
        let found = {
            let repeats = self.hammer.repeats.borrow();
            let own: Vec<_> = repeats.iter().filter(|(by, ..)| *by == self.person).collect();
            if own.is_empty() {
                return;
            }
            (*self.hammer.dice.of(&own)).clone()
        };
        let (_, key, wish, first) = found;
        let answer = self.me().1.once("/v1/appointments", &key, &wish).await;
        if self.note(Op::Again, &answer) && answer.body != first {
            let wrong = format!("another answer under one key: {first} and {}", answer.body);
            self.hammer.tally.borrow_mut().wrong.push(wrong);
        }
    }

    async fn simple(&self, op: Op, wanted: impl Fn(&Known) -> bool) {
        let Some(known) = self.any(wanted) else { return };
        let how = match op {
            Op::Confirm => ("confirm", json!({})),
            Op::Reply if self.hammer.dice.chance(60) => ("accept", json!({})),
            Op::Reply => ("decline", json!({"reason": "занято"})),
            _ => ("attend", json!({})),
        };
        self.change(op, &known, how).await;
    }

    async fn put_elsewhere(&self) {
        let Some(known) = self.any(|_| true) else { return };
        let (dice, stage) = (&self.hammer.dice, self.hammer.stage);
        let mut body = json!({"start": stage.at(self.hammer.slot())});
        if dice.chance(50) {
            body["practitioner"] = json!(dice.of(&stage.doctors));
        }
        let path = format!("/v1/appointments/{}/reschedule", known.id);
        if let Some(visit) = self.post(Op::Move, &path, &body).await {
            self.hammer.ledger.borrow_mut().note(&visit);
        }
    }

    /// A doctor is away for an hour: what is booked then is moved, offered or called off.
    async fn leave(&self) {
        let (dice, stage) = (&self.hammer.dice, self.hammer.stage);
        let path = format!("/v1/practitioners/{}/absences", dice.of(&stage.doctors));
        let from = self.hammer.slot();
        let body = json!({"from": stage.at(from), "to": stage.at(from + 3)});
        let Some(absence) = self.post(Op::Leave, &path, &body).await else { return };
        let id = absence["id"].as_str().unwrap().to_owned();
        let hit = absence["affected"].as_array().unwrap();
        if !hit.is_empty() {
            let outcome = |visit: &Value| match dice.below(3) {
                0 => json!({"appointment": visit["id"], "outcome": "cancelled"}),
                1 => json!({"appointment": visit["id"], "outcome": "offered"}),
                _ => json!({"appointment": visit["id"], "outcome": "moved",
                    "practitioner": dice.of(&stage.doctors), "start": visit["start"]}),
            };
            // One by one: one that is refused shall not keep the others.
            for visit in hit {
                let body = json!({"outcomes": [outcome(visit)]});
                let offered = body["outcomes"][0]["outcome"] == "offered";
                let settled = format!("/v1/absences/{id}/outcomes");
                let settled = self.post(Op::Settle, &settled, &body).await;
                if settled.is_some() && offered && dice.chance(70) {
                    let path = format!("/v1/appointments/{}/offer", visit["id"].as_str().unwrap());
                    if let Some(moved) = self.post(Op::Choose, &path, &json!({"number": 1})).await {
                        self.hammer.ledger.borrow_mut().note(&moved);
                    }
                }
            }
        }
        self.post(Op::Complete, &format!("/v1/absences/{id}/complete"), &json!({})).await;
        let (_, me) = self.me();
        let request = me.request(Method::DELETE, &format!("{path}/{id}"));
        self.note(Op::Return, &me.send(request, None).await);
    }

    async fn look_up(&self) {
        let Some(known) = self.any(|_| true) else { return };
        // Another stranger each time: there are limits for one.
        let address =
            format!("10.{}.{}.7", self.hammer.dice.below(250), self.hammer.dice.below(250));
        let body = json!({"code": known.code, "birth_date": BIRTH_DATE});
        let request = self.http.request(Method::POST, "/v1/appointments/lookup");
        let request = request.insert_header(("X-Forwarded-For", address));
        self.note(Op::LookUp, &self.http.send(request, Some(&body)).await);
    }

    async fn show(&self) {
        let Some(known) = self.any(|_| true) else { return };
        let path = format!("/v1/appointments/{}", known.id);
        if let Some(visit) = self.get(Op::Show, &path).await {
            self.hammer.ledger.borrow_mut().note(&visit);
        }
    }
}
