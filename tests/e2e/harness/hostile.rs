//! Servers that answer a query with anything but an answer. They end with the process.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// Nothing, and keeps the connection.
    Nothing,
    /// Something that is no JSON.
    Garbage,
    /// 100 MB that begin like an answer.
    TooMuch,
    /// JSON that is nested deeply.
    Nested,
}

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    pub address: String,
    /// How many bytes were taken from it.
    pub taken: Arc<AtomicU64>,
}

const MEGABYTES: usize = 100;

/// Starts a server where Pods reach it.
pub fn server(says: Says) -> Server {
    let listener = TcpListener::bind("10.250.0.1:0").expect("a port of the node");
    let address = format!("http://{}", listener.local_addr().unwrap());
    let taken = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&taken);
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let counted = Arc::clone(&counted);
            std::thread::spawn(move || {
                let _ = converse(connection, says, &counted);
            });
        }
    });
    Server { address, taken }
}

fn converse(mut connection: TcpStream, says: Says, taken: &AtomicU64) -> std::io::Result<()> {
    let mut request = [0_u8; 16_384];
    // What it asks is all the same.
    let _asked = connection.read(&mut request)?;
    let series = "{\"metric\":{\"job\":\"x\"},\"value\":[1,\"1\"]},".repeat(25_000);
    let (first, piece, times) = match says {
        Says::Nothing => {
            while connection.read(&mut request)? > 0 {}
            return Ok(());
        }
        Says::Garbage => ("", "\u{0}<html>{\"status\":\"success\"}".to_owned(), 1),
        Says::TooMuch => {
            ("{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[", series, MEGABYTES)
        }
        Says::Nested => ("", "[".repeat(1 << 20), 1),
    };
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
    connection.write_all(head.as_bytes())?;
    connection.write_all(first.as_bytes())?;
    for _ in 0..times {
        connection.write_all(piece.as_bytes())?;
        taken.fetch_add(piece.len() as u64, Ordering::Relaxed);
    }
    Ok(())
}
