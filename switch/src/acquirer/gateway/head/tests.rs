//! Each way in which two parsers can disagree, and each bound at its value and one above.

use super::*;

/// What becomes of `input`, whole and byte by byte: so many bytes go on, or it is refused.
#[track_caller]
fn check_stream(input: &[u8], expected: Result<usize, Slug>) {
    assert_eq!(all_at_once(input), expected, "{}", input.escape_ascii());
    assert_eq!(byte_by_byte(input), expected, "{}", input.escape_ascii());
}

fn all_at_once(input: &[u8]) -> Result<usize, Slug> {
    let mut scanner = Scanner::new(BODY_LEN_MAX);
    let mut passed = 0;
    loop {
        match scanner.step(&input[passed..]) {
            Step::NeedMore => return Ok(passed),
            Step::Pass(count) => passed += count,
            Step::Refuse(slug) => return Err(slug),
        }
    }
}

fn byte_by_byte(input: &[u8]) -> Result<usize, Slug> {
    let mut scanner = Scanner::new(BODY_LEN_MAX);
    let mut passed = 0;
    for end in 1..=input.len() {
        loop {
            match scanner.step(&input[passed..end]) {
                Step::NeedMore => break,
                Step::Pass(count) => passed += count,
                Step::Refuse(slug) => return Err(slug),
            }
        }
    }
    Ok(passed)
}

const BODY_LEN_MAX: usize = 100;

#[track_caller]
fn passes(input: &str) {
    check_stream(input.as_bytes(), Ok(input.len()));
}

#[track_caller]
fn refused(input: &str, slug: Slug) {
    check_stream(input.as_bytes(), Err(slug));
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /v1/transactions HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}")
}

#[test]
fn good_requests_pass_one_behind_the_other() {
    passes("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    passes("GET / HTTP/1.0\r\n\r\nGET /b HTTP/1.1\r\nhost: a\r\n\r\n");
    let one = post("Content-Length: 3\r\n", "abc");
    passes(&format!("{one}{one}"));
    let chunks = post(
        "Transfer-Encoding: Chunked\r\n",
        "3\r\nabc\r\n0a\r\n0123456789\r\n0\r\n\r\n",
    );
    passes(&format!("{chunks}{one}{chunks}"));
    passes(&post("Content-Length: 0\r\n", ""));
}

#[test]
fn what_parsers_disagree_on_is_refused() {
    let bad = Slug::Malformed;
    for fields in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: 3, 3\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: \r\n",
        "Content-Length: 3\r\n more\r\n",
        "Content-Length : 3\r\n",
        "Content\u{0}Length: 3\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding:\x0bchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "X: a\u{0}b\r\nContent-Length: 3\r\n",
        "Host: b\r\nContent-Length: 3\r\n",
        "no colon\r\nContent-Length: 3\r\n",
        ": empty\r\nContent-Length: 3\r\n",
        "X: a\rb\r\nContent-Length: 3\r\n",
        "X: a\nContent-Length: 3\r\n",
    ] {
        refused(&post(fields, "abc"), bad);
    }
    refused("GET / HTTP/1.1\n\n", bad);
    refused("GET / HTTP/1.1\r\n\r\n", bad);
    refused("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", bad);
    refused("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", bad);
    refused("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", bad);
    refused("get / HTTP/1.1\r\nHost: a\r\n\r\n", bad);
    refused(
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
        bad,
    );
    refused(
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        bad,
    );
}

#[test]
fn chunks_are_read_strictly() {
    let chunked = |body: &str| post("Transfer-Encoding: chunked\r\n", body);
    for body in [
        "3;name=value\r\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n",
        "0x3\r\nabc\r\n",
        "\r\nabc\r\n",
        "-1\r\n",
        "3\nabc\n",
        "3\r\nabcd\r\n",
        "3\r\nabc\n",
        "000000003\r\nabc\r\n",
        "0\r\nTrailer: x\r\n\r\n",
    ] {
        refused(&chunked(body), Slug::Malformed);
    }
    refused(&chunked("ffffffff\r\n"), Slug::TooLarge);
    refused(&chunked("65\r\n"), Slug::TooLarge);
    let whole = "x".repeat(100);
    passes(&chunked(&format!("64\r\n{whole}\r\n0\r\n\r\n")));
    refused(&chunked(&format!("64\r\n{whole}\r\n1\r\n")), Slug::TooLarge);
}

#[test]
fn each_limit_holds_at_its_value_and_one_above() {
    let target = |len: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(len - 1));
    passes(&target(TARGET_LEN_MAX));
    refused(&target(TARGET_LEN_MAX + 1), Slug::TargetTooLong);
    refused(&"G".repeat(TARGET_LEN_MAX * 2), Slug::TargetTooLong);

    let fields = |count: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "x: y\r\n".repeat(count - 1)
        )
    };
    passes(&fields(FIELDS_MAX));
    refused(&fields(FIELDS_MAX + 1), Slug::HeadTooLarge);

    let head = |len: usize| {
        let start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
        format!("{start}{}\r\n\r\n", "y".repeat(len - start.len() - 4))
    };
    passes(&head(HEAD_LEN_MAX));
    refused(&head(HEAD_LEN_MAX + 1), Slug::HeadTooLarge);

    let body = |len: usize| post(&format!("Content-Length: {len}\r\n"), &"x".repeat(len));
    passes(&body(BODY_LEN_MAX));
    refused(&body(BODY_LEN_MAX + 1), Slug::TooLarge);
}

#[test]
fn what_is_not_spoken_is_refused_by_name() {
    let put = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    refused(put, Slug::MethodNotAllowed);
    refused("GET /\r\n\r\n", Slug::VersionNotSupported);
    refused(
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        Slug::VersionNotSupported,
    );
    refused(
        "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        Slug::VersionNotSupported,
    );
    refused(&post("", ""), Slug::LengthRequired);
    refused(
        &post("Content-Length: 3\r\nExpect: 100-continue\r\n", "abc"),
        Slug::ExpectationFailed,
    );
}

proptest::proptest! {
    #[test]
    fn no_bytes_do_harm(
        input in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
    ) {
        proptest::prop_assert_eq!(all_at_once(&input), byte_by_byte(&input));
    }

    #[test]
    fn no_change_of_one_byte_parts_the_two_readings(
        at in 0_usize..90,
        byte in proptest::prelude::any::<u8>(),
    ) {
        let one = post("Content-Length: 3\r\n", "abc");
        let two = post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n");
        for text in [one, two] {
            let mut input = text.into_bytes();
            let at = at.min(input.len() - 1);
            input[at] = byte;
            proptest::prop_assert_eq!(all_at_once(&input), byte_by_byte(&input));
        }
    }
}

/// The end of a head as the text of RFC 9112 has it, byte by byte.
fn end_by_definition(bytes: &[u8]) -> Result<Option<usize>, Slug> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.map(|at| at + 4);
    let looked_at = &bytes[..end.unwrap_or(bytes.len())];
    let is_bare = |at: usize| match looked_at[at] {
        b'\r' => looked_at.get(at + 1).is_some_and(|next| *next != b'\n'),
        b'\n' => at == 0 || looked_at[at - 1] != b'\r',
        _ => false,
    };
    if (0..looked_at.len()).any(is_bare) {
        return Err(Slug::Malformed);
    }
    Ok(end)
}

#[test]
fn the_end_of_a_head_is_where_its_definition_says() {
    for len in 0..=10 {
        for number in 0..3_usize.pow(len) {
            let mut rest = number;
            let mut bytes = Vec::new();
            for _ in 0..len {
                bytes.push(b"\r\nx"[rest % 3]);
                rest /= 3;
            }
            assert_eq!(
                end_of(&bytes),
                end_by_definition(&bytes),
                "{}",
                bytes.escape_ascii()
            );
        }
    }
}
