//! The one error a request can end in.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::audit::{Actor, Entry};
use crate::base::db::{self, QueueFull};
use crate::base::language::Language;
use crate::base::problem::{self, Problem};

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A refusal with a stable code: the caller can do something about it.
    #[error("{}", .0.problem.code)]
    Refused(Box<Refusal>),
    /// The database failed; the cause goes to the log only.
    #[error("database: {0}")]
    Database(diesel::result::Error),
    /// Our own mistake; the text goes to the log only.
    #[error("internal: {0}")]
    Internal(&'static str),
}

/// A refusal and what belongs to it.
#[derive(Debug)]
pub struct Refusal {
    /// Which one.
    pub problem: &'static Problem,
    /// For 429 and 503: when to come back.
    pub retry_after_secs: Option<u32>,
    /// For 405: the methods that there are.
    pub allow: Option<&'static str>,
    /// Which fields are wrong.
    pub errors: Vec<FieldError>,
    /// More members of the problem document, such as `alternatives`.
    pub extra: Map<String, Value>,
    /// What the policy refused to whom, for the audit log.
    pub denied: Option<Denied>,
}

/// A refusal of the access policy.
#[derive(Debug, Clone)]
pub struct Denied {
    /// Who was refused.
    pub actor: Actor,
    /// What.
    pub entry: Entry,
}

/// One wrong field.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body.
    pub pointer: String,
    /// What a program reads.
    pub code: &'static str,
    /// What is wrong, for a developer.
    pub detail: String,
}

/// The problem document (RFC 9457) that every refusal is answered with.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ProblemDocument {
    /// A URI that names the kind of problem.
    pub r#type: String,
    /// A few words in the caller's language.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What to do, in the caller's language.
    pub detail: &'static str,
    /// The stable code.
    pub code: &'static str,
    /// Quote it when you call us.
    pub request_id: String,
    /// Which fields are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Members of the single problems, such as `alternatives` and `opens_at`.
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: Map<String, Value>,
}

impl From<&'static Problem> for Error {
    fn from(problem: &'static Problem) -> Self {
        Self::Refused(Box::new(Refusal {
            problem,
            retry_after_secs: None,
            allow: None,
            errors: Vec::new(),
            extra: Map::new(),
            denied: None,
        }))
    }
}

impl Error {
    /// A refusal that names the field at fault (a JSON pointer).
    pub fn field(problem: &'static Problem, pointer: &str) -> Self {
        let detail = problem.detail(Language::English).to_owned();
        let field = FieldError { pointer: pointer.to_owned(), code: problem.code, detail };
        Self::from(problem).with_errors(vec![field])
    }

    /// Adds the fields that are wrong.
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        if let Self::Refused(refusal) = &mut self {
            refusal.errors = errors;
        }
        self
    }

    /// Adds a member to the problem document.
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        if let Self::Refused(refusal) = &mut self {
            let value = serde_json::to_value(value).unwrap_or(Value::Null);
            refusal.extra.insert(name.to_owned(), value);
        }
        self
    }

    /// Notes that the access policy refused, and what.
    pub fn denied(mut self, actor: Actor, entry: Entry) -> Self {
        if let Self::Refused(refusal) = &mut self {
            refusal.denied = Some(Denied { actor, entry });
        }
        self
    }

    /// What a body or query names and is not there, or not the caller's to see: 422 on its field
    /// instead of 404. Any other error stays as it is.
    pub fn as_unknown_reference(self, pointer: &str) -> Self {
        if !self.is(&problem::NOT_FOUND) {
            return self;
        }
        let refusal = Self::field(&problem::UNKNOWN_REFERENCE, pointer);
        match self.denial().cloned() {
            Some(denial) => refusal.denied(denial.actor, denial.entry),
            None => refusal,
        }
    }

    /// What the access policy refused, if it was that.
    pub fn denial(&self) -> Option<&Denied> {
        match self {
            Self::Refused(refusal) => refusal.denied.as_ref(),
            _ => None,
        }
    }

    /// Says when to come back.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        if let Self::Refused(refusal) = &mut self {
            refusal.retry_after_secs = Some(seconds);
        }
        self
    }

    /// Says which methods the address does answer (RFC 9110, 15.5.6).
    pub fn allow(mut self, methods: &'static str) -> Self {
        if let Self::Refused(refusal) = &mut self {
            refusal.allow = Some(methods);
        }
        self
    }

    /// The problem this error is answered with.
    pub fn problem(&self) -> &'static Problem {
        match self {
            Self::Refused(refusal) => refusal.problem,
            Self::Database(error) if is_unreachable(error) || db::gave_way(error) => {
                &problem::OVERLOADED
            }
            Self::Database(_) | Self::Internal(_) => &problem::INTERNAL,
        }
    }

    /// Whether this is the refusal `problem`.
    pub fn is(&self, problem: &'static Problem) -> bool {
        self.problem().code == problem.code
    }

    /// A member that was added with [`with`](Self::with).
    pub fn member(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Refused(refusal) => refusal.extra.get(name),
            _ => None,
        }
    }

    /// The whole answer in the caller's language. Faults of ours are logged here, once.
    pub fn answer(&self, language: Language, request_id: &str) -> HttpResponse {
        match self {
            Self::Refused(_) => {}
            Self::Database(error) => {
                tracing::error!(request_id, error = %quiet(error), "a request failed in the database");
            }
            Self::Internal(what) => tracing::error!(request_id, what, "a request failed"),
        }
        let problem = self.problem();
        let (errors, extra, mut retry_after, allow) = match self {
            Self::Refused(refusal) => {
                let Refusal { errors, extra, retry_after_secs, allow, .. } = refusal.as_ref();
                (errors.clone(), extra.clone(), *retry_after_secs, *allow)
            }
            _ => (Vec::new(), Map::new(), None, None),
        };
        if problem.status == 503 {
            retry_after = retry_after.or(Some(2));
        }
        let document = ProblemDocument {
            r#type: format!("urn:feldsher:problem:{}", problem.code),
            title: problem.title(language),
            status: problem.status,
            detail: problem.detail(language),
            code: problem.code,
            request_id: request_id.to_owned(),
            errors,
            extra,
        };
        let mut answer = HttpResponse::build(self.status_code());
        answer.content_type("application/problem+json");
        answer.insert_header(("Content-Language", language.as_str()));
        if let Some(seconds) = retry_after {
            answer.insert_header(("Retry-After", seconds.to_string()));
        }
        if let Some(methods) = allow {
            answer.insert_header(("Allow", methods));
        }
        if problem.status == 426 {
            answer.insert_header(("Upgrade", "websocket"));
            answer.insert_header(("Connection", "Upgrade"));
        }
        answer.body(json!(document).to_string())
    }
}

/// A failed statement may quote the row; only its kind and the guard's name are logged.
fn quiet(error: &diesel::result::Error) -> String {
    match error {
        diesel::result::Error::DatabaseError(kind, info) => format!(
            "{kind:?} table={:?} constraint={:?} {}",
            info.table_name(),
            info.constraint_name(),
            db::refusal(error).unwrap_or_default()
        ),
        diesel::result::Error::NotFound => "a row that must be there is missing".to_owned(),
        other => other.to_string(),
    }
}

fn is_unreachable(error: &diesel::result::Error) -> bool {
    use diesel::result::DatabaseErrorKind::{ClosedConnection, UnableToSendCommand};
    matches!(
        error,
        diesel::result::Error::DatabaseError(ClosedConnection | UnableToSendCommand, _)
            | diesel::result::Error::BrokenTransactionManager
    )
}

impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        match db::refusal(&error).as_deref() {
            Some("note_signed") => Self::from(&problem::NOTE_SIGNED),
            Some("task_kept") => Self::from(&problem::CONFLICT),
            Some("appointment_over" | "encounter_over" | "note_unsigned" | "note_early") => {
                Self::from(&problem::BAD_STATE)
            }
            Some("resource_busy") => Self::from(&problem::SLOT_TAKEN),
            Some("visits_open") => Self::from(&problem::VISITS_OPEN),
            _ => Self::Database(error),
        }
    }
}

impl From<QueueFull> for Error {
    fn from(full: QueueFull) -> Self {
        match full {
            QueueFull::Full => Self::from(&problem::OVERLOADED),
            QueueFull::Stopped => Self::Internal("the database threads did not answer"),
        }
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.problem().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        // The middleware writes the answer, in the caller's language and with the request id.
        HttpResponse::new(self.status_code())
    }
}
