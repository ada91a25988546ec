//! JSON within JSON, kept as it was said: a member that stands twice still does when it is read as a
//! frame, which refuses it.

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// A piece of JSON with all its members in their order.
#[derive(Debug)]
pub(super) enum Said {
    /// Nothing that has parts.
    Plain(Value),
    List(Vec<Said>),
    Object(Vec<(String, Said)>),
}

impl Said {
    /// As text.
    pub(super) fn text(&self) -> String {
        // What was read can be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Serialize for Said {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(value) => value.serialize(serializer),
            Self::List(items) => serializer.collect_seq(items),
            Self::Object(members) => {
                serializer.collect_map(members.iter().map(|(name, value)| (name, value)))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Ear)
    }
}

struct Ear;

impl<'de> Visitor<'de> for Ear {
    type Value = Said;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Said, E> {
        Ok(Said::Plain(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Said, E> {
        Ok(Said::Plain(Value::from(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Said, E> {
        Ok(Said::Plain(Value::from(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Said, E> {
        Ok(Said::Plain(Value::from(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Said, E> {
        Ok(Said::Plain(Value::from(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Said, E> {
        Ok(Said::Plain(Value::from(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Said, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Said::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Said, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Said::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_kept_with_all_that_stands_twice() {
        for text in [
            r#"{"t":"ping","t":"ping","v":1}"#,
            r#"{"b":{"state":"ready","state":"away"},"a":[1,-2,0.5,true,null,"x\"\n",[],{}]}"#,
            "null",
        ] {
            let said: Said = serde_json::from_str(text).unwrap();
            assert_eq!(said.text(), text);
        }
        assert!(serde_json::from_str::<Said>("{").is_err());
    }
}
