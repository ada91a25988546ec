//! Consent before anything is recorded: given by the person, in a version, withdrawn once, and held
//! by the schema whatever the code believes.

use chrono::TimeDelta;
use feldsher::access::Facts;
use feldsher::access::table::Action;
use feldsher::base::ctx::as_system;
use feldsher::consent::form::{self, ConsentKind};
use feldsher::consent::recording::recording_allowed;
use feldsher::encounter::{EncounterId, ParticipantId};
use serde_json::{Value, json};

use crate::on_both;
use crate::support::visit::encounter_of;
use crate::support::{Client, Engine, Person, World, key};

/// A recording, as somebody would write it past the application.
const RECORD: &str = "INSERT INTO recordings (id, encounter_id, started_by, started_at)
    SELECT p.id, p.encounter_id, p.account_id, p.updated_at FROM encounter_participants p
    WHERE p.role = 'patient'";

struct Visit {
    id: String,
    doctor: Person,
    asha: Person,
    registrar: Person,
}

impl Visit {
    async fn open(world: &World) -> Self {
        let id = encounter_of(&world.booked("2026-11-23T09:20:00+07:00").await);
        world.house.advance(TimeDelta::minutes(6));
        Self {
            id,
            doctor: world.resigned(&world.doctor).await,
            asha: world.resigned(&world.asha).await,
            registrar: world.resigned(&world.registrar).await,
        }
    }

    fn consents(&self) -> String {
        format!("/v1/encounters/{}/consents", self.id)
    }

    async fn agrees(&self, client: &Client, of: Option<ParticipantId>) -> Value {
        let mut body = json!({"kind": "recording", "form_version": 1});
        if let Some(of) = of {
            body["participant"] = json!(of);
        }
        client.once(&self.consents(), &key(), &body).await.expect(201)
    }

    async fn recording(&self) -> Value {
        self.doctor.client.get(&self.consents()).await.expect(200)["recording"].clone()
    }

    async fn allowed(&self, world: &World) -> bool {
        let id: EncounterId = self.id.parse().unwrap();
        let asked = as_system(&world.house.app, move |tx| {
            tx.allow(Action::ReadConsents, &Facts::NONE)?;
            recording_allowed(tx, id)
        });
        asked.await.unwrap()
    }
}

async fn withdraws(client: &Client, consent: &Value) -> Value {
    let path = format!("/v1/consents/{}/withdraw", consent["id"].as_str().unwrap());
    client.once(&path, &key(), &json!({})).await.expect(200)
}

fn open_recordings(world: &World) -> i64 {
    world.house.count("SELECT count(*) AS n FROM recordings WHERE ended_at IS NULL")
}

on_both! {
    async fn nothing_is_recorded_unless_everybody_who_is_there_has_consented(world: World) {
        let visit = Visit::open(world).await;
        let refused = |why: &str| {
            let said = world.house.execute(RECORD).unwrap_err();
            assert!(said.contains("consent_missing"), "{why}: {said}");
        };
        let asha = world.enters(&visit.asha, &visit.id).await;
        refused("nobody has consented");
        assert_eq!(visit.recording().await, json!({"possible": false, "because": "consent_missing", "missing": [{"id": asha}]}));
        let first = visit.agrees(&visit.asha.client, None).await;
        let said = [&first["kind"], &first["language"], &first["given_by"]];
        assert_eq!(said, ["recording", "en", "self"]);
        assert_eq!((&first["form_version"], &first["counts"]), (&json!(1), &json!(true)));
        // She is alone and agrees: the guard would let it be, and nothing records.
        assert!(visit.allowed(world).await);
        assert_eq!(visit.recording().await, json!({"possible": false, "because": "off", "missing": []}));

        // The doctor comes, and has not.
        let doctor = world.enters(&visit.doctor, &visit.id).await;
        refused("the doctor has not consented");
        assert!(!visit.allowed(world).await);
        let his = visit.agrees(&visit.doctor.client, Some(doctor)).await;
        assert!(visit.allowed(world).await);
        world.house.execute(RECORD).unwrap();
        assert_eq!(open_recordings(world), 1);

        // What runs ends with a withdrawal, at once and by itself.
        let gone = withdraws(&visit.asha.client, &first).await;
        assert_eq!((&gone["counts"], &gone["withdrawn_at"]), (&json!(false), &json!(world.house.now())));
        assert_eq!(open_recordings(world), 0);
        assert_eq!(withdraws(&visit.asha.client, &first).await, gone, "once is enough");
        assert!(!visit.allowed(world).await);
        let again = visit.agrees(&visit.asha.client, None).await;
        assert_ne!(again["id"], first["id"]);
        assert!(visit.allowed(world).await);
        assert_eq!(visit.agrees(&visit.asha.client, None).await["id"], again["id"]);
        withdraws(&visit.doctor.client, &his).await;
        refused("the doctor has withdrawn");
        world.leaves(&visit.id, doctor).await;
        assert!(visit.allowed(world).await, "whoever has left does not count");
        world.leaves(&visit.id, asha).await;
        assert_eq!(visit.recording().await["because"], "nobody_here");
        refused("nobody is there");
    }
}

on_both! {
    async fn who_comes_later_without_a_consent_ends_it(world: World) {
        let visit = Visit::open(world).await;
        world.enters(&visit.asha, &visit.id).await;
        visit.agrees(&visit.asha.client, None).await;
        world.house.execute(RECORD).unwrap();
        assert_eq!(open_recordings(world), 1);
        // As a third person who is written in past the application, and only invited at first.
        let third = "INSERT INTO encounter_participants (id, encounter_id, account_id, role, name, state, updated_at)
            SELECT a.id, e.id, a.id, 'interpreter', 'Третий', 'invited', e.updated_at
            FROM encounters e, accounts a WHERE a.name = 'Борис Волков'";
        world.house.execute(third).unwrap();
        assert_eq!(open_recordings(world), 1, "who is only invited hears nothing");
        world.house.execute("UPDATE encounter_participants SET state = 'waiting' WHERE name = 'Третий'").unwrap();
        assert_eq!(open_recordings(world), 0);
        assert!(!visit.allowed(world).await);
        world.house.execute(RECORD).unwrap_err();
        // Nor with somebody else's consent, or one to an older form, or to something else.
        let forged = |kind: &str, of: &str| format!(
            "INSERT INTO consents (id, kind, form_version, language, organization_id, patient_id, encounter_id, person_id, given_by, recorded_by, given_at)
             SELECT p.id, '{kind}', 1, 'ru', e.organization_id, e.patient_id, e.id, p.account_id, 'self', p.account_id, e.updated_at
             FROM encounters e JOIN encounter_participants p ON p.encounter_id = e.id WHERE p.name = '{of}'"
        );
        world.house.execute(&forged("third_party", "Третий")).unwrap();
        assert!(world.house.execute(RECORD).unwrap_err().contains("consent_missing"));
        world.house.execute("INSERT INTO consent_forms (kind, version) VALUES ('recording', 2)").unwrap();
        world.house.execute("UPDATE encounter_participants SET state = 'left' WHERE name = 'Третий'").unwrap();
        assert!(world.house.execute(RECORD).unwrap_err().contains("consent_missing"), "an older form");
    }
}

on_both! {
    async fn a_consent_is_never_changed_or_removed(world: World) {
        let visit = Visit::open(world).await;
        world.enters(&visit.asha, &visit.id).await;
        let consent = visit.agrees(&visit.asha.client, None).await;
        let mut attacks = vec![
            "UPDATE consents SET form_version = 1, language = 'ru'",
            "UPDATE consents SET person_id = recorded_by, given_at = given_at",
            "UPDATE consents SET kind = 'trainee'",
            "DELETE FROM consents",
            "UPDATE consent_forms SET version = 3 WHERE kind = 'recording'",
            "DELETE FROM consent_forms WHERE kind = 'trainee'",
        ];
        attacks.extend(match world.house.engine {
            Engine::Sqlite => vec![
                "INSERT OR REPLACE INTO consents SELECT id, kind, form_version, 'ru', organization_id, patient_id, encounter_id, person_id, given_by, relationship, recorded_by, given_at, NULL, NULL FROM consents",
                "UPDATE consents SET rowid = rowid + 1",
            ],
            Engine::Postgres => vec![
                "TRUNCATE consents CASCADE",
                "SET session_replication_role = replica; DELETE FROM consents",
            ],
        });
        for sql in attacks {
            let said = world.house.execute(sql).unwrap_err();
            assert!(said.contains("consent_kept"), "{sql}: {said}");
        }
        withdraws(&visit.asha.client, &consent).await;
        for sql in ["UPDATE consents SET withdrawn_at = NULL, withdrawn_by = NULL", "UPDATE consents SET withdrawn_at = given_at"] {
            assert!(world.house.execute(sql).unwrap_err().contains("consent_kept"), "{sql}");
        }
        // Nor does a recording that has ended go on.
        visit.agrees(&visit.asha.client, None).await;
        world.house.execute(RECORD).unwrap();
        for sql in ["UPDATE recordings SET started_at = started_at", "UPDATE recordings SET encounter_id = id"] {
            assert!(world.house.execute(sql).unwrap_err().contains("recording_kept"), "{sql}");
        }
        world.house.execute("UPDATE recordings SET ended_at = started_at").unwrap();
        let resumed = world.house.execute("UPDATE recordings SET ended_at = NULL").unwrap_err();
        assert!(resumed.contains("recording_kept"), "{resumed}");
    }
}

on_both! {
    async fn only_the_person_consents_to_be_recorded_and_only_to_the_newest_form(world: World) {
        let visit = Visit::open(world).await;
        let asha = world.enters(&visit.asha, &visit.id).await;
        let doctor = world.enters(&visit.doctor, &visit.id).await;
        let path = visit.consents();
        let recording = |of: ParticipantId| json!({"kind": "recording", "form_version": 1, "participant": of});
        for (client, of) in [(&visit.doctor, asha), (&visit.registrar, asha), (&visit.asha, doctor), (&visit.registrar, doctor)] {
            let answer = client.client.post(&path, &recording(of)).await;
            assert_eq!(answer.refused(403), "forbidden", "{}", client.login);
        }
        let boris = world.resigned(&world.boris).await;
        assert_eq!(boris.client.post(&path, &recording(asha)).await.refused(404), "not_found");
        assert_eq!(boris.client.get(&path).await.refused(404), "not_found");
        let body = |change: Value| {
            let mut body = json!({"kind": "telehealth", "form_version": 1});
            body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            body
        };
        let post = async |body: Value| visit.registrar.client.post(&path, &body).await;
        assert_eq!(post(body(json!({"form_version": 2}))).await.refused(409), "consent_form_old");
        assert_eq!(post(body(json!({"given_by": "relative"}))).await.refused(422), "invalid_body");
        assert_eq!(post(body(json!({"relationship": "child"}))).await.refused(422), "invalid_body");
        // What was heard on the telephone can be written down.
        let heard = post(body(json!({"given_by": "relative", "relationship": "child"}))).await.expect(201);
        assert_eq!((&heard["given_by"], &heard["relationship"]), (&json!("relative"), &json!("child")));
        let shown = visit.asha.client.get(&path).await.expect(200);
        assert_eq!(shown["items"][0]["id"], heard["id"]);
        let text = visit.asha.client.get(&path).await.text;
        assert!(!text.contains("Лебедева"), "ids only: {text}");

        let patients = format!("/v1/patients/{}/consents", world.asha.id);
        let all = json!({"kind": "recording", "form_version": 1});
        assert_eq!(visit.asha.client.post(&patients, &all).await.refused(422), "invalid_body");
        let given = visit.asha.client.in_language("ru")
            .once(&patients, &key(), &body(json!({}))).await.expect(201);
        assert_eq!((&given["language"], given.get("encounter")), (&json!("ru"), None));
        let listed = visit.doctor.client.get(&patients).await.expect(200);
        assert_eq!(listed["items"].as_array().unwrap().len(), 2);
        assert_eq!(boris.client.get(&patients).await.refused(404), "not_found");
        let withdraw = format!("/v1/consents/{}/withdraw", given["id"].as_str().unwrap());
        assert_eq!(boris.client.post(&withdraw, &json!({})).await.refused(404), "not_found");
        visit.asha.client.post(&withdraw, &json!({})).await.expect(200);
        let log = "SELECT count(*) AS n FROM audit_events WHERE action LIKE 'consent.%' AND outcome = 'done'";
        assert_eq!(world.house.count(log), 3);
    }
}

on_both! {
    async fn the_forms_are_in_both_languages_and_the_schema_knows_their_versions(world: World) {
        let asha = &world.asha.client;
        for (language, word) in [("en", "agree"), ("ru", "согласен")] {
            let forms = asha.in_language(language).get("/v1/consent-forms").await.expect(200);
            let forms = forms["items"].as_array().unwrap().clone();
            assert_eq!(forms.len(), ConsentKind::ALL.len());
            for form in forms {
                assert!(form["text"].as_str().unwrap().contains(word), "{form}");
                assert_eq!(form["language"], language);
            }
        }
        for kind in ConsentKind::ALL {
            let newest = format!("SELECT CAST(max(version) AS BIGINT) AS n FROM consent_forms WHERE kind = '{kind}'");
            let version = form::current(*kind, feldsher::base::language::Language::English).version;
            assert_eq!(world.house.count(&newest), i64::from(version), "{kind}");
        }
    }
}
