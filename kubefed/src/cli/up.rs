//! `kubefed up`.

use std::path::PathBuf;

use clap::Args;

/// Run a federation with hollow members in this process, to try things out.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    # Keep a federation running; use another terminal with the printed KUBECONFIG\n  \
    kubefed up\n\n  \
    # Watch what a federation does, in less than a minute\n  \
    kubefed up --story\n\n\
    Ctrl-C or SIGTERM ends it. Exit codes: 0 ended in good order, 1 something could not be started or a step of the\n\
    story did not come true, 70 a part of it died")]
pub struct UpArgs {
    /// Tell the story: join, place, resolve, cut off, mend, leave; then end
    #[arg(long)]
    pub story: bool,
    /// After the story, keep running
    #[arg(long, requires = "story")]
    pub keep: bool,
    /// Keep objects and the kubeconfig in this directory; a temporary one otherwise
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}
