//! The terms on which a service is booked: how visits lie in time, how early, how far, how many.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::base::column::text_enum;
use crate::base::error::Error;
use crate::base::problem;
use crate::base::schema::healthcare_services;

text_enum!(
    /// Between whom a remote visit is held, as the law on telemedicine tells them apart: it
    /// decides which documents may come of it.
    LegalKind {
        /// A practitioner and a patient, or who stands for the patient.
        PractitionerPatient = "practitioner_patient",
        /// Two or more practitioners at once, with or without the patient.
        PractitionerPractitioner = "practitioner_practitioner",
        /// A practitioner asks, another answers later.
        PractitionerPractitionerDeferred = "practitioner_practitioner_deferred",
    }
);

text_enum!(
    /// What a visit can need besides a practitioner and a patient.
    NeededResource {
        /// A room, at the clinic or the station.
        Room = "room",
        /// A device, such as an ECG recorder.
        Device = "device",
        /// A feldsher beside the patient.
        Feldsher = "feldsher",
        /// Somebody who translates.
        Interpreter = "interpreter",
    }
);

/// The longest time kept free before or after a visit, in minutes; the schema says the same.
const BUFFER_MINUTES_MAX: i32 = 120;
/// The longest notice that can be asked for, in minutes: thirty days.
const LEAD_MINUTES_MAX: i32 = 30 * 24 * 60;
/// The farthest that can be booked ahead, in days.
const HORIZON_DAYS_MAX: i32 = 366;
/// The highest cap of visits per day.
const DAILY_CAP_MAX: i32 = 200;
/// The minutes of the hour on which visits can be made to start; 0 leaves it to working time.
const ALIGNMENTS: [i32; 7] = [0, 5, 10, 15, 20, 30, 60];

/// On which terms a service is booked. What is left out has its default.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    ToSchema,
    Queryable,
    Selectable,
    Insertable,
    AsChangeset,
)]
#[diesel(table_name = healthcare_services, treat_none_as_default_value = false)]
#[serde(default, deny_unknown_fields)]
pub struct BookingTerms {
    /// Kept free before each visit, 0 to 120 minutes.
    #[schema(minimum = 0, maximum = 120)]
    pub buffer_before_minutes: i32,
    /// Kept free after each visit, 0 to 120 minutes.
    #[schema(minimum = 0, maximum = 120)]
    pub buffer_after_minutes: i32,
    /// Visits start on multiples of this within the hour of the practitioner's clock: 5, 10, 15,
    /// 20, 30 or 60; 0: counted from the beginning of working time.
    pub align_minutes: i32,
    /// The least notice, in minutes.
    #[schema(minimum = 0, maximum = 43200)]
    pub lead_minutes: i32,
    /// How far ahead one may book, in days.
    #[schema(minimum = 1, maximum = 366)]
    pub horizon_days: i32,
    /// The most visits of this service per practitioner and local day; 0: as many as fit.
    #[schema(minimum = 0, maximum = 200)]
    pub daily_cap: i32,
    /// Whether staff may put a second visit into a time that is taken.
    pub overbook: bool,
}

impl Default for BookingTerms {
    fn default() -> Self {
        Self {
            buffer_before_minutes: 0,
            buffer_after_minutes: 0,
            align_minutes: 0,
            lead_minutes: 0,
            horizon_days: HORIZON_DAYS_MAX,
            daily_cap: 0,
            overbook: false,
        }
    }
}

impl BookingTerms {
    /// 422 `invalid_body` on the first term that is out of range.
    pub fn check(&self) -> Result<(), Error> {
        let ranges = [
            ("buffer_before_minutes", self.buffer_before_minutes, 0..=BUFFER_MINUTES_MAX),
            ("buffer_after_minutes", self.buffer_after_minutes, 0..=BUFFER_MINUTES_MAX),
            ("lead_minutes", self.lead_minutes, 0..=LEAD_MINUTES_MAX),
            ("horizon_days", self.horizon_days, 1..=HORIZON_DAYS_MAX),
            ("daily_cap", self.daily_cap, 0..=DAILY_CAP_MAX),
        ];
        let out = ranges.iter().find(|(_, value, range)| !range.contains(value));
        let wrong = match out {
            Some((name, ..)) => name,
            None if !ALIGNMENTS.contains(&self.align_minutes) => "align_minutes",
            None => return Ok(()),
        };
        Err(Error::field(&problem::INVALID_BODY, &format!("/booking/{wrong}")))
    }
}
