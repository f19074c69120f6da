//! Bootstrap tokens, as Kubernetes' own (`bootstrap.kubernetes.io/token`): what programs that have no identity yet prove
//! themselves with. A token is kept in a secret of its own; what stands in it is told here once.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Namespace of the secrets.
pub const NAMESPACE: &str = "kube-system";
/// Type of the secrets.
pub const SECRET_TYPE: &str = "bootstrap.kubernetes.io/token";
/// What their names begin with; the token's id follows.
pub const SECRET_PREFIX: &str = "bootstrap-token-";
/// Key of the id.
pub const ID: &str = "token-id";
/// Key of the part that is secret.
pub const SECRET: &str = "token-secret";
/// Key of the moment from which on it is worth nothing, RFC 3339; without it that never comes.
pub const EXPIRATION: &str = "expiration";
/// Key of what it is for, for people.
pub const DESCRIPTION: &str = "description";
/// Key of further groups, separated by commas.
pub const EXTRA_GROUPS: &str = "auth-extra-groups";
/// Key prefix of each use; the value `true` allows it.
pub const USAGE_PREFIX: &str = "usage-bootstrap-";
/// As bearer token.
pub const AUTHENTICATION: &str = "authentication";
/// To sign what everybody can read of a server: its address and its authority.
pub const SIGNING: &str = "signing";
/// What a token can be used for.
pub const USAGES: [&str; 2] = [SIGNING, AUTHENTICATION];

/// Namespace of what everybody can read.
pub const PUBLIC_NAMESPACE: &str = "kube-public";
/// The ConfigMap there that tells who has no credentials yet what the server's authority is, signed with tokens.
pub const CLUSTER_INFO: &str = "cluster-info";

/// What users of tokens are called; the id follows.
pub const USER_PREFIX: &str = "system:bootstrap:";
/// Group of all of them.
pub const GROUP: &str = "system:bootstrappers";
/// The group that `kubefed token create` gives, and kubeadm's.
pub const DEFAULT_GROUP: &str = "system:bootstrappers:kubeadm:default-node-token";

const ID_LENGTH: usize = 6;
const SECRET_LENGTH: usize = 16;
/// Longest name of a further group, behind `system:bootstrappers:`.
const LONGEST_GROUP: usize = 256;

/// A token: its public id, and its secret.
#[derive(Clone, Eq, PartialEq)]
pub struct Token {
    id: String,
    secret: String,
}

/// A text that is no token, or no id of one. What was given is not told: it may be secret.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum InvalidToken {
    /// No token.
    #[error(
        "a bootstrap token is made of six and sixteen lower-case letters or digits with a dot between, such as abcdef.0123456789abcdef"
    )]
    Token,
    /// No id.
    #[error("the id of a bootstrap token is made of six lower-case letters or digits, such as abcdef")]
    Id,
}

/// A group that tokens may not give.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error(
    "bootstrap tokens cannot give group {0:?}: it has to begin with {GROUP}: and go on with lower-case letters, digits, ':' and '-', \
     and end with a letter or digit"
)]
pub struct InvalidGroup(pub String);

impl Token {
    /// A token of these parts.
    ///
    /// # Errors
    /// They are not of the right length, or hold other characters.
    pub fn new(id: &str, secret: &str) -> Result<Self, InvalidToken> {
        if !plain(id, ID_LENGTH) || !plain(secret, SECRET_LENGTH) {
            return Err(InvalidToken::Token);
        }
        Ok(Self { id: id.to_owned(), secret: secret.to_owned() })
    }

    /// A token of random bytes, which `random` fills in.
    ///
    /// # Errors
    /// Those of `random`.
    pub fn generate<E>(mut random: impl FnMut(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        const CHARACTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let mut text = String::new();
        while text.len() < ID_LENGTH + SECRET_LENGTH {
            let mut byte = [0];
            random(&mut byte)?;
            // The rest of a byte's values would make some characters more likely than others.
            let fair = usize::from(u8::MAX) / CHARACTERS.len() * CHARACTERS.len();
            if usize::from(byte[0]) < fair {
                text.push(char::from(CHARACTERS[usize::from(byte[0]) % CHARACTERS.len()]));
            }
        }
        let secret = text.split_off(ID_LENGTH);
        Ok(Self { id: text, secret })
    }

    /// The public part.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The secret part.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Both parts, as it is given to a server. Secret.
    pub fn reveal(&self) -> String {
        format!("{}.{}", self.id, self.secret)
    }
}

impl FromStr for Token {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let (id, secret) = text.split_once('.').ok_or(InvalidToken::Token)?;
        Self::new(id, secret)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Whether a text can be the id of a token.
///
/// # Errors
/// It cannot.
pub fn id(text: &str) -> Result<(), InvalidToken> {
    if plain(text, ID_LENGTH) { Ok(()) } else { Err(InvalidToken::Id) }
}

/// Name of the secret of a token.
pub fn secret_name(id: &str) -> String {
    format!("{SECRET_PREFIX}{id}")
}

/// Whether a token may give a group: `\Asystem:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]\z`.
///
/// # Errors
/// It may not.
pub fn group(name: &str) -> Result<(), InvalidGroup> {
    let rest = name.strip_prefix(GROUP).and_then(|rest| rest.strip_prefix(':')).unwrap_or_default().as_bytes();
    let good = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b':' | b'-');
    let ends = rest.last().is_some_and(|c| good(c) && !matches!(c, b':' | b'-'));
    if ends && rest.len() <= LONGEST_GROUP && rest.iter().all(good) { Ok(()) } else { Err(InvalidGroup(name.to_owned())) }
}

fn plain(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issue10_tokens_are_of_kubernetes_form() {
        let token: Token = "abcdef.0123456789abcdef".parse().unwrap();
        assert_eq!((token.id(), token.secret(), token.reveal().as_str()), ("abcdef", "0123456789abcdef", "abcdef.0123456789abcdef"));
        assert_eq!(format!("{token:?}"), "Token { id: \"abcdef\", .. }", "the secret is not for logs");
        for bad in [
            "",
            "abcdef",
            "abcdef.",
            "abcdef.0123456789abcde",
            "Abcdef.0123456789abcdef",
            "abcdef.0123456789abcdef0",
            "abcdé.0123456789abcdef",
            "abc-ef.0123456789abcdef",
            "abcdef.0123456789.bcdef",
        ] {
            assert_eq!(bad.parse::<Token>(), Err(InvalidToken::Token), "{bad}");
        }
        let mut next = 0;
        let made = Token::generate(|bytes| {
            next += 7;
            bytes[0] = next;
            Ok::<(), ()>(())
        });
        let made = made.unwrap();
        assert_eq!(made.reveal().parse(), Ok(made));
        assert_eq!(Token::generate(|_| Err(())), Err(()));
    }

    #[test]
    fn issue10_tokens_give_groups_of_bootstrappers_only() {
        let long = format!("{GROUP}:{}", "a".repeat(LONGEST_GROUP));
        for good in [DEFAULT_GROUP, "system:bootstrappers:a", "system:bootstrappers:a:-b9", &long] {
            assert_eq!(group(good), Ok(()), "{good}");
        }
        let longer = format!("{long}a");
        for bad in [
            "",
            GROUP,
            "system:bootstrappers:",
            "system:masters",
            "system:bootstrappersx:a",
            "system:bootstrappers:a:",
            "system:bootstrappers:A",
            "system:bootstrappers:a\n",
            &longer,
        ] {
            assert_eq!(group(bad), Err(InvalidGroup(bad.to_owned())), "{bad:?}");
        }
    }
}
