//! `fixtures/go.jsonl` holds objects as upstream's Go types encode them, in protobuf and in JSON: for
//! each kind one with every field filled and one empty, and what kubectl sends on `create`.

use proptest::prelude::*;
use serde::Deserialize;

use super::super::{FieldValidation, MediaType, decode as decode_body};
use super::*;
use crate::schema::Gvk;

#[derive(Deserialize)]
struct Fixture {
    name: String,
    protobuf: String,
    json: Value,
}

fn fixtures() -> Vec<Fixture> {
    include_str!("fixtures/go.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn gvk_of(value: &Value) -> Gvk {
    let version = value["apiVersion"].as_str().unwrap();
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    Gvk::new(group, version, value["kind"].as_str().unwrap())
}

/// Go prints `null` for lists, maps and times that are not there; we print nothing.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), without_nulls(v))).collect(),
        Value::Array(list) => list.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

#[test]
fn protobuf_reads_as_go_s_json() {
    for fixture in fixtures() {
        let gvk = gvk_of(&fixture.json);
        let body = STANDARD.decode(&fixture.protobuf).unwrap();
        let read = |bytes: &[u8], media| decode_body(Types::builtin(), &gvk, bytes, media, FieldValidation::Strict);
        let from_json = read(fixture.json.to_string().as_bytes(), MediaType::Json).unwrap_or_else(|e| panic!("{}: {e}", fixture.name));
        assert_eq!(from_json.value, without_nulls(&fixture.json), "{}", fixture.name);
        let from_protobuf = read(&body, MediaType::Protobuf).unwrap_or_else(|e| panic!("{}: {e}", fixture.name));
        assert_eq!(from_protobuf.value, from_json.value, "{}", fixture.name);
    }
}

#[test]
fn what_is_no_kubernetes_protobuf_is_refused() {
    let types = Types::builtin();
    assert!(decode(types, b"{}").unwrap_err().contains("expected prefix"));
    let unknown_kind = b"k8s\0\x0a\x0a\x0a\x02v1\x12\x04None";
    assert_eq!(decode(types, unknown_kind).unwrap_err(), "no kind \"None\" is registered for version \"v1\"");
    let cut = STANDARD.decode(&fixtures()[0].protobuf).unwrap();
    assert_eq!(decode(types, &cut[..cut.len() / 2]).unwrap_err(), "unexpected EOF");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(Types::builtin(), &[MAGIC, &bytes].concat());
    }

    #[test]
    fn no_change_of_a_real_body_makes_it_panic(pick in any::<prop::sample::Index>(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let fixtures = fixtures();
        let mut body = STANDARD.decode(&pick.get(&fixtures).protobuf).unwrap();
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let _ = decode(Types::builtin(), &body);
    }
}
