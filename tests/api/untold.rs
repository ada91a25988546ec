//! Whom no text reaches: when a text would have left, the office has a task to tell them what became of their
//! visit.

use chrono::TimeDelta;
use feldsher::appointment::expiry;
use feldsher::task::job;
use serde_json::{Value, json};

use crate::desk::break_promise;
use crate::leave::{act, away, books, decide, id, plans, stand_in, visit};
use crate::offer_over::{later, looks, tasks};
use crate::on_both;
use crate::support::world::made;
use crate::support::{Client, Engine, World, key};

const NINE: &str = "2026-11-24T09:00:00+07:00";
const NINE_20: &str = "2026-11-24T09:20:00+07:00";
const BIRTH: &str = "1950-02-03";

/// A visit of somebody who has no telephone.
async fn silent(world: &World, start: &str) -> Value {
    silent_wish(world, start, json!({})).await
}

async fn silent_wish(world: &World, start: &str, how: Value) -> Value {
    let who = json!({"name": "Без Телефона", "birth_date": BIRTH,
        "location": world.village, "organization": world.clinic});
    let who = made(&world.registrar.client, "/v1/patients", who).await;
    let mut wish = world.wish(start);
    wish["patient"] = who["id"].clone();
    wish.as_object_mut().unwrap().extend(how.as_object().unwrap().clone());
    books(&world.registrar.client, &wish).await
}

/// What the office is to tell, once nothing waits to leave.
async fn untold(world: &World, office: &Client) -> Vec<Value> {
    world.house.all_sent().await;
    let all = tasks(office).await;
    assert!(
        all.iter().all(|task| task["code"] == "untold" && task["why"] == "no_telephone"),
        "{all:?}"
    );
    all
}

on_both! {
    async fn who_has_no_telephone_and_is_moved_or_called_off_is_told_by_the_office(world: World) {
        let office = &world.registrar.client;
        let booked = silent(world, NINE).await;
        let other = world.booked("2026-11-24T10:00:00+07:00").await;
        assert!(untold(world, office).await.is_empty(), "whoever booked has spoken with them");
        let path = format!("{}/reschedule", visit(&booked));
        office.once(&path, &key(), &json!({"start": NINE_20})).await.expect(200);
        let path = format!("{}/reschedule", visit(&other));
        office.once(&path, &key(), &json!({"start": "2026-11-24T11:00:00+07:00"})).await.expect(200);
        let all = untold(world, office).await;
        assert_eq!(all.len(), 1, "who has a telephone is told by a text: {all:?}");
        assert_eq!((&all[0]["visit"]["local_start"], &all[0]["visit"]["status"]), (&json!(NINE_20), &json!("booked")));
        assert!(all[0].get("owner").is_none());

        // What becomes of it next is told in place of that.
        office.post(&format!("{}/cancel", visit(&booked)), &json!({})).await.expect(200);
        let next = untold(world, office).await;
        assert_eq!((next.len(), &next[0]["visit"]["status"]), (1, &json!("cancelled")));
        assert_ne!(next[0]["id"], all[0]["id"]);
        office.post(&format!("{}/undo", visit(&booked)), &json!({})).await.expect(200);
        let again = untold(world, office).await;
        assert_eq!((again.len(), &again[0]["visit"]["status"]), (1, &json!("booked")));
        let path = |word: &str| format!("/v1/tasks/{}/{word}", id(&again[0]));
        office.post(&path("take"), &json!({})).await.expect(200);
        let done = office.post(&path("complete"), &json!({"outcome": "reached"})).await.expect(200);
        assert_eq!(done["status"], "completed");
        assert!(untold(world, office).await.is_empty());
    }
}

on_both! {
    async fn what_a_plan_does_is_told_when_it_can_no_longer_be_taken_back(world: World) {
        stand_in(world, "Зинаида Вторая", "vtoraya", ("09:00", "17:00")).await;
        let booked = silent(world, NINE).await;
        let office = &world.registrar.client;
        let plan = plans(world, office, "2026-11-24").await;
        act(office, &plan, "apply").await.expect(200);
        assert!(tasks(office).await.is_empty());
        act(office, &plan, "undo").await.expect(200);
        assert!(untold(world, office).await.is_empty());
        let plan = plans(world, office, "2026-11-24").await;
        act(office, &plan, "apply").await.expect(200);
        let [office] = later(world, 11, [&world.registrar]).await;
        let all = untold(world, &office.client).await;
        assert_eq!(all.len(), 1);
        let now = office.client.get(&visit(&booked)).await.expect(200);
        assert_eq!(all[0]["focus"]["id"], now["encounter"]["id"]);

        // It is over: nobody is told of it any more.
        world.house.advance(TimeDelta::hours(36));
        job::tick(&world.house.app).await.unwrap();
        let open = "SELECT count(*) AS n FROM tasks WHERE status <> 'cancelled'";
        assert_eq!(world.house.count(open), 0);
    }
}

on_both! {
    async fn who_is_to_choose_is_told_so_and_then_that_it_is_too_late_in_one_call(world: World) {
        let booked = silent(world, "2026-11-26T09:00:00+07:00").await;
        let chosen = silent(world, "2026-11-26T09:20:00+07:00").await;
        let absence = away(world, "2026-11-26T00:00:00+07:00", "2026-11-27T00:00:00+07:00").await;
        let office = &world.registrar.client;
        let outcomes = [&booked, &chosen].map(|one| json!({"appointment": one["id"], "outcome": "offered"}));
        decide(office, &absence, json!(outcomes)).await.expect(200);
        let all = untold(world, office).await;
        assert_eq!(all.len(), 2);
        assert!(all.iter().all(|task| task["visit"]["offered"] == true), "{all:?}");
        // Who answers with their code has done it themselves.
        let answer = json!({"code": chosen["code"], "birth_date": BIRTH, "number": 1});
        world.house.client().post("/v1/offers/answer", &answer).await.expect(200);
        let all = untold(world, office).await;
        assert_eq!(all.len(), 1);
        let [office] = later(world, 100, [&world.registrar]).await;
        looks(world).await;
        world.house.all_sent().await;
        let all = tasks(&office.client).await;
        assert_eq!(all.iter().map(|task| task["code"].clone()).collect::<Vec<_>>(), [json!("unanswered")]);
    }
}

on_both! {
    async fn who_has_asked_for_a_visit_hears_from_the_office_whether_it_will_be(world: World) {
        let ask = json!({"request": true});
        let [taken, left] = [NINE, "2026-11-23T09:40:00+07:00"];
        let taken = silent_wish(world, taken, ask.clone()).await;
        let left = silent_wish(world, left, ask).await;
        let office = &world.registrar.client;
        office.post(&format!("{}/accept", visit(&taken)), &json!({})).await.expect(200);
        let all = untold(world, office).await;
        assert_eq!((all.len(), &all[0]["visit"]["status"]), (1, &json!("booked")), "{all:?}");

        // The other one is not answered in time.
        let [office] = later(world, 60, [&world.registrar]).await;
        expiry::tick(&world.house.app).await.unwrap();
        let all = untold(world, &office.client).await;
        let of_left = all.iter().filter(|task| task["visit"]["status"] == "cancelled");
        assert_eq!((all.len(), of_left.count()), (2, 1), "{all:?}");
        assert_eq!(office.client.get(&visit(&left)).await.expect(200)["cancellation_code"], "expired");

        // It ran out at the visit's own end, and is news all the same, for as long as in a text.
        job::tick(&world.house.app).await.unwrap();
        assert_eq!(untold(world, &office.client).await.len(), 2);
        world.house.advance(TimeDelta::hours(12));
        job::tick(&world.house.app).await.unwrap();
        let open = "SELECT count(*) AS n FROM tasks WHERE code = 'untold' AND status = 'requested'";
        assert_eq!(world.house.count(open), 1, "the other one is still to come");
    }
}

on_both! {
    async fn what_was_to_be_told_before_a_plan_is_to_be_told_again_when_it_is_taken_back(world: World) {
        stand_in(world, "Зинаида Вторая", "vtoraya", ("09:00", "17:00")).await;
        let booked = silent(world, NINE).await;
        let office = &world.registrar.client;
        let path = format!("{}/reschedule", visit(&booked));
        office.once(&path, &key(), &json!({"start": NINE_20})).await.expect(200);
        let before = untold(world, office).await;
        let take = format!("/v1/tasks/{}/take", id(&before[0]));
        let taken = office.post(&take, &json!({})).await.expect(200);
        for _ in 0..2 {
            let plan = plans(world, office, "2026-11-24").await;
            act(office, &plan, "apply").await.expect(200);
            assert!(tasks(office).await.is_empty());
            world.house.advance(TimeDelta::minutes(1));
            act(office, &plan, "undo").await.expect(200);
            let again = untold(world, office).await;
            assert_eq!(again.len(), 1, "{again:?}");
            assert_eq!(again[0]["owner"]["id"], taken["owner"]["id"]);
            assert_eq!(again[0]["visit"]["local_start"], NINE_20);
        }
    }
}

on_both! {
    async fn a_promise_that_is_kept_leaves_what_is_to_be_told(world: World) {
        let booked = silent(world, NINE).await;
        let office = &world.registrar.client;
        let path = format!("{}/reschedule", visit(&booked));
        office.once(&path, &key(), &json!({"start": NINE_20})).await.expect(200);
        let before = untold(world, office).await;
        break_promise(world, &booked, "2026-11-24T10:20:00+08:00");
        office.post(&format!("{}/keep-promise", visit(&booked)), &json!({})).await.expect(200);
        let after = untold(world, office).await;
        assert_eq!((after.len(), &after[0]["id"]), (1, &before[0]["id"]), "{after:?}");
    }
}
