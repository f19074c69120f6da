//! `kubefed dns`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use federation_api::duration;

use super::global::HostArgs;
use super::values::Format;

/// Look at the federation's names in DNS, and mend them
///
/// Each command finds the DNS provider as the control plane has it: by the controller manager's flags and the secret with the
/// provider's configuration, in the host of --host-cluster-context. Where there is no control plane any more, name the
/// provider with --dns-provider, --dns-provider-config, --dns-zone-name and --federation-name.
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  \
        # What differs between what the federation wants and what the provider has\n  \
        kubefed dns diff --host-cluster-context=rivendell\n\n  \
        # All records of the zone, and whose they are\n  \
        kubefed dns list --host-cluster-context=rivendell\n\n  \
        # The control plane is lost: take its records away\n  \
        kubefed dns purge --federation-name=fellowship --dns-provider=coredns \\\n      \
        --dns-provider-config=coredns.conf --dns-zone-name=example.com."
)]
pub struct DnsCommandArgs {
    /// The command.
    #[command(subcommand)]
    pub command: DnsCommand,
}

/// The commands of `kubefed dns`.
#[derive(Debug, Subcommand)]
pub enum DnsCommand {
    /// List the record sets of the zone, and whose they are
    List(DnsListArgs),
    /// Compare what the federation wants with what the provider has
    Diff(DnsDiffArgs),
    /// Ask name servers for the names the federation wants
    Verify(DnsVerifyArgs),
    /// Walk from a Service to what answers for it, and name the first link that does not hold
    Check(DnsCheckArgs),
    /// Take records of others at names of this federation into its ownership
    Adopt(DnsAdoptArgs),
    /// Remove all records of this federation from the zone
    Purge(DnsPurgeArgs),
}

/// The zone, and the federation that publishes in it.
#[derive(Args, Clone, Debug)]
pub struct ZoneArgs {
    /// Where the control plane is.
    #[command(flatten)]
    pub host: HostArgs,
    /// Name of the federation, which its records are marked with; that of the control plane if not given
    #[arg(long, value_name = "NAME")]
    pub federation_name: Option<String>,
    /// DNS provider to reach without the control plane, as for kubefed init
    #[arg(long, value_name = "PROVIDER", requires = "federation_name")]
    pub dns_provider: Option<String>,
    /// Configuration file of that DNS provider
    #[arg(long, value_name = "FILE", requires = "dns_provider")]
    pub dns_provider_config: Option<PathBuf>,
    /// Zone that names are published in, with --dns-provider
    #[arg(long, value_name = "ZONE", default_value = "", hide_default_value = true, requires = "dns_provider")]
    pub dns_zone_name: String,
    /// The provider's id of the zone, where its name is not the only one, with --dns-provider
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true, requires = "dns_provider")]
    pub dns_zone_id: String,
    /// What names of Services end with, if not with the zone, with --dns-provider
    #[arg(long, value_name = "SUFFIX", default_value = "", hide_default_value = true, requires = "dns_provider")]
    pub service_dns_suffix: String,
}

/// How name servers are asked.
#[derive(Args, Clone, Debug)]
pub struct QueryArgs {
    /// Name server to ask, an address or name, with a port if it is not 53; can be repeated. If none is given, those
    /// in the zone's NS records, or else those that members forward to
    #[arg(long = "name-server", value_name = "SERVER")]
    pub servers: Vec<String>,
    /// How long one answer may take; each is asked for twice
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration::parse)]
    pub query_timeout: Duration,
    /// How many questions are asked at a time
    #[arg(long, value_name = "COUNT", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub parallel: u16,
}

/// How record sets are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum WideFormat {
    /// A table with all values.
    Wide,
    /// YAML.
    Yaml,
    /// JSON.
    Json,
}

/// List the record sets of the zone, and whose they are.
///
/// OWNER is the federation whose mark a record set has, or `<none>`: a person, another program or Federation v1 wrote it.
/// Only A, AAAA and CNAME are listed: a federation writes no others but its marks.
#[derive(Args, Debug)]
#[command(
    override_usage = "kubefed dns list [SERVICE] [OPTIONS]",
    after_help = "Examples:\n  \
        # All names of Service web, with all addresses\n  \
        kubefed dns list web -n shire -o wide --host-cluster-context=rivendell"
)]
pub struct DnsListArgs {
    /// Only names of Services of this name; those of others have no Service
    #[arg(value_name = "SERVICE")]
    pub service: Option<String>,
    /// Only names of Services in this namespace
    #[arg(long, short = 'n', value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Which zone.
    #[command(flatten)]
    pub zone: ZoneArgs,
    /// Print in this format
    #[arg(long, short = 'o', value_enum, value_name = "FORMAT")]
    pub output: Option<WideFormat>,
}

/// Compare what the federation wants with what the provider has.
///
/// What is wanted follows from the federated Services and the clusters, as the federation's API tells them, by the rules of
/// the controller manager. A record set is missing, wrong (other addresses, another TTL or type), leftover (this
/// federation's, and no longer wanted), or foreign: somebody else's records stand where the federation wants its own.
/// Nothing is changed. As with kubectl diff, exit code 0 says that nothing differs, 1 that something does, and
/// anything above that the two could not be compared.
#[derive(Args, Debug)]
#[command(
    override_usage = "kubefed dns diff [OPTIONS]",
    after_help = "Examples:\n  \
        # For a program\n  \
        kubefed dns diff --host-cluster-context=rivendell -o json\n\n\
        Exit codes: 0 nothing differs, 1 something does, above 1 the two could not be compared."
)]
pub struct DnsDiffArgs {
    /// Which zone.
    #[command(flatten)]
    pub zone: ZoneArgs,
    /// Print in this format instead of a table
    #[arg(long, short = 'o', value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Ask name servers for the names the federation wants.
///
/// Every server is asked for every name, by UDP, and by TCP where the answer is cut; what it says is compared with what the
/// federation wants. Servers that do not answer at all are told once. Exit code 3 says that some answer is not as wanted,
/// or that names were not asked for.
#[derive(Args, Debug)]
#[command(
    override_usage = "kubefed dns verify [SERVICE] [OPTIONS]",
    after_help = "Examples:\n  \
        # What one of the servers answers for one Service\n  \
        kubefed dns verify web -n shire --name-server=10.0.0.53 --host-cluster-context=rivendell\n\n\
        Exit codes: 0 every answer is as wanted, 3 some answer is not, or names were not asked for."
)]
pub struct DnsVerifyArgs {
    /// Only names of Services of this name
    #[arg(value_name = "SERVICE")]
    pub service: Option<String>,
    /// Only names of Services in this namespace
    #[arg(long, short = 'n', value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Which zone.
    #[command(flatten)]
    pub zone: ZoneArgs,
    /// Who is asked.
    #[command(flatten)]
    pub query: QueryArgs,
    /// Print in this format instead of a table
    #[arg(long, short = 'o', value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Walk from a Service to what answers for it, and name the first link that does not hold.
///
/// The links are: the Service, its copies in clusters, their load balancers and endpoints, the records that are wanted, what
/// the provider has, what name servers answer, and with --connect a TCP connection to each published address. Endpoints are
/// counted in the clusters themselves where the host's credentials for them can be read. Nothing is changed. Exit code 3
/// says that some link does not hold.
#[derive(Args, Debug)]
#[command(
    override_usage = "kubefed dns check SERVICE [OPTIONS]",
    after_help = "Examples:\n  \
        # Why does nobody reach web?\n  \
        kubefed dns check web -n shire --connect --host-cluster-context=rivendell\n\n\
        Exit codes: 0 every link holds, 3 some link does not."
)]
pub struct DnsCheckArgs {
    /// Name of the Service
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// Its namespace; needed where several have a Service of this name
    #[arg(long, short = 'n', value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Which zone.
    #[command(flatten)]
    pub zone: ZoneArgs,
    /// Who is asked.
    #[command(flatten)]
    pub query: QueryArgs,
    /// Also connect to the published addresses from here
    #[arg(long)]
    pub connect: bool,
    /// Port to connect to; the first TCP port of the Service if not given
    #[arg(long, value_name = "PORT", requires = "connect")]
    pub port: Option<u16>,
    /// Print in this format instead of a table
    #[arg(long, short = 'o', value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Take records of others at names of this federation into its ownership.
///
/// Where diff finds foreign records in the way, and they may go: the federation's mark is put on them as they stand. From then
/// on the controller manager makes them what it wants. What is taken is shown first, and taken when asked for; records
/// that changed meanwhile are left alone.
#[derive(Args, Debug)]
#[command(
    override_usage = "kubefed dns adopt NAME... [OPTIONS]",
    after_help = "Examples:\n  \
        # Federation v1 left a name behind\n  \
        kubefed dns adopt web.shire.fellowship.svc.example.com --host-cluster-context=rivendell"
)]
pub struct DnsAdoptArgs {
    /// Names whose records to take, as list and diff show them
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Which zone.
    #[command(flatten)]
    pub zone: ZoneArgs,
    /// Take records that have the mark of this other federation too
    #[arg(long, value_name = "FEDERATION")]
    pub from: Option<String>,
    /// Do not ask
    #[arg(long, short = 'y')]
    pub yes: bool,
    /// Show what would be taken, and take nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print in this format instead of a table
    #[arg(long, short = 'o', value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Remove all records of this federation from the zone.
///
/// For when clusters were unjoined and the control plane is removed or lost. The records are shown first, and removed when
/// asked for. Records of others, and of other federations, stay as they are. While a controller manager runs the
/// command refuses: it would publish everything again.
#[derive(Args, Debug)]
#[command(
    override_usage = "kubefed dns purge [OPTIONS]",
    after_help = "Examples:\n  \
        # What would go\n  \
        kubefed dns purge --host-cluster-context=rivendell --dry-run\n\n  \
        # The control plane is lost\n  \
        kubefed dns purge --federation-name=fellowship --dns-provider=coredns \\\n      \
        --dns-provider-config=coredns.conf --dns-zone-name=example.com."
)]
pub struct DnsPurgeArgs {
    /// Which zone.
    #[command(flatten)]
    pub zone: ZoneArgs,
    /// Do not ask
    #[arg(long, short = 'y')]
    pub yes: bool,
    /// Show what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Remove the records although a controller manager runs
    #[arg(long)]
    pub force: bool,
    /// Print in this format instead of a table
    #[arg(long, short = 'o', value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}
