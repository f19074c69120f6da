//! The SDK's client, with the credentials the configuration names or those found where the process runs.

use std::time::Duration;

use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_sdk_route53::Client;
use aws_sdk_route53::config::retry::RetryConfig;
use aws_sdk_route53::config::{Builder, SharedCredentialsProvider};

use super::config::Config;

/// Longest time one request takes, signing it included: as long as Amazon's own tools wait.
const ATTEMPT: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(4);
/// Route 53 is one service of the whole partition; its requests are signed for this region of it.
const REGION: &str = "us-east-1";
/// How our use of a role is named in AWS' logs.
const SESSION: &str = "kubefed";

/// Makes a client. Files and the environment are read now; credentials are fetched with the first request, and again before
/// they end.
pub(super) async fn client(config: &Config) -> Client {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build();
    let base = base(config).await;
    let mut route53 = Builder::from(&base).timeout_config(timeouts).retry_config(RetryConfig::disabled());
    if let Some(endpoint) = &config.endpoint {
        route53 = route53.endpoint_url(endpoint);
    }
    Client::from_conf(route53.build())
}

async fn base(config: &Config) -> SdkConfig {
    let region = RegionProviderChain::first_try(config.region.clone().map(Region::new)).or_default_provider().or_else(REGION);
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).region(region);
    if let Some(profile) = &config.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(file) = &config.credentials_file {
        // What is named goes before all that is found.
        let files = EnvConfigFiles::builder().with_file(EnvConfigFileKind::Credentials, file).build();
        let mut named = ProfileFileCredentialsProvider::builder().profile_files(files);
        if let Some(profile) = &config.profile {
            named = named.profile_name(profile);
        }
        loader = loader.credentials_provider(named.build());
    }
    let base = loader.load().await;
    let Some(role) = &config.role else { return base };
    let mut taken = AssumeRoleProvider::builder(&role.arn).session_name(SESSION).configure(&base);
    if let Some(id) = &role.external_id {
        taken = taken.external_id(id);
    }
    let taken = SharedCredentialsProvider::new(taken.build().await);
    base.into_builder().credentials_provider(taken).build()
}
