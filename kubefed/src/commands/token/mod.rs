//! `kubefed token`: bootstrap tokens, each kept in a secret of the federation as Kubernetes keeps them.

mod csv;
mod join;
mod known;

use std::io::Read;
use std::time::Duration;

use federation_api::bootstrap::{self, Token};
use federation_client::{Access, Environment};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::core::ApiResource;

use self::join::Server;
use self::known::{Known, MOST};
use super::Session;
use crate::cli::{TokenCommand, TokenCreateArgs, TokenDeleteArgs, TokenListArgs};
use crate::connection::Connection;
use crate::error::Failure;
use crate::wait::spell;

/// Bytes of standard input that may hold a token.
const LONGEST: u64 = 1024;
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
    let token = match args.given.as_deref() {
        Some("-") => typed(&mut std::io::stdin().lock())?,
        // Everybody on this machine can read the arguments of a program.
        Some(_) => {
            return Err(Failure::usage("a token is not taken from the command line, where everybody on this machine can read it")
                .hint("pipe it: kubefed token generate | kubefed token create -"));
        }
        None => random()?,
    };
    for group in &args.groups {
        bootstrap::group(group)
            .map_err(|e| Failure::usage(e.to_string()).hint(format!("for example --groups={}", bootstrap::DEFAULT_GROUP)))?;
    }
    let expires = expiration(args.ttl, Timestamp::now())?;
    let secret = secret(&token, args, expires);
    let target = session.federation_target(session.global.context.as_deref())?;
    let access = Access::resolve(&session.files().load()?, &target, &Environment::of_process())?;
    let server = args.print_join_command.then(|| joinable(&access, args)).transpose()?;
    let at = Connection::to(&access).await?.of_federation().await?;
    let made = at.typed::<Secret>(bootstrap::NAMESPACE).create(&PostParams::default(), &secret).await;
    let made = made.map_err(|e| match &e {
        kube::Error::Api(status) if status.code == 409 => Failure::new(format!("there is a token with id \"{}\" already", token.id()))
            .hint(format!("delete it with kubefed token delete {}, or choose another id", token.id())),
        _ => at.failed("storing the token", &e),
    })?;
    if let Some(server) = server {
        let stored = format!("token {} is stored; kubefed token delete {} takes it away", token.id(), token.id());
        server.publish(session, &at).await.map_err(|failure| failure.or_hint(stored))?;
        session.printer.data(&server.command(&token));
        return Ok(());
    }
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

/// The server that a token's holder can get to know by it.
fn joinable(access: &Access, args: &TokenCreateArgs) -> Result<Server, Failure> {
    if let Some(missing) = bootstrap::USAGES.iter().find(|usage| !args.usages.iter().any(|given| given == *usage)) {
        return Err(Failure::usage(format!("--print-join-command: the token cannot be used for {missing}"))
            .hint("leave --usages out, or name both"));
    }
    Server::of(access)
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

/// A token that is piped in.
fn typed(input: &mut impl Read) -> Result<Token, Failure> {
    let mut text = String::new();
    input.take(LONGEST).read_to_string(&mut text).map_err(|e| Failure::new(format!("reading the token from standard input: {e}")))?;
    text.trim().parse().map_err(|e| Failure::usage(format!("standard input: {e}")).hint("kubefed token generate prints a random one"))
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
