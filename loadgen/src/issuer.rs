//! Simulated issuers: hosts that approve, decline, stay silent, answer late, twice or garbled, and
//! keep the truth about every money effect.
//!
//! ```text
//! connection ──► Station (pure): Book decides, Dice choose how it is told ──► Wheel ──► connection
//!                                  └─► Ledger: one line per money effect
//! ```

pub mod behaviour;
pub mod book;
pub mod control;
mod desk;
pub mod host;
mod json;
pub mod ledger;
mod momo;
mod station;
mod wheel;

pub use behaviour::Behaviour;
pub use book::Effect;
pub use control::{Control, Fault, FaultKind};
pub use desk::IssuerStats;
pub use host::{IssuerConfig, IssuerHost, Speaks};
pub use momo::MomoBehaviour;
