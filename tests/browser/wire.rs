//! The line between a browser and the server, which a test can cut and mend.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Carries bytes to one server and back.
pub struct Wire {
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    dead: AtomicBool,
    server: Mutex<SocketAddr>,
    open: Mutex<Vec<TcpStream>>,
}

fn address_of(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").trim_end_matches('/').parse().expect("an address")
}

impl Wire {
    /// Lays a wire to the server at `url`.
    pub fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            dead: AtomicBool::new(false),
            server: Mutex::new(address_of(url)),
            open: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                // A dead wire takes the call and says nothing but goodbye.
                if !shared.dead.load(Ordering::SeqCst) {
                    shared.carry(near);
                }
            }
        });
        Self { address, state }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that runs over the wire breaks off at once, and nothing new comes through.
    pub fn cut(&self) {
        self.state.dead.store(true, Ordering::SeqCst);
        for stream in self.state.open.lock().unwrap().drain(..) {
            // It may have ended by itself.
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    /// What comes over it from now on goes to another server, as a balancer sends it.
    pub fn lead_to(&self, url: &str) {
        *self.state.server.lock().unwrap() = address_of(url);
    }

    pub fn mend(&self) {
        self.state.dead.store(false, Ordering::SeqCst);
    }
}

impl State {
    fn carry(&self, near: TcpStream) {
        let server = *self.server.lock().unwrap();
        let Ok(far) = TcpStream::connect(server) else { return };
        let mut open = self.open.lock().unwrap();
        open.push(near.try_clone().unwrap());
        open.push(far.try_clone().unwrap());
        drop(open);
        if self.dead.load(Ordering::SeqCst) {
            // Cut while it was being laid.
            drop(near.shutdown(Shutdown::Both));
            return;
        }
        pour(near.try_clone().unwrap(), far.try_clone().unwrap());
        pour(far, near);
    }
}

fn pour(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        drop(to.shutdown(Shutdown::Both));
    });
}
