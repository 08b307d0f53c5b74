//! Blanks what is not code: comments, literals, and items that only tests build.
//!
//! Every byte keeps its place, so an offset in the blanked text is an offset in the source.

/// `text` with the inside of comments and literals replaced by spaces.
#[must_use]
pub fn comments_and_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = token_end(bytes, at);
        if end > at {
            blank(&mut out[at..end]);
            at = end;
        } else {
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// `code` (already blanked) without the items under `#[cfg(test)]`, `#[test]` and the like.
#[must_use]
pub fn test_items(code: &str) -> String {
    let mut out = code.as_bytes().to_vec();
    let mut from = 0;
    while let Some(found) = code[from..].find("#[") {
        let start = from + found;
        let close = attribute_end(code, start);
        from = close;
        if is_test_attribute(&code[start..close]) {
            let (end, _) = item_end(code, close);
            blank(&mut out[start..end]);
            from = end;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Where the item that is open at `start` ends, and whether it has a body in braces.
#[must_use]
pub fn item_end(code: &str, start: usize) -> (usize, bool) {
    let mut depth = 0_i32;
    for (offset, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b';' if depth == 0 => return (offset + 1, false),
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth -= 1;
                if depth < 0 {
                    return (offset, false);
                }
                if depth == 0 && byte == b'}' {
                    return (offset + 1, true);
                }
            }
            _ => {}
        }
    }
    (code.len(), false)
}

/// Past the `]` of the attribute that begins at `start`.
fn attribute_end(code: &str, start: usize) -> usize {
    let mut depth = 0_i32;
    for (offset, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'[' => depth += 1,
            b']' => {
                depth -= 1;
                if depth == 0 {
                    return offset + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// `#[cfg(test)]`, `#[cfg(all(test, …))]`, `#[test]`, `#[bench]`, `#[tokio::test]`.
fn is_test_attribute(attribute: &str) -> bool {
    let inner: String = attribute.chars().filter(|c| !c.is_whitespace()).collect();
    if let Some(condition) = inner.strip_prefix("#[cfg(") {
        return condition.starts_with("test)")
            || (condition.starts_with("all(")
                && !condition.contains("not(test")
                && condition
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .any(|word| word == "test"));
    }
    let path = inner.trim_start_matches("#[");
    let path = path.split([']', '(']).next().unwrap_or_default();
    matches!(path.rsplit("::").next(), Some("test" | "bench"))
}

/// End of the comment or literal at `at`, or `at` itself where there is none.
fn token_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        return at + rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
    }
    if rest.starts_with(b"/*") {
        return at + block_comment_len(rest);
    }
    if at > 0 && is_word(bytes[at - 1]) && !bytes[at].is_ascii_punctuation() {
        return at;
    }
    match rest[0] {
        b'"' => at + string_len(rest),
        b'\'' => at + char_len(rest),
        b'r' | b'b' | b'c' => at + prefixed_len(rest),
        _ => at,
    }
}

/// Length of a nested block comment.
fn block_comment_len(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// Length of `"…"` with escapes.
fn string_len(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Length of `'x'`, `'\n'`, `'\u{1f600}'`; zero for a lifetime.
fn char_len(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        let close = rest.iter().skip(3).position(|&b| b == b'\'');
        return close.map_or(0, |found| found + 4);
    }
    let Some(text) = rest.get(1..rest.len().min(6)) else {
        return 0;
    };
    let width = match text.first() {
        None | Some(b'\'') => return 0,
        Some(0xf0..) => 4,
        Some(0xe0..) => 3,
        Some(0xc0..) => 2,
        Some(_) => 1,
    };
    if text.get(width) == Some(&b'\'') {
        width + 2
    } else {
        0
    }
}

/// Length of `r"…"`, `r#"…"#`, `b"…"`, `b'…'`, `br#"…"#`; zero for an identifier.
fn prefixed_len(rest: &[u8]) -> usize {
    let letters = rest
        .iter()
        .take(2)
        .take_while(|b| b"rbc".contains(b))
        .count();
    let raw = rest[..letters].contains(&b'r');
    let hashes = rest[letters..].iter().take_while(|&&b| b == b'#').count();
    match rest.get(letters + hashes) {
        Some(b'"') if raw => raw_string_len(rest, letters + hashes, hashes),
        Some(b'"') if hashes == 0 => letters + string_len(&rest[letters..]),
        Some(b'\'') if hashes == 0 && rest[0] == b'b' && letters == 1 => {
            1 + char_len(&rest[letters..])
        }
        _ => 0,
    }
}

/// Length of a raw string whose first quote stands at `quote`.
fn raw_string_len(rest: &[u8], quote: usize, hashes: usize) -> usize {
    let mut close = vec![b'"'];
    close.resize(hashes + 1, b'#');
    rest[quote + 1..]
        .windows(close.len())
        .position(|window| window == close)
        .map_or(rest.len(), |found| quote + 1 + found + close.len())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn blank(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().filter(|byte| **byte != b'\n') {
        *byte = b' ';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let code = comments_and_literals(text);
        assert_eq!(code.len(), text.len(), "offsets must stay true");
        let words: Vec<&str> = code.split_whitespace().collect();
        assert_eq!(words.join(" "), expected);
    }

    #[test]
    fn comments_and_literals_vanish() {
        check("a // b\nc", "a c");
        check("a /* b /* c */ d */ e", "a e");
        check("f(\"x\\\"y\", 'z', '\\'', b'q', b\"w\")", "f( , , , , )");
        check("r#\"a\"b\"# c br\"\\\" d", "c d");
        check("&'a str '{' 'é' '\\u{7d}' fn bar", "&'a str fn bar");
        check("for_str\"x\" r#type", "for_str r#type");
    }

    #[test]
    fn test_items_vanish_and_production_stays() {
        let code = "fn a() {}\n#[cfg(test)]\nmod tests { fn b() {} }\n#[cfg(not(test))]\nfn c() {}";
        let left = test_items(code);
        assert!(left.contains("fn a") && left.contains("fn c") && !left.contains("fn b"));
        assert!(!test_items("#[cfg(test)]\nextern crate std;").contains("std"));
        assert!(!test_items("#[tokio::test(start_paused)]\nasync fn t() {}").contains("fn t"));
        assert!(test_items("#[cfg(all(not(test), unix))]\nfn k() {}").contains("fn k"));
        assert!(!test_items("#[cfg(all(unix, test))]\nfn k() {}").contains("fn k"));
        assert!(test_items("#[cfg(feature_test)]\nfn k() {}").contains("fn k"));
    }

    #[test]
    fn an_item_ends_at_its_brace_or_semicolon() {
        assert_eq!(item_end("fn a() { { } } x", 0), (14, true));
        assert_eq!(item_end("use a::b; x", 0), (9, false));
        assert_eq!(item_end("fn a(b: [u8; 4]); x", 0), (17, false));
    }
}
