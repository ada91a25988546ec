//! Visits over HTTP.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, post};

use crate::base::body::{Body, Empty, Path, Query};
use crate::base::ctx::{self, Ctx};
use crate::base::error::{Error, ProblemDocument};
use crate::base::page::Page;
use crate::base::tx::Tx;
use crate::encounter::admission::{Decide, Join, Joined};
use crate::encounter::arrange::{self, Aside, Lock};
use crate::encounter::claim::{ClaimVisit, Claimed};
use crate::encounter::claimable::Claimable;
use crate::encounter::delay::{Declaration, DeclareDelay, Delay};
use crate::encounter::finish::{Convert, Finish};
use crate::encounter::guest::Invite;
use crate::encounter::invitation::Invitation;
use crate::encounter::office::{self, OfClinic, WaitingThere};
use crate::encounter::queue::Waiting;
use crate::encounter::show::{CallStay, Encounter, Participant, WaitingPatient};
use crate::encounter::{
    EncounterId, ParticipantId, admission, claim, claimable, delay, finish, guest, invitation,
    queue, show,
};
use crate::practitioner::PractitionerId;

/// Shows a visit and whether one can come in.
#[utoipa::path(
    tag = "encounters", operation_id = "find_encounter", params(("id" = EncounterId, Path)),
    responses(
        (status = 200, body = Encounter),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[get("/v1/encounters/{id}")]
pub async fn find_encounter(ctx: Ctx, id: Path<EncounterId>) -> Result<HttpResponse, Error> {
    ctx::ok(&ctx.read(move |tx| show::find(tx, id.0)).await?)
}

/// Hands out a ticket to the live visit.
#[utoipa::path(
    tag = "encounters", operation_id = "join_encounter", params(("id" = EncounterId, Path)),
    request_body = Join,
    responses(
        (status = 200, body = Joined),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`too_early`, with `opens_at`"),
        (status = 410, body = ProblemDocument, content_type = "application/problem+json",
            description = "`visit_over`"),
    )
)]
#[post("/v1/encounters/{id}/join")]
pub async fn join_encounter(
    ctx: Ctx,
    id: Path<EncounterId>,
    wish: Body<Join>,
) -> Result<HttpResponse, Error> {
    let ws_url = ws_url(&ctx.app.config.http.public_url, ctx.request());
    ctx.once(StatusCode::OK, wish, move |tx, wish| admission::join(tx, id.0, wish, ws_url)).await
}

/// The WebSocket's address: under the public URL, or where the request itself came in.
fn ws_url(public_url: &str, request: &HttpRequest) -> String {
    let base = if public_url.is_empty() {
        format!("http://{}", ctx::host(request))
    } else {
        public_url.trim_end_matches('/').to_owned()
    };
    let base = base.replacen("http", "ws", 1);
    format!("{base}/v1/rtc")
}

/// Says where the visit stands, the place in the practitioner's day and how long the wait is. Small,
/// and with an `ETag`: what a patient on a thin line asks for again and again.
#[utoipa::path(
    tag = "encounters", operation_id = "find_waiting", params(("id" = EncounterId, Path)),
    responses(
        (status = 200, body = Waiting),
        (status = 304, description = "As `If-None-Match` knows it"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[get("/v1/encounters/{id}/waiting")]
pub async fn find_waiting(ctx: Ctx, id: Path<EncounterId>) -> Result<HttpResponse, Error> {
    let waiting = ctx.read(move |tx| queue::waiting(tx, id.0)).await?;
    ctx::unless_known(ctx.request(), &waiting)
}

/// Who waits in this visit.
#[utoipa::path(
    tag = "encounters", operation_id = "list_waiting_room", params(("id" = EncounterId, Path)),
    responses((status = 200, body = Page<Participant>))
)]
#[get("/v1/encounters/{id}/waiting-room")]
pub async fn list_waiting_room(ctx: Ctx, id: Path<EncounterId>) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| show::waiting_room(tx, id.0)).await?;
    Ok(page.answer(ctx.request()))
}

/// Everybody who waits for the calling practitioner.
#[utoipa::path(
    tag = "encounters", operation_id = "list_waiting",
    responses((status = 200, body = Page<WaitingPatient>))
)]
#[get("/v1/waiting-room")]
pub async fn list_waiting(ctx: Ctx) -> Result<HttpResponse, Error> {
    let page = ctx.read(show::all_waiting).await?;
    Ok(page.answer(ctx.request()))
}

/// Lets somebody in who waits.
#[utoipa::path(
    tag = "encounters", operation_id = "admit_participant", request_body = Decide,
    params(("id" = EncounterId, Path)),
    responses(
        (status = 200, body = Participant),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[post("/v1/encounters/{id}/admit")]
pub async fn admit_participant(
    ctx: Ctx,
    id: Path<EncounterId>,
    whom: Body<Decide>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::OK, whom, move |tx, whom| admission::admit(tx, id.0, whom.participant))
        .await
}

/// Sends somebody back to the waiting room.
#[utoipa::path(
    tag = "encounters", operation_id = "hold_participant", request_body = Decide,
    params(("id" = EncounterId, Path)),
    responses(
        (status = 200, body = Participant),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[post("/v1/encounters/{id}/hold")]
pub async fn hold_participant(
    ctx: Ctx,
    id: Path<EncounterId>,
    whom: Body<Decide>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::OK, whom, move |tx, whom| admission::hold(tx, id.0, whom.participant))
        .await
}

/// Turns somebody away for now.
#[utoipa::path(
    tag = "encounters", operation_id = "deny_participant", request_body = Decide,
    params(("id" = EncounterId, Path)),
    responses(
        (status = 200, body = Participant),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[post("/v1/encounters/{id}/deny")]
pub async fn deny_participant(
    ctx: Ctx,
    id: Path<EncounterId>,
    whom: Body<Decide>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::OK, whom, move |tx, whom| admission::deny(tx, id.0, whom.participant))
        .await
}

/// Asks somebody to come to the visit.
#[utoipa::path(
    tag = "encounters", operation_id = "invite_participant", request_body = Invite,
    params(("id" = EncounterId, Path)),
    responses(
        (status = 201, body = Participant),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`room_full`, `room_locked`, `already_exists`, `consent_missing`"),
        (status = 410, body = ProblemDocument, content_type = "application/problem+json",
            description = "`visit_over`"),
    )
)]
#[post("/v1/encounters/{id}/participants")]
pub async fn invite_participant(
    ctx: Ctx,
    id: Path<EncounterId>,
    whom: Body<Invite>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::CREATED, whom, move |tx, whom| guest::invite(tx, id.0, &whom)).await
}

/// Everybody who has, or had, a part in the visit.
#[utoipa::path(
    tag = "encounters", operation_id = "list_participants", params(("id" = EncounterId, Path)),
    responses((status = 200, body = Page<Participant>))
)]
#[get("/v1/encounters/{id}/participants")]
pub async fn list_participants(ctx: Ctx, id: Path<EncounterId>) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| guest::list(tx, id.0)).await?;
    Ok(page.answer(ctx.request()))
}

/// Takes an invitation back; whoever is in the call goes at once.
#[utoipa::path(
    tag = "encounters", operation_id = "remove_participant",
    params(("id" = EncounterId, Path), ("guest" = ParticipantId, Path)),
    responses(
        (status = 200, body = Participant),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`bad_state`: the patient and the practitioner stay"),
    )
)]
#[post("/v1/encounters/{id}/participants/{guest}/remove")]
pub async fn remove_participant(
    ctx: Ctx,
    path: Path<(EncounterId, ParticipantId)>,
    nothing: Body<Empty>,
) -> Result<HttpResponse, Error> {
    let (id, participant) = path.0;
    ctx.once(StatusCode::OK, nothing, move |tx, _| guest::remove(tx, id, participant)).await
}

/// Sends somebody to the side room, or back.
#[utoipa::path(
    tag = "encounters", operation_id = "put_participant_aside", request_body = Aside,
    params(("id" = EncounterId, Path), ("participant" = ParticipantId, Path)),
    responses(
        (status = 200, body = Participant),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`bad_state`: they are not let in"),
    )
)]
#[post("/v1/encounters/{id}/participants/{participant}/side")]
pub async fn put_participant_aside(
    ctx: Ctx,
    path: Path<(EncounterId, ParticipantId)>,
    wanted: Body<Aside>,
) -> Result<HttpResponse, Error> {
    let (id, participant) = path.0;
    ctx.once(StatusCode::OK, wanted, move |tx, wanted| {
        arrange::put_aside(tx, id, participant, wanted)
    })
    .await
}

/// Locks the door of the visit, or opens it.
#[utoipa::path(
    tag = "encounters", operation_id = "lock_encounter", request_body = Lock,
    params(("id" = EncounterId, Path)),
    responses((status = 200, body = Encounter))
)]
#[post("/v1/encounters/{id}/lock")]
pub async fn lock_encounter(
    ctx: Ctx,
    id: Path<EncounterId>,
    lock: Body<Lock>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::OK, lock, move |tx, lock| arrange::lock(tx, id.0, lock)).await
}

/// The caller's invitation to a visit of somebody else.
#[utoipa::path(
    tag = "encounters", operation_id = "find_invitation", params(("id" = EncounterId, Path)),
    responses((status = 200, body = Invitation))
)]
#[get("/v1/encounters/{id}/invitation")]
pub async fn find_invitation(ctx: Ctx, id: Path<EncounterId>) -> Result<HttpResponse, Error> {
    ctx::ok(&ctx.read(move |tx| invitation::find(tx, id.0)).await?)
}

/// The visits of others to which the caller is asked to come.
#[utoipa::path(
    tag = "encounters", operation_id = "list_invitations",
    responses((status = 200, body = Page<Invitation>))
)]
#[get("/v1/invitations")]
pub async fn list_invitations(ctx: Ctx) -> Result<HttpResponse, Error> {
    let page = ctx.read(invitation::list).await?;
    Ok(page.answer(ctx.request()))
}

/// Ends the visit for everybody.
#[utoipa::path(
    tag = "encounters", operation_id = "finish_encounter", request_body = Finish,
    params(("id" = EncounterId, Path)),
    responses(
        (status = 200, body = Encounter),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`bad_state`: it has not begun; `too_early` for `patient_absent`, or \
                `note_signed`: a note about it is signed"),
    )
)]
#[post("/v1/encounters/{id}/finish")]
pub async fn finish_encounter(
    ctx: Ctx,
    id: Path<EncounterId>,
    end: Body<Finish>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::OK, end, move |tx, end| finish::finish(tx, id.0, end)).await
}

/// Takes back that the visit was finished: it is interrupted, or booked if there was no talk.
#[utoipa::path(
    tag = "encounters", operation_id = "reopen_encounter",
    params(("id" = EncounterId, Path)),
    responses(
        (status = 200, body = Encounter),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`note_signed`, `slot_taken`, `bad_state`, `too_late`"),
    )
)]
#[post("/v1/encounters/{id}/reopen")]
pub async fn reopen_encounter(
    ctx: Ctx,
    id: Path<EncounterId>,
    nothing: Body<Empty>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::OK, nothing, move |tx, _| finish::reopen(tx, id.0)).await
}

/// Ends the video part: the visit goes on by telephone.
#[utoipa::path(
    tag = "encounters", operation_id = "convert_encounter", request_body = Convert,
    params(("id" = EncounterId, Path)),
    responses(
        (status = 200, body = Encounter),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[post("/v1/encounters/{id}/convert")]
pub async fn convert_encounter(
    ctx: Ctx,
    id: Path<EncounterId>,
    to: Body<Convert>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::OK, to, move |tx, to| finish::convert(tx, id.0, to)).await
}

/// Who was in the call, when, and why they left.
#[utoipa::path(
    tag = "encounters", operation_id = "list_calls", params(("id" = EncounterId, Path)),
    responses((status = 200, body = Page<CallStay>))
)]
#[get("/v1/encounters/{id}/calls")]
pub async fn list_calls(ctx: Ctx, id: Path<EncounterId>) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| show::calls(tx, id.0)).await?;
    Ok(page.answer(ctx.request()))
}

/// What a practitioner has said about being late.
#[utoipa::path(
    tag = "encounters", operation_id = "find_delay", params(("id" = PractitionerId, Path)),
    responses((status = 200, body = Delay))
)]
#[get("/v1/practitioners/{id}/delay")]
pub async fn find_delay(ctx: Ctx, id: Path<PractitionerId>) -> Result<HttpResponse, Error> {
    ctx::ok(&ctx.read(move |tx| delay::find(tx, id.0)).await?)
}

/// Says that a practitioner is late, or on time again, and tells those behind.
#[utoipa::path(
    tag = "encounters", operation_id = "declare_delay", request_body = DeclareDelay,
    params(("id" = PractitionerId, Path)),
    responses(
        (status = 200, body = Declaration),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`invalid_body`: neither 0 nor 5 to 180 minutes"),
    )
)]
#[post("/v1/practitioners/{id}/delay")]
pub async fn declare_delay(
    ctx: Ctx,
    id: Path<PractitionerId>,
    wanted: Body<DeclareDelay>,
) -> Result<HttpResponse, Error> {
    ctx.once(StatusCode::OK, wanted, move |tx, wanted| delay::declare(tx, id.0, wanted)).await
}

/// Who waits for a colleague of the practitioner who is not free.
#[utoipa::path(
    tag = "encounters", operation_id = "find_claimable", params(("id" = PractitionerId, Path)),
    responses((status = 200, body = Claimable))
)]
#[get("/v1/practitioners/{id}/claimable")]
pub async fn find_claimable(ctx: Ctx, id: Path<PractitionerId>) -> Result<HttpResponse, Error> {
    let waits = ctx.read(move |tx| claimable::list(tx, id.0)).await?;
    ctx::unless_known(ctx.request(), &waits)
}

/// Who waits at a clinic, for whom, and who could see them instead.
#[utoipa::path(
    tag = "encounters", operation_id = "list_unseen", params(OfClinic),
    responses((status = 200, body = Page<WaitingThere>))
)]
#[get("/v1/unseen")]
pub async fn list_unseen(ctx: Ctx, of: Query<OfClinic>) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| office::list(tx, &of.0)).await?;
    Ok(page.answer(ctx.request()))
}

/// Takes a patient over who waits for a colleague.
#[utoipa::path(
    tag = "encounters", operation_id = "claim_visit", request_body = ClaimVisit,
    params(("id" = PractitionerId, Path)),
    responses(
        (status = 201, body = Encounter),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json",
            description = "`not_free`, `nobody_waits`, `already_taken`, `bad_state`"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
            description = "`unknown_reference`: the visit is not theirs to take"),
    )
)]
#[post("/v1/practitioners/{id}/claims")]
pub async fn claim_visit(
    ctx: Ctx,
    id: Path<PractitionerId>,
    whom: Body<ClaimVisit>,
) -> Result<HttpResponse, Error> {
    let deed = move |tx: &mut Tx, whom| claim::claim(tx, id.0, whom);
    ctx.only_once(StatusCode::CREATED, whom, deed).await
}

/// What a practitioner has taken over today, and what was taken from them.
#[utoipa::path(
    tag = "encounters", operation_id = "list_claims", params(("id" = PractitionerId, Path)),
    responses((status = 200, body = Page<Claimed>))
)]
#[get("/v1/practitioners/{id}/claims")]
pub async fn list_claims(ctx: Ctx, id: Path<PractitionerId>) -> Result<HttpResponse, Error> {
    let page = ctx.read(move |tx| claim::list(tx, id.0)).await?;
    Ok(page.answer(ctx.request()))
}
