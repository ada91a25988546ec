//! The forms that people consent to, with their versions. A changed text is a new version, here and
//! in the migration: consents to an older one no longer count.

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::column::text_enum;
use crate::base::language::Language;

text_enum!(
    /// What somebody consents to.
    ConsentKind {
        /// To be seen at a distance.
        Telehealth = "telehealth",
        /// To be recorded, sound and picture.
        Recording = "recording",
        /// That somebody else is there: an interpreter, a specialist, a relative.
        ThirdParty = "third_party",
        /// That a trainee is there.
        Trainee = "trainee",
    }
);

/// A form in one language.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ConsentForm {
    /// What one consents to.
    pub kind: ConsentKind,
    /// Its version; `form_version` of a consent.
    pub version: i32,
    /// In which language.
    pub language: Language,
    /// What it says.
    pub text: &'static str,
}

/// The form of a kind that counts now.
pub fn current(kind: ConsentKind, language: Language) -> ConsentForm {
    let (version, en, ru) = match kind {
        ConsentKind::Telehealth => (
            1,
            "I agree to be seen by video or by telephone. I know that the doctor cannot examine me \
             with their hands, that the line may break, and that I can ask for a visit in person \
             at any time. I can withdraw this at any time.",
            "Я согласен (согласна) на приём по видео или по телефону. Я знаю, что врач не может \
             осмотреть меня руками, что связь может прерваться и что я могу в любое время \
             попросить очный приём. Это согласие можно отозвать в любое время.",
        ),
        ConsentKind::Recording => (
            1,
            "I agree that the sound and picture of this visit are recorded and kept with my \
             record. Nothing is recorded unless everybody who is there agrees. I can withdraw this \
             at any time; then the recording stops at once.",
            "Я согласен (согласна), чтобы звук и изображение этого приёма записали и хранили в \
             моей карте. Запись идёт, только если согласны все, кто на приёме. Это согласие можно \
             отозвать в любое время, и запись сразу прекратится.",
        ),
        ConsentKind::ThirdParty => (
            1,
            "I agree that another person whom the doctor has named takes part in this visit and \
             hears what is said. I can withdraw this at any time; then they leave.",
            "Я согласен (согласна), чтобы в приёме участвовал ещё один человек, которого назвал \
             врач, и слышал разговор. Это согласие можно отозвать в любое время, и этот человек \
             уйдёт.",
        ),
        ConsentKind::Trainee => (
            1,
            "I agree that a trainee watches this visit in order to learn. I am treated just as \
             well if I do not agree. I can withdraw this at any time; then they leave.",
            "Я согласен (согласна), чтобы на приёме присутствовал учащийся. Если я не согласен, \
             лечить меня будут так же. Это согласие можно отозвать в любое время, и учащийся \
             уйдёт.",
        ),
    };
    ConsentForm { kind, version, language, text: language.choose(en, ru) }
}

/// Every form that counts now.
pub fn all(language: Language) -> Vec<ConsentForm> {
    ConsentKind::ALL.iter().map(|kind| current(*kind, language)).collect()
}
