//! One plain GET, enough for the admin listener. HTTP/1.0: an answer in chunks would have to be
//! joined.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};

/// Status and body of `http://address/path`.
pub(super) fn get(address: &str, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("an HTTP answer has a head")?;
    let status = head
        .split(' ')
        .nth(1)
        .context("an HTTP answer has a status")?;
    Ok((status.parse()?, body.to_owned()))
}
