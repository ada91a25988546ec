//! The DevTools protocol: questions put to a browser, its answers, and what it says by itself.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use actix_web::rt;
use awc::ws::{Frame, Message};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

/// A picture of a page comes as one frame.
const FRAME_BYTES_MAX: usize = 64 << 20;
/// A browser that says nothing for so long is stuck.
const ANSWER_SECS_MAX: u64 = 60;

type Listener = Rc<dyn Fn(&str, &Value)>;

/// The line to one browser.
#[derive(Clone)]
pub struct Cdp(Rc<Line>);

struct Line {
    questions: mpsc::UnboundedSender<String>,
    asked: Cell<u64>,
    open: RefCell<HashMap<u64, oneshot::Sender<Result<Value, String>>>>,
    listeners: RefCell<HashMap<String, Listener>>,
}

impl Cdp {
    /// Opens the line; it closes with the browser.
    pub async fn connect(url: &str) -> Self {
        let client = awc::Client::builder().timeout(Duration::from_secs(ANSWER_SECS_MAX)).finish();
        let opening = client.ws(url).max_frame_size(FRAME_BYTES_MAX).connect();
        let (_answer, mut socket) = opening.await.expect("the browser's DevTools socket");
        let (questions, mut outgoing) = mpsc::unbounded_channel::<String>();
        let line = Rc::new(Line {
            questions,
            asked: Cell::new(0),
            open: RefCell::default(),
            listeners: RefCell::default(),
        });
        let heard = Rc::clone(&line);
        drop(rt::spawn(async move {
            loop {
                tokio::select! {
                    question = outgoing.recv() => {
                        let Some(text) = question else { break };
                        if socket.send(Message::Text(text.into())).await.is_err() {
                            break;
                        }
                    }
                    frame = socket.next() => match frame {
                        Some(Ok(Frame::Text(text))) => heard.hear(&text),
                        Some(Ok(Frame::Ping(bytes))) => drop(socket.send(Message::Pong(bytes)).await),
                        Some(Ok(Frame::Pong(_))) => {}
                        _ => break,
                    },
                }
            }
            // Whoever still waits learns that the browser is gone.
            heard.open.borrow_mut().clear();
        }));
        Self(line)
    }

    /// Calls a method; the error is the browser's own sentence.
    pub async fn try_call(
        &self,
        session: &str,
        method: &str,
        params: Value,
    ) -> Result<Value, String> {
        let line = &self.0;
        let id = line.asked.get() + 1;
        line.asked.set(id);
        let mut question = json!({"id": id, "method": method, "params": params});
        if !session.is_empty() {
            question["sessionId"] = session.into();
        }
        let (tell, answer) = oneshot::channel();
        line.open.borrow_mut().insert(id, tell);
        line.questions
            .send(question.to_string())
            .map_err(|_closed| "the browser is gone".to_owned())?;
        match rt::time::timeout(Duration::from_secs(ANSWER_SECS_MAX), answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_closed)) => Err(format!("{method}: the browser is gone")),
            Err(_elapsed) => Err(format!("{method}: no answer in {ANSWER_SECS_MAX} s")),
        }
    }

    /// As [`Cdp::try_call`], where a refusal fails the test.
    pub async fn call(&self, session: &str, method: &str, params: Value) -> Value {
        match self.try_call(session, method, params).await {
            Ok(result) => result,
            Err(error) => panic!("{method}: {error}"),
        }
    }

    /// Hears every event of one session.
    pub fn listen(&self, session: &str, listener: impl Fn(&str, &Value) + 'static) {
        self.0.listeners.borrow_mut().insert(session.to_owned(), Rc::new(listener));
    }
}

impl Line {
    fn hear(&self, text: &[u8]) {
        let said: Value = serde_json::from_slice(text).expect("JSON from the browser");
        if let Some(id) = said["id"].as_u64() {
            let Some(tell) = self.open.borrow_mut().remove(&id) else { return };
            let answer = match said["error"]["message"].as_str() {
                Some(message) => Err(message.to_owned()),
                None => Ok(said["result"].clone()),
            };
            // Nobody listens to an answer that came too late.
            drop(tell.send(answer));
            return;
        }
        let session = said["sessionId"].as_str().unwrap_or_default();
        let listener = self.listeners.borrow().get(session).cloned();
        if let Some(listener) = listener {
            listener(said["method"].as_str().unwrap_or_default(), &said["params"]);
        }
    }
}
