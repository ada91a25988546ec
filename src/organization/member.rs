//! stub
use super::OrganizationId;
use crate::base::column::text_enum;
use crate::base::error::Error;
use crate::base::language::Language;
use crate::base::tx::Tx;

/// stub
#[derive(Debug, Clone)]
pub struct Login(String);
impl Login {
    /// stub
    pub fn as_str(&self) -> &str { &self.0 }
}
impl std::str::FromStr for Login {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> { Ok(Self(text.to_owned())) }
}
text_enum!(
    /// stub
    OfficeRole {
        /// stub
        Registrar = "registrar",
        /// stub
        ClinicAdmin = "clinic_admin",
    }
);
/// stub
pub struct NewMember { pub name: String, pub role: OfficeRole, pub login: Login, pub language: Option<Language> }
/// stub
pub struct Member { pub sign_in_token: Option<String> }
/// stub
pub fn create(_tx: &mut Tx, _clinic: OrganizationId, _new: NewMember) -> Result<Member, Error> { Err(Error::Internal("stub")) }
