//! Answering an offer without a sign-in, with a code and a birth date: times that are held in place
//! of a visit, or one that became free for somebody on the waiting list.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::appointment::lookup::{self, LookUp};
use crate::base::column::Instant;
use crate::base::ctx::Ctx;
use crate::base::error::Error;
use crate::base::problem;
use crate::schedule::leave;
use crate::schedule::slots::Slot;
use crate::waitlist;

/// What somebody without a sign-in knows, and what they say.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerOffer {
    /// The code of the visit or of the wish; capitals and spaces do not matter.
    pub code: String,
    /// The day the patient was born.
    pub birth_date: NaiveDate,
    /// The number of a time that is taken; left out, with `accept`: only show them.
    pub number: Option<i32>,
    /// For the waiting list: whether the time is taken or left to the next.
    pub accept: Option<bool>,
}

/// What they hear: nothing that names anybody.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct AnsweredOffer {
    /// Until when one can answer; left out once it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Instant>,
    /// What is held.
    pub times: Vec<NamelessTime>,
    /// The time of the visit, once it is chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<NamelessTime>,
    /// The booking code of that visit, for who had the code of a wish.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Whether what is held can be left to the next.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub can_decline: bool,
    /// Whether the time was left to the next.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub declined: bool,
}

/// A time without a name.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NamelessTime {
    /// What to choose it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<i32>,
    /// The local time, RFC 3339 with the offset of that zone.
    pub local_start: String,
    /// The IANA zone of that time.
    pub time_zone: String,
}

impl From<Slot> for NamelessTime {
    fn from(slot: Slot) -> Self {
        let (local_start, time_zone) = (slot.local_start, slot.time_zone.to_string());
        Self { number: None, local_start, time_zone }
    }
}

/// Shows what is offered, or answers it, for whoever has a code and a birth date. 404 when the two
/// do not belong together; 429 when the code was tried too often; 410 `offer_over` with up to
/// three `alternatives`.
pub async fn answer(ctx: &Ctx, wanted: AnswerOffer) -> Result<AnsweredOffer, Error> {
    let AnswerOffer { code, birth_date, number, accept } = wanted;
    if number.is_some() && accept == Some(false) {
        return Err(Error::field(&problem::INVALID_BODY, "/accept"));
    }
    let (asked, address) = (LookUp { code, birth_date }, ctx.address.clone());
    // A refusal would undo the count of the try, so the deed that counts answers instead.
    let known = ctx.write(move |tx| lookup::identify(tx, &asked, &address)).await?;
    let answered = match (known.wish, known.visit) {
        (Some(_), _) if number.is_some_and(|number| number != 1) => {
            return Err(Error::field(&problem::UNKNOWN_REFERENCE, "/number"));
        }
        (Some(wish), _) => {
            let accept = accept.or(number.map(|_| true));
            let answered = ctx.write(move |tx| waitlist::answer::answer_of(tx, wish, accept)).await;
            match answered {
                Err(refusal) if refusal.is(&problem::OFFER_OVER) => {
                    let free =
                        ctx.read(move |tx| waitlist::answer::nameless_alternatives(tx, wish));
                    Err(refusal.with("alternatives", free.await?))
                }
                answered => answered,
            }
        }
        (None, Some(_)) if accept.is_some() => {
            return Err(Error::field(&problem::INVALID_BODY, "/accept"));
        }
        (None, Some(visit)) => {
            let answered = ctx.write(move |tx| leave::offer::answer_of(tx, visit, number)).await;
            match answered {
                Err(refusal) if refusal.is(&problem::OFFER_OVER) => {
                    let free = ctx.read(move |tx| leave::offer::nameless_alternatives(tx, visit));
                    Err(refusal.with("alternatives", free.await?))
                }
                answered => answered,
            }
        }
        (None, None) => Err(Error::from(&problem::NOT_FOUND)),
    };
    // Without a sign-in, "nothing is there" would be answered with "sign in".
    answered.map_err(|error| {
        if error.is(&problem::UNAUTHORIZED) { Error::from(&problem::NOT_FOUND) } else { error }
    })
}
