//! A look over a frame before it is read: how deep it is nested, and where its body stands.
//!
//! The body is read for itself, once its kind is known, and passed on as it stands: no tree is made
//! of it, and nothing is written out again.

use std::ops::Range;

/// What it is looked for.
const BODY: &[u8] = b"body";

/// Nested deeper than it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooDeep;

/// The text of the member `body` of the outermost object, if it has one. What is not JSON is not
/// noticed here.
pub fn body_of(text: &str, depth_max: usize) -> Result<Option<&str>, TooDeep> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0_usize, 0_usize);
    let (mut name, mut begins, mut body) = (0..0, None, None);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let string = string_at(bytes, at.saturating_add(1));
                at = string.end;
                if depth == 1 {
                    name = string;
                }
            }
            b':' if depth == 1 && bytes.get(name.clone()) == Some(BODY) => {
                begins = Some(at.saturating_add(1));
            }
            b',' if depth == 1 => body = between(begins.take(), at).or(body),
            b'{' | b'[' => {
                depth = depth.saturating_add(1);
                if depth > depth_max {
                    return Err(TooDeep);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    body = between(begins.take(), at).or(body);
                }
            }
            _ => {}
        }
        at = at.saturating_add(1);
    }
    Ok(body.and_then(|body| text.get(body)))
}

fn between(begins: Option<usize>, end: usize) -> Option<Range<usize>> {
    begins.map(|begins| begins..end)
}

/// A string from behind its quotation mark on; its end is where the other one stands.
fn string_at(bytes: &[u8], begins: usize) -> Range<usize> {
    let mut at = begins;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => break,
            b'\\' => at = at.saturating_add(2),
            _ => at = at.saturating_add(1),
        }
    }
    begins..at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    #[test]
    fn a_body_is_found_wherever_it_stands_and_only_there() {
        for (text, body) in [
            (r#"{"t":"x","body":{"a":[1,"}"]},"v":1}"#, Some(r#"{"a":[1,"}"]}"#)),
            (r#"{"body":"\"body\":1"}"#, Some(r#""\"body\":1""#)),
            (r#"{"t":"body","x":{"body":1}}"#, None),
            (r#"{"body" : null }"#, Some(" null ")),
            (r#"["body",{"body":1}]"#, None),
            (r#"{"body":"#, None),
            (r#"{"body":"\"#, None),
            ("", None),
            ("}}}", None),
        ] {
            assert_eq!(body_of(text, 8), Ok(body), "{text}");
        }
        assert_eq!(body_of("[[1]]", 2), Ok(None));
        assert_eq!(body_of("[[[1]]]", 2), Err(TooDeep));
        assert_eq!(body_of(r#"["[[[["]"#, 1), Ok(None));
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            "[\"\\\\{}:,a\u{e9}\n]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            let name = prop_oneof![Just("body".to_owned()), "[\"\\\\{}:,a]{0,4}"];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((name, inner), 0..4).prop_map(|members| {
                    Value::Object(members.into_iter().collect::<Map<_, _>>())
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_a_reader_of_json_finds(value in json(), is_wide in any::<bool>()) {
            let text = if is_wide {
                serde_json::to_string_pretty(&value).unwrap()
            } else {
                value.to_string()
            };
            let found = body_of(&text, 100).unwrap();
            let found = found.map(|body| serde_json::from_str::<Value>(body).unwrap());
            prop_assert_eq!(found.as_ref(), value.as_object().and_then(|object| object.get("body")));
        }

        #[test]
        fn nothing_makes_it_fail(text in ".{0,60}") {
            body_of(&text, 3).ok();
        }
    }
}
