//! An HTTP client that speaks JSON and remembers who it is.

use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use awc::ClientRequest;
use serde_json::Value;

/// A fresh Idempotency-Key.
pub fn key() -> String {
    uuid::Uuid::new_v4().to_string()
}

#[derive(Clone)]
pub struct Client {
    http: awc::Client,
    pub url: String,
    pub token: Option<String>,
    language: &'static str,
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: Vec<(String, String)>,
    pub body: Value,
    pub text: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The path of the next page of a list, if there is one.
    pub fn next_page(&self) -> Option<String> {
        let link = self.header("link")?;
        Some(link.trim_start_matches('<').split_once('>').unwrap().0.to_owned())
    }

    /// The body, when the status is the expected one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self.body
    }

    /// The problem code, when the status is the expected one.
    #[track_caller]
    pub fn refused(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text);
        self.body["code"].as_str().expect("a problem code").to_owned()
    }
}

impl Client {
    pub fn new(url: &str) -> Self {
        // No pool: each request its own connection, as strangers have.
        let http = awc::Client::builder()
            .timeout(Duration::from_secs(60))
            .connector(awc::Connector::new().limit(0).timeout(Duration::from_secs(20)))
            .finish();
        Self { http, url: url.to_owned(), token: None, language: "en" }
    }

    /// With a connection of its own that stays open.
    pub fn kept(url: &str) -> Self {
        let http = awc::Client::builder()
            .timeout(Duration::from_secs(60))
            .connector(awc::Connector::new().limit(1).timeout(Duration::from_secs(20)))
            .finish();
        Self { http, ..Self::new(url) }
    }

    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The items of every page of a list, each page beginning where the one before ended.
    pub async fn all_pages(&self, path: &str) -> Vec<Value> {
        let (mut seen, mut next) = (Vec::new(), Some(path.to_owned()));
        while let Some(path) = next {
            let answer = self.get(&path).await;
            next = answer.next_page();
            seen.extend(answer.expect(200)["items"].as_array().unwrap().iter().cloned());
        }
        seen
    }

    /// The same person at another address.
    pub fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    pub fn in_language(&self, language: &'static str) -> Self {
        Self { language, ..self.clone() }
    }

    pub fn request(&self, method: Method, path: &str) -> ClientRequest {
        let request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .insert_header(("Accept-Language", self.language));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn send(&self, request: ClientRequest, body: Option<&Value>) -> Answer {
        let sending = match body {
            Some(body) => request.send_json(body),
            None => request.send(),
        };
        read(sending.await.expect("an answer")).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path), None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path), Some(body)).await
    }

    pub async fn once(&self, path: &str, key: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, path).insert_header(("Idempotency-Key", key));
        self.send(request, Some(body)).await
    }

    pub async fn edit(&self, method: Method, path: &str, version: i64, body: &Value) -> Answer {
        let request =
            self.request(method, path).insert_header(("If-Match", format!("\"{version}\"")));
        self.send(request, Some(body)).await
    }
}

/// Reads a whole answer.
pub async fn read<S>(mut response: awc::ClientResponse<S>) -> Answer
where
    S: futures_util::Stream<Item = Result<actix_web::web::Bytes, awc::error::PayloadError>> + Unpin,
{
    let status = StatusCode::from_u16(response.status().as_u16()).unwrap();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
        .collect();
    let bytes = response.body().limit(8 << 20).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Answer { status, headers, body, text }
}
