//! What `/openapi.json` says, held against what a gateway is answered: paths, methods, statuses,
//! fields of the head, media types and bodies. Whatever the suites see must be named there.

use serde_json::Value;

/// The document of a switch.
#[derive(Debug)]
pub struct Contract(Value);

/// One answer.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// As curl was told.
    pub method: &'a str,
    /// With its query.
    pub target: &'a str,
    /// As a number.
    pub status: u16,
    /// The head, from the first line on.
    pub head: &'a str,
    /// The body.
    pub body: &'a str,
}

impl Contract {
    /// Reads a document.
    ///
    /// # Panics
    /// It is no JSON.
    #[must_use]
    pub fn read(text: &str) -> Self {
        Self(serde_json::from_str(text).expect("the document is JSON"))
    }

    /// # Panics
    /// What is seen is not what the document says.
    #[track_caller]
    pub fn check(&self, seen: Seen<'_>) {
        if let Err(why) = self.judge(seen) {
            panic!("/openapi.json does not say so: {why}: {seen:?}");
        }
    }

    fn judge(&self, seen: Seen<'_>) -> Result<(), String> {
        let Some(path) = self.path(seen.target) else {
            return expect(seen.status == 404, "a path that is not named is not there");
        };
        let Some(operation) = path.get(seen.method.to_ascii_lowercase()) else {
            return expect(
                seen.status == 405,
                "a method that is not named is not served",
            );
        };
        let response = &operation["responses"][seen.status.to_string()];
        expect(response.is_object(), "the status is not named")?;
        let mut kind = "";
        for line in seen.head.lines().skip(1) {
            let (name, value) = line.split_once(':').ok_or("a line without a colon")?;
            let name = name.to_ascii_lowercase();
            if name == "content-type" {
                kind = value.split(';').next().unwrap_or_default().trim();
            }
            let every_head = ["content-type", "content-length", "date", "connection"];
            let named = response["headers"].as_object().into_iter().flatten();
            let is_named = named
                .into_iter()
                .any(|(said, _)| said.eq_ignore_ascii_case(&name));
            let is_named = is_named || every_head.contains(&name.as_str());
            expect(is_named, &format!("the field {name} is not named"))?;
        }
        let content = &response["content"][kind];
        expect(
            content.is_object(),
            &format!("the media type {kind} is not named"),
        )?;
        if kind == "text/plain" {
            return Ok(());
        }
        let body = serde_json::from_str(seen.body).map_err(|error| error.to_string())?;
        self.fits(&content["schema"], &body)
    }

    /// The path that stands for a target. A name goes before a parameter.
    fn path(&self, target: &str) -> Option<&Value> {
        let path = target.split('?').next()?;
        let all = self.0["paths"].as_object()?;
        all.get(path).or_else(|| {
            let fits = |template: &str| {
                let (given, said) = (path.split('/'), template.split('/'));
                given.clone().count() == said.clone().count()
                    && given
                        .zip(said)
                        .all(|(one, said)| said.starts_with('{') || one == said)
            };
            let mut all = all.iter();
            all.find(|(template, _)| fits(template))
                .map(|(_, path)| path)
        })
    }

    /// What of JSON Schema the schemas of answers make use of. A member that is not named is told
    /// to nobody who reads the document.
    fn fits(&self, schema: &Value, value: &Value) -> Result<(), String> {
        if let Some(name) = schema["$ref"].as_str() {
            let found = self.0.pointer(name.trim_start_matches('#'));
            return self.fits(found.ok_or_else(|| format!("no {name}"))?, value);
        }
        if let Some(known) = schema["enum"].as_array() {
            expect(
                known.contains(value),
                &format!("{value} is none of {known:?}"),
            )?;
        }
        let is_kind = match schema["type"].as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("integer") => value.is_u64(),
            Some("boolean") => value.is_boolean(),
            other => return Err(format!("the type {other:?} is not known here")),
        };
        expect(is_kind, &format!("{value} is no {}", schema["type"]))?;
        if let Some(members) = value.as_object() {
            let Some(named) = schema["properties"].as_object() else {
                return Ok(());
            };
            for required in schema["required"].as_array().into_iter().flatten() {
                let name = required.as_str().unwrap_or_default();
                expect(members.contains_key(name), &format!("there is no {name}"))?;
            }
            for (name, part) in members {
                let schema = named
                    .get(name)
                    .ok_or_else(|| format!("{name} is not named"))?;
                self.fits(schema, part)?;
            }
        }
        for item in value.as_array().into_iter().flatten() {
            self.fits(&schema["items"], item)?;
        }
        Ok(())
    }
}

/// The method that these arguments of curl ask for.
#[must_use]
pub fn method_of<'a>(arguments: &[&'a str]) -> &'a str {
    let mut pairs = arguments.array_windows();
    let said = pairs.find_map(|[name, value]| (*name == "-X").then_some(*value));
    let is_body = |argument: &&str| argument.starts_with("--data") || **argument == *"-d";
    let otherwise = if arguments.iter().any(is_body) {
        "POST"
    } else {
        "GET"
    };
    said.unwrap_or(otherwise)
}

fn expect(is_so: bool, otherwise: &str) -> Result<(), String> {
    if is_so {
        Ok(())
    } else {
        Err(otherwise.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r##"{"paths":{"/a/{id}":{"get":{"responses":{"200":{
        "headers":{"Retry-After":{}},"content":{"application/json":{"schema":{
        "$ref":"#/s"}}}}}}},"/a/b":{"post":{"responses":{}}}},
        "s":{"type":"object","required":["n"],"properties":{"n":{"type":"integer"},
        "w":{"type":"array","items":{"type":"string","enum":["x"]}}}}}"##;

    #[track_caller]
    fn check(method: &str, target: &str, status: u16, head: &str, body: &str, fits: bool) {
        let head = format!("HTTP/1.1\r\nContent-Type: application/json\r\n{head}");
        let seen = Seen {
            method,
            target,
            status,
            head: &head,
            body,
        };
        let judged = Contract::read(DOCUMENT).judge(seen);
        assert_eq!(judged.is_ok(), fits, "{judged:?}");
    }

    #[test]
    fn what_is_not_named_is_found() {
        check("GET", "/a/1?q=1", 200, "", r#"{"n":1}"#, true);
        check(
            "GET",
            "/a/1",
            200,
            "retry-after: 1",
            r#"{"n":1,"w":["x"]}"#,
            true,
        );
        check("GET", "/a/1", 200, "x-more: 1", r#"{"n":1}"#, false);
        check("GET", "/a/1", 201, "", r#"{"n":1}"#, false);
        for body in [
            "",
            "[]",
            "{}",
            r#"{"n":"1"}"#,
            r#"{"n":1,"m":1}"#,
            r#"{"n":1,"w":["y"]}"#,
        ] {
            check("GET", "/a/1", 200, "", body, false);
        }
        check("POST", "/a/1", 200, "", r#"{"n":1}"#, false);
        check("POST", "/a/1", 405, "", "", true);
        check("GET", "/a/b", 405, "", "", true);
        check("GET", "/b", 200, "", r#"{"n":1}"#, false);
        check("GET", "/b", 404, "", "", true);
    }

    #[test]
    fn curl_is_told_a_method_by_a_body_or_by_name() {
        assert_eq!(method_of(&["-H", "a: b"]), "GET");
        assert_eq!(method_of(&["-d", "{}"]), "POST");
        assert_eq!(method_of(&["--data-binary", "{}", "-X", "PUT"]), "PUT");
    }
}
