//! Routes: conditions, groups, and what is refused of them.

use domain::ids::AcquirerId;
use router::conditions::{AmountRange, MerchantCategory, RouteClass};
use router::selection::Query;
use router::week::WeekMinute;

use super::*;

const CANDIDATES: &str = "candidates = [\"bank\", \"momo\"]";

/// The candidates of the example's first route when they are written so: for each group, issuers
/// with their weights.
fn groups(text: &str) -> Vec<Vec<(u16, u16)>> {
    let text = EXAMPLE.replacen(CANDIDATES, &format!("candidates = {text}"), 1);
    let config = Config::parse("njia.toml", &text, &environment(&[])).unwrap();
    let weighted = |one: &Candidate| (one.issuer.0, one.weight);
    let group = |group: &Vec<Candidate>| group.iter().map(weighted).collect();
    config.routes[0].candidates.iter().map(group).collect()
}

#[test]
fn candidates_stand_alone_or_in_groups() {
    assert_eq!(groups("[\"momo\", \"bank\"]"), [[(1, 1)], [(0, 1)]]);
    let (bank, momo) = (
        "{ issuer = \"bank\", weight = 70 }",
        "{ issuer = \"momo\", weight = 30 }",
    );
    assert_eq!(groups(&format!("[{bank}, {momo}]")), [[(0, 70), (1, 30)]]);
    assert_eq!(
        groups(&format!("[[{bank}], {momo}]")),
        [[(0, 70)], [(1, 30)]]
    );
    assert_eq!(
        groups(&format!("[[{bank}, \"momo\"]]")),
        [[(0, 70), (1, 1)]]
    );
    assert_eq!(
        groups(&format!("[{momo}, \"bank\"]")),
        [[(1, 30)], [(0, 1)]]
    );
    assert_eq!(groups("[{ issuer = \"momo\" }]"), [[(1, 1)]]);
}

#[test]
fn candidates_that_are_none_are_refused() {
    #[track_caller]
    fn refused(text: &str, at: &str, told: &str) {
        let to = format!("\ncandidates = {text}");
        let from = format!("\n{CANDIDATES}");
        // Where the fault lies, at its first letter within what was put in.
        let changed = EXAMPLE.replacen(&from, &to, 1);
        let whole = place(&changed, &to[1..]);
        let (line, _) = whole.rsplit_once(':').unwrap();
        let column = to.find(at).unwrap();
        check(&from, &to, &[&format!("{line}:{column}: {told}")]);
    }
    refused("[]", "candidates", "`candidates` may not be empty");
    refused(
        "[{ issuer = \"bnak\" }]",
        "issuer",
        "`issuer` names `bnak`, which does not exist; did you mean `bank`?",
    );
    refused(
        "[{ issuer = \"bank\", weight = 0 }]",
        "weight",
        "`weight` is 0, it must be 1 to 1000",
    );
    refused(
        "[{ issuer = \"bank\", wight = 7 }]",
        "wight",
        "unknown key `wight` in [route.candidates]; did you mean `weight`?",
    );
    refused(
        "[\"bank\", [\"bank\", \"momo\"]]",
        "candidates",
        "`candidates` names an issuer twice",
    );
    refused(
        "[\"bank\", []]",
        "candidates",
        "a group of `candidates` may not be empty",
    );
    refused(
        "[\"bank\", true]",
        "true]",
        "`candidates` takes a string, not a boolean",
    );
}

#[test]
fn conditions_are_read_and_laid_out() {
    let named = "acquirers = [\"acquirer-1\"]\n";
    let text = EXAMPLE
        .replacen("class = \"any\"", "class = \"financial\"", 1)
        .replacen("currency = \"any\"", "currency = \"KES\"", 1)
        .replacen("amount_max = 999_999_999_999", "amount_max = 5_000", 1)
        .replacen(
            "categories = []",
            "categories = [\"5411\", \"5811-5814\"]",
            1,
        )
        .replacen("acquirers = []", named, 1)
        .replacen("times = []", "times = [\"mon-fri 08:00-18:00\"]", 1)
        .replacen("# order = 1 ", "order = 7 ", 1)
        .replacen("utc_offset = \"+00:00\"", "utc_offset = \"+03:00\"", 1);
    let config = Config::parse("njia.toml", &text, &environment(&[])).unwrap();
    let [first, second] = config.routes.as_slice() else {
        panic!("the example has two routes");
    };
    assert_eq!(first.conditions.count(), 6);
    assert_eq!(first.conditions.class, Some(RouteClass::Financial));
    let amount = AmountRange { min: 0, max: 5_000 };
    assert_eq!(first.conditions.amount, Some(amount));
    assert_eq!((first.order, second.order), (Some(7), None));
    assert_eq!(second.conditions, Conditions::default());
    let query = Query {
        account: b"5061000000000000",
        class: RouteClass::Financial,
        amount: Some(Amount::new(5_000, Currency::KES).unwrap()),
        category: MerchantCategory::from_digits(b"5812"),
        acquirer: AcquirerId(0),
        // Thursday 05:00 UTC: 08:00 in Nairobi.
        at: WeekMinute::at(
            WallTime::from_unix_millis(5 * 3_600_000),
            config.routing.utc_offset,
        ),
        draw: 0,
    };
    let found = |query| config.route_table.find(query).map(|route| route.id().0);
    assert_eq!(found(query), Some(0));
    let late = Query {
        at: WeekMinute::at(
            WallTime::from_unix_millis(15 * 3_600_000),
            config.routing.utc_offset,
        ),
        ..query
    };
    assert_eq!(found(late), None);
}

#[test]
fn conditions_that_cannot_be_are_refused() {
    #[track_caller]
    fn refused(from: &str, to: &str, at: &str, told: &str) {
        let whole = place(&EXAMPLE.replacen(from, to, 1), to);
        let (line, _) = whole.rsplit_once(':').unwrap();
        let column = to.find(at).unwrap() + 1;
        check(from, to, &[&format!("{line}:{column}: {told}")]);
    }
    refused(
        "categories = []",
        "categories = [\"541\"]",
        "\"541",
        "`categories` holds \"541\": a merchant category has four digits",
    );
    refused(
        "times = []",
        "times = [\"monday 08:00-09:00\"]",
        "\"monday",
        "`times` holds \"monday 08:00-09:00\": days are mon, tue, wed, thu, fri, sat and sun",
    );
    refused(
        "acquirers = []",
        "acquirers = [\"acquirer-2\"]",
        "\"acquirer-2",
        "`acquirers` names `acquirer-2`, which does not exist; did you mean `acquirer-1`?",
    );
    refused(
        "amount_min = 0 ",
        "amount_min = 7 ",
        "amount_min",
        "bounds of an amount need a currency",
    );
    refused(
        "utc_offset = \"+00:00\"",
        "utc_offset = \"EAT\"",
        "utc_offset",
        "`utc_offset` holds \"EAT\": an offset from UTC is written like `+03:00`, up to 14 hours",
    );
}

/// Two routes for one prefix, of which neither is more specific, and the order that settles it.
#[test]
fn routes_that_nothing_tells_apart_are_refused_with_both_names() {
    let second = |more: &str| {
        let route =
            "\n[[route]]\nname = \"night\"\nprefixes = [\"506100\"]\ncandidates = [\"momo\"]";
        let text = EXAMPLE.replacen("categories = []", "categories = [\"5411\"]", 1);
        format!("{text}{route}\ntimes = [\"mon-sun 22:00-06:00\"]\n{more}")
    };
    let text = second("");
    let told = format!(
        "{}: prefix 506100 and prefix 506100 of route `bank-cards` claim the same accounts; give \
         one of them more conditions, or a lower order",
        place(&text, "prefixes = [\"506100\"]")
    );
    check_text(&text, &[], &[&told]);
    for settled in ["order = 1", "class = \"financial\""] {
        let read = Config::parse("njia.toml", &second(settled), &environment(&[]));
        assert!(read.is_ok(), "{settled}: {read:?}");
    }
}

#[test]
fn a_route_for_administrative_messages_needs_no_prefix() {
    let bare = |name: &str, class: &str| {
        format!("\n[[route]]\nname = \"{name}\"\nclass = \"{class}\"\ncandidates = [\"bank\"]\n")
    };
    let text = format!("{EXAMPLE}{}", bare("enquiries", "administrative"));
    let config = Config::parse("njia.toml", &text, &environment(&[])).unwrap();
    let query = Query {
        account: b"",
        class: RouteClass::Administrative,
        amount: None,
        category: None,
        acquirer: AcquirerId(0),
        at: WeekMinute::default(),
        draw: 0,
    };
    let found = config.route_table.find(query).map(|route| route.id().0);
    assert_eq!(found, Some(2));

    let financial = format!("{EXAMPLE}{}", bare("enquiries", "financial"));
    assert!(Config::parse("njia.toml", &financial, &environment(&[])).is_err());
    let twice = format!("{text}{}", bare("again", "administrative"));
    let errors = Config::parse("njia.toml", &twice, &environment(&[])).unwrap_err();
    let told: Vec<String> = errors.problems().iter().map(ToString::to_string).collect();
    let alike = "it takes the same messages without an account as route `enquiries`";
    assert!(told.len() == 1 && told[0].contains(alike), "{told:?}");

    let stood_in = "\n[[stand_in]]\nname = \"none\"\nissuer = \"bank\"\nprefixes = [\"5061\"]\n\
                    class = \"administrative\"\nfloor_limits.KES = 5\n";
    let text = format!("{EXAMPLE}{stood_in}");
    let told = format!(
        "{}: nothing administrative is approved; take another `class`",
        place(&text, "class = \"administrative\"\nfloor")
    );
    check_text(&text, &[], &[&told]);
}
