//! The calls of Route 53 that are used, at their pace, and what their failures mean.

use std::error::Error as StdError;
use std::time::Duration;

use aws_sdk_route53::Client;
use aws_sdk_route53::config::http::HttpResponse;
use aws_sdk_route53::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_route53::operation::change_resource_record_sets::ChangeResourceRecordSetsError;
use aws_sdk_route53::types::{self, ChangeAction, ChangeBatch, HostedZone, ResourceRecord, ResourceRecordSet, RrType};
use tokio::sync::Mutex;

use crate::Error;

use super::client::client;
use super::config::Config;
use super::failure::{self, Failure};
use super::pace::Pace;
use super::plan::{Item, Step};
use super::view::{Set, There};

/// Sets of one answer, the most there may be.
pub(super) const PAGE: u16 = 300;
/// Zones of one answer, the most there may be.
const ZONES: i32 = 100;
/// How often a request is made that is throttled, or whose answer is lost.
const ATTEMPTS: u32 = 5;
/// The first pause between them, in requests that might have been made meanwhile; each is twice the one before.
const FIRST_PAUSE: u32 = 5;

/// Route 53 as one account sees it.
#[derive(Debug)]
pub(super) struct Api {
    config: Config,
    pace: Pace,
    client: Mutex<Option<Client>>,
}

impl Api {
    pub(super) fn new(config: Config) -> Self {
        Api { pace: Pace::new(config.requests_per_second), config, client: Mutex::default() }
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// The address that errors name.
    fn at(&self) -> String {
        self.config.endpoint.clone().unwrap_or_else(|| "route53.amazonaws.com".to_owned())
    }

    /// What a failure is to those outside.
    pub(super) fn error(&self, failure: Failure) -> Error {
        failure.error(self.at(), self.pace.each() * FIRST_PAUSE * 2u32.pow(ATTEMPTS))
    }

    /// Zones whose name is, or follows, a name; of the first `ZONES` of them.
    pub(super) async fn zones_from(&self, name: &str) -> Result<Vec<HostedZone>, Failure> {
        let ask = |client: Client| async move { client.list_hosted_zones_by_name().dns_name(name).max_items(ZONES).send().await };
        Ok(self.read(ask).await?.hosted_zones)
    }

    /// All zones of the account.
    pub(super) async fn all_zones(&self) -> Result<Vec<HostedZone>, Failure> {
        let (mut zones, mut marker) = (Vec::new(), None::<String>);
        loop {
            let from = &marker;
            let ask = |client: Client| async move { client.list_hosted_zones().set_marker(from.clone()).max_items(ZONES).send().await };
            let page = self.read(ask).await?;
            zones.extend(page.hosted_zones);
            marker = page.next_marker.filter(|_| page.is_truncated);
            if marker.is_none() {
                return Ok(zones);
            }
        }
    }

    /// A zone by its id.
    pub(super) async fn zone(&self, id: &str) -> Result<HostedZone, Failure> {
        let ask = |client: Client| async move { client.get_hosted_zone().id(id).send().await };
        self.read(ask).await?.hosted_zone.ok_or_else(|| Failure::Away(format!("the answer about zone {id} has no zone")))
    }

    /// Sets of a zone in their order, from a name on, until one is not taken.
    pub(super) async fn sets(&self, zone: &str, from: &str, mut take: impl FnMut(There) -> bool) -> Result<(), Failure> {
        let mut start = (from.to_owned(), None::<RrType>, None::<String>);
        loop {
            let (name, kind, id) = &start;
            let ask = |client: Client| async move {
                let list = client.list_resource_record_sets().hosted_zone_id(zone).max_items(i32::from(PAGE));
                list.start_record_name(name).set_start_record_type(kind.clone()).set_start_record_identifier(id.clone()).send().await
            };
            let page = self.read(ask).await?;
            if !page.resource_record_sets.into_iter().map(there).all(&mut take) || !page.is_truncated {
                return Ok(());
            }
            let Some(next) = page.next_record_name else {
                return Err(Failure::Away("a page of records ends without saying where the next begins".to_owned()));
            };
            start = (next, page.next_record_type, page.next_record_identifier);
        }
    }

    /// Makes all of the changes, or none.
    pub(super) async fn change(&self, zone: &str, steps: &[Step]) -> Result<(), Failure> {
        let changes = steps.iter().flat_map(|step| &step.items).map(change).collect::<Result<Vec<_>, _>>();
        let batch = changes.and_then(|changes| ChangeBatch::builder().set_changes(Some(changes)).build());
        let batch = batch.map_err(|e| Failure::Invalid(vec![e.to_string()]))?;
        let ask = |client: Client| {
            let batch = batch.clone();
            async move { client.change_resource_record_sets().hosted_zone_id(zone).change_batch(batch).send().await }
        };
        let messages = |error: &SdkError<ChangeResourceRecordSetsError, HttpResponse>| match error.as_service_error()? {
            ChangeResourceRecordSetsError::InvalidChangeBatch(e) if !e.messages().is_empty() => Some(e.messages().to_vec()),
            other => {
                let body = error.raw_response().and_then(|answer| answer.body().bytes());
                body.and_then(failure::unframed).or_else(|| other.message().map(|message| vec![message.to_owned()]))
            }
        };
        self.ask(ask, false, messages).await.map(drop)
    }

    async fn read<T, E, F>(&self, ask: impl Fn(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + StdError + 'static,
    {
        self.ask(ask, true, |_| None).await
    }

    /// Asks when it is our turn; again after a pause where it was not taken, or may be asked twice.
    async fn ask<T, E, F>(
        &self,
        ask: impl Fn(Client) -> F,
        again: bool,
        messages: impl Fn(&SdkError<E, HttpResponse>) -> Option<Vec<String>>,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let mut attempt = 1;
        loop {
            self.pace.turn().await;
            let answer = Box::pin(ask(self.client().await));
            let error = match answer.await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let failure = Failure::of(&error, messages(&error));
            let pause = (self.pace.each() * FIRST_PAUSE * 2u32.pow(attempt - 1)).mul_f64(0.5 + fastrand::f64() / 2.0);
            tracing::debug!(?failure, attempt, "a request to Route 53 failed");
            match failure {
                Failure::Throttled(_) if attempt < ATTEMPTS => self.pace.pause(pause).await,
                Failure::Unknown(_) if again && attempt < ATTEMPTS => tokio::time::sleep(pause.max(Duration::from_millis(1))).await,
                Failure::Unknown(message) if again => return Err(Failure::Away(message)),
                failure => {
                    if failure.is_about_credentials() {
                        // Those that were fetched may have been replaced since.
                        *self.client.lock().await = None;
                    }
                    return Err(failure);
                }
            }
            attempt += 1;
        }
    }

    async fn client(&self) -> Client {
        let mut client = self.client.lock().await;
        match &*client {
            Some(client) => client.clone(),
            None => client.insert(Box::pin(self::client(&self.config)).await).clone(),
        }
    }
}

fn there(set: ResourceRecordSet) -> There {
    let plain = set.set_identifier.is_none()
        && set.alias_target.is_none()
        && set.health_check_id.is_none()
        && set.traffic_policy_instance_id.is_none()
        && set.weight.is_none()
        && set.region.is_none()
        && set.geo_location.is_none()
        && set.failover.is_none()
        && set.multi_value_answer.is_none()
        && set.cidr_routing_config.is_none()
        && set.geo_proximity_location.is_none();
    let values = set.resource_records.unwrap_or_default().into_iter().map(|record| record.value).collect();
    There { name: set.name, kind: set.r#type.as_str().to_owned(), set: set.ttl.filter(|_| plain).map(|ttl| Set { ttl, values }) }
}

fn change(item: &Item) -> Result<types::Change, aws_sdk_route53::error::BuildError> {
    let record = |value: &String| ResourceRecord::builder().value(value).build();
    let records = item.set.values.iter().map(record).collect::<Result<Vec<_>, _>>()?;
    let set = ResourceRecordSet::builder().name(item.name.as_str()).r#type(RrType::from(item.kind)).ttl(item.set.ttl);
    let set = set.set_resource_records(Some(records)).build()?;
    let action = if item.create { ChangeAction::Create } else { ChangeAction::Delete };
    types::Change::builder().action(action).resource_record_set(set).build()
}
