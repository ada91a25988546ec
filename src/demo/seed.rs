//! Fills the region through the same deeds that people use, at times that have passed.

use std::collections::HashMap;

use chrono::{Days, TimeDelta};
use diesel::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::access::Facts;
use crate::access::caller::{self, Caller};
use crate::access::table::Action;
use crate::account::session::{self, Method};
use crate::account::sign_in;
use crate::appointment::change::{CancelAppointment, MarkNoshow};
use crate::appointment::{Appointment, book, change};
use crate::base::app::App;
use crate::base::column::Instant;
use crate::base::db::Conn;
use crate::base::error::Error;
use crate::base::language::Language;
use crate::base::schema::settings;
use crate::base::seal::sha256;
use crate::base::tx::Tx;
use crate::base::zone::Zone;
use crate::demo::region::{
    ADMINISTRATORS, CLINICS, DOCTORS, FELDSHERS, INTERPRETER, NOTES, OVERBOOKED, PATIENTS, REASONS,
    REGION, REGISTRARS, SERVICES, SPECIALS, STATION, VILLAGES,
};
use crate::encounter::finish::Finish;
use crate::encounter::{EncounterId, ParticipantId, admission, finish, presence};
use crate::location::{self, LocationId};
use crate::message::outbox;
use crate::organization::{self, OrganizationId, ServiceId, member, service};
use crate::patient;
use crate::practitioner::{self, PractitionerId};
use crate::record::write;
use crate::resource;
use crate::schedule::{self, rules};

/// The mark of a database that has the region.
const SEEDED: &str = "demo.region";
/// How long the region has been there: longer than any sign-in lasts.
const AGE_DAYS: i64 = 31;
/// Working hours are known for two weeks before and after today.
const HOURS_DAYS: u64 = 14;

struct Somebody {
    caller: Caller,
}

struct OnStaff {
    caller: Caller,
    id: PractitionerId,
    service: ServiceId,
    zone: Zone,
}

struct Seed<'a> {
    conn: &'a mut Conn,
    app: &'a App,
    password_hash: &'a str,
    now: Instant,
    founded: Instant,
}

/// Makes the region in one transaction, unless it is there.
pub fn region(conn: &mut Conn, app: &App, password_hash: &str) -> Result<(), Error> {
    let mark = settings::table.find(SEEDED).select(settings::name);
    if mark.first::<String>(conn).optional()?.is_some() {
        return Ok(());
    }
    let now = app.clock.now();
    let founded = now.minus(TimeDelta::days(AGE_DAYS));
    let mut seed = Seed { conn, app, password_hash, now, founded };
    let (clinics, villages) = seed.places()?;
    seed.station(&clinics, &villages)?;
    let doctors = seed.doctors(&clinics)?;
    seed.interpreter(&clinics)?;
    seed.office(&clinics)?;
    let patients = seed.patients(&clinics, &villages)?;
    seed.past(&patients, &doctors)?;
    seed.future(&patients, &doctors)?;
    seed.act(&Caller::System, now, |tx| {
        // Nobody here has a telephone.
        outbox::give_up_all(tx)?;
        diesel::insert_into(settings::table)
            .values((settings::name.eq(SEEDED), settings::value.eq(b"1".as_slice())))
            .execute(tx.conn)?;
        Ok(())
    })
}

/// Our own tables speak the API's language.
fn body<T: DeserializeOwned>(value: Value) -> Result<T, Error> {
    serde_json::from_value(value).map_err(|error| {
        tracing::error!(%error, "the region's own data do not fit");
        Error::Internal("the region's own data do not fit")
    })
}

fn number<T>(of: &[T], at: usize) -> Result<&T, Error> {
    of.get(at).ok_or(Error::Internal("the region's own data do not fit"))
}

impl Seed<'_> {
    fn act<T>(
        &mut self,
        who: &Caller,
        at: Instant,
        deed: impl FnOnce(&mut Tx) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut tx = Tx::new(self.conn, self.app, at, who.clone(), Language::English);
        let done = deed(&mut tx)?;
        // What others would be told of has passed.
        tx.end().map(|_events| done)
    }

    fn found<T>(&mut self, deed: impl FnOnce(&mut Tx) -> Result<T, Error>) -> Result<T, Error> {
        self.act(&Caller::System, self.founded, deed)
    }

    fn places(&mut self) -> Result<(Vec<OrganizationId>, Vec<LocationId>), Error> {
        let region = self.found(|tx| {
            let new = json!({
                "name": REGION.0, "kind": "region", "time_zone": REGION.1, "link_class": "4g"
            });
            location::create(tx, body(new)?)
        })?;
        let mut clinics = Vec::new();
        for (name, zone, latitude, longitude) in CLINICS {
            let clinic = self.found(|tx| {
                organization::create(tx, body(json!({"name": name, "time_zone": zone}))?)
            })?;
            let place = json!({
                "name": name, "kind": "clinic", "part_of": region.id, "organization": clinic.id,
                "time_zone": zone, "latitude": latitude, "longitude": longitude,
                "link_class": "broadband",
            });
            self.found(|tx| location::create(tx, body(place)?))?;
            clinics.push(clinic.id);
        }
        let mut villages = Vec::new();
        for (name, clinic, zone, latitude, longitude, link_class) in VILLAGES {
            let place = json!({
                "name": name, "kind": "village", "part_of": region.id,
                "organization": number(&clinics, clinic)?, "time_zone": zone,
                "latitude": latitude, "longitude": longitude, "link_class": link_class,
            });
            villages.push(self.found(|tx| location::create(tx, body(place)?))?.id);
        }
        Ok((clinics, villages))
    }

    /// Sets the password that the one-time token is for.
    fn redeemed(&mut self, token: Option<String>) -> Result<Caller, Error> {
        let token = token.ok_or(Error::Internal("a login without a one-time token"))?;
        let (hash, password_hash) = (sha256(token.as_bytes()), self.password_hash);
        let pair = self.found(|tx| sign_in::redeem(tx, &hash, password_hash))?;
        self.signed_in(&pair.access_token)
    }

    fn signed_in(&mut self, access_token: &str) -> Result<Caller, Error> {
        let claims = self.app.tokens.verify_access(access_token, self.founded)?;
        caller::of_session(self.conn, claims.session, self.founded)
    }

    fn doctors(&mut self, clinics: &[OrganizationId]) -> Result<Vec<OnStaff>, Error> {
        let mut staff = Vec::new();
        let mut offered: HashMap<(usize, &str), ServiceId> = HashMap::new();
        for doctor in &DOCTORS {
            let clinic = *number(clinics, doctor.clinic)?;
            let service = match offered.get(&(doctor.clinic, doctor.specialty)) {
                Some(service) => *service,
                None => self.service(clinic, doctor.specialty)?,
            };
            offered.insert((doctor.clinic, doctor.specialty), service);
            let mut services = vec![service];
            for special in SPECIALS.iter().filter(|special| special.doctor == doctor.login) {
                let (en, ru) = special.name;
                let new = json!({
                    "name": {"en": en, "ru": ru}, "organization": clinic,
                    "specialty": special.specialty, "duration_minutes": special.minutes,
                    "modes": ["video", "audio"], "resources": special.needs,
                    "booking": {
                        "buffer_before_minutes": special.buffers.0,
                        "buffer_after_minutes": special.buffers.1,
                        "daily_cap": special.daily_cap,
                    },
                });
                services.push(self.found(|tx| service::create(tx, body(new)?))?.id);
            }
            let new = json!({
                "name": doctor.name, "kind": "doctor", "organization": clinic,
                "specialty": doctor.specialty, "time_zone": doctor.zone,
                "services": services, "languages": ["ru", "en"], "login": doctor.login,
            });
            let made = self.found(|tx| practitioner::create(tx, body(new)?))?;
            let caller = self.redeemed(made.sign_in_token)?;
            self.hours(&caller, made.id, doctor.hours, doctor.weekends)?;
            staff.push(OnStaff { caller, id: made.id, service, zone: made.time_zone });
        }
        for (name, login, clinic, zone) in FELDSHERS {
            let new = json!({
                "name": name, "kind": "feldsher", "organization": number(clinics, clinic)?,
                "time_zone": zone, "login": login,
            });
            let made = self.found(|tx| practitioner::create(tx, body(new)?))?;
            self.redeemed(made.sign_in_token)?;
        }
        Ok(staff)
    }

    /// The clinic's service of a specialty, made when its first doctor comes.
    fn service(&mut self, clinic: OrganizationId, specialty: &str) -> Result<ServiceId, Error> {
        let (en, ru, _, minutes) = SERVICES
            .iter()
            .find(|(_, _, known, _)| *known == specialty)
            .ok_or(Error::Internal("the region's own data do not fit"))?;
        let new = json!({
            "name": {"en": en, "ru": ru}, "organization": clinic, "specialty": specialty,
            "duration_minutes": minutes, "modes": ["video", "audio"],
            "booking": {"overbook": specialty == OVERBOOKED},
        });
        Ok(self.found(|tx| service::create(tx, body(new)?))?.id)
    }

    fn hours(
        &mut self,
        who: &Caller,
        id: PractitionerId,
        (from, to): (&str, &str),
        weekends: bool,
    ) -> Result<(), Error> {
        let today = self.now.utc().date_naive();
        let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let rules: Vec<Value> = days
            .iter()
            .take(if weekends { 7 } else { 5 })
            .map(|day| {
                json!({
                    "weekday": day, "from": from, "to": to,
                    "valid_from": today.checked_sub_days(Days::new(HOURS_DAYS)),
                    "valid_to": today.checked_add_days(Days::new(HOURS_DAYS)),
                })
            })
            .collect();
        let rules = body(json!({ "rules": rules }))?;
        self.act(who, self.founded, |tx| rules::replace(tx, id, 1, &rules).map(drop))
    }

    /// Where a feldsher serves, with what stands there.
    fn station(
        &mut self,
        clinics: &[OrganizationId],
        villages: &[LocationId],
    ) -> Result<(), Error> {
        let (name, village, clinic, things) = STATION;
        let (_, _, zone, latitude, longitude, link_class) = number(&VILLAGES, village)?;
        let clinic = *number(clinics, clinic)?;
        let place = json!({
            "name": name, "kind": "station", "part_of": number(villages, village)?,
            "organization": clinic, "time_zone": zone, "latitude": latitude,
            "longitude": longitude, "link_class": link_class,
        });
        let place = self.found(|tx| location::create(tx, body(place)?))?;
        for (kind, name) in things {
            let new = json!({
                "kind": kind, "name": name, "organization": clinic, "location": place.id,
            });
            self.found(|tx| resource::create(tx, &body(new)?))?;
        }
        Ok(())
    }

    fn interpreter(&mut self, clinics: &[OrganizationId]) -> Result<(), Error> {
        let (name, clinic, zone, languages) = INTERPRETER;
        let new = json!({
            "name": name, "kind": "interpreter", "organization": number(clinics, clinic)?,
            "time_zone": zone, "languages": languages,
        });
        let made = self.found(|tx| practitioner::create(tx, body(new)?))?;
        // Whoever translates has no sign-in; the clinic knows when they are there.
        self.hours(&Caller::System, made.id, ("07:00", "22:00"), true)
    }

    fn office(&mut self, clinics: &[OrganizationId]) -> Result<(), Error> {
        let registrars = REGISTRARS.map(|who| ("registrar", who));
        let administrators = ADMINISTRATORS.map(|who| ("clinic_admin", who));
        for (role, (name, login, clinic)) in registrars.into_iter().chain(administrators) {
            let clinic = *number(clinics, clinic)?;
            let new = json!({"name": name, "role": role, "login": login});
            let made = self.found(|tx| member::create(tx, clinic, body(new)?))?;
            self.redeemed(made.sign_in_token)?;
        }
        Ok(())
    }

    fn patients(
        &mut self,
        clinics: &[OrganizationId],
        villages: &[LocationId],
    ) -> Result<Vec<Somebody>, Error> {
        let mut people = Vec::new();
        for (at, (name, birth_date)) in PATIENTS.iter().enumerate() {
            let home = at.checked_rem(VILLAGES.len()).unwrap_or_default();
            let new = json!({
                "name": name, "birth_date": birth_date, "phone": super::phone(at),
                "location": number(villages, home)?,
                "organization": number(clinics, number(&VILLAGES, home)?.1)?, "language": "en",
            });
            let pair = self.found(|tx| {
                let made = patient::create(tx, body(new)?)?;
                let account = patient::find_row(tx, made.id)?.account_id;
                let account = account.ok_or(Error::Internal("a patient without an account"))?;
                session::open(tx, account, Method::Code)
            })?;
            people.push(Somebody { caller: self.signed_in(&pair.access_token)? });
        }
        Ok(people)
    }

    /// Books the doctor's first free time from `after` on.
    fn book(
        &mut self,
        patient: &Somebody,
        doctor: &OnStaff,
        reason: usize,
        (asked, after): (Instant, Instant),
    ) -> Result<Appointment, Error> {
        let reason = REASONS.get(reason.checked_rem(REASONS.len()).unwrap_or_default());
        self.act(&patient.caller, asked, |tx| {
            // The search itself decides nothing; booking does.
            tx.allow(Action::ReadSlots, &Facts::NONE)?;
            let service = organization::find_service(tx, doctor.service)?;
            let free = schedule::next_free(tx, &service, Some(doctor.id), after, doctor.zone, 1)?;
            let slot = free.first().ok_or(Error::Internal("no free time in the region"))?;
            let wanted = json!({
                "service": doctor.service, "practitioner": doctor.id, "start": slot.start,
                "reason": reason,
            });
            book::book(tx, body(wanted)?)
        })
    }

    fn past(&mut self, patients: &[Somebody], doctors: &[OnStaff]) -> Result<(), Error> {
        for (at, patient) in patients.iter().enumerate().step_by(2) {
            let doctor = number(doctors, at.checked_rem(doctors.len()).unwrap_or_default())?;
            // From four days ago: the next working time is over today, even after a weekend.
            let days_ago = i64::try_from(at.checked_rem(9).unwrap_or_default()).unwrap_or(0) + 4;
            let after = self.now.minus(TimeDelta::days(days_ago));
            let asked = after.minus(TimeDelta::days(2));
            let visit = self.book(patient, doctor, at, (asked, after))?;
            match at {
                6 => self.act(&doctor.caller, visit.end, |tx| {
                    change::mark_noshow(tx, visit.id, &MarkNoshow::default()).map(drop)
                })?,
                14 => self.act(&patient.caller, asked, |tx| {
                    change::cancel(tx, visit.id, &CancelAppointment::default()).map(drop)
                })?,
                _ => self.hold_visit(patient, doctor, &visit, at)?,
            }
        }
        Ok(())
    }

    /// The visit takes place: both come, talk, and the doctor writes and signs.
    fn hold_visit(
        &mut self,
        patient: &Somebody,
        doctor: &OnStaff,
        visit: &Appointment,
        at: usize,
    ) -> Result<(), Error> {
        let (id, minute) = (visit.encounter.id, TimeDelta::minutes);
        let guest = self.enter(&patient.caller, id, visit.start.minus(minute(4)))?;
        self.enter(&doctor.caller, id, visit.start)?;
        let doctor = &doctor.caller;
        self.act(doctor, visit.start.plus(minute(1)), |tx| admission::admit(tx, id, guest))?;
        self.act(doctor, visit.start.plus(minute(14)), |tx| {
            finish::finish(tx, id, Finish::default())
        })?;
        let [subjective, objective, assessment, plan] =
            *number(&NOTES, at.checked_rem(NOTES.len()).unwrap_or_default())?;
        let text = json!({
            "subjective": subjective, "objective": objective, "assessment": assessment,
            "plan": plan,
        });
        let note = self
            .act(doctor, visit.start.plus(minute(15)), |tx| write::create(tx, id, body(text)?))?;
        self.act(doctor, visit.start.plus(minute(17)), |tx| write::sign(tx, note.id, None))?;
        Ok(())
    }

    fn enter(
        &mut self,
        who: &Caller,
        encounter: EncounterId,
        at: Instant,
    ) -> Result<ParticipantId, Error> {
        self.act(who, at, |tx| {
            let joined = admission::join(tx, encounter, admission::Join::default(), String::new())?;
            presence::enter(tx, encounter, joined.participant.id)?;
            Ok(joined.participant.id)
        })
    }

    /// The doctor on duty has a day before her; the others have some visits in the next days.
    fn future(&mut self, patients: &[Somebody], doctors: &[OnStaff]) -> Result<(), Error> {
        let asked = self.now.minus(TimeDelta::days(1));
        for (at, patient) in patients.iter().enumerate().skip(1).step_by(2) {
            let at_hour = i64::try_from(at).unwrap_or_default();
            let (doctor, after) = match at {
                // Not at once: the soonest time is left for whoever tries the demonstration.
                0..=11 => (0, self.now.plus(TimeDelta::minutes(20 + 20 * at_hour))),
                _ => {
                    let doctor = at.checked_rem(doctors.len()).unwrap_or_default();
                    (doctor, self.now.plus(TimeDelta::hours(2 * at_hour)))
                }
            };
            self.book(patient, number(doctors, doctor)?, at, (asked, after))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_service_has_a_doctor_who_knows_it() {
        for special in SPECIALS {
            let doctor = DOCTORS.iter().find(|doctor| doctor.login == special.doctor).unwrap();
            assert_eq!(doctor.specialty, special.specialty);
        }
    }

    #[test]
    fn every_doctor_has_a_clinic_and_a_service_and_every_village_a_clinic() {
        for doctor in &DOCTORS {
            assert!(doctor.clinic < CLINICS.len());
            assert!(SERVICES.iter().any(|(_, _, specialty, _)| *specialty == doctor.specialty));
            assert!(doctor.zone.parse::<Zone>().is_ok());
        }
        for (_, clinic, zone, ..) in VILLAGES {
            assert!(clinic < CLINICS.len());
            assert!(zone.parse::<Zone>().is_ok());
        }
    }
}
