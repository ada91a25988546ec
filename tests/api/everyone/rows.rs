//! The access matrix: one row for every operation of the API. A new route needs a row here.

use serde_json::{Value, json};

use super::stage::Place;
use crate::support::probe::{OFFER, found};

/// The people of the matrix. All but the last two belong to the first clinic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    /// The patient of every object.
    Asha,
    /// Another patient of the clinic.
    Boris,
    /// The doctor of every visit.
    Doctor,
    /// Another doctor of the clinic.
    Colleague,
    Feldsher,
    Registrar,
    Chief,
    /// A doctor of the other clinic.
    Stranger,
    SystemAdmin,
}
use Who::*;

pub const EVERYONE: &[Who] =
    &[Asha, Boris, Doctor, Colleague, Feldsher, Registrar, Chief, Stranger, SystemAdmin];
const NOBODY: &[Who] = &[];
const ADMINS: &[Who] = &[SystemAdmin, Chief];
const OFFICE: &[Who] = &[Feldsher, Registrar, Chief];
const VISIBLE: &[Who] = &[Asha, Doctor, Feldsher, Registrar, Chief];
/// Who may answer an offer of the waiting list.
const ANSWERERS: &[Who] = &[Asha, Feldsher, Registrar, Chief];
const CLOSERS: &[Who] = &[SystemAdmin, Registrar, Chief];
const PLANNERS: &[Who] = &[Doctor, Registrar, Chief];
/// Who measures a line: the patient, or the feldsher at the station.
const PROBERS: &[Who] = &[Asha, Feldsher];
/// Who may see to it that nobody is forgotten.
const WORKERS: &[Who] = &[Doctor, Feldsher, Registrar, Chief];
const DOCTOR: &[Who] = &[Doctor];
const BOTH: &[Who] = &[Asha, Doctor];

/// One operation, and what everyone hears.
pub struct Row {
    pub operation: (&'static str, &'static str),
    /// The object in the path: a name of [`Place`], or nothing.
    pub object: &'static str,
    /// What follows the path.
    pub query: fn(&Place) -> String,
    pub body: fn(&Place) -> Value,
    /// `If-Match`.
    pub version: Option<i64>,
    /// Who may; the first of them gets 2xx, the others at least pass the policy.
    pub may: &'static [Who],
    /// Who hears 403; whoever is left hears `hidden`.
    pub see: &'static [Who],
    pub hidden: (u16, &'static str),
    /// In whose answer the object occurs, for lists.
    pub lists: Option<(&'static str, &'static [Who])>,
    /// Needs no sign-in.
    pub public: bool,
}

fn row(method: &'static str, path: &'static str) -> Row {
    Row {
        operation: (method, path),
        object: "",
        query: |_| String::new(),
        body: |_| json!({}),
        version: None,
        may: NOBODY,
        see: NOBODY,
        hidden: (404, "not_found"),
        lists: None,
        public: false,
    }
}

impl Row {
    fn of(self, object: &'static str) -> Self {
        Self { object, ..self }
    }

    fn body(self, body: fn(&Place) -> Value) -> Self {
        Self { body, ..self }
    }

    fn version(self, version: i64) -> Self {
        Self { version: Some(version), ..self }
    }

    fn may(self, may: &'static [Who]) -> Self {
        Self { may, ..self }
    }

    fn see(self, see: &'static [Who]) -> Self {
        Self { see, ..self }
    }

    fn lists(self, object: &'static str, who: &'static [Who]) -> Self {
        Self { lists: Some((object, who)), ..self }
    }

    fn public(self) -> Self {
        Self { public: true, ..self }
    }
}

fn decide(place: &Place) -> Value {
    json!({"participant": place.id("participant")})
}

pub fn rows() -> Vec<Row> {
    vec![
        row("POST", "/v1/auth/password").public(),
        row("POST", "/v1/auth/code").public(),
        row("POST", "/v1/auth/code/verify").public(),
        row("POST", "/v1/auth/token").public(),
        row("POST", "/v1/auth/refresh").public(),
        // Whoever may sign out is signed out: the stage does it once, for a session of its own.
        row("POST", "/v1/auth/logout"),
        row("GET", "/v1/me").may(EVERYONE),
        row("GET", "/v1/me/access-log").may(EVERYONE),
        row("POST", "/v1/organizations")
            .body(|_| json!({"name": "Третья больница", "time_zone": "Asia/Krasnoyarsk"}))
            .may(&[SystemAdmin])
            .see(EVERYONE),
        row("GET", "/v1/organizations").may(EVERYONE),
        row("GET", "/v1/organizations/{id}").of("clinic").may(EVERYONE),
        row("PATCH", "/v1/organizations/{id}")
            .of("clinic")
            .body(|_| json!({"time_zone": "Asia/Krasnoyarsk"}))
            .version(1)
            .may(ADMINS)
            .see(EVERYONE),
        row("POST", "/v1/organizations/{id}/members")
            .of("clinic")
            .body(|place| {
                json!({"name": "Новый Регистратор", "role": "registrar", "login": place.login()})
            })
            .may(ADMINS)
            .see(EVERYONE),
        row("GET", "/v1/organizations/{id}/members").of("clinic").may(ADMINS).see(EVERYONE),
        row("PATCH", "/v1/organizations/{id}/members/{account}/{role}")
            .of("clinic")
            .body(|_| json!({"state": "active"}))
            .version(1)
            .may(ADMINS)
            .see(EVERYONE),
        row("POST", "/v1/healthcare-services")
            .body(|place| {
                json!({"name": {"en": "Visit", "ru": "Приём"}, "organization": place.id("clinic"),
                    "specialty": "cardiology", "duration_minutes": 20, "modes": ["video"]})
            })
            .may(ADMINS)
            .see(EVERYONE),
        row("GET", "/v1/healthcare-services").may(EVERYONE),
        row("GET", "/v1/healthcare-services/{id}").of("service").may(EVERYONE),
        row("PATCH", "/v1/healthcare-services/{id}")
            .of("service")
            .body(|_| json!({"booking": {"buffer_after_minutes": 0}}))
            .version(1)
            .may(ADMINS)
            .see(EVERYONE),
        row("POST", "/v1/locations")
            .body(|place| {
                json!({"name": "Сосновка", "kind": "village", "organization": place.id("clinic"),
                    "time_zone": "Asia/Krasnoyarsk", "link_class": "2g"})
            })
            .may(ADMINS)
            .see(EVERYONE),
        row("GET", "/v1/locations").may(EVERYONE),
        row("GET", "/v1/locations/{id}").of("village").may(EVERYONE),
        row("PATCH", "/v1/locations/{id}")
            .of("hamlet")
            .body(|_| json!({"link_class": "3g"}))
            .version(1)
            .may(ADMINS)
            .see(EVERYONE),
        row("POST", "/v1/resources")
            .body(|place| {
                json!({"kind": "room", "name": "Кабинет 5", "organization": place.id("clinic"),
                    "location": place.id("village")})
            })
            .may(ADMINS)
            .see(EVERYONE),
        row("GET", "/v1/resources").may(EVERYONE),
        row("PATCH", "/v1/resources/{id}")
            .of("room")
            .body(|_| json!({"active": true}))
            .version(1)
            .may(ADMINS)
            .see(EVERYONE),
        row("POST", "/v1/practitioners")
            .body(|place| {
                json!({"name": "Новый Врач", "kind": "doctor", "organization": place.id("clinic"),
                    "time_zone": "Asia/Krasnoyarsk", "specialty": "cardiology", "services": []})
            })
            .may(ADMINS)
            .see(EVERYONE),
        row("GET", "/v1/practitioners").may(EVERYONE),
        row("GET", "/v1/practitioners/{id}").of("practitioner").may(EVERYONE),
        row("PATCH", "/v1/practitioners/{id}")
            .of("practitioner")
            .body(|_| json!({"languages": ["ru", "kk"]}))
            .version(1)
            .may(ADMINS)
            .see(EVERYONE),
        row("POST", "/v1/patients")
            .body(|place| {
                json!({"name": "Новый Больной", "birth_date": "1988-02-29", "language": "ru",
                    "location": place.id("village"), "organization": place.id("clinic")})
            })
            .may(OFFICE)
            .see(EVERYONE),
        row("GET", "/v1/patients").may(EVERYONE).lists("patient", VISIBLE),
        row("GET", "/v1/patients/{id}").of("patient").may(VISIBLE),
        row("PATCH", "/v1/patients/{id}")
            .of("patient")
            .body(|_| json!({"languages": ["ru", "evn"]}))
            .version(1)
            .may(VISIBLE),
        row("POST", "/v1/patients/{id}/enable").of("patient").may(OFFICE).see(BOTH),
        row("GET", "/v1/patients/{id}/notes").of("patient").may(BOTH),
        Row {
            query: |place| format!("?service={}", place.id("service")),
            ..row("GET", "/v1/slots").may(EVERYONE)
        },
        row("GET", "/v1/practitioners/{id}/schedule")
            .of("practitioner")
            .may(&[Doctor, Colleague, Feldsher, Registrar, Chief]),
        row("PUT", "/v1/practitioners/{id}/schedule")
            .of("practitioner")
            .body(|_| {
                // The rows below go on booking in the same week.
                let days = ["mon", "tue", "wed", "thu", "fri"];
                let rules = days.map(|day| json!({"weekday": day, "from": "09:00", "to": "17:00"}));
                json!({ "rules": rules })
            })
            .version(2)
            .may(PLANNERS)
            .see(&[Colleague, Feldsher]),
        row("GET", "/v1/practitioners/{id}/absences")
            .of("practitioner")
            .may(&[Doctor, Colleague, Feldsher, Registrar, Chief]),
        row("POST", "/v1/practitioners/{id}/absences")
            .of("practitioner")
            .body(|_| json!({"from": "2026-12-24T00:00:00Z", "to": "2026-12-25T00:00:00Z"}))
            .may(PLANNERS)
            .see(&[Colleague, Feldsher]),
        row("GET", "/v1/practitioners/{id}/delay")
            .of("practitioner")
            .may(&[Doctor, Colleague, Feldsher, Registrar, Chief]),
        row("POST", "/v1/practitioners/{id}/delay")
            .of("practitioner")
            .body(|_| json!({"minutes": 15, "dry_run": true}))
            .may(PLANNERS)
            .see(&[Colleague, Feldsher]),
        row("GET", "/v1/practitioners/{id}/claimable")
            .of("practitioner")
            .may(PLANNERS)
            .see(&[Colleague, Feldsher]),
        row("GET", "/v1/practitioners/{id}/claims")
            .of("practitioner")
            .may(PLANNERS)
            .see(&[Colleague, Feldsher]),
        // Boris waits for the doctor, who is in another visit.
        row("POST", "/v1/practitioners/{id}/claims")
            .of("deputy")
            .may(&[Colleague, Registrar, Chief])
            .see(&[Doctor, Feldsher]),
        row("GET", "/v1/absences/{id}").of("leave").may(PLANNERS).see(&[Colleague, Feldsher]),
        row("POST", "/v1/absences/{id}/outcomes")
            .of("leave")
            .body(|place| {
                json!({"outcomes": [{"appointment": place.id("hit"), "outcome": "offered"}]})
            })
            .may(PLANNERS)
            .see(&[Colleague, Feldsher]),
        row("POST", "/v1/absences/{id}/complete")
            .of("leave")
            .may(PLANNERS)
            .see(&[Colleague, Feldsher]),
        row("GET", "/v1/appointments/{id}/offer").of("hit").may(VISIBLE),
        row("POST", "/v1/appointments/{id}/offer")
            .of("hit")
            .body(|_| json!({"number": 1}))
            .may(VISIBLE),
        row("POST", "/v1/offers/answer").public(),
        row("POST", "/v1/practitioners/{id}/illness-plans")
            .of("practitioner")
            .body(|_| json!({"from": "2026-12-08T00:00:00Z", "to": "2026-12-09T00:00:00Z"}))
            .may(PLANNERS)
            .see(&[Colleague, Feldsher]),
        row("GET", "/v1/illness-plans/{id}").of("plan").may(PLANNERS).see(&[Colleague, Feldsher]),
        row("PATCH", "/v1/illness-plans/{id}")
            .of("plan")
            .body(|_| json!({"proposals": []}))
            .version(1)
            .may(PLANNERS)
            .see(&[Colleague, Feldsher]),
        row("POST", "/v1/illness-plans/{id}/apply")
            .of("plan")
            .may(PLANNERS)
            .see(&[Colleague, Feldsher]),
        row("POST", "/v1/illness-plans/{id}/undo")
            .of("plan")
            .may(PLANNERS)
            .see(&[Colleague, Feldsher]),
        row("DELETE", "/v1/practitioners/{id}/absences/{absence}")
            .of("practitioner")
            .may(PLANNERS)
            .see(&[Colleague, Feldsher]),
        row("POST", "/v1/practitioners/{id}/calendar-feed")
            .of("practitioner")
            .may(DOCTOR)
            .see(&[Colleague, Feldsher, Registrar, Chief]),
        row("GET", "/v1/practitioners/{id}/calendar-feed")
            .of("practitioner")
            .may(DOCTOR)
            .see(&[Colleague, Feldsher, Registrar, Chief]),
        row("DELETE", "/v1/practitioners/{id}/calendar-feed")
            .of("practitioner")
            .may(DOCTOR)
            .see(&[Colleague, Feldsher, Registrar, Chief]),
        row("GET", "/v1/calendars/{token}/busy.ics").public(),
        row("PUT", "/v1/practitioners/{id}/external-calendar")
            .of("practitioner")
            .body(|_| json!({"url": "https://calendar.invalid/me.ics"}))
            .may(DOCTOR)
            .see(&[Colleague, Feldsher, Registrar, Chief]),
        row("GET", "/v1/practitioners/{id}/external-calendar")
            .of("practitioner")
            .may(DOCTOR)
            .see(&[Colleague, Feldsher, Registrar, Chief]),
        row("DELETE", "/v1/practitioners/{id}/external-calendar")
            .of("practitioner")
            .may(DOCTOR)
            .see(&[Colleague, Feldsher, Registrar, Chief]),
        row("GET", "/v1/practitioners/{id}/extra-hours")
            .of("practitioner")
            .may(&[Doctor, Colleague, Feldsher, Registrar, Chief]),
        row("POST", "/v1/practitioners/{id}/extra-hours")
            .of("practitioner")
            .body(|_| json!({"from": "2026-12-26T02:00:00Z", "to": "2026-12-26T05:00:00Z"}))
            .may(PLANNERS)
            .see(&[Colleague, Feldsher]),
        row("DELETE", "/v1/practitioners/{id}/extra-hours/{extra}")
            .of("practitioner")
            .may(PLANNERS)
            .see(&[Colleague, Feldsher]),
        Row {
            query: |_| "?from=2026-11-24T00:00:00Z&to=2026-11-25T00:00:00Z".to_owned(),
            ..row("GET", "/v1/organizations/{id}/board")
                .of("clinic")
                .may(&[Doctor, Colleague, Feldsher, Registrar, Chief])
        },
        row("GET", "/v1/organizations/{id}/closures").of("clinic").may(EVERYONE),
        row("POST", "/v1/organizations/{id}/closures")
            .of("clinic")
            .body(|_| {
                json!({"name": {"en": "New Year", "ru": "Новый год"},
                    "from_date": "2027-01-01", "to_date": "2027-01-08"})
            })
            .may(CLOSERS)
            .see(EVERYONE),
        row("GET", "/v1/organizations/{id}/closures/{closure}").of("clinic").may(EVERYONE),
        row("DELETE", "/v1/organizations/{id}/closures/{closure}")
            .of("clinic")
            .may(CLOSERS)
            .see(EVERYONE),
        Row {
            hidden: (422, "unknown_reference"),
            ..row("POST", "/v1/appointments")
                .body(|place| {
                    json!({"service": place.id("service"), "practitioner": place.id("practitioner"),
                        "patient": place.id("patient"), "start": "2026-11-25T03:00:00Z"})
                })
                .may(VISIBLE)
        },
        row("POST", "/v1/appointments/lookup").public(),
        row("GET", "/v1/waitlist").may(EVERYONE).lists("wish", VISIBLE),
        row("GET", "/v1/waitlist/{id}").of("wish").may(VISIBLE),
        row("POST", "/v1/waitlist/{id}/accept").of("met wish").may(ANSWERERS).see(VISIBLE),
        row("POST", "/v1/waitlist/{id}/decline").of("wish").may(ANSWERERS).see(VISIBLE),
        row("POST", "/v1/waitlist/{id}/withdraw").of("wish").may(VISIBLE),
        Row {
            hidden: (422, "unknown_reference"),
            ..row("POST", "/v1/waitlist")
                .body(|place| json!({"service": place.id("service"), "patient": place.id("patient")}))
                .may(VISIBLE)
        },
        Row {
            hidden: (422, "unknown_reference"),
            ..row("POST", "/v1/appointments/series")
                .body(|place| {
                    json!({"service": place.id("service"), "practitioner": place.id("practitioner"),
                        "patient": place.id("patient"), "start": "2026-11-26T03:00:00Z",
                        "every_weeks": 1, "count": 2, "dry_run": true})
                })
                .may(VISIBLE)
        },
        row("GET", "/v1/appointments").may(EVERYONE).lists("planned", VISIBLE),
        row("GET", "/v1/appointments/{id}").of("planned").may(VISIBLE),
        row("GET", "/v1/appointments/{id}/calendar.ics").of("planned").may(VISIBLE),
        row("PATCH", "/v1/appointments/{id}")
            .of("planned")
            .body(|_| json!({"reason": "Голова"}))
            .version(1)
            .may(&[Asha, Feldsher, Registrar, Chief])
            .see(DOCTOR),
        row("POST", "/v1/appointments/{id}/confirm")
            .of("held")
            .may(&[Asha, Feldsher, Registrar, Chief])
            .see(DOCTOR),
        row("POST", "/v1/appointments/{id}/accept")
            .of("asked")
            .may(PLANNERS)
            .see(&[Asha, Feldsher]),
        row("POST", "/v1/appointments/{id}/decline")
            .of("unwanted")
            .may(PLANNERS)
            .see(&[Asha, Feldsher]),
        row("POST", "/v1/appointments/{id}/attend").of("planned").may(VISIBLE),
        row("POST", "/v1/appointments/{id}/reschedule")
            .of("planned")
            .body(|_| json!({"start": "2026-11-25T04:00:00Z"}))
            .may(VISIBLE),
        row("POST", "/v1/appointments/{id}/cancel").of("planned").may(VISIBLE),
        row("POST", "/v1/appointments/{id}/noshow")
            .of("missed")
            .may(PLANNERS)
            .see(&[Asha, Feldsher]),
        row("GET", "/v1/organizations/{id}/stranded-visits")
            .of("clinic")
            .may(&[Registrar, Chief])
            .see(&[Feldsher]),
        row("GET", "/v1/organizations/{id}/unattended-visits")
            .of("clinic")
            .may(&[Registrar, Chief])
            .see(&[Feldsher]),
        row("GET", "/v1/organizations/{id}/broken-promises")
            .of("clinic")
            .may(&[Registrar, Chief])
            .see(&[Feldsher]),
        row("POST", "/v1/appointments/{id}/keep-promise")
            .of("held")
            .may(&[Registrar, Chief])
            .see(VISIBLE),
        row("POST", "/v1/appointments/{id}/undo")
            .of("missed")
            .may(PLANNERS)
            .see(&[Asha, Feldsher]),
        row("GET", "/v1/encounters/{id}").of("live").may(VISIBLE),
        row("POST", "/v1/encounters/{id}/join")
            .of("live")
            .may(&[Asha, Doctor, Colleague])
            .see(OFFICE),
        row("POST", "/v1/encounters/{id}/participants")
            .of("second")
            .body(|_| json!({"role": "relative", "name": "Ольга", "phone": "+70000000091"}))
            .may(VISIBLE),
        row("GET", "/v1/encounters/{id}/participants").of("live").may(VISIBLE),
        row("POST", "/v1/encounters/{id}/participants/{guest}/remove").of("live").may(VISIBLE),
        row("POST", "/v1/encounters/{id}/lock")
            .of("live")
            .body(|_| json!({"locked": false}))
            .may(DOCTOR)
            .see(VISIBLE),
        row("GET", "/v1/encounters/{id}/invitation").of("live").may(&[Colleague]),
        row("GET", "/v1/invitations").may(EVERYONE).lists("live", &[Colleague]),
        row("GET", "/v1/encounters/{id}/waiting").of("live").may(VISIBLE),
        row("GET", "/v1/encounters/{id}/waiting-room").of("live").may(DOCTOR).see(VISIBLE),
        row("GET", "/v1/waiting-room").may(EVERYONE).lists("live", DOCTOR),
        row("POST", "/v1/encounters/{id}/admit").of("live").body(decide).may(DOCTOR).see(VISIBLE),
        row("POST", "/v1/encounters/{id}/participants/{participant}/side")
            .of("live")
            .body(|_| json!({"aside": false}))
            .may(DOCTOR)
            .see(VISIBLE),
        row("POST", "/v1/encounters/{id}/hold").of("live").body(decide).may(DOCTOR).see(VISIBLE),
        row("POST", "/v1/encounters/{id}/deny").of("live").body(decide).may(DOCTOR).see(VISIBLE),
        row("POST", "/v1/encounters/{id}/probes")
            .of("live")
            .may(PROBERS)
            .see(&[Doctor, Registrar, Chief]),
        row("GET", "/v1/encounters/{id}/probes").of("live").may(VISIBLE),
        // One probe is its beginner's alone, but that says another code.
        row("POST", "/v1/encounters/{id}/probes/{probe}/offers")
            .of("live")
            .body(|_| json!({"leg": "direct", "sdp": OFFER}))
            .may(PROBERS)
            .see(&[Doctor, Registrar, Chief]),
        row("POST", "/v1/encounters/{id}/probes/{probe}/result")
            .of("live")
            .body(|_| found())
            .may(PROBERS)
            .see(&[Doctor, Registrar, Chief]),
        row("GET", "/v1/encounters/{id}/calls").of("live").may(VISIBLE),
        row("POST", "/v1/encounters/{id}/rings")
            .of("live")
            .body(decide)
            .may(&[Doctor, Feldsher, Registrar, Chief])
            .see(&[Asha]),
        row("GET", "/v1/encounters/{id}/rings").of("live").may(VISIBLE),
        row("POST", "/v1/encounters/{id}/rings/{ring}/answer")
            .of("live")
            .may(&[Asha])
            .see(VISIBLE),
        row("GET", "/v1/tasks").may(EVERYONE).lists("task", WORKERS),
        row("POST", "/v1/tasks/{id}/complete")
            .of("task")
            .body(|_| json!({"outcome": "not_reached"}))
            .may(WORKERS),
        row("POST", "/v1/tasks/{id}/take").of("task").may(WORKERS),
        row("GET", "/v1/encounters/{id}/messages").of("live").may(VISIBLE),
        row("POST", "/v1/encounters/{id}/messages")
            .of("live")
            .body(|_| json!({"text": "Я тут", "to": "office"}))
            .may(VISIBLE),
        row("GET", "/v1/chats").may(EVERYONE),
        row("GET", "/v1/unseen").may(EVERYONE),
        row("GET", "/v1/consent-forms").may(EVERYONE),
        row("GET", "/v1/encounters/{id}/consents").of("live").may(VISIBLE),
        row("POST", "/v1/encounters/{id}/consents")
            .of("live")
            .body(|_| json!({"kind": "telehealth", "form_version": 1}))
            .may(VISIBLE),
        row("GET", "/v1/patients/{id}/consents").of("patient").may(VISIBLE),
        row("POST", "/v1/patients/{id}/consents")
            .of("patient")
            .body(|_| json!({"kind": "trainee", "form_version": 1}))
            .may(VISIBLE),
        row("POST", "/v1/consents/{id}/withdraw").of("consent").may(VISIBLE),
        row("GET", "/v1/encounters/{id}/call").of("live").may(VISIBLE),
        row("POST", "/v1/encounters/{id}/notes").of("second").may(DOCTOR).see(VISIBLE),
        row("GET", "/v1/encounters/{id}/notes").of("second").may(BOTH),
        row("POST", "/v1/encounters/{id}/finish").of("second").may(DOCTOR).see(VISIBLE),
        row("POST", "/v1/encounters/{id}/reopen").of("second").may(&[Doctor, Chief]).see(VISIBLE),
        row("POST", "/v1/encounters/{id}/convert")
            .of("live")
            .body(|_| json!({"to": "phone"}))
            .may(DOCTOR)
            .see(VISIBLE),
        row("GET", "/v1/notes/{id}").of("draft").may(DOCTOR),
        row("GET", "/v1/notes/{id}").of("signed").may(BOTH),
        row("PATCH", "/v1/notes/{id}")
            .of("draft")
            .body(|_| json!({"plan": "Покой"}))
            .version(1)
            .may(DOCTOR),
        row("POST", "/v1/notes/{id}/sign").of("draft").may(DOCTOR),
        row("POST", "/v1/notes/{id}/sign").of("signed").may(DOCTOR).see(&[Asha]),
        row("POST", "/v1/notes/{id}/addenda")
            .of("signed")
            .body(|_| json!({"text": "Дополнение"}))
            .may(DOCTOR)
            .see(&[Asha]),
    ]
}
