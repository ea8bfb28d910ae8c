//! A proxy between a client and a server that forwards traffic and, on request, cuts, refuses or corrupts it.
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::program::pause;

/// What happens to the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everything is forwarded.
    Forward,
    /// Every connection is cut and none is accepted.
    Severed,
    /// The connection is cut before the next `COMMIT` reaches the server; then everything is forwarded again.
    CutBeforeCommit,
    /// The next `COMMIT` reaches the server, but its answer is lost with the connection; then everything is forwarded
    /// again.
    CutAfterCommit,
    /// Requests reach the server, but its answers do not come back.
    Silent,
    /// Answers come back at one byte per second.
    Dripping,
    /// Requests reach the server; a 200 with a truncated body comes back.
    Garbage,
    /// Requests reach the server; a 200 with 50 MB of JSON comes back.
    Huge,
}

pub struct Wire {
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    server: SocketAddr,
    mode: Mutex<Mode>,
    open: Mutex<Vec<TcpStream>>,
    cuts: AtomicUsize,
}

impl Wire {
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { server, mode: Mutex::new(Mode::Forward), open: Mutex::default(), cuts: AtomicUsize::new(0) });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || state.connect(client));
            }
        });
        Self { address, state }
    }

    pub fn set_mode(&self, mode: Mode) {
        *self.state.mode.lock().unwrap() = mode;
        if mode == Mode::Severed {
            self.state.cut_all();
        }
    }

    /// How many connections were cut at a commit.
    pub fn cuts(&self) -> usize {
        self.state.cuts.load(Ordering::Relaxed)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.set_mode(Mode::Severed);
    }
}

impl State {
    fn mode(&self) -> Mode {
        *self.mode.lock().unwrap()
    }

    fn cut_all(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    fn connect(self: Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect(self.server) else { return };
        if self.mode() == Mode::Severed {
            return;
        }
        {
            let mut open = self.open.lock().unwrap();
            // Drop closed connections.
            open.retain(|stream| stream.peer_addr().is_ok());
            open.extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
        }
        let (back, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let state = Arc::clone(&self);
        let answers = std::thread::spawn(move || state.carry_answers(server, back));
        self.carry_requests(client, to);
        answers.join().ok();
    }

    fn carry_requests(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 64 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let is_commit = buffer[..read].windows(6).any(|word| word == b"COMMIT");
            let mode = self.mode();
            let cut = is_commit && matches!(mode, Mode::CutBeforeCommit | Mode::CutAfterCommit);
            if cut {
                *self.mode.lock().unwrap() = Mode::Forward;
                self.cuts.fetch_add(1, Ordering::Relaxed);
                // The answer must not reach the client.
                from.shutdown(Shutdown::Both).ok();
            }
            if mode != Mode::CutBeforeCommit || !cut {
                to.write_all(&buffer[..read]).ok();
            }
            if cut {
                break;
            }
        }
        // Time for the server to commit before it notices that the client is gone.
        pause(Duration::from_millis(20));
        to.shutdown(Shutdown::Both).ok();
    }

    fn carry_answers(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 64 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let answer = &buffer[..read];
            let carried = match self.mode() {
                Mode::Silent => continue,
                Mode::Dripping => answer.iter().try_for_each(|byte| {
                    pause(Duration::from_secs(1));
                    to.write_all(std::slice::from_ref(byte))
                }),
                Mode::Garbage => to.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"items\":"),
                Mode::Huge => {
                    let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 50000002\r\n\r\n[";
                    let zeros = [b'0'; 50_000];
                    to.write_all(head).and_then(|()| (0..1000).try_for_each(|_| to.write_all(&zeros))).and_then(|()| to.write_all(b"]"))
                }
                _ => to.write_all(answer),
            };
            if carried.is_err() {
                break;
            }
        }
        to.shutdown(Shutdown::Both).ok();
    }
}
