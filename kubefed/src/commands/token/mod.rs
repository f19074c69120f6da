//! `kubefed token`: bootstrap tokens, each kept in a secret of the federation as Kubernetes keeps them.

mod csv;

use std::time::Duration;

use federation_api::bootstrap::{self, Token};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::core::ApiResource;
use machinery::table::human_duration;
use serde_json::{Value, json};

use super::Session;
use crate::cli::{TokenCommand, TokenCreateArgs, TokenDeleteArgs, TokenListArgs};
use crate::error::Failure;
use crate::wait::spell;

/// Tokens that are read, at most; nobody has so many.
const MOST: u32 = 5000;
const HEADINGS: [&str; 6] = ["ID", "TTL", "EXPIRES", "USAGES", "DESCRIPTION", "EXTRA GROUPS"];

/// Carries out a command on tokens.
///
/// # Errors
/// What was typed cannot be; and anything the server or the network says.
pub(super) async fn run(session: &Session, command: &TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Create(args) => create(session, args).await,
        TokenCommand::List(args) => list(session, args).await,
        TokenCommand::Delete(args) => delete(session, args).await,
        TokenCommand::Csv(args) => csv::run(session, args).await,
        TokenCommand::Generate => {
            session.printer.data(&random()?.reveal());
            Ok(())
        }
    }
}

async fn create(session: &Session, args: &TokenCreateArgs) -> Result<(), Failure> {
    let token = match &args.given {
        Some(text) => text.parse().map_err(|e| Failure::usage(format!("{e}")).hint("kubefed token generate prints a random one"))?,
        None => random()?,
    };
    for group in &args.groups {
        bootstrap::group(group)
            .map_err(|e| Failure::usage(e.to_string()).hint(format!("for example --groups={}", bootstrap::DEFAULT_GROUP)))?;
    }
    let expires = expiration(args.ttl, Timestamp::now())?;
    let secret = secret(&token, args, expires);
    let at = session.here().await?;
    let made = at.typed::<Secret>(bootstrap::NAMESPACE).create(&PostParams::default(), &secret).await;
    let made = made.map_err(|e| match &e {
        kube::Error::Api(status) if status.code == 409 => Failure::new(format!("there is a token with id \"{}\" already", token.id()))
            .hint(format!("delete it with kubefed token delete {}, or choose another id", token.id())),
        _ => at.failed("storing the token", &e),
    })?;
    match args.output {
        None => session.printer.data(&token.reveal()),
        Some(format) => {
            let mut object = Known::of(&made).object();
            object["token"] = token.reveal().into();
            session.printer.value(&object, format)?;
        }
    }
    Ok(())
}

async fn list(session: &Session, args: &TokenListArgs) -> Result<(), Failure> {
    let at = session.here().await?;
    let wanted = ListParams::default().fields(&format!("type={}", bootstrap::SECRET_TYPE)).limit(MOST);
    let secrets = at.typed::<Secret>(bootstrap::NAMESPACE).list(&wanted).await.map_err(|e| at.failed("listing tokens", &e))?;
    let tokens: Vec<Known> = secrets.items.iter().map(Known::of).collect();
    if let Some(format) = args.output {
        return session.printer.value(&tokens.iter().map(Known::object).collect(), format);
    }
    let now = Timestamp::now();
    let rows = std::iter::once(HEADINGS.map(str::to_owned).to_vec()).chain(tokens.iter().map(|token| token.row(now)));
    session.printer.table(&rows.collect::<Vec<_>>());
    Ok(())
}

async fn delete(session: &Session, args: &TokenDeleteArgs) -> Result<(), Failure> {
    let ids = args.tokens.iter().map(|text| match text.parse::<Token>() {
        Ok(token) => Ok(token.id().to_owned()),
        Err(_) => bootstrap::id(text).map(|()| text.clone()),
    });
    let hint = "kubefed token list shows the ids there are";
    let ids: Vec<String> = ids.collect::<Result<_, _>>().map_err(|e| Failure::usage(e.to_string()).hint(hint))?;
    let at = session.here().await?;
    let resource = ApiResource::erase::<Secret>(&());
    for id in &ids {
        let found: Option<DynamicObject> = at.get(&resource, Some(bootstrap::NAMESPACE), &bootstrap::secret_name(id)).await?;
        let found = found.filter(|secret| secret.data["type"] == bootstrap::SECRET_TYPE);
        let secret = found.ok_or_else(|| Failure::new(format!("there is no token with id \"{id}\"")).hint(hint))?;
        at.delete(&resource, &secret).await?;
        session.printer.data(&format!("bootstrap token \"{id}\" deleted"));
    }
    Ok(())
}

fn random() -> Result<Token, Failure> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    Token::generate(|bytes| provider.secure_random.fill(bytes)).map_err(|_| Failure::new("this machine has no randomness"))
}

/// When a token ends; never for a life of zero.
fn expiration(ttl: Duration, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
    if ttl.is_zero() {
        return Ok(None);
    }
    let end = SignedDuration::try_from(ttl).ok().and_then(|ttl| now.checked_add(ttl).ok());
    let end =
        end.ok_or_else(|| Failure::usage(format!("--ttl={} ends in no year that can be written", spell(ttl))).hint("0 is for ever"))?;
    // Down to the second, as everything of Kubernetes.
    Ok(Timestamp::from_second(end.as_second()).ok())
}

fn secret(token: &Token, args: &TokenCreateArgs, expires: Option<Timestamp>) -> Secret {
    let mut data = vec![(bootstrap::ID.to_owned(), token.id().to_owned()), (bootstrap::SECRET.to_owned(), token.secret().to_owned())];
    data.extend(args.usages.iter().map(|usage| (format!("{}{usage}", bootstrap::USAGE_PREFIX), "true".to_owned())));
    data.extend(expires.map(|at| (bootstrap::EXPIRATION.to_owned(), at.to_string())));
    let texts = [(bootstrap::EXTRA_GROUPS, args.groups.join(",")), (bootstrap::DESCRIPTION, args.description.clone())];
    data.extend(texts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(key, text)| (key.to_owned(), text)));
    Secret {
        metadata: ObjectMeta { name: Some(bootstrap::secret_name(token.id())), ..ObjectMeta::default() },
        type_: Some(bootstrap::SECRET_TYPE.to_owned()),
        data: Some(data.into_iter().map(|(key, text)| (key, ByteString(text.into_bytes()))).collect()),
        ..Secret::default()
    }
}

/// What is told of a token: nothing secret.
#[derive(Debug)]
struct Known {
    id: String,
    /// As written; it may be no time.
    expires: Option<String>,
    usages: Vec<String>,
    description: String,
    groups: Vec<String>,
}

impl Known {
    fn of(secret: &Secret) -> Self {
        let texts = secret.data.iter().flatten().filter_map(|(key, bytes)| Some((key.as_str(), std::str::from_utf8(&bytes.0).ok()?)));
        let texts: std::collections::BTreeMap<&str, &str> = texts.collect();
        let text = |key: &str| texts.get(key).copied().unwrap_or_default().to_owned();
        let usages = texts.iter().filter(|(_, text)| **text == "true").filter_map(|(key, _)| key.strip_prefix(bootstrap::USAGE_PREFIX));
        Self {
            id: secret.name_any().trim_start_matches(bootstrap::SECRET_PREFIX).to_owned(),
            expires: texts.get(bootstrap::EXPIRATION).map(|text| (*text).to_owned()),
            usages: usages.map(str::to_owned).collect(),
            description: text(bootstrap::DESCRIPTION),
            groups: text(bootstrap::EXTRA_GROUPS).split(',').filter(|group| !group.is_empty()).map(str::to_owned).collect(),
        }
    }

    fn object(&self) -> Value {
        let mut out = json!({"id": self.id, "usages": self.usages, "groups": self.groups});
        if let Some(expires) = &self.expires {
            out["expires"] = expires.as_str().into();
        }
        if !self.description.is_empty() {
            out["description"] = self.description.as_str().into();
        }
        out
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let none = |text: String| if text.is_empty() { "<none>".to_owned() } else { text };
        let left = |text: &String| text.parse::<Timestamp>().ok().map(|end| end.as_second() - now.as_second()).filter(|left| *left > 0);
        let (ttl, expires) = match &self.expires {
            None => ("<forever>".to_owned(), "<never>".to_owned()),
            Some(text) => {
                let ttl = left(text).map(human_duration);
                (ttl.unwrap_or_else(|| "<invalid>".to_owned()), text.clone())
            }
        };
        vec![self.id.clone(), ttl, expires, none(self.usages.join(",")), none(self.description.clone()), none(self.groups.join(","))]
    }
}
