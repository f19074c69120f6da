use std::io::Write as _;

use base64::Engine as _;
use http::HeaderValue;

use super::csv::{self, CsvError, Record};
use super::*;
use crate::auth::authz::object::RbacKind;
use crate::auth::authz::{Authorization, Change, Mode, Rbac};

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn tokens(text: &str) -> Result<Authentication, CredentialFileError> {
    let file = file(text);
    Authentication::load(&AuthnConfig { token_auth_file: Some(file.path().to_owned()), ..AuthnConfig::default() })
}

fn with(authorization: &str) -> HeaderMap {
    [(AUTHORIZATION, HeaderValue::from_str(authorization).unwrap())].into_iter().collect()
}

fn basic(name: &str, password: &str) -> HeaderMap {
    with(&format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"))))
}

/// CN gandalf, O wizards, O system:masters, valid for a hundred years; rcgen makes one O at most.
const TWO_GROUPS: &str = "MIIB0jCCAXegAwIBAgIUOj9S8FCyyPW4dpgsQfPJ4TMvKDwwCgYIKoZIzj0EAwIwPTEQMA4GA1UECgwHd2l6YXJkczEXMBUGA1UECgwOc3lzdGVtOm1hc3Rl\
    cnMxEDAOBgNVBAMMB2dhbmRhbGYwIBcNMjYxMTIyMTc0ODQzWhgPMjEyNjEwMjkxNzQ4NDNaMD0xEDAOBgNVBAoMB3dpemFyZHMxFzAVBgNVBAoMDnN5c3Rl\
    bTptYXN0ZXJzMRAwDgYDVQQDDAdnYW5kYWxmMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAETlQBYvtOE8CaDHLNr26/a3ou9gmF611EP/jTaMJpHxzgfSEw\
    oCSM7jbRju8qi5C0BaQ8eCwj81skEELAZsuv1KNTMFEwHQYDVR0OBBYEFOYT8AVFh2VbPaPsLbuKNnZvnjI6MB8GA1UdIwQYMBaAFOYT8AVFh2VbPaPsLbuK\
    NnZvnjI6MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSQAwRgIhANt9f1xSuzJXaD+kpAYGfOwW0E7p6bbU5hBlUqdMHOoXAiEA2vfWjpbprmrxu7op\
    wNWRomu1+jt74XeFA8ZsAnmqnFc=";

fn certificate(name: &str, valid: std::ops::Range<i32>) -> Vec<u8> {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    if !name.is_empty() {
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
    }
    params.not_before = rcgen::date_time_ymd(valid.start, 1, 1);
    params.not_after = rcgen::date_time_ymd(valid.end, 1, 1);
    params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

#[test]
fn a_token_names_user_uid_and_groups() {
    let authn = tokens("s3cret,aragorn,u1,\"rangers,kings\"\nplain,sam,u2\n").unwrap();
    let user = authn.authenticate(&with("Bearer s3cret"), &Peer::Nobody).unwrap();
    assert_eq!((user.name.as_str(), user.uid.as_str()), ("aragorn", "u1"));
    assert_eq!(user.groups, ["rangers", "kings", "system:authenticated"]);
    assert_eq!(authn.authenticate(&with("bearer plain"), &Peer::Nobody).unwrap().groups, ["system:authenticated"]);
}

#[test]
fn wrong_credentials_are_refused_even_where_anonymous_is_welcome() {
    let file = file("s3cret,aragorn,u1\n");
    let path = Some(file.path().to_owned());
    let authn = Authentication::load(&AuthnConfig { token_auth_file: path.clone(), basic_auth_file: path, anonymous: true }).unwrap();
    for header in ["Bearer nope", "Bearer ", "Bearer", "Basic !!!", "Digest x", "s3cret"] {
        assert_eq!(authn.authenticate(&with(header), &Peer::Nobody).unwrap_err().code, 401, "{header}");
    }
    assert_eq!(authn.authenticate(&basic("aragorn", "wrong"), &Peer::Nobody).unwrap_err().code, 401);
    assert_eq!(authn.authenticate(&basic("nobody", "s3cret"), &Peer::Nobody).unwrap_err().code, 401);
    let nobody = authn.authenticate(&HeaderMap::new(), &Peer::Nobody).unwrap();
    assert_eq!((nobody.name.as_str(), nobody.groups), ("system:anonymous", vec!["system:unauthenticated".to_owned()]));
}

#[test]
fn no_credentials_are_refused_where_anonymous_is_not_welcome() {
    let authn = Authentication::load(&AuthnConfig::default()).unwrap();
    assert_eq!(authn.authenticate(&HeaderMap::new(), &Peer::Nobody).unwrap_err(), ApiError::unauthorized());
    assert_eq!(authn.authenticate(&with("Bearer x"), &Peer::Nobody).unwrap_err(), ApiError::unauthorized());
}

#[test]
fn a_password_may_hold_colons() {
    let file = file("one:two,frodo,u3,hobbits\n");
    let authn = Authentication::load(&AuthnConfig { basic_auth_file: Some(file.path().to_owned()), ..AuthnConfig::default() }).unwrap();
    assert_eq!(authn.authenticate(&basic("frodo", "one:two"), &Peer::Nobody).unwrap().groups, ["hobbits", "system:authenticated"]);
    assert_eq!(authn.authenticate(&with("Bearer one:two"), &Peer::Nobody).unwrap_err().code, 401, "a password is no token");
}

#[test]
fn a_certificate_comes_before_a_token_and_counts_only_while_it_is_valid() {
    let authn = tokens("s3cret,aragorn,u1\n").unwrap();
    let good = base64::engine::general_purpose::STANDARD.decode(TWO_GROUPS).unwrap();
    let user = authn.authenticate(&with("Bearer s3cret"), &Peer::from_der(&good)).unwrap();
    assert_eq!((user.name.as_str(), &user.groups[..2]), ("gandalf", &["wizards".to_owned(), "system:masters".to_owned()][..]));
    let expired = certificate("gandalf", 2019..2020);
    assert_eq!(authn.authenticate(&with("Bearer s3cret"), &Peer::from_der(&expired)).unwrap().name, "aragorn");
    assert_eq!(authn.authenticate(&HeaderMap::new(), &Peer::from_der(&expired)).unwrap_err().code, 401);
    let future = certificate("gandalf", 2080..2090);
    assert_eq!(authn.authenticate(&HeaderMap::new(), &Peer::from_der(&future)).unwrap_err().code, 401);
    assert_eq!(authn.authenticate(&HeaderMap::new(), &Peer::from_der(b"junk")).unwrap_err().code, 401);
    let open = Authentication::load(&AuthnConfig { anonymous: true, ..AuthnConfig::default() }).unwrap();
    assert_eq!(open.authenticate(&HeaderMap::new(), &Peer::from_der(&expired)).unwrap_err().code, 401, "not even as anonymous");
    assert_eq!(open.authenticate(&HeaderMap::new(), &Peer::from_der(b"junk")).unwrap_err().code, 401, "not even as anonymous");
    let nameless = Peer::from_der(&certificate("", 2020..2090));
    assert_eq!(open.authenticate(&HeaderMap::new(), &nameless).unwrap().name, "system:anonymous", "a good certificate that names nobody");
    assert_eq!(authn.authenticate(&HeaderMap::new(), &nameless).unwrap_err().code, 401);
}

#[test]
fn files_are_followed_and_a_bad_one_keeps_the_last_good_state() {
    let file = file("old,aragorn,u1\n");
    let authn = Authentication::load(&AuthnConfig { token_auth_file: Some(file.path().to_owned()), ..AuthnConfig::default() }).unwrap();
    std::fs::write(file.path(), "new,aragorn,u1\n").unwrap();
    authn.reload().unwrap();
    assert!(authn.authenticate(&with("Bearer old"), &Peer::Nobody).is_err());
    assert!(authn.authenticate(&with("Bearer new"), &Peer::Nobody).is_ok());
    std::fs::write(file.path(), "new,aragorn\n").unwrap();
    let said = authn.reload().unwrap_err().to_string();
    assert!(said.ends_with(":1: must have at least 3 columns (token, user name, user uid), found 2"), "{said}");
    assert!(authn.authenticate(&with("Bearer new"), &Peer::Nobody).is_ok());
}

#[test]
fn errors_name_file_and_line_and_nothing_secret() {
    let cases = [
        ("a,b,c\n\nt0psecret,d\n", ":3: must have at least 3 columns (token, user name, user uid), found 2"),
        ("t0psecret,,u\n", ":1: the user name is empty"),
        ("a,b,c\nt0psecret,\"open,\n\n", ":2: a quote is not closed"),
        ("t0psecret,b\"c,d\n", ":1: a quote inside a field that is not quoted"),
        ("t0psecret,\"b\"c,d\n", ":1: text after a closing quote"),
    ];
    for (text, expected) in cases {
        let said = tokens(text).unwrap_err().to_string();
        assert!(said.starts_with("token file /") && said.ends_with(expected), "{text:?}: {said}");
        assert!(!said.contains("t0psecret"), "{said}");
    }
    let gone = AuthnConfig { basic_auth_file: Some("/nonexistent/users.csv".into()), ..AuthnConfig::default() };
    let said = Authentication::load(&gone).unwrap_err().to_string();
    assert!(said.starts_with("basic-auth file /nonexistent/users.csv: "), "{said}");
}

#[test]
fn empty_tokens_are_left_out_and_the_later_of_two_counts() {
    let authn = tokens(",ghost,u0\nx,first,u1\nx,second,u2\n").unwrap();
    assert_eq!(authn.authenticate(&with("Bearer x"), &Peer::Nobody).unwrap().name, "second");
    assert!(authn.authenticate(&with("Bearer "), &Peer::Nobody).is_err());
}

#[test]
fn records_follow_rfc_4180() {
    let record = |line, fields: &[&str]| Record { line, fields: fields.iter().map(|f| (*f).to_owned()).collect() };
    let text = "\u{feff}a,\"b \"\"x\"\", c\",\r\n\r\n\"two\nlines\",d\nlast";
    let expected = [record(1, &["a", "b \"x\", c", ""]), record(3, &["two\nlines", "d"]), record(5, &["last"])];
    assert_eq!(csv::parse(text).unwrap(), expected);
    assert_eq!(csv::parse("").unwrap(), []);
    assert_eq!(csv::parse("a\n\"b\nc").unwrap_err(), CsvError { line: 2, what: "a quote is not closed" });
}

proptest::proptest! {
    #[test]
    fn what_is_quoted_by_the_rules_reads_back(rows in proptest::collection::vec(proptest::collection::vec("[a-c,\"\n\r é]{0,6}", 1..4), 0..5)) {
        let quote = |f: &String| format!("\"{}\"", f.replace('"', "\"\""));
        let text: String = rows.iter().map(|r| r.iter().map(quote).collect::<Vec<_>>().join(",") + "\n").collect();
        let read: Vec<Vec<String>> = csv::parse(&text).unwrap().into_iter().map(|r| r.fields).collect();
        let expected: Vec<Vec<String>> = rows.iter()
            .filter(|r| r.len() > 1 || !r[0].is_empty())
            .map(|r| r.iter().map(|f| f.replace("\r\n", "\n")).collect())
            .collect();
        proptest::prop_assert_eq!(read, expected);
    }

    #[test]
    fn issue10_a_line_that_is_made_reads_back(fields in proptest::collection::vec("[a-c,\" é]{1,6}", 1..4), last in "[a-c,\" é]{0,6}") {
        let texts: Vec<&str> = fields.iter().map(String::as_str).collect();
        let read = csv::parse(&csv::line(&texts, &last)).unwrap();
        proptest::prop_assert_eq!(read, [Record { line: 1, fields: fields.into_iter().chain([last]).collect() }]);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[a\",\r\n]{0,40}") {
        let _ = csv::parse(&text);
    }
}

fn may_impersonate(rules: &serde_json::Value) -> Authorization {
    let rbac = Rbac::new();
    rbac.apply([
        Change::Put(RbacKind::ClusterRole, serde_json::json!({"metadata": {"name": "r"}, "rules": rules})),
        Change::Put(
            RbacKind::ClusterRoleBinding,
            serde_json::json!({"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "r"},
                "subjects": [{"kind": "User", "name": "boss"}]}),
        ),
    ]);
    Authorization::new(vec![Mode::Rbac], rbac)
}

fn asking(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

#[test]
fn impersonation_needs_the_verb_for_each_part() {
    let authz = may_impersonate(&serde_json::json!([
        {"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"], "resourceNames": ["sam"]},
        {"apiGroups": [""], "resources": ["groups"], "verbs": ["impersonate"], "resourceNames": ["hobbits"]},
    ]));
    let boss = UserInfo { name: "boss".into(), ..UserInfo::default() };
    let ask = |pairs: &[(&'static str, &str)]| impersonate(&authz, boss.clone(), &asking(pairs));
    assert_eq!(ask(&[]).unwrap().name, "boss");
    let sam = ask(&[("impersonate-user", "sam"), ("impersonate-group", "hobbits")]).unwrap();
    assert_eq!((sam.name.as_str(), sam.groups), ("sam", vec!["hobbits".to_owned(), "system:authenticated".to_owned()]));
    let refused = ask(&[("impersonate-user", "sauron")]).unwrap_err();
    let expected =
        "users \"sauron\" is forbidden: User \"boss\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope";
    assert_eq!((refused.code, refused.message.as_str()), (403, expected));
    let both = [("impersonate-user", "sam"), ("impersonate-group", "hobbits"), ("impersonate-group", "system:masters")];
    assert_eq!(ask(&both).unwrap_err().code, 403);
    assert_eq!(ask(&[("impersonate-user", "system:serviceaccount:ns:sa")]).unwrap_err().code, 403);
    assert_eq!(ask(&[("impersonate-group", "hobbits")]).unwrap_err().code, 400);
    let mut unreadable = HeaderMap::new();
    unreadable.insert("impersonate-user", HeaderValue::from_bytes(b"\xff").unwrap());
    let refused = impersonate(&authz, boss.clone(), &unreadable).unwrap_err();
    assert_eq!(refused.code, 400, "a name that cannot be read must not leave the boss's own rights");
}
