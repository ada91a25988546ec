//! The two languages we speak, and how a request asks for one.

use crate::base::column::text_enum;

text_enum!(
    /// A language of texts for people.
    Language {
        /// English.
        English = "en",
        /// Russian.
        Russian = "ru",
    }
);

impl Language {
    /// Which of two texts is in this language.
    pub fn choose<T>(self, english: T, russian: T) -> T {
        match self {
            Self::English => english,
            Self::Russian => russian,
        }
    }

    /// Chooses by `Accept-Language` (RFC 9110, 12.5.4): the highest weight of ours wins.
    pub fn of_header(header: Option<&str>) -> Self {
        let mut best = (0.0_f32, Self::English);
        for part in header.unwrap_or_default().split(',') {
            let mut pieces = part.split(';');
            let tag = pieces.next().unwrap_or_default().trim().to_ascii_lowercase();
            let weight = pieces
                .find_map(|piece| piece.trim().strip_prefix("q="))
                .map_or(1.0, |weight| weight.parse::<f32>().unwrap_or(0.0));
            let language = match tag.split('-').next() {
                Some("ru") => Self::Russian,
                Some("en") => Self::English,
                _ => continue,
            };
            if weight > best.0 {
                best = (weight, language);
            }
        }
        best.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_weight_wins_and_english_is_the_rest() {
        assert_eq!(Language::of_header(Some("en;q=0.5, ru-RU")), Language::Russian);
        assert_eq!(Language::of_header(Some("de, fr")), Language::English);
        assert_eq!(Language::of_header(None), Language::English);
    }
}
