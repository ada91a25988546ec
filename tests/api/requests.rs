//! A request that soon runs out is a task of the office, until it is answered, put elsewhere or over.

use feldsher::appointment::{expiry, request};
use futures_util::future::join;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::{Client, Engine, World, key};

const MONDAY_15: &str = "2026-11-23T15:00:00+07:00";
const THURSDAY_9: &str = "2026-11-26T09:00:00+07:00";

fn path(visit: &Value, act: &str) -> String {
    format!("/v1/appointments/{}/{act}", visit["id"].as_str().unwrap())
}

async fn asks(world: &World, start: &str) -> Value {
    let mut wish = world.wish(start);
    wish["request"] = json!(true);
    world.boris.client.once("/v1/appointments", &key(), &wish).await.expect(201)
}

async fn tasks(client: &Client, status: &str) -> Vec<Value> {
    let tasks = client.get(&format!("/v1/tasks?status={status}")).await.expect(200);
    tasks["items"].as_array().unwrap().clone()
}

/// As if what is asked for had waited some hours longer.
fn wait(world: &World, hours: i64) {
    let over = match world.house.engine {
        Engine::Sqlite => format!("hold_expires_at - {hours} * 3600000000"),
        Engine::Postgres => format!("hold_expires_at - interval '{hours} hours'"),
    };
    let sql = format!(
        "UPDATE appointments SET hold_expires_at = {over} WHERE hold_expires_at IS NOT NULL"
    );
    world.house.execute(&sql).unwrap();
}

fn instant(value: &Value) -> chrono::DateTime<chrono::Utc> {
    value.as_str().unwrap().parse().unwrap()
}

on_both! {
    async fn a_request_that_soon_runs_out_is_one_task_that_its_answer_ends(world: World) {
        let (app, office) = (&world.house.app, &world.registrar.client);
        let asked = asks(world, THURSDAY_9).await;
        request::tick(app).await.unwrap();
        assert!(tasks(office, "open").await.is_empty(), "there are two days to answer it");
        // Eleven hours are left. Of three who look at once, the house among them, one opens the task.
        wait(world, 37);
        let (one, other) = join(request::tick(app), request::tick(app)).await;
        assert!(one.unwrap() + other.unwrap() <= 1);
        assert_eq!(request::tick(app).await.unwrap(), 0);
        assert_eq!(world.house.count("SELECT count(*) AS n FROM tasks"), 1);
        let open = tasks(office, "open").await;
        assert_eq!(open.len(), 1, "{open:?}");
        let task = &open[0];
        assert_eq!((&task["code"], &task["why"]), (&json!("request"), &json!("runs_out")));
        assert_eq!((&task["focus"]["id"], task.get("owner")), (&asked["encounter"]["id"], None));
        assert_eq!((&task["for"]["name"], &task["status"]), (&json!("Борис Волков"), &json!("requested")));
        let visit = format!("/v1/appointments/{}", asked["id"].as_str().unwrap());
        let now = office.get(&visit).await.expect(200);
        let (due, until) = (instant(&task["due_at"]), instant(&now["hold_expires_at"]));
        assert!(instant(&task["created_at"]) < due && due < until, "{due} {until}");
        // It is whoever's who takes it, and done when there is an answer, not when somebody says so.
        let work = |act: &str| format!("/v1/tasks/{}/{act}", task["id"].as_str().unwrap());
        office.once(&work("take"), &key(), &json!({})).await.expect(200);
        for outcome in ["reached", "not_reached", "moved"] {
            let done = office.once(&work("complete"), &key(), &json!({"outcome": outcome})).await;
            assert_eq!(done.refused(409), "bad_state", "{outcome}");
        }
        assert_eq!(tasks(office, "open").await[0]["owner"]["name"], "Нина Орлова");
        office.post(&path(&asked, "accept"), &json!({})).await.expect(200);
        assert!(tasks(office, "open").await.is_empty());
        assert_eq!(tasks(office, "cancelled").await.len(), 1);
    }
}

on_both! {
    async fn a_task_about_a_request_ends_in_whatever_way_the_request_does(world: World) {
        let (app, office) = (&world.house.app, &world.registrar.client);
        for (at, end) in ["decline", "cancel", "over"].into_iter().enumerate() {
            // What is asked for today is a task at once.
            let asked = asks(world, MONDAY_15).await;
            request::tick(app).await.unwrap();
            let open = tasks(office, "open").await;
            assert_eq!((open.len(), &open[0]["code"]), (1, &json!("request")), "{end}");
            match end {
                "decline" => drop(office.post(&path(&asked, end), &json!({})).await.expect(200)),
                "cancel" => drop(world.boris.client.post(&path(&asked, end), &json!({})).await.expect(200)),
                _ => {
                    wait(world, 24);
                    expiry::tick(app).await.unwrap();
                }
            }
            assert!(tasks(office, "open").await.is_empty(), "{end}");
            assert_eq!(tasks(office, "cancelled").await.len(), at + 1, "{end}");
        }
    }
}

on_both! {
    async fn a_request_that_is_moved_waits_anew_and_no_longer_than_it_would_have(world: World) {
        let (app, office) = (&world.house.app, &world.registrar.client);
        let asked = asks(world, THURSDAY_9).await;
        let to = |start: &str| json!({ "start": start });
        let moves = path(&asked, "reschedule");
        let today = office.once(&moves, &key(), &to(MONDAY_15)).await.expect(200);
        assert_eq!(today["hold_expires_at"], today["end"]);
        request::tick(app).await.unwrap();
        // A look at another time ends nothing; the move does.
        let look = json!({"start": THURSDAY_9, "dry_run": true});
        office.once(&moves, &key(), &look).await.expect(200);
        assert_eq!(tasks(office, "open").await.len(), 1);
        let back = office.once(&moves, &key(), &to(THURSDAY_9)).await.expect(200);
        assert_eq!(back["hold_expires_at"], asked["hold_expires_at"], "today was a mistake");
        request::tick(app).await.unwrap();
        assert!(tasks(office, "open").await.is_empty(), "there are two days again");
        let again = office.once(&moves, &key(), &to(MONDAY_15)).await.expect(200);
        assert_eq!(again["status"], "proposed");
        request::tick(app).await.unwrap();
        assert_eq!(tasks(office, "open").await.len(), 1, "nobody has answered it yet");
    }
}
