//! Who signs in.

pub mod code;
pub mod http;
pub mod limit;
pub mod me;
pub mod password;
pub mod phone;
pub mod session;
pub mod sign_in;
pub mod token;

use diesel::dsl::{exists, not};
use diesel::prelude::*;

use crate::access::Facts;
use crate::access::table::Action;
use crate::account::phone::Phone;
use crate::base::column::{id, text_enum};
use crate::base::db::{Each, Turn, among, take_turns};
use crate::base::error::Error;
use crate::base::language::Language;
use crate::base::problem;
use crate::base::schema::{accounts, memberships, patients, practitioners, sessions};
use crate::base::seal::Seal;
use crate::base::tx::Tx;

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

/// The longest login, in characters.
pub const LOGIN_CHARS_MAX: usize = 64;

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

/// Makes an account; the caller has made the access decision. 409 `already_exists` when the
/// login or the phone is somebody's, 422 `invalid_body` when the login is not one word.
pub fn create(tx: &mut Tx, new: NewAccount) -> Result<AccountId, Error> {
    let id = AccountId::new(tx.now);
    let login = new.login.as_deref().map(fold_login);
    if login.as_deref().is_some_and(|login| !is_login(login)) {
        return Err(Error::field(&problem::INVALID_BODY, "/login"));
    }
    let index = new.phone.as_ref().map(|phone| phone_index(tx.seal, phone));
    let sealed =
        new.phone.as_ref().map(|phone| phone.sealed(tx.seal, &phone_place(id))).transpose()?;
    let invited = login.is_some() && new.password_hash.is_none();
    let state = if invited { AccountState::Invited } else { AccountState::Active };
    let made = Each(
        diesel::insert_into(accounts::table)
            .values((
                accounts::id.eq(id),
                accounts::login.eq(login),
                accounts::password_hash.eq(new.password_hash),
                accounts::phone_index.eq(index),
                accounts::phone_sealed.eq(sealed),
                accounts::name.eq(new.name),
                accounts::language.eq(new.language),
                accounts::system_admin.eq(new.system_admin),
                accounts::state.eq(state),
                accounts::security_version.eq(1),
                accounts::failures.eq(0),
                accounts::created_at.eq(tx.now),
            ))
            .on_conflict_do_nothing(),
    )
    .execute(tx.conn)?;
    if made == 0 {
        return Err(Error::from(&problem::ALREADY_EXISTS));
    }
    Ok(id)
}

/// The account of a telephone, made now if there is none; the caller has made the access decision.
/// Whose it is already keeps their name and language.
pub fn of_phone(
    tx: &mut Tx,
    phone: Phone,
    name: &str,
    language: Language,
) -> Result<AccountId, Error> {
    let index = phone_index(tx.seal, &phone);
    let known: Option<AccountId> = accounts::table
        .filter(accounts::phone_index.eq(Some(index)))
        .select(accounts::id)
        .first(tx.conn)
        .optional()?;
    if let Some(known) = known {
        return Ok(known);
    }
    let new = NewAccount {
        name: name.to_owned(),
        language,
        login: None,
        phone: Some(phone),
        password_hash: None,
        system_admin: false,
    };
    create(tx, new)
}

/// The account of a telephone that nobody has come forward with: it was made for somebody who was
/// asked to a visit, who has never signed in and is no patient, no practitioner and no clerk. Whoever
/// brings its number now has it under their own name. The caller has made the access decision.
pub fn take_unclaimed(
    tx: &mut Tx,
    phone: &Phone,
    name: &str,
    language: Language,
) -> Result<Option<AccountId>, Error> {
    let index = phone_index(tx.seal, phone);
    let Some(account) = unclaimed(tx, &index)? else { return Ok(None) };
    // Two who register the same number follow one another: the second finds it taken.
    take_turns(tx.conn, &[Turn::Alone(account.0)])?;
    let unclaimed = unclaimed(tx, &index)?;
    if let Some(account) = unclaimed {
        diesel::update(accounts::table.find(account))
            .set((accounts::name.eq(name), accounts::language.eq(language)))
            .execute(tx.conn)?;
    }
    Ok(unclaimed)
}

fn unclaimed(tx: &mut Tx, index: &[u8]) -> Result<Option<AccountId>, Error> {
    let is_patient =
        exists(patients::table.filter(patients::account_id.eq(accounts::id.nullable())));
    let gives_care =
        exists(practitioners::table.filter(practitioners::account_id.eq(accounts::id.nullable())));
    let is_staff = exists(memberships::table.filter(memberships::account_id.eq(accounts::id)));
    let has_come = exists(sessions::table.filter(sessions::account_id.eq(accounts::id)));
    Ok(accounts::table
        .filter(accounts::phone_index.eq(Some(index)))
        .filter(accounts::login.is_null())
        .filter(accounts::system_admin.eq(false))
        .filter(accounts::state.eq(AccountState::Active))
        .filter(not(is_patient))
        .filter(not(gives_care))
        .filter(not(is_staff))
        .filter(not(has_come))
        .select(accounts::id)
        .first(tx.conn)
        .optional()?)
}

/// A token with which the first password is set, once, within 72 hours; earlier ones end.
/// The caller has made the access decision.
pub fn issue_one_time_token(tx: &mut Tx, account: AccountId) -> Result<String, Error> {
    sign_in::issue_one_time_token(tx, account)
}

/// How to reach somebody; the caller has made the access decision.
pub fn contact(tx: &mut Tx, account: AccountId) -> Result<Contact, Error> {
    let (name, language, sealed) = accounts::table
        .find(account)
        .select((accounts::name, accounts::language, accounts::phone_sealed))
        .get_result::<(String, Language, Option<Vec<u8>>)>(tx.conn)
        .optional()?
        .ok_or_else(|| Error::from(&problem::NOT_FOUND))?;
    let phone = Phone::unsealed(tx.seal, &phone_place(account), sealed.as_deref())?;
    Ok(Contact { name, phone, language })
}

/// Those of some accounts that have a telephone.
pub(crate) fn with_phone(tx: &mut Tx, ids: Vec<AccountId>) -> Result<Vec<AccountId>, Error> {
    let reached = accounts::table
        .filter(among(accounts::id, ids))
        .filter(accounts::phone_sealed.is_not_null());
    Ok(reached.select(accounts::id).load(tx.conn)?)
}

/// Shuts an account: its sessions end at once, its sockets close. The caller has made the access
/// decision. 404 when there is none.
pub fn disable(tx: &mut Tx, account: AccountId) -> Result<(), Error> {
    let shut = diesel::update(accounts::table.find(account))
        .set((
            accounts::state.eq(AccountState::Disabled),
            accounts::security_version.eq(accounts::security_version + 1),
        ))
        .execute(tx.conn)?;
    if shut == 0 {
        return Err(Error::from(&problem::NOT_FOUND));
    }
    session::end_all(tx, account)
}

/// Opens an account that was shut, or whose codes were guessed at too often. Who never set a
/// password is invited again. The caller has made the access decision. 404 when there is none.
pub fn enable(tx: &mut Tx, account: AccountId) -> Result<(), Error> {
    let (login, has_password) = accounts::table
        .find(account)
        .select((accounts::login, accounts::password_hash.is_not_null()))
        .get_result::<(Option<String>, bool)>(tx.conn)
        .optional()?
        .ok_or_else(|| Error::from(&problem::NOT_FOUND))?;
    let invited = login.is_some() && !has_password;
    let state = if invited { AccountState::Invited } else { AccountState::Active };
    diesel::update(accounts::table.find(account))
        .set((accounts::state.eq(state), accounts::failures.eq(0)))
        .execute(tx.conn)?;
    Ok(())
}

/// What somebody signs in with.
#[derive(Debug, Clone)]
pub enum SignsInWith {
    /// A login, as staff do.
    Login(String),
    /// A phone, as patients do.
    Phone(Phone),
}

/// As [`enable`], for the command line: whoever signs in so. 404 when nobody does.
pub fn enable_by(tx: &mut Tx, known: &SignsInWith) -> Result<(), Error> {
    tx.allow(Action::EnableAccount, &Facts::NONE)?;
    let ids = accounts::table.select(accounts::id);
    let found: Option<AccountId> = match known {
        SignsInWith::Login(login) => ids
            .filter(accounts::login.eq(Some(fold_login(login))))
            .get_result(tx.conn)
            .optional()?,
        SignsInWith::Phone(phone) => ids
            .filter(accounts::phone_index.eq(Some(phone_index(tx.seal, phone))))
            .get_result(tx.conn)
            .optional()?,
    };
    let account = found.ok_or_else(|| Error::from(&problem::NOT_FOUND))?;
    enable(tx, account)?;
    let facts = Facts { account: Some(account), ..Facts::NONE };
    tx.record(Action::EnableAccount, "Account", account.0, &facts);
    Ok(())
}

/// Ends every session of an account; its sockets close. The caller has made the access decision.
pub fn end_sessions(tx: &mut Tx, account: AccountId) -> Result<(), Error> {
    session::end_all(tx, account)
}

/// A login as it is kept: upper and lower case are the same.
pub(crate) fn fold_login(login: &str) -> String {
    login.trim().to_lowercase()
}

/// The keyed hash by which an account is found by its phone.
pub(crate) fn phone_index(seal: &Seal, phone: &Phone) -> Vec<u8> {
    seal.index("accounts.phone", phone.as_str())
}

fn is_login(login: &str) -> bool {
    let length = login.chars().count();
    let plain = login.chars().all(|c| c.is_alphanumeric() || "._-@+".contains(c));
    plain && (1..=LOGIN_CHARS_MAX).contains(&length)
}

fn phone_place(account: AccountId) -> String {
    format!("accounts|phone|{account}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_one_word_in_any_script_and_case_does_not_matter() {
        assert_eq!(fold_login("  Lebedeva "), "lebedeva");
        assert_eq!(fold_login("ЛЕБЕДЕВА"), "лебедева");
        for login in ["a", "anna.lebedeva", "anna@clinic.example", "лебедева-2"] {
            assert!(is_login(login), "{login}");
        }
        let long = "a".repeat(LOGIN_CHARS_MAX + 1);
        for login in ["", "anna lebedeva", "anna\u{0}", "a<b", long.as_str()] {
            assert!(!is_login(login), "{login}");
        }
    }
}
