//! Pages of a list: a ceiling, an opaque cursor, a link to the next page.

use actix_web::HttpResponse;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::body::nul_in;
use crate::base::error::Error;
use crate::base::problem;

/// The most items of one page.
pub const LIMIT_MAX: u32 = 100;
/// What a page holds when nothing is asked for.
pub const LIMIT_DEFAULT: u32 = 50;

/// `limit` and `cursor` as every list takes them; flatten it into the list's own query.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Items per page, 1 to 100.
    pub limit: Option<u32>,
    /// Where the page begins: what `Link: rel="next"` said.
    pub cursor: Option<String>,
}

/// One page of a list.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Begins the next page; sent as a `Link` header.
    #[serde(skip)]
    pub next: Option<String>,
}

/// How many items a page may hold: `limit`, or the default. 400 outside 1..=100.
pub fn limit(limit: Option<u32>) -> Result<i64, Error> {
    match limit {
        None => Ok(i64::from(LIMIT_DEFAULT)),
        Some(limit) if (1..=LIMIT_MAX).contains(&limit) => Ok(i64::from(limit)),
        Some(_) => Err(Error::field(&problem::INVALID_QUERY, "/limit")),
    }
}

/// Reads a cursor made by [`Page::cut`]. 400 `invalid_cursor` when it is not one of ours.
pub fn cursor<K: DeserializeOwned>(cursor: Option<&str>) -> Result<Option<K>, Error> {
    let Some(cursor) = cursor else { return Ok(None) };
    URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
        .filter(|key| nul_in(key).is_none())
        .and_then(|key| serde_json::from_value(key).ok())
        .map(Some)
        .ok_or_else(|| Error::from(&problem::INVALID_CURSOR))
}

/// The cursor of a place in a list.
pub fn encode(key: &impl Serialize) -> Option<String> {
    serde_json::to_vec(key).ok().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

impl<T> Page<T> {
    /// A list that has no further page.
    pub fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }

    /// Makes a page of what a query for `limit + 1` rows found; `key` says where an item stands.
    pub fn cut<K: Serialize>(mut items: Vec<T>, limit: i64, key: impl Fn(&T) -> K) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).and_then(|last| encode(&key(last)));
        Self { items, next }
    }

    /// The same page with other items.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next: self.next }
    }
}

impl<T: Serialize> Page<T> {
    /// The answer, with `Link: <…>; rel="next"` (RFC 8288) when there is more.
    pub fn answer(&self, request: &actix_web::HttpRequest) -> HttpResponse {
        let mut answer = HttpResponse::Ok();
        if let Some(next) = &self.next {
            let kept: Vec<&str> = request
                .query_string()
                .split('&')
                .filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="))
                .collect();
            let kept = kept.iter().fold(String::new(), |all, pair| all + pair + "&");
            let link = format!("<{}?{kept}cursor={next}>; rel=\"next\"", request.path());
            answer.insert_header(("Link", link));
        }
        answer.json(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(key: &str) -> Result<Option<(String, u32)>, Error> {
        cursor(Some(&URL_SAFE_NO_PAD.encode(key)))
    }

    #[test]
    fn a_cursor_that_the_database_could_not_compare_is_refused() {
        assert_eq!(read(r#"["asha",7]"#).unwrap(), Some(("asha".to_owned(), 7)));
        for forged in [r#"["a\u0000b",7]"#, r#"["asha"]"#, r#"["asha",7"#, "", "null"] {
            assert!(read(forged).unwrap_err().is(&problem::INVALID_CURSOR), "{forged}");
        }
    }
}
