//! Events to Kafka against brokers of librdkafka's mock cluster: what a journal holds arrives, in
//! order and at least once, whatever becomes of brokers, of the publisher and of its watermark; and
//! a receiver that is no code of ours reads what a real switch has published.

#[path = "events/brokers.rs"]
mod brokers;
#[path = "applier/log.rs"]
mod log;
#[path = "card_data/planted.rs"]
mod planted;
#[path = "events/rig.rs"]
mod rig;
#[path = "events/switch.rs"]
mod switch;
#[path = "events/watermark.rs"]
mod watermark;
#[path = "applier/workload.rs"]
#[expect(dead_code, reason = "the applier's tests need more of it")]
mod workload;
