//! `cargo xtask image`: one static binary, and an OCI image archive of it and whom TLS trusts.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use kit::oci::{self, Entry, Image};
use kit::setup;

use crate::shell::{self, answer, built, cargo, root, say};

/// The reference that tests load.
pub(crate) const REFERENCE: &str = "docker.io/kubefed/fcp:dev";
/// Linked whole, so that it runs in an image of nothing but itself.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The authorities of Debian, where every TLS library looks for them.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Nobody in particular; the number distroless images use.
const USER: &str = "65532:65532";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Archive to write; default target/image/fcp.tar
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Reference of the image, with registry and tag
    #[arg(long, value_name = "REF", default_value = REFERENCE)]
    name: String,
}

/// What builds a program of a package with everything linked in; `more` goes to cargo.
fn linked_whole(package: &str, program: &str, more: &[&str]) -> Command {
    let home = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|h| format!("{h}/.cargo"))).unwrap_or_default();
    // No path of this machine in the binary: the same sources give the same bytes elsewhere.
    let flags = format!("-C target-feature=+crt-static --remap-path-prefix={}=. --remap-path-prefix={home}=cargo", root().display());
    let args = ["build", "--quiet", "--release", "--package", package, "--bin", program, "--target", TARGET];
    let mut command = cargo(&[&args, more].concat());
    command.env("RUSTFLAGS", flags);
    command
}

/// Builds a program of a package with everything linked in and answers where it is; `more` goes to cargo.
pub(crate) fn build_static(package: &str, program: &str, more: &[&str]) -> Result<PathBuf> {
    shell::run(&mut linked_whole(package, program, more))?;
    built(&format!("{TARGET}/release"), program)
}

/// Begins to build the program with what others leave idle of the processors. [`build`] waits for it at cargo's lock, goes on
/// from where it came to, and tells what went wrong.
pub(crate) fn ahead() -> Result<Child> {
    setup::ensure(&[setup::BUILD, setup::IMAGE], &say)?;
    let build = linked_whole("kubefed", "fcp", &[]);
    let mut nice = Command::new("nice");
    nice.args(["-n", "19"]).arg(build.get_program()).args(build.get_args()).current_dir(root());
    nice.envs(build.get_envs().filter_map(|(name, value)| Some((name, value?))));
    nice.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("running nice")
}

/// Builds both and answers the archive's path.
pub(crate) fn build(output: Option<&PathBuf>, name: &str) -> Result<PathBuf> {
    setup::ensure(&[setup::BUILD, setup::IMAGE], &say)?;
    say("building fcp, static (some minutes the first time)");
    let binary = build_static("kubefed", "fcp", &[])?;
    let entries =
        ["kubefed", "federation-apiserver", "federation-controller-manager"].map(|name| Entry::link("/fcp", &format!("/bin/{name}")));
    // Whom TLS to clouds' own services trusts.
    let authorities = Entry::file(AUTHORITIES, AUTHORITIES);
    let mut layer = vec![Entry::file(&binary, "/fcp"), authorities, Entry::Scratch { path: "/tmp".into() }];
    layer.extend(entries);
    let image = Image { reference: name.into(), entrypoint: vec!["/fcp".into()], user: USER.into(), entries: layer };
    let out = match output {
        Some(out) => std::path::absolute(out)?,
        None => built("image", "fcp.tar")?,
    };
    oci::write(&image, &out)?;
    let megabytes = |path| oci::size(path).map(|bytes| format!("{:.1} MB", bytes as f64 / 1e6));
    say(&format!("fcp {}, image {} ({name})", megabytes(&binary)?, megabytes(&out)?));
    Ok(out)
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let out = build(args.output.as_ref(), &args.name)?;
    answer(out.to_str().context("the path is no UTF-8")?);
    Ok(())
}
