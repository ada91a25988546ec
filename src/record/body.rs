//! The text of a note: four sections, sealed with the patient's key.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::base::error::Error;
use crate::base::problem;
use crate::base::seal::Key;
use crate::record::{AddendumId, NoteId};

/// The longest section or addendum, in characters.
pub const SECTION_CHARS_MAX: usize = 20_000;

/// The sections of a note (SOAP). Empty ones are left out.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sections {
    /// What the patient says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subjective: Option<String>,
    /// What was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// What it is taken for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assessment: Option<String>,
    /// What shall be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
}

impl std::fmt::Debug for Sections {
    /// Health data has no place in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sections(***)")
    }
}

impl Sections {
    /// The sections that hold something, with their names.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let Self { subjective, objective, assessment, plan } = self;
        let all = [
            ("subjective", subjective),
            ("objective", objective),
            ("assessment", assessment),
            ("plan", plan),
        ];
        all.into_iter().filter_map(|(name, text)| text.as_deref().map(|text| (name, text)))
    }

    /// Whether there is nothing to sign.
    pub fn is_blank(&self) -> bool {
        self.named().all(|(_, text)| text.trim().is_empty())
    }

    /// These sections with a change laid over them. 422 when a section is too long.
    pub fn with(self, change: WriteNote) -> Result<Self, Error> {
        let lay = |old, new: Option<Option<String>>| match new {
            None => old,
            Some(text) => text.filter(|text| !text.is_empty()),
        };
        let sections = Self {
            subjective: lay(self.subjective, change.subjective),
            objective: lay(self.objective, change.objective),
            assessment: lay(self.assessment, change.assessment),
            plan: lay(self.plan, change.plan),
        };
        for (name, text) in sections.named() {
            check_length(text, &format!("/{name}"))?;
        }
        Ok(sections)
    }
}

/// What shall stand in a note. A section left out stays as it is; `null` or an empty text clears it.
#[derive(Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteNote {
    /// What the patient says; at most 20,000 characters, as every section.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 20000)]
    pub subjective: Option<Option<String>>,
    /// What was found.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 20000)]
    pub objective: Option<Option<String>>,
    /// What it is taken for.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 20000)]
    pub assessment: Option<Option<String>>,
    /// What shall be done.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 20000)]
    pub plan: Option<Option<String>>,
}

/// Tells a section that is `null` from one that is left out.
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// 422 on the field when a text is longer than a section may be.
pub fn check_length(text: &str, pointer: &str) -> Result<(), Error> {
    if text.chars().count() > SECTION_CHARS_MAX {
        return Err(Error::field(&problem::INVALID_BODY, pointer));
    }
    Ok(())
}

/// Seals the sections of one version of one note.
pub fn seal(key: &Key, id: NoteId, version: i32, sections: &Sections) -> Result<Vec<u8>, Error> {
    let plain = serde_json::to_vec(sections)
        .map(zeroize::Zeroizing::new)
        .map_err(|_unserializable| Error::Internal("a note is not JSON"))?;
    Ok(key.seal(&place(id, version), &plain)?)
}

/// Opens them again, in the same place only.
pub fn open(key: &Key, id: NoteId, version: i32, sealed: &[u8]) -> Result<Sections, Error> {
    let plain = key.open(&place(id, version), sealed)?;
    serde_json::from_slice(&plain).map_err(|_not_ours| Error::Internal("a note is not JSON"))
}

/// Seals the text of an addendum; it opens under its own note only.
pub fn seal_addendum(
    key: &Key,
    note: NoteId,
    id: AddendumId,
    text: &str,
) -> Result<Vec<u8>, Error> {
    Ok(key.seal(&addendum_place(note, id), text.as_bytes())?)
}

/// Opens the text of an addendum.
pub fn open_addendum(
    key: &Key,
    note: NoteId,
    id: AddendumId,
    sealed: &[u8],
) -> Result<String, Error> {
    let plain = key.open(&addendum_place(note, id), sealed)?;
    match std::str::from_utf8(&plain) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(Error::Internal("a sealed text is not UTF-8")),
    }
}

fn place(id: NoteId, version: i32) -> String {
    format!("notes|body_sealed|{id}|{version}")
}

fn addendum_place(note: NoteId, id: AddendumId) -> String {
    format!("note_addenda|text_sealed|{note}|{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn change(json: &str) -> WriteNote {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_change_touches_the_sections_it_names_and_null_clears_one() {
        let first =
            Sections::default().with(change(r#"{"subjective":"cough","plan":"tea"}"#)).unwrap();
        assert_eq!(
            first,
            Sections { subjective: text("cough"), plan: text("tea"), ..Sections::default() }
        );
        let second =
            first.with(change(r#"{"objective":"38.2","subjective":null,"plan":""}"#)).unwrap();
        assert_eq!(second, Sections { objective: text("38.2"), ..Sections::default() });
        assert_eq!(second.clone().with(change("{}")).unwrap(), second);
    }

    #[test]
    fn a_section_holds_twenty_thousand_characters_of_any_alphabet_and_not_one_more() {
        let longest = "ё".repeat(SECTION_CHARS_MAX);
        let with = |text: &str| {
            let change = WriteNote { plan: Some(Some(text.to_owned())), ..WriteNote::default() };
            Sections::default().with(change)
        };
        assert_eq!(with(&longest).unwrap().plan.as_deref(), Some(longest.as_str()));
        let error = with(&format!("{longest}ё")).unwrap_err();
        assert!(error.is(&problem::INVALID_BODY));
        let Error::Refused(refusal) = error else { panic!("a refusal") };
        assert_eq!(refusal.errors[0].pointer, "/plan");
    }

    #[test]
    fn a_note_of_spaces_is_blank() {
        assert!(Sections::default().is_blank());
        assert!(Sections { plan: text(" \n\t"), ..Sections::default() }.is_blank());
        assert!(!Sections { plan: text(" ok"), ..Sections::default() }.is_blank());
    }

    #[test]
    fn a_body_opens_in_its_own_row_and_version_only() {
        let key = Key::new(&[7; 32]).unwrap();
        let (mine, other) = (NoteId(uuid::Uuid::from_u128(1)), NoteId(uuid::Uuid::from_u128(2)));
        let sections = Sections { plan: text("tea"), ..Sections::default() };
        let sealed = seal(&key, mine, 3, &sections).unwrap();
        assert_eq!(open(&key, mine, 3, &sealed).unwrap(), sections);
        assert!(open(&key, other, 3, &sealed).is_err(), "swapped rows");
        assert!(open(&key, mine, 2, &sealed).is_err(), "an older version put back");
        assert!(open(&Key::new(&[8; 32]).unwrap(), mine, 3, &sealed).is_err(), "another patient");
        assert!(!sealed.windows(3).any(|bytes| bytes == b"tea"));
    }

    #[test]
    fn an_addendum_opens_under_its_own_note_only() {
        let key = Key::new(&[7; 32]).unwrap();
        let (mine, other) = (NoteId(uuid::Uuid::from_u128(1)), NoteId(uuid::Uuid::from_u128(2)));
        let (first, second) =
            (AddendumId(uuid::Uuid::from_u128(3)), AddendumId(uuid::Uuid::from_u128(4)));
        let sealed = seal_addendum(&key, mine, first, "lab came").unwrap();
        assert_eq!(open_addendum(&key, mine, first, &sealed).unwrap(), "lab came");
        assert!(open_addendum(&key, other, first, &sealed).is_err());
        assert!(open_addendum(&key, mine, second, &sealed).is_err());
    }
}
