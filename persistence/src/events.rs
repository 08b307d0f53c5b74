//! Events to Kafka: what the journals hold, for whoever follows, at least once and in order.
//!
//! A second consumer of the journals beside the applier, with a watermark of its own: it reads each
//! shard's files up to the durable position and hands every record that means something to a topic.
//! The watermark lies beside the journal ([`watermarks`]) and moves only behind what the brokers
//! have acknowledged, so a crash in between repeats events and loses none. An event carries the
//! place of its record, which a repeat shares. What is promised, and the schema, are in
//! `docs/events.md`.
//!
//! Everything here may block: it runs on a thread that nothing else waits for.

mod data;
mod error;
mod event;
mod lane;
mod producer;
mod publisher;
mod reason;
mod settings;
mod status;
mod watermark;

pub use error::EventsError;
pub use event::event_type;
pub use publisher::Publisher;
pub use reason::Reason;
pub use settings::{Access, EventSettings, Mechanism, Sasl};
pub use status::{LaneStatus, Status};
pub use watermark::{Watermark, watermarks};
