//! Reading a frame from a peer: everything that comes off the wire is checked here, and nowhere else.

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{
    About, CANDIDATE_BYTES_MAX, Edge, Frame, FromPeer, ID_LEN_MAX, JSON_DEPTH_MAX, NUMBER_MAX,
    Quality, Resume, SDP_BYTES_MAX, TEXT_LEN_MAX, Turn, Verbatim,
};
use crate::call::scan::body_of;

/// Why a frame was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misread {
    /// Not this protocol at all: the socket closes with 4400.
    NotOurs,
    /// A kind that this version does not know: an error, nothing more.
    Unsupported(Option<String>),
    /// A known kind with a wrong body.
    BadRequest(Option<String>),
    /// A part is larger than it may be.
    TooLarge(Option<String>),
}

/// Reads a text frame.
pub fn read(text: &str) -> Result<Frame, Misread> {
    let found = body_of(text, JSON_DEPTH_MAX).map_err(|_too_deep| Misread::NotOurs)?;
    let mut envelope: Envelope = serde_json::from_str(text).map_err(|_syntax| Misread::NotOurs)?;
    if envelope.v != 1 {
        return Err(Misread::NotOurs);
    }
    let body = match (envelope.body, found) {
        (None, _) => "{}",
        (Some(_), Some(body)) => body.trim_ascii(),
        // Its name is spelled with escapes, as nobody does.
        (Some(_), None) => return Err(Misread::NotOurs),
    };
    let (id, ack) = (envelope.id.take(), envelope.ack);
    if id.as_ref().is_some_and(|id| id.len() > ID_LEN_MAX) {
        return Err(Misread::TooLarge(None));
    }
    match said(&Letter { envelope, body }) {
        Ok(said) => Ok(Frame { id, ack, said }),
        Err(Misread::Unsupported(_)) => Err(Misread::Unsupported(id)),
        Err(Misread::BadRequest(_)) => Err(Misread::BadRequest(id)),
        Err(Misread::TooLarge(_)) => Err(Misread::TooLarge(id)),
        Err(Misread::NotOurs) => Err(Misread::NotOurs),
    }
}

fn said(letter: &Letter<'_>) -> Result<FromPeer, Misread> {
    let envelope = &letter.envelope;
    let turn = Turn {
        neg: envelope.neg.unwrap_or_default(),
        generation: envelope.generation.unwrap_or_default(),
    };
    Ok(match envelope.t.as_ref() {
        "prepare" => FromPeer::Prepare(body(letter)?),
        "hello" => FromPeer::Hello(body(letter)?),
        "resume" => FromPeer::Resume(resume(letter)?),
        "ack" => body::<Empty>(letter).map(|_| FromPeer::Ack)?,
        "ping" => body::<PingBody>(letter).map(|_| FromPeer::Ping)?,
        "presence" => FromPeer::Presence(body(letter)?),
        "offer" => FromPeer::Offer(edge(letter)?, turn, description(letter)?),
        "answer" => FromPeer::Answer(edge(letter)?, turn, description(letter)?),
        "candidate" => FromPeer::Candidate(edge(letter)?, turn, candidate(letter)?),
        "end_of_candidates" => {
            body::<Empty>(letter)?;
            FromPeer::EndOfCandidates(edge(letter)?, turn)
        }
        "negotiate_request" => FromPeer::NegotiateRequest(asked(letter)?, envelope.generation),
        "ice_restart_request" => FromPeer::IceRestartRequest(asked(letter)?, envelope.generation),
        "media_state" => FromPeer::MediaState(body(letter)?),
        "quality" => FromPeer::Quality(edge(letter)?, quality(letter)?),
        "fallback" => FromPeer::Fallback(edge(letter)?, body(letter)?),
        "rung_ack" => FromPeer::RungAck(edge(letter)?, body::<RungDone>(letter)?.step),
        "admit" => FromPeer::Admit(about(letter)?),
        "hold" => FromPeer::Hold(about(letter)?),
        "deny" => FromPeer::Deny(about(letter)?),
        "remove" => FromPeer::Remove(about(letter)?),
        "lock" => FromPeer::Lock(body(letter)?),
        "side" => FromPeer::Side(body(letter)?),
        "leave" => {
            short(body::<Farewell>(letter)?.reason.as_deref())?;
            FromPeer::Leave
        }
        "end" => FromPeer::End(body(letter)?),
        _ => return Err(Misread::Unsupported(None)),
    })
}

fn body<'a, T: Deserialize<'a>>(letter: &Letter<'a>) -> Result<T, Misread> {
    serde_json::from_str(letter.body).map_err(|_wrong| Misread::BadRequest(None))
}

fn resume(letter: &Letter<'_>) -> Result<Resume, Misread> {
    let resume: Resume = body(letter)?;
    if resume.last_seq > NUMBER_MAX { Err(Misread::BadRequest(None)) } else { Ok(resume) }
}

fn quality(letter: &Letter<'_>) -> Result<Quality, Misread> {
    let quality: Quality = body(letter)?;
    if quality.is_sound() { Ok(quality) } else { Err(Misread::BadRequest(None)) }
}

fn edge(letter: &Letter<'_>) -> Result<Edge, Misread> {
    named(letter.envelope.edge.as_deref())
}

fn named(edge: Option<&str>) -> Result<Edge, Misread> {
    let edge = edge.ok_or(Misread::BadRequest(None))?;
    if edge.len() > ID_LEN_MAX { Err(Misread::TooLarge(None)) } else { Ok(edge.to_owned()) }
}

/// A request may name its edge in the envelope or in the body.
fn asked(letter: &Letter<'_>) -> Result<Edge, Misread> {
    let request: Request = body(letter)?;
    short(request.why.as_deref())?;
    named(request.edge.as_deref().or(letter.envelope.edge.as_deref()))
}

fn about(letter: &Letter<'_>) -> Result<About, Misread> {
    let about: About = body(letter)?;
    short(about.reason.as_deref())?;
    Ok(about)
}

fn short(text: Option<&str>) -> Result<(), Misread> {
    match text {
        Some(text) if text.chars().count() > TEXT_LEN_MAX => Err(Misread::TooLarge(None)),
        _ => Ok(()),
    }
}

fn description(letter: &Letter<'_>) -> Result<Verbatim, Misread> {
    let description: Description<'_> = body(letter)?;
    let too_large = description.sdp.len() > SDP_BYTES_MAX;
    if too_large { Err(Misread::TooLarge(None)) } else { Ok(Verbatim(letter.body.into())) }
}

fn candidate(letter: &Letter<'_>) -> Result<Verbatim, Misread> {
    let candidate: Candidate<'_> = body(letter)?;
    let parts = [
        Some(&candidate.candidate),
        candidate.sdp_mid.as_ref(),
        candidate.username_fragment.as_ref(),
    ];
    if parts.iter().flatten().any(|part| part.len() > CANDIDATE_BYTES_MAX) {
        return Err(Misread::TooLarge(None));
    }
    Ok(Verbatim(letter.body.into()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PingBody {
    #[serde(default, rename = "rtt")]
    _rtt: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Empty {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    v: u8,
    #[serde(borrow)]
    t: Cow<'a, str>,
    #[serde(default)]
    id: Option<String>,
    #[serde(borrow, default)]
    edge: Option<Cow<'a, str>>,
    #[serde(default)]
    neg: Option<u32>,
    #[serde(default, rename = "gen")]
    generation: Option<u64>,
    #[serde(default)]
    ack: Option<u64>,
    /// Read when it is known what it must be.
    #[serde(default)]
    body: Option<IgnoredAny>,
}

/// An envelope and what is in it.
struct Letter<'a> {
    envelope: Envelope<'a>,
    body: &'a str,
}

/// A session description, as `RTCSessionDescription.sdp` has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description<'a> {
    #[serde(borrow)]
    sdp: Cow<'a, str>,
}

/// An ICE candidate, as `RTCIceCandidate.toJSON()` writes it (W3C WebRTC 4.8.1): the candidate line,
/// which media section by name and by number, and which ICE generation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(borrow)]
    candidate: Cow<'a, str>,
    #[serde(borrow, default)]
    sdp_mid: Option<Cow<'a, str>>,
    #[serde(default, rename = "sdpMLineIndex")]
    _sdp_m_line_index: Option<u16>,
    #[serde(borrow, default)]
    username_fragment: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    #[serde(default)]
    edge: Option<String>,
    #[serde(default)]
    why: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RungDone {
    step: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Farewell {
    #[serde(default)]
    reason: Option<String>,
}
