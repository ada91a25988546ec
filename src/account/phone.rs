//! Telephone numbers (E.164).

/// A telephone number in E.164 form, such as `+79131234567`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, utoipa::ToSchema)]
pub struct Phone(String);

impl Phone {
    /// The number, with its plus sign.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
