//! The least that an answer can cost: its bytes are there, and only have to be sent.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// A server that answers every request with the same bytes, for as long as the bench runs.
pub struct Memory {
    /// Where it listens.
    pub address: SocketAddr,
}

impl Memory {
    /// Serves one answer, head and body.
    pub fn of(answer: Vec<u8>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that has gone away is no failure.
                drop(serve(stream, &answer));
            }
        });
        Ok(Self { address })
    }
}

/// One client after another: the search is asked by one.
fn serve(mut stream: TcpStream, answer: &[u8]) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut asked = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let length = stream.read(&mut chunk)?;
        if length == 0 {
            return Ok(());
        }
        asked.extend_from_slice(chunk.get(..length).unwrap_or_default());
        if asked.ends_with(b"\r\n\r\n") {
            asked.clear();
            stream.write_all(answer)?;
        }
    }
}
