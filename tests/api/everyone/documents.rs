//! What the pages of documentation promise is what the code does.

use std::path::{Path, PathBuf};

use feldsher::access::Relation;
use feldsher::access::table::Action;
use feldsher::base::language::Language;
use feldsher::base::problem;
use feldsher::encounter::lifecycle::{By, TABLE, When, is_settled_by_a_note};

/// Set it to write the generated files anew; then read the difference before it is committed.
pub const UPDATE: &str = "TEST_ACCESS_UPDATE";

pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Compares a generated text with the one that was reviewed.
#[track_caller]
pub fn reviewed(name: &str, text: &str) {
    let path = file(name);
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let changed = text.lines().find(|line| !kept.lines().any(|other| other == *line));
    assert!(kept == text, "{name} is not what the code says (set {UPDATE}=1); new: {changed:?}");
}

fn words(relation: Relation) -> &'static str {
    match relation {
        Relation::Anyone => "anybody",
        Relation::SignedIn => "whoever is signed in",
        Relation::Myself => "the patient",
        Relation::Conducts => "the practitioner whose it is",
        Relation::Guest => "who is asked to come",
        Relation::Author => "its author",
        Relation::Treats => "who treats the patient",
        Relation::Doctor => "the clinic's doctors",
        Relation::Feldsher => "the clinic's feldshers",
        Relation::Registrar => "the clinic's registrars",
        Relation::ClinicAdmin => "the clinic's administrators",
        Relation::Booker => "whoever of the patient's clinic booked it",
        Relation::SystemAdmin => "the installation's administrators",
    }
}

#[test]
fn the_page_of_the_access_table_is_the_table() {
    let mut page = String::from(
        "# The access table\n\nGenerated from `src/access/table.rs`; a test compares them.\n\
         Whoever is not named is refused: with 403 when they may see the object (last column), \
         otherwise with 404, as if it did not exist.\nWhere the last column is empty there is no \
         single object to see, and the refusal is 403.\n\n| act | who may | seen with |\n|---|---|---|\n",
    );
    for action in Action::ALL {
        let who: Vec<&str> = action.granted_to().iter().map(|relation| words(*relation)).collect();
        let who = if who.is_empty() { "Feldsher itself".to_owned() } else { who.join(", ") };
        let sight = action.sight().map(|sight| format!("`{}`", sight.as_str())).unwrap_or_default();
        page += &format!("| `{}` | {who} | {sight} |\n", action.as_str());
    }
    reviewed("docs/access.md", &page);
}

fn actors(by: By) -> String {
    let deeds = match by {
        By::Coming => return "whoever comes, goes, is let in or sent out".to_owned(),
        By::Itself => return "Feldsher itself".to_owned(),
        By::Deeds(deeds) => deeds,
    };
    let mut who: Vec<Relation> =
        deeds.iter().flat_map(|deed| deed.granted_to().iter().copied()).collect();
    who.sort_unstable();
    who.dedup();
    let who: Vec<&str> = who.into_iter().map(words).collect();
    let deeds: Vec<String> = deeds.iter().map(|deed| format!("`{}`", deed.as_str())).collect();
    format!("{} ({})", who.join(", "), deeds.join(", "))
}

fn time(when: When) -> &'static str {
    match when {
        When::Always => "at any time",
        When::Held => "while the time is held, until the planned end at most",
        When::UntilEnd => "until it should be over",
        When::UntilEndOrByClinic => "until it should be over; the clinic at any time",
        When::DoorOpen => "while the door is open",
        When::FromStart => "from the planned start on",
        When::UntilStart => "until the planned start",
        When::DayAfterStart => "until a day after the planned start",
        When::DayAfterEnd => "until a day after the end",
    }
}

#[test]
fn the_page_of_the_life_of_a_visit_is_its_table() {
    let mut page = String::from(
        "# The life of a visit\n\nGenerated from `src/encounter/lifecycle.rs`, the table that the \
         code asks; a test compares them.\nA state is that of the appointment, then that of its \
         visit. What is not here cannot happen, nor by another deed, nor at another time.\nAll of \
         it is in the audit log; corrections are marked.\n\n\
         | act | from | to | who (and by which acts of [the access table](access.md)) | when | a signed note |\n\
         |---|---|---|---|---|---|\n",
    );
    for line in TABLE {
        let mark = if line.act.is_correction() { " (correction)" } else { "" };
        for ((from, visit), (to, then)) in line.moves {
            page += &format!(
                "| `{}`{mark} | {from}, {visit} | {to}, {then} | {} | {} | {} |\n",
                line.act,
                actors(line.by),
                time(line.when),
                if is_settled_by_a_note((*from, *visit), (*to, *then)) { "forbids it" } else { "" }
            );
        }
    }
    page += "\nA signed note says that the visit took place: whoever has come is not expected again, \
         nor missed, nor called off, and what has ended goes on no more. Both the deed and the \
         schema refuse.\n`reopen` is for one whose talk had begun, `expect` for one that was ended \
         before.\n`reinstate` follows when an absence is taken back, within the ten minutes of its \
         plan; what was only held, or asked for, is so again (`hold_again`, `ask_again`) until the \
         time that was said, and stays called off after that.\nWhat was called off is not booked \
         again into an absence or a closure. Whatever else is put right opens the absences that it \
         lies in: none is complete with a visit that nobody has decided about.\nA visit \
         should be over at its planned end, or as much later as its patient was told to come; \
         after that, one that nobody came to is missed, or put to another time by the \
         clinic, and nothing else. Whoever waits has come, and is seen late perhaps.\nNo cap binds \
         that a visit was not missed: it says what was, and promises nothing anew.\n";
    reviewed("docs/lifecycle.md", &page);
}

#[test]
fn the_page_of_the_api_lists_every_problem() {
    let page = std::fs::read_to_string(file("docs/api.md")).unwrap();
    for problem in problem::ALL {
        let detail = problem.detail(Language::English);
        let line = format!("| {} | `{}` | {detail} |", problem.status, problem.code);
        assert!(page.lines().any(|other| other == line), "docs/api.md lacks: {line}");
    }
    let listed = page.lines().filter(|line| line.starts_with("| 4") || line.starts_with("| 5"));
    assert_eq!(listed.count(), problem::ALL.len(), "docs/api.md lists a problem that is none");
}
