//! A line on which somebody does what no honest client does: bytes as they come, read or not.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::peer::PROTOCOL;

/// One TCP connection to the server.
pub struct Raw {
    pub line: TcpStream,
    heard: Vec<u8>,
}

impl Raw {
    /// A connection whose system keeps only a few kilobytes that were not read.
    pub async fn connect(url: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let address = url.trim_start_matches("http://").parse().unwrap();
        Self { line: socket.connect(address).await.unwrap(), heard: Vec::new() }
    }

    /// The head of a request for a socket.
    pub fn upgrade() -> String {
        format!(
            "GET /v1/rtc HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n"
        )
    }

    /// An open socket on which nothing was said yet.
    pub async fn dial(url: &str) -> Self {
        let mut raw = Self::connect(url).await;
        raw.line.write_all(Self::upgrade().as_bytes()).await.unwrap();
        let head = loop {
            if let Some(end) = raw.heard.windows(4).position(|four| four == b"\r\n\r\n") {
                break raw.heard.drain(..end + 4).collect::<Vec<u8>>();
            }
            assert!(raw.more().await, "the upgrade was refused");
        };
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        raw
    }

    /// The bytes of a frame; its mask is zero, which leaves the text as it is.
    pub fn frame(opcode: u8, text: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x80 | opcode];
        match u16::try_from(text.len()) {
            Ok(length @ 0..=125) => bytes.push(0x80 | u8::try_from(length).unwrap()),
            Ok(length) => {
                bytes.push(0x80 | 126);
                bytes.extend_from_slice(&length.to_be_bytes());
            }
            Err(_) => {
                bytes.push(0x80 | 127);
                bytes.extend_from_slice(&u64::try_from(text.len()).unwrap().to_be_bytes());
            }
        }
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(text);
        bytes
    }

    /// Says something; `false` when the line is gone.
    pub async fn say(&mut self, kind: &str, body: Value) -> bool {
        let text = json!({"v": 1, "t": kind, "body": body}).to_string();
        self.line.write_all(&Self::frame(1, text.as_bytes())).await.is_ok()
    }

    /// The next thing said, or the code of the close; none when the line broke.
    pub async fn next(&mut self) -> Result<Value, Option<u16>> {
        loop {
            if let Some((opcode, text)) = self.take_frame() {
                match opcode {
                    1 => return Ok(serde_json::from_slice(&text).unwrap()),
                    8 => return Err(text.first_chunk().map(|code| u16::from_be_bytes(*code))),
                    _ => continue,
                }
            }
            if !self.more().await {
                return Err(None);
            }
        }
    }

    /// The code with which the server closes.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }

    /// Waits until the server has hung up.
    pub async fn hung_up(&mut self) {
        while self.more().await {
            self.heard.clear();
        }
    }

    fn take_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let (first, second) = (*self.heard.first()?, *self.heard.get(1)?);
        let (head, length) = match second {
            126 => (4, usize::from(u16::from_be_bytes(*self.heard.get(2..)?.first_chunk()?))),
            127 => {
                let length = u64::from_be_bytes(*self.heard.get(2..)?.first_chunk()?);
                (10, usize::try_from(length).unwrap())
            }
            length => (2, usize::from(length)),
        };
        if self.heard.len() < head + length {
            return None;
        }
        let frame: Vec<u8> = self.heard.drain(..head + length).collect();
        Some((first & 0x0f, frame[head..].to_vec()))
    }

    /// Reads some more; `false` at the end.
    async fn more(&mut self) -> bool {
        let mut piece = [0_u8; 4096];
        let reading = tokio::time::timeout(Duration::from_secs(40), self.line.read(&mut piece));
        match reading.await.expect("something comes in time") {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.heard.extend_from_slice(&piece[..count]);
                true
            }
        }
    }
}
