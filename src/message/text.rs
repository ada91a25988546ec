//! The words of our messages. No diagnosis, no specialty, no surname: a phone lies about.
//!
//! Russian texts fit one SMS part (70 characters), so that they arrive on a bad line.

use chrono::{DateTime, Datelike, FixedOffset, Weekday};

use crate::base::language::Language;

/// Carries a sign-in code; the code comes first, where a lock screen shows it.
pub fn code(language: Language, code: &str) -> String {
    match language {
        Language::English => format!("{code} is your Feldsher sign-in code. Tell it to nobody."),
        Language::Russian => {
            format!("{code} — код для входа в «Фельдшер». Никому его не говорите.")
        }
    }
}

/// Confirms a booking: the local time and the code that the registry asks for.
pub fn booked(language: Language, start: &DateTime<FixedOffset>, code: &str) -> String {
    match language {
        Language::English => {
            let time = start.format("%a %-d %b %H:%M");
            format!("Feldsher: visit booked, {time} (local time), code {code}")
        }
        Language::Russian => {
            let (weekday, month) = (weekday_ru(start.weekday()), month_ru(start.month()));
            let (day, time) = (start.day(), start.format("%H:%M"));
            format!("Фельдшер: запись на {weekday} {day} {month} {time} (местное), код {code}")
        }
    }
}

/// Tells a patient that the promised local time stands, whatever was thought of the clocks there.
pub fn promise_kept(language: Language, start: &DateTime<FixedOffset>, code: &str) -> String {
    let time = start.format("%H:%M");
    match language {
        Language::English => {
            let date = start.format("%-d %b");
            format!("Feldsher: your visit stays at {date} {time} (local time), code {code}")
        }
        Language::Russian => {
            let (day, month) = (start.day(), month_ru(start.month()));
            format!("Фельдшер: приём как был: {day} {month} {time} (местное), код {code}")
        }
    }
}

/// Tells the new time of a visit that was moved.
pub fn moved(language: Language, start: &DateTime<FixedOffset>, code: &str) -> String {
    match language {
        Language::English => {
            let time = start.format("%a %-d %b %H:%M");
            format!("Feldsher: visit moved to {time} (local time), code {code}")
        }
        Language::Russian => {
            let (weekday, month) = (weekday_ru(start.weekday()), month_ru(start.month()));
            let (day, time) = (start.day(), start.format("%H:%M"));
            format!("Фельдшер: перенос на {weekday} {day} {month} {time} (местное), код {code}")
        }
    }
}

/// Tells a practitioner what their clock shows when a visit begins, now that the patient's clocks are
/// others.
pub fn clocks_moved(language: Language, start: &DateTime<FixedOffset>, code: &str) -> String {
    let time = start.format("%H:%M");
    match language {
        Language::English => {
            let date = start.format("%-d %b");
            format!(
                "Feldsher: the patient's clocks differ; visit {code} is {date} {time} your time"
            )
        }
        Language::Russian => {
            let (day, month) = (start.day(), month_ru(start.month()));
            format!("Фельдшер: приём {code} теперь {day} {month} {time} по вашим часам")
        }
    }
}

/// Tells that the clinic does not take on a visit that was asked for.
pub fn declined(language: Language, code: &str) -> String {
    match language {
        Language::English => format!("Feldsher: the clinic cannot take your request, code {code}"),
        Language::Russian => format!("Фельдшер: больница не смогла принять заявку, код {code}"),
    }
}

/// Tells that the clinic has not answered in time whoever asked for a visit.
pub fn unanswered(language: Language, code: &str) -> String {
    match language {
        Language::English => {
            format!("Feldsher: the clinic did not answer; you have no visit. Code {code}")
        }
        Language::Russian => {
            format!("Фельдшер: больница не ответила, приёма не будет. Код {code}")
        }
    }
}

/// Tells that a visit is called off, because the doctor is away or the clinic cannot.
pub fn away(language: Language, start: &DateTime<FixedOffset>, code: &str) -> String {
    let time = short_time(language, start);
    match language {
        Language::English => {
            format!("Feldsher: your visit of {time} (local time) is called off, code {code}")
        }
        Language::Russian => format!("Фельдшер: приём {time} (местное) отменён, код {code}"),
    }
}

/// Tells that the doctor is away and other times are held.
pub fn offered(language: Language, code: &str) -> String {
    match language {
        Language::English => {
            format!("Feldsher: your doctor is away. Choose another time, code {code}")
        }
        Language::Russian => format!("Фельдшер: врача не будет. Выберите другое время, код {code}"),
    }
}

/// Tells that the doctor is away and no other time is held any more: the clinic calls, or a time is chosen.
pub fn offer_over(language: Language, code: &str) -> String {
    match language {
        Language::English => format!(
            "Feldsher: your visit will not be as booked. The clinic calls you, or choose another \
             time, code {code}"
        ),
        Language::Russian => {
            format!("Фельдшер: приёма не будет. Позвоним, или выберите время, код {code}")
        }
    }
}

/// Tells whoever waits that a time is held for them, and until when.
pub fn vacancy(
    language: Language,
    (start, until): (&DateTime<FixedOffset>, &DateTime<FixedOffset>),
    code: &str,
    link: Option<&str>,
) -> String {
    let time = short_time(language, start);
    let text = match language {
        Language::English => {
            let until = until.format("%-d %b %H:%M");
            format!("Feldsher: {time} is free, held for you until {until}, code {code}")
        }
        Language::Russian => {
            let (day, month) = (until.day(), month_ru(until.month()));
            let until = until.format("%H:%M");
            format!("Фельдшер: свободно {time}, ответ до {day} {month} {until}, код {code}")
        }
    };
    with_link(text, " ", link)
}

/// Tells that an offered time is not to be had any more.
pub fn vacancy_gone(language: Language, code: &str) -> String {
    match language {
        Language::English => {
            format!("Feldsher: that time is no longer free, your place is kept, code {code}")
        }
        Language::Russian => format!("Фельдшер: то время занято, ваша очередь цела, код {code}"),
    }
}

/// Tells that somebody waits no longer, and got no visit.
pub fn wish_over(language: Language, code: &str) -> String {
    match language {
        Language::English => {
            format!("Feldsher: you are no longer on the waiting list, code {code}. Ask the clinic.")
        }
        Language::Russian => {
            format!("Фельдшер: ожидание закончилось, запишитесь снова, код {code}")
        }
    }
}

/// Asks somebody to come to the visit of another.
pub fn invited(language: Language, start: &DateTime<FixedOffset>, link: Option<&str>) -> String {
    let time = short_time(language, start);
    let text = match language {
        Language::English => {
            format!("Feldsher: you are asked to join a visit, {time} (local time)")
        }
        Language::Russian => format!("Фельдшер: вас ждут на приёме {time} (местное)"),
    };
    with_link(text, ": ", link)
}

/// Tells somebody who was asked to come to the visit of another that it will not be.
pub fn called_off(language: Language, start: &DateTime<FixedOffset>) -> String {
    let time = short_time(language, start);
    match language {
        Language::English => {
            format!("Feldsher: the visit that you were asked to join, {time}, will not take place")
        }
        Language::Russian => format!("Фельдшер: приёма {time} (местное) не будет"),
    }
}

/// Tells that a visit will begin later than planned, about between two times, and that another time
/// can be chosen.
pub fn late(
    language: Language,
    times: (&DateTime<FixedOffset>, &DateTime<FixedOffset>),
    code: &str,
    link: Option<&str>,
) -> String {
    let times = between(times);
    let text = match language {
        Language::English => {
            format!(
                "Feldsher: your visit is later, {times} (local time), code {code}. \
                 Wait, or choose another time"
            )
        }
        Language::Russian => {
            format!("Фельдшер: приём позже, {times}, код {code}. Можно перенести")
        }
    };
    with_link(text, ": ", link)
}

/// Tells that a visit will begin sooner than was told last.
pub fn sooner(
    language: Language,
    times: (&DateTime<FixedOffset>, &DateTime<FixedOffset>),
    code: &str,
    link: Option<&str>,
) -> String {
    let times = between(times);
    let text = match language {
        Language::English => {
            format!(
                "Feldsher: your visit is sooner than we said, {times} (local time), code {code}"
            )
        }
        Language::Russian => format!("Фельдшер: приём раньше: {times} (местное), код {code}"),
    };
    with_link(text, " ", link)
}

/// How a text says until when somebody can come: language, their clock, booking code, link.
pub type Care = fn(Language, &DateTime<FixedOffset>, Option<&str>, Option<&str>) -> String;

/// What the texts about coming in have in common: `words` are given the time and the code.
fn come_in_before(
    language: Language,
    (until, code, link): (&DateTime<FixedOffset>, Option<&str>, Option<&str>),
    words: impl FnOnce(&str, &str) -> String,
) -> String {
    let until = until.format("%H:%M").to_string();
    with_link(words(&until, &with_code(language, code)), " ", link)
}

fn with_code(language: Language, code: Option<&str>) -> String {
    let word = language.choose("code", "код");
    code.map(|code| format!(", {word} {code}")).unwrap_or_default()
}

/// Tells somebody that the doctor rings them, until when they can come, and that the clinic calls
/// otherwise.
pub fn rung(
    language: Language,
    until: &DateTime<FixedOffset>,
    code: Option<&str>,
    link: Option<&str>,
) -> String {
    come_in_before(language, (until, code, link), |until, code| match language {
        Language::English => format!(
            "Feldsher: your doctor is calling. Come in before {until}, or the clinic calls you \
             back{code}"
        ),
        Language::Russian => {
            format!("Фельдшер: врач ждёт, войдите до {until}, иначе позвоним{code}")
        }
    })
}

/// Tells a patient that their visit is interrupted, not over.
pub fn interrupted(
    language: Language,
    until: &DateTime<FixedOffset>,
    code: Option<&str>,
    link: Option<&str>,
) -> String {
    come_in_before(language, (until, code, link), |until, code| match language {
        Language::English => format!(
            "Feldsher: your visit was cut off, it is not over. Come in before {until} (local \
             time), or the clinic calls you{code}"
        ),
        Language::Russian => {
            format!("Фельдшер: связь прервалась, войдите до {until} (местное){code}")
        }
    })
}

/// Tells a patient that their visit, which was ended, is not over.
pub fn reopened(
    language: Language,
    until: &DateTime<FixedOffset>,
    code: Option<&str>,
    link: Option<&str>,
) -> String {
    come_in_before(language, (until, code, link), |until, code| match language {
        Language::English => format!(
            "Feldsher: your visit is not over, it was ended by mistake. Come in before {until} (local \
             time){code}"
        ),
        Language::Russian => {
            format!("Фельдшер: приём не окончен, войдите до {until} (местное){code}")
        }
    })
}

/// Tells a patient who was told that their visit is not over, and has not come, that it is still open.
pub fn still_open(
    language: Language,
    until: &DateTime<FixedOffset>,
    code: Option<&str>,
    link: Option<&str>,
) -> String {
    come_in_before(language, (until, code, link), |until, code| match language {
        Language::English => format!(
            "Feldsher: your visit is still open. Come in before {until} (local time), or the clinic \
             calls you{code}"
        ),
        Language::Russian => {
            format!("Фельдшер: приём ещё открыт, войдите до {until} (местное){code}")
        }
    })
}

/// Tells a patient who waited that nobody came, and that the clinic calls. There is nothing to open.
pub fn unseen(
    language: Language,
    _until: &DateTime<FixedOffset>,
    code: Option<&str>,
    _link: Option<&str>,
) -> String {
    let code = with_code(language, code);
    match language {
        Language::English => {
            format!(
                "Feldsher: sorry, your visit did not take place. The clinic will call you{code}"
            )
        }
        Language::Russian => {
            format!("Фельдшер: приём не состоялся, мы позвоним вам{code}")
        }
    }
}

fn with_link(text: String, between: &str, link: Option<&str>) -> String {
    match link {
        Some(link) => format!("{text}{between}{link}"),
        None => text,
    }
}

fn between((earliest, latest): (&DateTime<FixedOffset>, &DateTime<FixedOffset>)) -> String {
    let (earliest, latest) = (earliest.format("%H:%M").to_string(), latest.format("%H:%M"));
    let latest = latest.to_string();
    if earliest == latest { earliest } else { format!("{earliest}–{latest}") }
}

/// Tells of several visits at once: the code of each and what became of it.
pub fn several(language: Language, parts: &[String]) -> String {
    match language {
        Language::English => format!("Feldsher: your visits have changed. {}", parts.join("; ")),
        Language::Russian => format!("Фельдшер: изменения в записи. {}", parts.join("; ")),
    }
}

/// A part of [`several`]: the new time of a visit.
pub fn part_moved(language: Language, start: &DateTime<FixedOffset>, code: &str) -> String {
    format!("{code}: {}", short_time(language, start))
}

/// A part of [`several`]: a visit was called off.
pub fn part_away(language: Language, code: &str) -> String {
    match language {
        Language::English => format!("{code}: called off"),
        Language::Russian => format!("{code}: отменён"),
    }
}

/// A part of [`several`]: other times are held.
pub fn part_offered(language: Language, code: &str) -> String {
    match language {
        Language::English => format!("{code}: choose a time"),
        Language::Russian => format!("{code}: выберите время"),
    }
}

/// A part of [`several`]: no other time is held any more.
pub fn part_offer_over(language: Language, code: &str) -> String {
    match language {
        Language::English => format!("{code}: not as booked, the clinic calls"),
        Language::Russian => format!("{code}: не будет, позвоним"),
    }
}

fn short_time(language: Language, start: &DateTime<FixedOffset>) -> String {
    match language {
        Language::English => start.format("%a %-d %b %H:%M").to_string(),
        Language::Russian => {
            let (weekday, month) = (weekday_ru(start.weekday()), month_ru(start.month()));
            format!("{weekday} {} {month} {}", start.day(), start.format("%H:%M"))
        }
    }
}

fn weekday_ru(day: Weekday) -> &'static str {
    match day {
        Weekday::Mon => "пн",
        Weekday::Tue => "вт",
        Weekday::Wed => "ср",
        Weekday::Thu => "чт",
        Weekday::Fri => "пт",
        Weekday::Sat => "сб",
        Weekday::Sun => "вс",
    }
}

fn month_ru(month: u32) -> &'static str {
    match month {
        1 => "янв",
        2 => "фев",
        3 => "мар",
        4 => "апр",
        5 => "мая",
        6 => "июн",
        7 => "июл",
        8 => "авг",
        9 => "сен",
        10 => "окт",
        11 => "ноя",
        _ => "дек",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One SMS part of Cyrillic letters.
    const PART_CHARS_MAX: usize = 70;

    #[test]
    fn a_confirmation_says_the_local_time_and_the_code() {
        let start = DateTime::parse_from_rfc3339("2026-11-24T09:00:00+07:00").unwrap();
        assert_eq!(
            booked(Language::English, &start, "AB12CD"),
            "Feldsher: visit booked, Tue 24 Nov 09:00 (local time), code AB12CD"
        );
        assert_eq!(
            booked(Language::Russian, &start, "AB12CD"),
            "Фельдшер: запись на вт 24 ноя 09:00 (местное), код AB12CD"
        );
    }

    #[test]
    fn russian_texts_fit_one_part_and_a_code_comes_first() {
        let start = DateTime::parse_from_rfc3339("2026-05-24T09:00:00+07:00").unwrap();
        let later = DateTime::parse_from_rfc3339("2026-05-24T10:25:00+07:00").unwrap();
        let russian = Language::Russian;
        for text in [
            code(russian, "123456"),
            booked(russian, &start, "AB12CD"),
            moved(russian, &start, "AB12CD"),
            declined(russian, "AB12CD"),
            unanswered(russian, "AB12CD"),
            away(russian, &start, "AB12CD"),
            offered(russian, "AB12CD"),
            offer_over(russian, "AB12CD"),
            promise_kept(russian, &start, "AB12CD"),
            clocks_moved(russian, &start, "AB12CD"),
            vacancy(russian, (&start, &start), "AB12CD", None),
            vacancy_gone(russian, "AB12CD"),
            wish_over(russian, "AB12CD"),
            late(russian, (&start, &later), "AB12CD", None),
            sooner(russian, (&start, &later), "AB12CD", None),
            rung(russian, &start, Some("AB12CD"), None),
            interrupted(russian, &start, Some("AB12CD"), None),
            reopened(russian, &start, Some("AB12CD"), None),
            still_open(russian, &start, Some("AB12CD"), None),
            unseen(russian, &start, Some("AB12CD"), None),
            invited(russian, &start, None),
            called_off(russian, &start),
        ] {
            assert!(text.chars().count() <= PART_CHARS_MAX, "{text}");
        }
        for language in Language::ALL {
            assert!(code(*language, "123456").starts_with("123456"));
        }
    }
}
