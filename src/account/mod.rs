//! Who signs in.

pub mod password;
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
