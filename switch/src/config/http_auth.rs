//! `[issuer.http.auth]` and `[issuer.http.secret_headers]`: what shows an issuer who asks.

use zeroize::Zeroizing;

use super::http_issuer::{Url, base_url, is_own_header, pointer};
use super::secret::Vault;
use super::section::Section;
use crate::issuer::http::access::{AccessForm, AccessPlan};
use crate::issuer::http::plan::{SecretHeader, base64};

/// What is always the same, or how a token is asked for.
pub(super) fn auth(
    section: &Section<'_>,
    vault: &Vault<'_>,
    issuer: Option<&Url>,
) -> (Option<SecretHeader>, Option<AccessPlan>) {
    let Some(section) = section.optional_section("auth") else {
        return (None, None);
    };
    let kind = section.required("kind", |text| match text {
        "bearer" | "basic" | "header" | "oauth2" => Ok(text.to_owned()),
        _ => Err("takes \"bearer\", \"basic\", \"header\" or \"oauth2\"".to_owned()),
    });
    let kind = kind.unwrap_or_default();
    if kind == "oauth2" {
        let access = access(&section, vault, issuer);
        section.finish();
        return (None, access);
    }
    let header = fixed(&section, vault, &kind);
    section.finish();
    (header, None)
}

fn fixed(section: &Section<'_>, vault: &Vault<'_>, kind: &str) -> Option<SecretHeader> {
    let named = |key: &'static str, is_wanted: bool| {
        if is_wanted {
            return section.required_text(key).map(|(text, _)| text);
        }
        if section.has(key) {
            section.fault_at(key, format!("`{key}` is not for this `kind`"));
        }
        section.pass_over(key);
        None
    };
    let user = named("user", kind == "basic").unwrap_or_default();
    let name = named("name", kind == "header");
    let secret = section.required("secret", |text| vault.text(text))?;
    let secret = secret.expose();
    let (name, value) = match kind {
        "basic" => {
            let pair = Zeroizing::new(format!("{user}:{secret}"));
            let value = base64(pair.as_bytes());
            ("Authorization", Zeroizing::new(format!("Basic {}", *value)))
        }
        "header" => {
            let name = name.as_deref().unwrap_or_default();
            (name, Zeroizing::new(secret.to_owned()))
        }
        _ => ("Authorization", Zeroizing::new(format!("Bearer {secret}"))),
    };
    if !is_own_header(name) {
        section.fault_at(
            "name",
            "`name` takes the name of a header that is not fixed",
        );
    }
    let header = SecretHeader::new(name, value);
    if header.is_none() {
        let place = section.place_of("secret");
        let text = format!("`secret` ({place}) holds what no header may");
        section.fault_at("secret", text);
    }
    header
}

/// OAuth 2.0 by client credentials (RFC 6749, section 4.4).
fn access(section: &Section<'_>, vault: &Vault<'_>, issuer: Option<&Url>) -> Option<AccessPlan> {
    let url = section.required("token_url", token_url);
    let (form, method) = sent(section);
    let client = section.required_text("client_id").map(|(text, _)| text);
    let secret = section.required("secret", |text| {
        vault.text(text)?;
        vault.place(text)
    });
    let at = |key: &'static str, usual: &str| {
        let told = section.parsed(key, pointer);
        told.or_else(|| pointer(usual).ok())
    };
    let (token, expires_in) = (
        at("token", "/access_token"),
        at("expires_in", "/expires_in"),
    );
    let scope = section.text("scope").map(|(text, _)| text);
    let lifetime = section.seconds("lifetime_s", 30..=86_400, 300);
    let (is_https, authority, path) = url?;
    if issuer.is_some_and(|issuer| issuer.is_https != is_https) {
        let text = "`token_url` and `base_url` are both https, by [issuer.tls], or both http";
        section.fault_at("token_url", text);
    }
    let (host, port) = host_and_port(&authority, is_https);
    Some(AccessPlan {
        host,
        port,
        is_https,
        authority,
        path,
        method,
        client: client?,
        secret: secret?,
        form,
        scope,
        token: token?,
        expires_in: expires_in?,
        lifetime,
    })
}

/// Where client and secret stand, and by which method they are sent.
fn sent(section: &Section<'_>) -> (AccessForm, String) {
    let form = section.parsed("form", |text| match text {
        "basic" => Ok(AccessForm::Basic),
        "basic_alone" => Ok(AccessForm::BasicAlone),
        "form" => Ok(AccessForm::Form),
        "json" => Ok(AccessForm::Json),
        _ => Err("takes \"basic\", \"basic_alone\", \"form\" or \"json\"".to_owned()),
    });
    let method = section.parsed("method", |text| match text {
        "POST" | "GET" => Ok(text.to_owned()),
        _ => Err("takes \"POST\" or \"GET\"".to_owned()),
    });
    let form = form.unwrap_or(AccessForm::Basic);
    let method = method.unwrap_or_else(|| "POST".to_owned());
    if method == "GET" && form != AccessForm::BasicAlone {
        section.fault_at(
            "method",
            "a GET has no body: `form` must be \"basic_alone\"",
        );
    }
    (form, method)
}

/// Whether it is https, the authority, and the path with its query.
fn token_url(text: &str) -> Result<(bool, String, String), String> {
    let (before, query) = match text.split_once('?') {
        Some((before, query)) => (before, format!("?{query}")),
        None => (text, String::new()),
    };
    let is_visible = query.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_visible || query.contains('#') {
        return Err("takes https://HOST/PATH, with a query where there is one".to_owned());
    }
    let url = base_url(before)?;
    let end = if before.ends_with('/') || url.path.is_empty() {
        "/"
    } else {
        ""
    };
    Ok((url.is_https, url.host, [&url.path, end, &query].concat()))
}

fn host_and_port(authority: &str, is_https: bool) -> (String, u16) {
    let usual = if is_https { 443 } else { 80 };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap_or(usual)),
        _ => (authority, usual),
    };
    (host.trim_matches(['[', ']']).to_owned(), port)
}

/// Headers of every operation whose value is secret: a name, and where its value is.
pub(super) fn secret_headers(section: &Section<'_>, vault: &Vault<'_>) -> Vec<SecretHeader> {
    let Some(table) = section.optional_section("secret_headers") else {
        return Vec::new();
    };
    let mut headers = Vec::new();
    for (name, node) in table.entries() {
        if !is_own_header(name) || name.eq_ignore_ascii_case("authorization") {
            table.fault_at(name, format!("`{name}` is no header that can be set here"));
            continue;
        }
        let header = table.text_in(node, name, |reference| {
            let value = Zeroizing::new(vault.text(reference)?.expose().to_owned());
            let header = SecretHeader::new(name, value);
            header.ok_or_else(|| format!("({reference}) holds what no header may"))
        });
        headers.extend(header);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_has_a_host_and_a_port() {
        let parts = |text, is_https| host_and_port(text, is_https);
        assert_eq!(parts("a.example", true), ("a.example".to_owned(), 443));
        assert_eq!(parts("a.example:80", true), ("a.example".to_owned(), 80));
        assert_eq!(parts("[::1]:9", false), ("::1".to_owned(), 9));
        assert_eq!(parts("[::1]", false), ("::1".to_owned(), 80));
    }
}
