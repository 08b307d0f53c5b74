//! What a session asks for where practice differs.

use domain::profile::{
    ClockCheck, CompletionLimit, PartialApproval, Profile, ReversalAnswer, ReversedOriginal,
    SameContent, Undelivered, UnknownOriginal,
};

use std::time::Duration;

use iso8583::translate::ReversalForm;

use super::*;

#[test]
fn what_is_left_out_is_plain() {
    let listener = &example(&[]).listeners[0];
    assert_eq!(listener.profile, Profile::PLAIN);
    assert_eq!(listener.clock, ClockCheck::Window);
    assert_eq!(listener.reversal_request, ReversalAnswer::WhenOwed);
}

#[test]
fn a_listener_asks_for_its_own() {
    let config = example(&[
        ("NJIA__LISTENER__POS__DUPLICATE_SAME_CONTENT", "reject"),
        ("NJIA__LISTENER__POS__UNKNOWN_ORIGINAL", "25"),
        ("NJIA__LISTENER__POS__REVERSED_ORIGINAL_ANSWER", "12"),
        ("NJIA__LISTENER__POS__PARTIAL_APPROVAL", "true"),
        ("NJIA__LISTENER__POS__REVERSE_UNDELIVERED", "true"),
        ("NJIA__LISTENER__POS__COMPLETION_OVER_PERCENT", "15"),
        ("NJIA__LISTENER__POS__REVERSAL_REQUEST", "forward"),
        ("NJIA__LISTENER__POS__CLOCK_SKEW_MAX_S", "30"),
    ]);
    let listener = &config.listeners[0];
    let asked = Profile {
        same_content: SameContent::Reject,
        unknown_original: UnknownOriginal::NotFound,
        reversed_original: ReversedOriginal::Invalid,
        partial_approval: PartialApproval::Pass,
        undelivered: Undelivered::Reverse,
        completion: CompletionLimit::Above { percent: 15 },
    };
    assert_eq!(listener.profile, asked);
    assert_eq!(listener.clock, ClockCheck::Within { seconds: 30 });
    assert_eq!(listener.reversal_request, ReversalAnswer::OfIssuer);
}

#[test]
fn what_a_listener_does_not_say_of_copies_the_node_says() {
    let without = EXAMPLE.replacen("duplicate_same_content = \"replay\"", "", 1);
    let reject = [("NJIA__DUPLICATES__SAME_CONTENT", "reject")];
    let config = Config::parse("njia.toml", &without, &environment(&reject)).unwrap();
    let profile = config.listeners[0].profile;
    assert_eq!(profile.same_content, SameContent::Reject);
}

#[test]
fn other_words_are_refused() {
    let check = |key: &str, told: &str| {
        let key = format!("NJIA__LISTENER__POS__{key}");
        check_wire(&[(&key, "maybe")], &[told]);
    };
    check(
        "DUPLICATE_SAME_CONTENT",
        "`duplicate_same_content` takes \"replay\" or \"reject\"",
    );
    check(
        "UNKNOWN_ORIGINAL",
        "`unknown_original` takes \"00\" or \"25\"",
    );
    check(
        "REVERSED_ORIGINAL_ANSWER",
        "`reversed_original_answer` takes \"94\" or \"12\"",
    );
    check(
        "REVERSAL_REQUEST",
        "`reversal_request` takes \"ack\" or \"forward\"",
    );
}

#[test]
fn a_listener_has_windows_of_its_own_which_are_its_acquirers() {
    let usual = example(&[]).listeners[0].windows;
    let seconds = Duration::from_secs;
    assert_eq!(
        (usual.requests, usual.advices),
        (seconds(600), seconds(604_800))
    );
    let requests = "NJIA__LISTENER__POS__DUPLICATE_WINDOW_S";
    let advices = "NJIA__LISTENER__POS__DUPLICATE_ADVICE_WINDOW_S";
    let schedule = "NJIA__LISTENER__POS__REPEAT_SCHEDULE_S";
    let config = example(&[(requests, "1800"), (advices, "3600"), (schedule, "1800")]);
    let own = config.windows()[0];
    assert_eq!(
        (own.requests, own.advices),
        (seconds(1_800), seconds(3_600))
    );
    check_wire(
        &[(requests, "60"), (schedule, "61")],
        &["`repeat_schedule_s` is above `duplicate_window_s`, 60 s: its last repeats would be new"],
    );
    check_wire(
        &[(requests, "1800"), (advices, "1799")],
        &["`duplicate_advice_window_s` is below `duplicate_window_s`"],
    );
}

#[test]
fn a_clock_is_judged_by_what_its_listener_says_of_it() {
    let skew = "NJIA__LISTENER__POS__CLOCK_SKEW_MAX_S";
    let trusted = "NJIA__LISTENER__POS__CLOCK_TRUSTED";
    let window = "NJIA__LISTENER__POS__DUPLICATE_WINDOW_S";
    let config = example(&[(trusted, "false"), (window, "86400")]);
    assert_eq!(config.listeners[0].clock, ClockCheck::Untrusted);
    check_wire(
        &[(trusted, "false")],
        &["`clock_trusted` is false: a copy behind `duplicate_window_s` is sent again; set it"],
    );
    check_wire(
        &[(trusted, "false"), (window, "86400"), (skew, "30")],
        &["`clock_skew_max_s` says nothing where `clock_trusted` is false"],
    );
    check_wire(
        &[(skew, "601")],
        &["`clock_skew_max_s` is above `duplicate_window_s`, 600 s, and refuses nothing"],
    );
    check_wire(
        &[(skew, "0")],
        &["`clock_skew_max_s` is 0, it must be 1 to 43200"],
    );
}

#[test]
fn an_issuer_may_ask_for_what_it_is_owed_before_requests() {
    let usual = example(&[]);
    assert!(usual.issuers.iter().all(|issuer| !issuer.saf_before_live));
    assert_eq!(usual.limits.held_back_max, 1_000);
    let asks = "NJIA__ISSUER__BANK__SAF_BEFORE_LIVE";
    let most = "NJIA__LIMITS__HELD_BACK_MAX";
    let config = example(&[(asks, "true"), (most, "20")]);
    assert!(config.issuers[0].saf_before_live);
    assert!(!config.issuers[1].saf_before_live);
    assert_eq!(config.limits.held_back_max, 20);
    check_wire(
        &[(asks, "yes")],
        &["`saf_before_live` takes true or false, not this text"],
    );
    check_wire(
        &[(most, "0")],
        &["`held_back_max` is 0, it must be 1 to 100000"],
    );
}

#[test]
fn listeners_of_one_acquirer_have_one_window() {
    let second = "[[listener]]\nname = \"atm\"\naddress = \"127.0.0.1:0\"\n\
                  acquirer = \"acquirer-1\"\nduplicate_window_s = 60\n\n[[issuer]]";
    let text = EXAMPLE.replacen("[[issuer]]", second, 1);
    let refused = Config::parse("njia.toml", &text, &environment(&[])).unwrap_err();
    let told = refused.to_string();
    let expected = "`duplicate_window_s` and `duplicate_advice_window_s` are not those of listener \
                    `pos`, which has the same acquirer: a copy may come on either";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn an_issuer_has_its_own_way_with_reversals() {
    let plain = example(&[]).issuers[0].reversal;
    let expected = ReversalSwitches {
        form: ReversalForm::Advice,
        stan: ReversalStan::Same,
        cancel_on_late_decline: false,
    };
    assert_eq!(plain, expected);
    let config = example(&[
        ("NJIA__ISSUER__BANK__REVERSAL_MTI", "0400"),
        ("NJIA__ISSUER__BANK__REVERSAL_STAN", "new"),
        (
            "NJIA__ISSUER__BANK__CANCEL_REVERSAL_ON_LATE_DECLINE",
            "true",
        ),
        ("NJIA__ISSUER__BANK__FAIL_IN_FLIGHT_ON_LINK_LOSS", "true"),
    ]);
    let bank = &config.issuers[0];
    let expected = ReversalSwitches {
        form: ReversalForm::Request,
        stan: ReversalStan::New,
        cancel_on_late_decline: true,
    };
    assert_eq!(bank.reversal, expected);
    assert!(bank.fail_in_flight_on_link_loss);
    let check = |key: &str, told: &str| check_wire(&[(key, "maybe")], &[told]);
    check(
        "NJIA__ISSUER__BANK__REVERSAL_MTI",
        "`reversal_mti` takes \"0420\" or \"0400\"",
    );
    check(
        "NJIA__ISSUER__BANK__REVERSAL_STAN",
        "`reversal_stan` takes \"same\" or \"new\"",
    );
}

#[test]
fn reversals_with_numbers_of_their_own_have_the_second_half() {
    let of = |stan, base: &str, size: &str| {
        example(&[
            ("NJIA__ISSUER__BANK__REVERSAL_STAN", stan),
            ("NJIA__ISSUER__BANK__STAN_BASE", base),
            ("NJIA__ISSUER__BANK__STAN_SIZE", size),
            ("NJIA__ISSUER__BANK__INFLIGHT_MAX", "500"),
        ])
    };
    let stan = |number| domain::ids::Stan::new(number).unwrap();
    let config = of("new", "100001", "8000");
    let bank = &config.issuers[0];
    assert_eq!((bank.request_stans(), bank.stans_each()), (4_000, 1_000));
    for (original, own) in [(100_001, 104_001), (104_000, 108_000), (104_001, 104_001)] {
        assert_eq!(bank.reversal_stan(stan(original)), stan(own), "{original}");
    }
    // The way back from a number leads to one link, whichever half it is of.
    for number in [100_001, 101_001, 104_000] {
        let original = stan(number);
        let own = bank.reversal_stan(original);
        assert_eq!(bank.link_of(original), bank.link_of(own), "{number}");
        assert!(bank.link_of(own).is_some(), "{number}");
    }
    let config = of("same", "100001", "8000");
    let bank = &config.issuers[0];
    assert_eq!(bank.reversal_stan(stan(100_001)), stan(100_001));
    assert_eq!(bank.stans_each(), 2_000);
    check_wire(
        &[
            ("NJIA__ISSUER__BANK__REVERSAL_STAN", "new"),
            ("NJIA__ISSUER__BANK__STAN_SIZE", "8000"),
            ("NJIA__ISSUER__BANK__INFLIGHT_MAX", "2001"),
        ],
        &["`inflight_max` is above half of the 4000 STANs of this issuer"],
    );
}
