use crate::output::{LegEnding, Output, StanReuse};
use crate::testing::{Auto, Rig, approval, decline};
use domain::ResponseCode;

#[test]
fn an_approval_is_durable_before_it_is_told() {
    let mut rig = Rig::new(Auto::Decide);
    rig.request(1, 10);
    assert_eq!(rig.records(), ["intent"]);
    let sent = |rig: &Rig| {
        let mut outputs = rig.seen.iter();
        outputs.any(|output| matches!(output, Output::Send { .. }))
    };
    assert!(!sent(&rig), "nothing leaves before the intent is durable");
    rig.flush();
    assert!(sent(&rig));
    rig.respond(approval());
    assert_eq!(rig.records(), ["intent", "outcome"]);
    assert_eq!(rig.told(10), None);
    rig.flush();
    assert_eq!(rig.told(10), Some(ResponseCode::APPROVED));
    let answered = LegEnding::Answered(ResponseCode::APPROVED);
    assert_eq!(rig.leg_endings(), [answered]);
    let (handle, leg) = rig.sent();
    let reuse = StanReuse::AtOnce;
    assert!(rig.seen.contains(&Output::ReleaseStan { leg, reuse }));
    assert_eq!(rig.engine.answer(handle), Some(approval()));
}

#[test]
fn a_decline_is_passed_on() {
    let mut rig = Rig::new(Auto::Flush);
    rig.request(1, 10);
    rig.respond(decline());
    assert_eq!(rig.told(10), Some(ResponseCode::INSUFFICIENT_FUNDS));
    assert_eq!(rig.engine.counts().saf, 0);
}
