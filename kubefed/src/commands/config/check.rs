//! `kubefed config check`: what the API servers of contexts answer, asked at the same time.

use std::path::Path;
use std::time::Duration;

use federation_client::config::Config;
use federation_client::kubeconfig::bytes;
use federation_client::{Access, Environment, Kubeconfig, Target, connect::Timeouts};
use futures::{StreamExt as _, stream};
use http::Request;
use http::header::DATE;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use kube::client::Body;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::CheckArgs;
use crate::commands::Session;
use crate::connection::Connection;
use crate::error::{EXIT_FOUND, EXIT_OK, Failure};
use crate::expiry;

/// API servers that are asked at the same time.
const AT_ONCE: usize = 8;
const HEADINGS: [&str; 7] = ["CONTEXT", "ANSWERS", "VERSION", "USER", "EXPIRES", "CLOCK", "PROBLEM"];

/// How a context fares.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// Its API server answers and knows us.
    Yes,
    /// Its API server answers and does not take our credentials, or says nothing about them.
    Refuses,
    /// Its API server does not answer.
    No,
    /// It cannot be asked: an entry is missing or cannot be used, or its credential plugin does not work.
    Unusable,
}

/// What is known of a context.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    pub(super) context: String,
    pub(super) answers: State,
    pub(super) server: Option<String>,
    version: Option<String>,
    user: Option<String>,
    /// When the client certificate or the token ends.
    expires: Option<Timestamp>,
    /// Whole days until then; negative after it.
    days_left: Option<i64>,
    /// How much later it is by the server's clock, in seconds.
    clock_ahead_seconds: Option<i64>,
    pub(super) problem: Option<String>,
}

pub(super) async fn run(session: &Session, config: &Config, args: &CheckArgs) -> Result<u8, Failure> {
    let answers = ask(session, config, &args.contexts, args.timeout).await?;
    match args.output {
        Some(format) => {
            let value = serde_json::to_value(&answers).map_err(|e| Failure::new(format!("printing: {e}")))?;
            session.printer.value(&value, format)?;
        }
        None => {
            let rows: Vec<_> = std::iter::once(HEADINGS.map(str::to_owned).to_vec()).chain(answers.iter().map(row)).collect();
            session.printer.table(&rows);
        }
    }
    let all_well = answers.iter().all(|answer| answer.answers == State::Yes);
    Ok(if all_well { EXIT_OK } else { EXIT_FOUND })
}

fn row(answer: &Answer) -> Vec<String> {
    let state = match answer.answers {
        State::Yes => "yes",
        State::Refuses => "refuses",
        State::No => "no",
        State::Unusable => "unusable",
    };
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    vec![
        answer.context.clone(),
        state.to_owned(),
        or_dash(&answer.version),
        or_dash(&answer.user),
        answer.days_left.map_or("-".to_owned(), |days| format!("{days}d")),
        answer.clock_ahead_seconds.map_or("-".to_owned(), |seconds| format!("{seconds:+}s")),
        answer.problem.clone().unwrap_or_default(),
    ]
}

/// Asks contexts, all where none is named, and answers in their order.
///
/// # Errors
/// A name that is not there.
pub(super) async fn ask(session: &Session, config: &Config, names: &[String], timeout: Duration) -> Result<Vec<Answer>, Failure> {
    let all = &config.merged;
    let unknown = names.iter().find(|name| !all.contexts.contains_key(*name));
    if let Some(name) = unknown {
        return Err(
            Failure::new(format!("context {name:?} does not exist")).hint(format!("contexts there are: {}", all.context_names(name)))
        );
    }
    let names: Vec<&String> = if names.is_empty() { all.contexts.keys().collect() } else { names.iter().collect() };
    let asked = names.into_iter().map(|name| async move {
        let target =
            Target { timeouts: Timeouts { connect: timeout, read: Some(timeout), ..Timeouts::default() }, ..session.target(Some(name)) };
        one(all, name, &target, timeout).await
    });
    Ok(stream::iter(asked).buffered(AT_ONCE).collect().await)
}

async fn one(all: &Kubeconfig, name: &str, target: &Target, timeout: Duration) -> Answer {
    let expires = all.contexts.get(name).and_then(|context| all.users.get(&context.user)).and_then(end);
    let mut answer = Answer {
        context: name.to_owned(),
        answers: State::Unusable,
        server: None,
        version: None,
        user: None,
        expires,
        days_left: expires.map(|end| expiry::days(end, Timestamp::now())),
        clock_ahead_seconds: None,
        problem: None,
    };
    let asked = tokio::time::timeout(timeout, questions(all, target, &mut answer)).await;
    let late = || Failure::timed_out(format!("no answer within {} s", timeout.as_secs_f64()));
    if let Err(failure) = asked.unwrap_or_else(|_| Err(late())) {
        answer.problem = Some(failure.message);
    }
    answer
}

/// The end of what a user's client certificate or token says.
fn end(user: &federation_client::User) -> Option<Timestamp> {
    let read = |path: &str, data: &[u8]| if path.is_empty() { Some(data.to_vec()) } else { bytes(Path::new(path)).ok() };
    let certificate = read(&user.client_certificate, &user.client_certificate_data);
    let certificate = certificate.and_then(|pem| expiry::certificates(&pem).ok()?.first().map(|period| period.end));
    let token = read(&user.token_file, user.token.as_bytes());
    certificate.or_else(|| token.and_then(|token| Some(expiry::token(&String::from_utf8_lossy(&token))?.end)))
}

/// Asks one after the other and notes what is known by then.
async fn questions(all: &Kubeconfig, target: &Target, answer: &mut Answer) -> Result<(), Failure> {
    let access = Access::resolve(all, target, &Environment::of_process())?;
    answer.server = Some(access.url());
    let at = Connection::to(&access).await?;
    answer.answers = State::No;
    let failed = |doing: &str, e: &kube::Error| at.failed(doing, e);
    let before = Timestamp::now();
    let version = at.client.send(get("/version")?).await.map_err(|e| failed("asking for the version", &e))?;
    answer.answers = State::Refuses;
    let date =
        version.headers().get(DATE).and_then(|date| date.to_str().ok()).and_then(|date| DateTimeParser::new().parse_timestamp(date).ok());
    answer.clock_ahead_seconds = date.map(|date| ahead(date, before, Timestamp::now()));
    if version.status().is_success() {
        let info = at.client.apiserver_version().await.map_err(|e| failed("asking for the version", &e))?;
        answer.version = Some(info.git_version);
    }
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let request = Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews").header("content-type", "application/json");
    let request = request.body(review.to_string().into_bytes()).map_err(|e| Failure::new(e.to_string()))?;
    let review: Value = at.client.request(request).await.map_err(|e| failed("asking who we are", &e))?;
    answer.user = review["status"]["userInfo"]["username"].as_str().map(str::to_owned);
    answer.answers = State::Yes;
    Ok(())
}

fn get(path: &str) -> Result<Request<Body>, Failure> {
    Request::get(path).body(Body::empty()).map_err(|e| Failure::new(e.to_string()))
}

/// How much later it is there: nothing, as long as the answer's second lies within the time that was waited for it.
fn ahead(date: Timestamp, before: Timestamp, after: Timestamp) -> i64 {
    let (date, before, after) = (date.as_second(), before.as_second(), after.as_second());
    if date > after {
        date - after
    } else if date < before {
        date - before
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_differ_by_what_waiting_does_not_explain() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let said: Vec<i64> = [7, 10, 12, 15, 75].map(|date| ahead(at(date), at(10), at(15))).to_vec();
        assert_eq!(said, [-3, 0, 0, 0, 60]);
    }
}
