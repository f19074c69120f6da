//! `kubefed config import`.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use federation_client::config::{Coming, Config, Entries, List, import};
use federation_client::yaml::MAX_BYTES;

use crate::cli::ImportArgs;
use crate::commands::Session;
use crate::error::Failure;

pub(super) fn run(session: &Session, config: &Config, args: &ImportArgs) -> Result<(), Failure> {
    if args.called.as_ref().is_some_and(String::is_empty) {
        return Err(Failure::new("--as: a context needs a name").hint("leave --as out to keep the name it has"));
    }
    let bytes = read(&args.file)?;
    let theirs = Entries::read(&bytes, &args.file)?;
    if List::ALL.iter().all(|list| theirs.of(*list).is_empty()) {
        return Err(Failure::new(format!("{} has no entries", name(&args.file)))
            .hint("kubefed config view --kubeconfig=FILE shows what a file has"));
    }
    let mine = Entries::of_files(config.files())?;
    let coming = import(&mine, &theirs, args.called.as_deref())?;
    let printer = &session.printer;
    coming.iter().for_each(|coming| printer.data(&told(coming)));
    coming.iter().filter_map(program).for_each(|remark| printer.warn(&remark));
    let new = coming.iter().filter(|coming| coming.new.is_some()).count();
    let to = config.files().to_write();
    if new == 0 {
        printer.data("Nothing to do: all of it is there already.");
    } else if args.dry_run.unwrap_or_default() {
        printer.data(&format!("{new} entries would go into {} (dry run).", to.display()));
    } else {
        let to = config.take_in(&coming)?;
        printer.data(&format!("{new} entries went into {}.", to.display()));
    }
    Ok(())
}

fn name(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let all = |from: &mut dyn Read| {
        let mut bytes = Vec::new();
        from.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map(|_| bytes)
    };
    let read = if file == Path::new("-") { all(&mut io::stdin().lock()) } else { File::open(file).and_then(|mut file| all(&mut file)) };
    read.map_err(|e| Failure::new(format!("reading {}: {e}", name(file))).hint("check the path and its permissions; - is standard input"))
}

fn told(coming: &Coming) -> String {
    let word = coming.list.word();
    let was = if coming.came == coming.is { String::new() } else { format!(", {:?} where it comes from", coming.came) };
    let fate = if coming.new.is_some() { "new" } else { "there already" };
    format!("{word} {:?}: {fate}{was}", coming.is)
}

/// A kubeconfig can run programs: whoever takes one in should know which.
fn program(coming: &Coming) -> Option<String> {
    let command = coming.new.as_ref()?.get("exec")?.get("command")?.as_str()?;
    Some(format!("user {:?} runs the program {command}", coming.is))
}
