//! What a session asks for where practice differs: the switches of semantics §16.

use std::time::Duration;

use domain::ids::AcquirerId;
use domain::profile::{
    ClockCheck, CompletionLimit, PartialApproval, Profile, ReversalAnswer, ReversedOriginal,
    SameContent, Undelivered, UnknownOriginal,
};

use iso8583::translate::ReversalForm;

use transaction::settings::Windows;

use super::section::Section;
use super::{Duplicates, Listener, ReversalStan, ReversalSwitches};

/// The switches of a listener. `same_content` is what the node has for those that say nothing.
pub(super) fn profile(listener: &Section<'_>, same_content: SameContent) -> Profile {
    let unknown_original = listener.parsed("unknown_original", |text| match text {
        "00" => Ok(UnknownOriginal::Acknowledge),
        "25" => Ok(UnknownOriginal::NotFound),
        _ => Err("takes \"00\" or \"25\"".to_owned()),
    });
    let reversed_original = listener.parsed("reversed_original_answer", |text| match text {
        "94" => Ok(ReversedOriginal::Duplicate),
        "12" => Ok(ReversedOriginal::Invalid),
        _ => Err("takes \"94\" or \"12\"".to_owned()),
    });
    let same = listener.parsed("duplicate_same_content", content);
    Profile {
        same_content: same.unwrap_or(same_content),
        unknown_original: unknown_original.unwrap_or(UnknownOriginal::Acknowledge),
        reversed_original: reversed_original.unwrap_or(ReversedOriginal::Duplicate),
        partial_approval: if listener.flag("partial_approval", false) {
            PartialApproval::Pass
        } else {
            PartialApproval::Refuse
        },
        completion: match listener.optional_number("completion_over_percent", 0..=1_000) {
            None => CompletionLimit::OfIssuer,
            Some(percent) => CompletionLimit::Above {
                percent: u16::try_from(percent).unwrap_or(u16::MAX),
            },
        },
        undelivered: if listener.flag("reverse_undelivered", false) {
            Undelivered::Reverse
        } else {
            Undelivered::Keep
        },
    }
}

/// How near DE7 has to be. What is taken at any time is safe for as long as copies are known alone:
/// whoever says so says how long that is.
pub(super) fn clock(listener: &Section<'_>) -> ClockCheck {
    let most = listener.optional_number(SKEW, 1..=43_200);
    let is_trusted = listener.flag(TRUSTED, true);
    if is_trusted {
        return most.map_or(ClockCheck::Window, |seconds| ClockCheck::Within {
            seconds: u16::try_from(seconds).unwrap_or(u16::MAX),
        });
    }
    if most.is_some() {
        let text = format!("`{SKEW}` says nothing where `{TRUSTED}` is false");
        listener.fault_at(SKEW, text);
    }
    if !listener.has(REQUESTS) {
        let text =
            format!("`{TRUSTED}` is false: a copy behind `{REQUESTS}` is sent again; set it");
        listener.fault_at(TRUSTED, text);
    }
    ClockCheck::Untrusted
}

/// What a duplicate with equal content gets.
pub(super) fn content(text: &str) -> Result<SameContent, String> {
    match text {
        "replay" => Ok(SameContent::Replay),
        "reject" => Ok(SameContent::Reject),
        _ => Err("takes \"replay\" or \"reject\"".to_owned()),
    }
}

/// How long the copies of a listener's acquirer are known: not below the time for which it repeats.
pub(super) fn windows(listener: &Section<'_>, of_node: &Duplicates) -> Windows {
    let seconds = |duration: Duration| duration.as_secs();
    let windows = Windows {
        requests: listener.seconds(REQUESTS, 10..=86_400, seconds(of_node.window)),
        advices: listener.seconds(ADVICES, 10..=2_592_000, seconds(of_node.advice_window)),
    };
    let schedule = listener.seconds("repeat_schedule_s", 0..=2_592_000, 0);
    if windows.advices < windows.requests {
        listener.fault_at(ADVICES, format!("`{ADVICES}` is below `{REQUESTS}`"));
    }
    if windows.requests < schedule {
        let text = format!(
            "`repeat_schedule_s` is above `{REQUESTS}`, {} s: its last repeats would be new",
            seconds(windows.requests)
        );
        listener.fault_at("repeat_schedule_s", text);
    }
    windows
}

/// Refuses a bound of the clock that says nothing, as the window refuses before it.
pub(super) fn check_clock(section: &Section<'_>, listener: &Listener) {
    let window = listener.windows.requests.as_secs();
    if let ClockCheck::Within { seconds } = listener.clock
        && u64::from(seconds) > window
    {
        let text = format!("`{SKEW}` is above `{REQUESTS}`, {window} s, and refuses nothing");
        section.fault_at(SKEW, text);
    }
}

/// The windows of the listeners before this one, with their names.
#[derive(Debug, Default)]
pub(super) struct KnownWindows(Vec<(AcquirerId, Windows, String)>);

impl KnownWindows {
    /// Refuses two listeners of one acquirer with different windows, as a copy may come on either,
    /// and more different ones than the table tells apart.
    pub(super) fn check(&mut self, section: &Section<'_>, listener: &Listener) {
        let (acquirer, windows) = (listener.acquirer, listener.windows);
        let mut others = self.0.iter();
        if let Some((_, _, other)) =
            others.find(|(of, held, _)| *of == acquirer && *held != windows)
        {
            let text = format!(
                "`{REQUESTS}` and `{ADVICES}` are not those of listener `{other}`, which has the \
                 same acquirer: a copy may come on either"
            );
            section.fault_at(REQUESTS, text);
        }
        self.0.push((acquirer, windows, listener.name.clone()));
        check_different(section, self.0.iter().map(|(_, windows, _)| *windows));
    }
}

/// Refuses more different windows than the table tells apart.
pub(super) fn check_different(section: &Section<'_>, all: impl Iterator<Item = Windows>) {
    let mut different: Vec<Windows> = Vec::new();
    for windows in all {
        if !different.contains(&windows) {
            different.push(windows);
        }
    }
    let most = Windows::DIFFERENT_MAX;
    if different.len() > most {
        section.fault_at(
            REQUESTS,
            format!("at most {most} different windows are possible"),
        );
    }
}

const REQUESTS: &str = "duplicate_window_s";
const ADVICES: &str = "duplicate_advice_window_s";
const SKEW: &str = "clock_skew_max_s";
const TRUSTED: &str = "clock_trusted";

/// When an 0400 is answered; an 0420 is an advice, and always acknowledged.
pub(super) fn reversal_request(listener: &Section<'_>) -> ReversalAnswer {
    let request = listener.parsed("reversal_request", |text| match text {
        "ack" => Ok(ReversalAnswer::WhenOwed),
        "forward" => Ok(ReversalAnswer::OfIssuer),
        _ => Err("takes \"ack\" or \"forward\"".to_owned()),
    });
    request.unwrap_or(ReversalAnswer::WhenOwed)
}

/// How reversals go to an issuer.
pub(super) fn reversal(issuer: &Section<'_>) -> ReversalSwitches {
    let form = issuer.parsed("reversal_mti", |text| match text {
        "0420" => Ok(ReversalForm::Advice),
        "0400" => Ok(ReversalForm::Request),
        _ => Err("takes \"0420\" or \"0400\"".to_owned()),
    });
    let stan = issuer.parsed("reversal_stan", |text| match text {
        "same" => Ok(ReversalStan::Same),
        "new" => Ok(ReversalStan::New),
        _ => Err("takes \"same\" or \"new\"".to_owned()),
    });
    ReversalSwitches {
        form: form.unwrap_or(ReversalForm::Advice),
        stan: stan.unwrap_or(ReversalStan::Same),
        cancel_on_late_decline: issuer.flag("cancel_reversal_on_late_decline", false),
    }
}
