//! Names that people give: of people, clinics, places, services.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// The longest name, in characters.
pub const NAME_CHARS_MAX: usize = 200;

/// A name of 1 to 200 characters on one line, without blanks at its ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

/// A text that is no name. The display form does not quote it: it may be somebody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 200 characters on one line")]
pub struct NotAName;

/// An id and the name a person reads.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Named<T> {
    /// The id.
    pub id: T,
    /// The name.
    pub name: String,
}

impl Name {
    /// The name as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as it is searched: small letters, and `ё` as `е`, as most people type it.
    pub fn folded(&self) -> String {
        fold(&self.0)
    }
}

/// Breaks the line, or turns the writing round, so that a name shows as another one.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Folds what somebody searches for as [`Name::folded`] folds what is found.
pub fn fold(text: &str) -> String {
    text.trim().to_lowercase().replace('ё', "е")
}

impl std::str::FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let name = text.trim();
        let fits = (1..=NAME_CHARS_MAX).contains(&name.chars().count());
        if fits && !name.chars().any(is_deceptive) {
            Ok(Self(name.to_owned()))
        } else {
            Err(NotAName)
        }
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for Name {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .min_length(Some(1))
            .max_length(Some(NAME_CHARS_MAX))
            .into()
    }
}
impl utoipa::ToSchema for Name {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_of_one_to_two_hundred_characters() {
        assert_eq!("  Аша Кузнецова ".parse::<Name>().unwrap().as_str(), "Аша Кузнецова");
        assert!("ж".repeat(200).parse::<Name>().is_ok());
        for wrong in
            ["", " \t ", "Аша\nКузнецова", "\u{0}", "Аша\u{2028}К", "\u{202e}ашА", &"ж".repeat(201)]
        {
            assert_eq!(wrong.parse::<Name>(), Err(NotAName), "{wrong:?}");
        }
    }

    #[test]
    fn a_search_finds_a_name_however_it_is_typed() {
        let name: Name = "СЕМЁНОВ Пётр".parse().unwrap();
        assert!(name.folded().starts_with(&fold(" Семенов ")));
        assert!(name.folded().starts_with(&fold("семён")));
    }
}
