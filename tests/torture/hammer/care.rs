//! What one client does besides booking: the waiting list, several visits in a row, an illness with
//! all that is proposed for it, and taking things back.

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::hammer::deeds::Line;
use crate::hammer::tally::{Known, Op};

/// Who is ill is so for this many slots.
const ILL_SLOTS: i64 = 4;
/// Visits of a series.
const COUNT: u32 = 3;

impl Line<'_> {
    /// Somebody comes onto the waiting list.
    pub async fn wish(&self) {
        let (dice, stage) = (&self.hammer.dice, self.hammer.stage);
        let mut wish = json!({"service": dice.of(&stage.services).id, "notice_minutes": 0});
        if dice.chance(50) {
            wish["practitioner"] = json!(dice.of(&stage.doctors));
        }
        let wish = self.for_somebody(wish);
        if let Some(entry) = self.post(Op::Wish, "/v1/waitlist", &wish).await {
            self.hammer.wishes.borrow_mut().push((self.person, entry["id"].clone()));
        }
    }

    /// Somebody takes what is held for them, leaves it, or waits no longer.
    pub async fn answer(&self) {
        let (dice, own) = (&self.hammer.dice, self.me().0.patient.is_some());
        let wishes = self.hammer.wishes.borrow().clone();
        let mut mine = wishes;
        mine.retain(|(by, _)| !own || *by == self.person);
        if mine.is_empty() {
            return;
        }
        let (_, id) = dice.of(&mine);
        let verb = *dice.of(&["accept", "accept", "decline", "withdraw"]);
        let path = format!("/v1/waitlist/{}/{verb}", id.as_str().unwrap());
        let answered = self.post(Op::Answer, &path, &json!({})).await;
        if let Some(visit) = answered.filter(|_| verb == "accept") {
            self.hammer.ledger.borrow_mut().note(&visit);
        }
        if verb != "decline" {
            self.hammer.wishes.borrow_mut().retain(|(_, one)| one != id);
        }
    }

    /// The same time on some days in a row.
    pub async fn series(&self) {
        let (dice, stage) = (&self.hammer.dice, self.hammer.stage);
        let wish = json!({"service": dice.of(&stage.services).id,
            "practitioner": dice.of(&stage.doctors), "start": stage.at(self.slot()),
            "every_days": 1, "count": COUNT});
        let wish = self.for_somebody(wish);
        let Some(series) = self.post(Op::Series, "/v1/appointments/series", &wish).await else {
            return;
        };
        let mut ledger = self.hammer.ledger.borrow_mut();
        let items = series["items"].as_array().unwrap();
        for visit in items.iter().filter(|item| item["result"] == "booked") {
            ledger.note(&visit["appointment"]);
            self.hammer.in_series.set(self.hammer.in_series.get() + 1);
        }
    }

    /// A doctor falls ill: what is proposed for the visits is done, and taken back or not.
    pub async fn fall_ill(&self) {
        let (dice, stage) = (&self.hammer.dice, self.hammer.stage);
        let (doctor, from) = (dice.of(&stage.doctors), self.slot());
        let body = json!({"from": stage.at(from), "to": stage.at(from + ILL_SLOTS)});
        let path = format!("/v1/practitioners/{doctor}/illness-plans");
        let Some(plan) = self.post(Op::Plan, &path, &body).await else { return };
        let path = format!("/v1/illness-plans/{}", plan["id"].as_str().unwrap());
        let applied = self.post(Op::Apply, &format!("{path}/apply"), &json!({})).await;
        let Some(applied) = applied else { return };
        let undone = match dice.chance(60) {
            true => self.post(Op::TakeBack, &format!("{path}/undo"), &json!({})).await,
            false => None,
        };
        if undone.is_none() {
            // The doctor is well again; what was moved stays where it is.
            let absence = applied["absence"].as_str().unwrap();
            let path = format!("/v1/practitioners/{doctor}/absences/{absence}");
            let (_, me) = self.me();
            let answer = me.send(me.request(Method::DELETE, &path), None).await;
            self.note(Op::Return, &answer);
        }
    }

    /// A visit is called off, and that is sometimes taken back.
    pub async fn call_off(&self) {
        let Some(known) = self.any(|_| true) else { return };
        let called_off: Option<Value> =
            self.change(Op::Cancel, &known, ("cancel", json!({}))).await;
        let was_booked = matches!(known.status.as_str(), "booked" | "arrived");
        let is_staff = self.me().0.patient.is_none();
        if called_off.is_some() && was_booked && is_staff && self.hammer.dice.chance(30) {
            self.change(Op::Undo, &known, ("undo", json!({}))).await;
        }
    }

    /// Asks for a change of a visit, and notes what came of it.
    pub async fn change(
        &self,
        op: Op,
        known: &Known,
        (verb, body): (&str, Value),
    ) -> Option<Value> {
        let path = format!("/v1/appointments/{}/{verb}", known.id);
        let answer = self.post(op, &path, &body).await;
        match &answer {
            Some(visit) => self.hammer.ledger.borrow_mut().note(visit),
            // It is over, or its time ran out.
            None => self.hammer.ledger.borrow_mut().close(&known.id),
        }
        answer
    }
}
