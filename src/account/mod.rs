//! Who signs in.

pub mod password;
pub mod phone;
pub mod token;

use crate::base::column::{id, text_enum};

id!(
    /// An account.
    AccountId
);
id!(
    /// A sign-in session: from the first token to sign-out.
    SessionId
);

text_enum!(
    /// The state of an account.
    AccountState {
        /// Has not set a password yet.
        Invited = "invited",
        /// May sign in.
        Active = "active",
        /// May not.
        Disabled = "disabled",
    }
);

// ---- stub
use crate::account::phone::Phone;
use crate::base::error::Error;
use crate::base::language::Language;
use crate::base::tx::Tx;

/// An account to be made.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// The name shown to others.
    pub name: String,
    /// The language of texts to them.
    pub language: Language,
    /// What staff sign in with.
    pub login: Option<String>,
    /// What patients sign in with.
    pub phone: Option<Phone>,
    /// argon2id in PHC form; without one (and with a login) the account is invited.
    pub password_hash: Option<String>,
    /// Administers the installation.
    pub system_admin: bool,
}

/// How to reach somebody.
#[derive(Debug, Clone)]
pub struct Contact {
    /// Their name.
    pub name: String,
    /// Their telephone.
    pub phone: Option<Phone>,
    /// The language they read.
    pub language: Language,
}

/// stub: makes an account; the caller has made the access decision. 409 `already_exists`.
pub fn create(_tx: &mut Tx, _new: NewAccount) -> Result<AccountId, Error> { Err(Error::Internal("stub")) }
/// stub: a token with which the first password is set, once.
pub fn issue_one_time_token(_tx: &mut Tx, _account: AccountId) -> Result<String, Error> { Err(Error::Internal("stub")) }
/// stub: how to reach somebody; the caller has made the access decision.
pub fn contact(_tx: &mut Tx, _account: AccountId) -> Result<Contact, Error> { Err(Error::Internal("stub")) }
/// stub: nobody signs in with it; its sessions end.
pub fn disable(_tx: &mut Tx, _account: AccountId) -> Result<(), Error> { Err(Error::Internal("stub")) }
/// stub: undoes `disable`.
pub fn enable(_tx: &mut Tx, _account: AccountId) -> Result<(), Error> { Err(Error::Internal("stub")) }
/// stub: ends every session of an account; its sockets close.
pub fn end_sessions(_tx: &mut Tx, _account: AccountId) -> Result<(), Error> { Err(Error::Internal("stub")) }
