//! A browser's end of the same line over plain HTTP: looks like a socket, and asks like a page.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::http::Method;
use actix_web::web::Bytes;
use awc::error::WsProtocolError as Fault;
use awc::ws::{CloseReason, Frame, Message};
use futures_util::{Sink, Stream};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::peer::Peer;
use super::{Answer, Client};

/// One line, and what has come and gone on it.
#[derive(Clone)]
pub struct Line {
    pub client: Client,
    pub name: String,
}

impl Line {
    /// Opens a line with its first frame; the answer may already be its end.
    pub async fn open(url: &str, first: &Value) -> (Self, Value) {
        let client = Client::new(url);
        let opened = client.post("/v1/rtc/poll", &json!({"first": first})).await.expect(200);
        // A line that has ended already has no name.
        let name = opened["line"].as_str().unwrap_or_default().to_owned();
        (Self { client, name }, opened)
    }

    pub async fn ask(&self, after: u64) -> Answer {
        self.request("/v1/rtc/poll", &json!({"after": after})).await
    }

    pub async fn send(&self, number: u64, frames: &[Value]) -> Answer {
        self.request("/v1/rtc/send", &json!({"number": number, "frames": frames})).await
    }

    pub async fn request(&self, path: &str, body: &Value) -> Answer {
        let request = self.client.request(Method::POST, path);
        let request = request.insert_header(("Rtc-Line", self.name.as_str()));
        self.client.send(request, Some(body)).await
    }
}

/// The line as a socket.
struct Carrier {
    up: UnboundedSender<Message>,
    down: UnboundedReceiver<Result<Frame, Fault>>,
}

/// A peer that speaks over HTTP; its first frame opens the line.
pub fn dial(url: &str) -> Peer {
    let (up, said) = unbounded_channel();
    let (heard, down) = unbounded_channel();
    actix_web::rt::spawn(carry(url.to_owned(), said, heard));
    Peer::over(Carrier { up, down })
}

async fn carry(
    url: String,
    mut said: UnboundedReceiver<Message>,
    heard: UnboundedSender<Result<Frame, Fault>>,
) {
    let Some(Message::Text(first)) = said.recv().await else { return };
    let first: Value = serde_json::from_str(&first).unwrap();
    let (line, opened) = Line::open(&url, &first).await;
    let fetching = async {
        let mut answer = opened;
        loop {
            for frame in answer["frames"].as_array().unwrap() {
                let text = Bytes::from(frame.to_string());
                drop(heard.send(Ok(Frame::Text(text))));
            }
            if let Some(code) = answer["close"].as_u64() {
                let code = u16::try_from(code).unwrap().into();
                let reason = CloseReason { code, description: None };
                drop(heard.send(Ok(Frame::Close(Some(reason)))));
                return;
            }
            let asked = line.ask(answer["batch"].as_u64().unwrap()).await;
            if asked.status != 200 {
                return;
            }
            answer = asked.body;
        }
    };
    let sending = async {
        let mut number = 0;
        while let Some(Message::Text(text)) = said.recv().await {
            number += 1;
            let frame: Value = serde_json::from_str(&text).unwrap();
            if line.send(number, &[frame]).await.status != 204 {
                return;
            }
        }
    };
    // When the peer is dropped, nobody asks any more.
    tokio::select! {
        () = fetching => {}
        () = async { sending.await; heard.closed().await } => {}
    }
}

impl Stream for Carrier {
    type Item = Result<Frame, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.down.poll_recv(ctx)
    }
}

impl Sink<Message> for Carrier {
    type Error = Fault;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Fault> {
        // The other end may have closed meanwhile.
        drop(self.up.send(message));
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }
}
