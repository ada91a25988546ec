//! The demonstration: an invented region with people who can sign in.

pub mod region;
pub mod seed;

use std::sync::Arc;

use crate::base::app::App;
use crate::base::error::Error;
use crate::demo::region::{ADMINISTRATORS, DOCTORS, FELDSHERS, PATIENTS, REGISTRARS};

/// The one password of the demonstration's staff. Nothing but the demonstration knows it.
const PASSWORD: &str = "demo-of-the-taiga";

/// How somebody of the demonstration signs in.
#[derive(Debug, Clone, serde::Serialize)]
pub struct SignIn {
    /// What they are here.
    pub role: String,
    /// Their name.
    pub name: String,
    /// With what staff sign in.
    pub login: Option<String>,
    /// The staff's password.
    pub password: Option<String>,
    /// Where a patient's code is sent.
    pub phone: Option<String>,
}

/// Makes the region, once, and tells who can sign in. A database that has one keeps it.
pub async fn seed(app: &Arc<App>) -> anyhow::Result<Vec<SignIn>> {
    let password_hash = app.hasher.hash(PASSWORD.to_owned()).await?;
    let shared = Arc::clone(app);
    let made = app.db.write(move |conn| seed::region(conn, &shared, &password_hash)).await;
    made.map_err(Error::from)??;
    Ok(people())
}

/// The number of a patient; no network gives such numbers out.
fn phone(number: usize) -> String {
    format!("+70000000{:03}", number.saturating_add(1))
}

fn people() -> Vec<SignIn> {
    let staff = |role: &str, name: &str, login: &str| SignIn {
        role: role.to_owned(),
        name: name.to_owned(),
        login: Some(login.to_owned()),
        password: Some(PASSWORD.to_owned()),
        phone: None,
    };
    let patients = PATIENTS.iter().enumerate().map(|(number, (name, _))| SignIn {
        role: "patient".to_owned(),
        name: (*name).to_owned(),
        login: None,
        password: None,
        phone: Some(phone(number)),
    });
    let doctors = DOCTORS.iter().map(|doctor| staff("doctor", doctor.name, doctor.login));
    let feldshers = FELDSHERS.iter().map(|(name, login, ..)| staff("feldsher", name, login));
    let registrars = REGISTRARS.iter().map(|(name, login, _)| staff("registrar", name, login));
    let administrators =
        ADMINISTRATORS.iter().map(|(name, login, _)| staff("clinic_admin", name, login));
    doctors.chain(feldshers).chain(registrars).chain(administrators).chain(patients).collect()
}
