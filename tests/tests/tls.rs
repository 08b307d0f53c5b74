//! TLS on sessions and links: who comes in, who does not, and what changes while it runs.

#[path = "tls/admin.rs"]
mod admin;
#[path = "tls/handshakes.rs"]
mod handshakes;
#[path = "tls/load.rs"]
mod load;
#[path = "tls/rig.rs"]
mod rig;
#[path = "tls/stays.rs"]
mod stays;
