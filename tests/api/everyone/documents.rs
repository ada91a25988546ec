//! What the pages of documentation promise is what the code does.

use std::path::{Path, PathBuf};

use feldsher::access::Relation;
use feldsher::access::table::Action;
use feldsher::base::language::Language;
use feldsher::base::problem;

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
