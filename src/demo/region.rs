//! The invented region: its places and people. Any likeness to real ones is chance.

/// A clinic: name, zone, latitude, longitude. Members of this table are meant by their number.
pub const CLINICS: [(&str, &str, f64, f64); 3] = [
    ("Kedrov Regional Hospital", "Asia/Krasnoyarsk", 58.450, 92.170),
    ("Turukh District Hospital", "Asia/Krasnoyarsk", 60.120, 90.850),
    ("Lenok District Hospital", "Asia/Irkutsk", 58.960, 105.760),
];

/// The region that the places are part of.
pub const REGION: (&str, &str) = ("Kedrov Region", "Asia/Krasnoyarsk");

/// A village: name, its clinic's number, zone, latitude, longitude, link class.
pub const VILLAGES: [(&str, usize, &str, f64, f64, &str); 8] = [
    ("Sosnovka", 0, "Asia/Krasnoyarsk", 58.730, 93.020, "2g"),
    ("Belaya Gora", 0, "Asia/Krasnoyarsk", 58.910, 91.640, "3g"),
    ("Malaya Rechka", 0, "Asia/Krasnoyarsk", 58.240, 93.610, "2g"),
    ("Verkhny Log", 1, "Asia/Krasnoyarsk", 60.480, 91.330, "2g"),
    ("Olenye", 1, "Asia/Krasnoyarsk", 60.770, 90.110, "none"),
    ("Yasny Bor", 1, "Asia/Krasnoyarsk", 59.860, 90.240, "4g"),
    ("Taluy", 2, "Asia/Irkutsk", 59.210, 106.480, "2g"),
    ("Sredny Klyuch", 2, "Asia/Irkutsk", 58.570, 106.920, "3g"),
];

/// A service: name in English and Russian, specialty, minutes. A clinic offers what its doctors
/// know. Lists go by name, and most people look for the first of these.
pub const SERVICES: [(&str, &str, &str, u16); 4] = [
    ("General doctor", "Врач-терапевт", "general-practice", 20),
    ("Paediatrician", "Детский врач", "paediatrics", 20),
    ("Heart doctor", "Кардиолог", "cardiology", 30),
    ("Psychologist", "Психолог", "psychology", 40),
];

/// A service with terms of its own, which one doctor gives besides.
pub struct Special {
    /// Its name in English and Russian.
    pub name: (&'static str, &'static str),
    /// The specialty it asks for.
    pub specialty: &'static str,
    /// How long a visit takes.
    pub minutes: u16,
    /// Kept free before and after, in minutes.
    pub buffers: (u16, u16),
    /// The most of them in a day.
    pub daily_cap: u16,
    /// What a visit needs besides.
    pub needs: &'static [&'static str],
    /// The login of the doctor who gives it.
    pub doctor: &'static str,
}

/// Services that need more than two people: at the station, and with somebody who translates.
pub const SPECIALS: [Special; 2] = [
    Special {
        name: ("Heart doctor with ECG", "Кардиолог с ЭКГ на пункте"),
        specialty: "cardiology",
        minutes: 30,
        buffers: (5, 10),
        daily_cap: 6,
        needs: &["room", "device"],
        doctor: "akhmedov",
    },
    Special {
        name: ("Psychologist with an interpreter", "Психолог с переводчиком"),
        specialty: "psychology",
        minutes: 40,
        buffers: (0, 10),
        daily_cap: 4,
        needs: &["interpreter"],
        doctor: "polozova",
    },
];

/// A station with what stands there: its name, the number of its village and of its clinic, and
/// each room and device.
pub const STATION: (&str, usize, usize, [(&str, &str); 2]) = (
    "Sosnovka station",
    0,
    0,
    [("room", "Sosnovka station, room 1"), ("device", "Sosnovka station, ECG recorder")],
);

/// Who translates: name, clinic's number, zone, languages.
pub const INTERPRETER: (&str, usize, &str, [&str; 2]) =
    ("Saule Akhmetova", 0, "Asia/Krasnoyarsk", ["kk", "ru"]);

/// An administrator of a clinic: name, login, clinic's number.
pub const ADMINISTRATORS: [(&str, &str, usize); 1] = [("Marina Belskaya", "belskaya", 0)];

/// The specialty whose visits may be booked over: whoever is on duty sees a second one.
pub const OVERBOOKED: &str = "general-practice";

/// A doctor.
pub struct Doctor {
    /// Their name.
    pub name: &'static str,
    /// What they sign in with.
    pub login: &'static str,
    /// The number of their clinic.
    pub clinic: usize,
    /// What they know.
    pub specialty: &'static str,
    /// The zone of their working hours.
    pub zone: &'static str,
    /// When they work: from and to. Whoever is on duty works day and night.
    pub hours: (&'static str, &'static str),
    /// Whether they also work on Saturday and Sunday.
    pub weekends: bool,
}

/// The doctors; the first is on duty, so that a visit can be tried at any hour.
pub const DOCTORS: [Doctor; 7] = [
    Doctor {
        name: "Anna Lebedeva",
        login: "lebedeva",
        clinic: 0,
        specialty: "general-practice",
        zone: "Asia/Krasnoyarsk",
        hours: ("00:00", "24:00"),
        weekends: true,
    },
    Doctor {
        name: "Timur Akhmedov",
        login: "akhmedov",
        clinic: 0,
        specialty: "cardiology",
        zone: "Asia/Krasnoyarsk",
        hours: ("09:00", "17:00"),
        weekends: false,
    },
    Doctor {
        name: "Vera Polozova",
        login: "polozova",
        clinic: 0,
        specialty: "psychology",
        zone: "Europe/Kaliningrad",
        hours: ("08:00", "14:00"),
        weekends: false,
    },
    Doctor {
        name: "Pavel Gusev",
        login: "gusev",
        clinic: 1,
        specialty: "general-practice",
        zone: "Asia/Krasnoyarsk",
        hours: ("09:00", "17:00"),
        weekends: false,
    },
    Doctor {
        name: "Olga Rysakova",
        login: "rysakova",
        clinic: 1,
        specialty: "paediatrics",
        zone: "Asia/Krasnoyarsk",
        hours: ("08:00", "15:00"),
        weekends: false,
    },
    Doctor {
        name: "Bair Dorzhiev",
        login: "dorzhiev",
        clinic: 2,
        specialty: "general-practice",
        zone: "Asia/Irkutsk",
        hours: ("08:00", "16:00"),
        weekends: false,
    },
    // Stands in for the first: what one gives the other gives too.
    Doctor {
        name: "Irina Sedova",
        login: "sedova",
        clinic: 0,
        specialty: "general-practice",
        zone: "Asia/Krasnoyarsk",
        hours: ("07:00", "22:00"),
        weekends: true,
    },
];

/// A feldsher: name, login, clinic's number, zone.
pub const FELDSHERS: [(&str, &str, usize, &str); 2] = [
    ("Nina Soykina", "soykina", 0, "Asia/Krasnoyarsk"),
    ("Ivan Berdnikov", "berdnikov", 2, "Asia/Irkutsk"),
];

/// A registrar: name, login, clinic's number.
pub const REGISTRARS: [(&str, &str, usize); 2] =
    [("Larisa Orlova", "orlova", 0), ("Galina Zimina", "zimina", 1)];

/// A patient: name, date of birth. They live in the villages in turn.
pub const PATIENTS: [(&str, &str); 40] = [
    ("Asya Kuznetsova", "1957-04-12"),
    ("Boris Volkov", "1949-11-02"),
    ("Darya Lapina", "1988-07-23"),
    ("Yegor Medvedev", "1972-01-30"),
    ("Zoya Kruglova", "1941-05-09"),
    ("Ilya Sorokin", "2015-09-17"),
    ("Klavdiya Mironova", "1938-02-14"),
    ("Lev Ushakov", "1966-08-05"),
    ("Maria Tolkacheva", "1993-12-11"),
    ("Nikolay Zhdanov", "1954-03-27"),
    ("Oksana Belova", "1979-10-19"),
    ("Pyotr Kalugin", "1961-06-08"),
    ("Raisa Golubeva", "1945-09-30"),
    ("Semyon Yakovlev", "2009-04-03"),
    ("Tamara Nosova", "1951-01-16"),
    ("Ulyana Frolova", "2019-11-25"),
    ("Fyodor Shubin", "1968-07-07"),
    ("Kharitina Ozerova", "1943-08-21"),
    ("Tsvetana Mishina", "1985-05-29"),
    ("Shamil Galeev", "1977-02-18"),
    ("Elvira Kotova", "1990-03-06"),
    ("Yuri Panin", "1959-12-24"),
    ("Yana Voronina", "2001-10-10"),
    ("Anton Kirsanov", "1983-04-28"),
    ("Valentina Sukhova", "1947-06-15"),
    ("Gennady Loskutov", "1956-09-09"),
    ("Dina Murzina", "1996-01-22"),
    ("Yevdokia Churilova", "1936-03-01"),
    ("Zakhar Nikonov", "2012-08-13"),
    ("Inna Pestova", "1970-11-04"),
    ("Konstantin Rudakov", "1964-05-20"),
    ("Lyudmila Averina", "1953-07-31"),
    ("Maksim Tretyakov", "1987-09-26"),
    ("Nadezhda Shilova", "1950-02-08"),
    ("Oleg Bakhtin", "1975-12-03"),
    ("Polina Vorobyova", "2017-06-19"),
    ("Roman Safronov", "1981-10-27"),
    ("Svetlana Dyakova", "1962-04-04"),
    ("Taras Grishin", "1948-08-16"),
    ("Emma Levchenko", "1999-05-11"),
];

/// What people come for; invented and harmless.
pub const REASONS: [&str; 8] = [
    "Cough for a week",
    "Blood pressure is high in the evening",
    "Back hurts after stacking wood",
    "The cut on the hand heals slowly",
    "Dizzy in the morning",
    "Prescription runs out",
    "Does not sleep well since the move",
    "Follow-up after the cold",
];

/// Notes of past visits: subjective, objective, assessment, plan.
pub const NOTES: [[&str; 4]; 4] = [
    [
        "Cough for six days, no fever, sleeps badly.",
        "Talks freely, breath calm on video. Temperature 36.8 as measured at home.",
        "Acute bronchitis, mild.",
        "Warm drinks, rest. Come back at once if breath grows short. Follow-up in a week.",
    ],
    [
        "Pressure 150/90 in the evening for two weeks.",
        "Home diary shown on camera: 148/88, 152/92, 145/90.",
        "Hypertension, not well controlled.",
        "Raise the evening dose as written in the prescription. Diary for two weeks.",
    ],
    [
        "Pain in the lower back since Sunday, after stacking wood.",
        "Walks and bends with care; no numbness.",
        "Muscle strain.",
        "Keep moving gently, warmth, no lifting for ten days.",
    ],
    [
        "Came for the result of the blood test.",
        "Haemoglobin 128, sugar 5.4, as sent by the feldsher's station.",
        "Results are in order.",
        "Next check in six months.",
    ],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_general_doctor_is_the_first_service_in_either_language() {
        let english = SERVICES.iter().min_by_key(|(en, ..)| *en).unwrap();
        let russian = SERVICES.iter().min_by_key(|(_, ru, ..)| *ru).unwrap();
        assert_eq!((english.2, russian.2), ("general-practice", "general-practice"));
    }
}
