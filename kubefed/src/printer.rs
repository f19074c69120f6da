//! The one way out: data on stdout, talk on stderr, colour only on a terminal. What would act on a terminal is shown instead.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::cli::{Format, NamedFormat};
use crate::error::{Failure, visible};
use crate::render::object::{Object, to_json, to_yaml, yaml};

/// Writes everything a command says.
pub struct Printer {
    out: Mutex<Out>,
    err: Mutex<Talk>,
}

struct Out {
    to: Box<dyn Write + Send>,
    /// Why data was lost; what comes later is not tried.
    lost: Option<io::Error>,
}

struct Talk {
    to: Box<dyn Write + Send>,
    colour: bool,
    /// A step was begun and its line is not finished.
    open: bool,
}

impl Printer {
    /// The process's own streams. `NO_COLOR` in the environment, when not empty, turns colour off.
    pub fn standard() -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let colour = !no_colour && std::io::stderr().is_terminal();
        Self::to(Box::new(std::io::stdout()), Box::new(std::io::stderr()), colour)
    }

    /// Any two streams, for tests and for embedding.
    pub fn to(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>, colour: bool) -> Self {
        Self { out: Mutex::new(Out { to: out, lost: None }), err: Mutex::new(Talk { to: err, colour, open: false }) }
    }

    /// One line of data. That it could not be written is told by [`Printer::finish`].
    pub fn data(&self, line: &str) {
        self.raw(&format!("{}\n", visible(line)));
    }

    /// Data as it is, of several lines, for programs.
    pub fn raw(&self, text: &str) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if out.lost.is_none() {
            out.lost = out.to.write_all(text.as_bytes()).and_then(|()| out.to.flush()).err();
        }
    }

    /// Rows in columns, the first with their headings, as kubectl prints them.
    pub fn table(&self, rows: &[Vec<String>]) {
        let columns = rows.first().map_or(0, Vec::len);
        let width =
            |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in rows {
            let line: String = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}   ")).collect();
            self.data(line.trim_end());
        }
    }

    /// Objects, in order, as a format has them: a YAML stream, a JSON `List`, or a line `kind/name` each.
    ///
    /// # Errors
    /// An object that the format cannot say.
    pub fn objects(&self, objects: &[Object], format: NamedFormat) -> Result<(), Failure> {
        match format {
            NamedFormat::Yaml => self.raw(&to_yaml(objects)?),
            NamedFormat::Json => self.raw(&to_json(objects)),
            NamedFormat::Name => objects.iter().for_each(|o| self.data(&o.kind_and_name())),
        }
        Ok(())
    }

    /// One object, not as a list of one.
    ///
    /// # Errors
    /// As [`Printer::objects`].
    pub fn object(&self, object: &Object, format: NamedFormat) -> Result<(), Failure> {
        match format {
            NamedFormat::Yaml => self.raw(to_yaml(std::slice::from_ref(object))?.trim_start_matches("---\n")),
            NamedFormat::Json => self.value(object.value(), Format::Json)?,
            NamedFormat::Name => self.data(&object.kind_and_name()),
        }
        Ok(())
    }

    /// Something that is no object of Kubernetes, its keys sorted.
    ///
    /// # Errors
    /// A value that the format cannot say.
    pub fn value(&self, value: &Value, format: Format) -> Result<(), Failure> {
        match format {
            Format::Yaml => self.raw(&yaml(value)?),
            Format::Json => self.raw(&format!("{value:#}\n")),
        }
        Ok(())
    }

    /// Whether all data was written. A reader that went away is not an error worth telling.
    ///
    /// # Errors
    /// Why the first part that is missing could not be written.
    pub fn finish(&self) -> Result<(), Failure> {
        let out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        match &out.lost {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::new(format!("writing to standard output: {error}"))
                .hint("what was printed is not whole; make room or write elsewhere, then repeat the command")),
            _ => Ok(()),
        }
    }

    /// Begins a step: `Creating a thing...`, finished by [`Printer::end`].
    pub fn begin(&self, text: &str) {
        let mut talk = self.talk();
        talk.close();
        talk.open = true;
        talk.put(&format!("{}...", visible(text)));
    }

    /// One more dot of a step that takes its time.
    pub fn tick(&self) {
        let mut talk = self.talk();
        if talk.open {
            talk.put(".");
        }
    }

    /// Finishes a step: ` done`.
    pub fn end(&self, word: &str) {
        let mut talk = self.talk();
        let word = talk.paint("32", &visible(word));
        talk.put(&format!(" {word}\n"));
        talk.open = false;
    }

    /// Something worth knowing that is not data.
    pub fn note(&self, text: &str) {
        let mut talk = self.talk();
        talk.close();
        talk.put(&format!("{}\n", visible(text)));
    }

    /// Something that did not work and does not stop the command.
    pub fn warn(&self, text: &str) {
        let mut talk = self.talk();
        talk.close();
        let word = talk.paint("33", "warning:");
        talk.put(&format!("{word} {}\n", visible(text)));
    }

    /// `error: …` and, where there is one, `hint: …`.
    pub fn failure(&self, failure: &Failure) {
        let mut talk = self.talk();
        talk.close();
        let word = talk.paint("31", "error:");
        talk.put(&format!("{word} {}\n", visible(&failure.message)));
        if let Some(hint) = &failure.hint {
            let word = talk.paint("36", "hint:");
            talk.put(&format!("{word} {}\n", visible(hint)));
        }
    }

    fn talk(&self) -> MutexGuard<'_, Talk> {
        self.err.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Talk {
    fn put(&mut self, text: &str) {
        let _ = self.to.write_all(text.as_bytes()).and_then(|()| self.to.flush());
    }

    fn close(&mut self) {
        if std::mem::take(&mut self.open) {
            self.put("\n");
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! A printer whose output can be looked at.

    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::Printer;

    /// What was written to one stream.
    #[derive(Clone, Default)]
    pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        /// The text so far.
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// A printer and its stdout and stderr.
    pub(crate) fn printer() -> (Printer, Captured, Captured) {
        let (out, err) = (Captured::default(), Captured::default());
        (Printer::to(Box::new(out.clone()), Box::new(err.clone()), false), out, err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_and_talk_do_not_mix() {
        let (p, out, err) = testing::printer();
        p.begin("Creating a thing");
        p.tick();
        p.end("done");
        p.data("the thing");
        assert_eq!(out.text(), "the thing\n");
        assert_eq!(err.text(), "Creating a thing.... done\n");
    }

    #[test]
    fn d30_what_others_say_cannot_pretend_to_be_ours() {
        let (p, out, err) = testing::printer();
        let theirs = "x\u{1b}[1A\u{1b}[2K\nerror: no";
        p.begin(theirs);
        p.end(theirs);
        p.note(theirs);
        p.warn(theirs);
        p.data(theirs);
        p.failure(&Failure { message: theirs.into(), hint: Some(theirs.into()), code: 1 });
        let shown = r"x^[[1A^[[2K\nerror: no";
        assert_eq!(out.text(), format!("{shown}\n"));
        assert_eq!(err.text(), format!("{shown}... {shown}\n{shown}\nwarning: {shown}\nerror: {shown}\nhint: {shown}\n"));
    }

    /// A stream that takes nothing.
    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn data_that_is_lost_is_an_error_unless_nobody_reads_it() {
        let finish = |kind| {
            let p = Printer::to(Box::new(Broken(kind)), Box::new(io::sink()), false);
            p.data("one");
            p.data("two");
            p.finish()
        };
        let failure = finish(ErrorKind::StorageFull).unwrap_err();
        assert_eq!((failure.message.as_str(), failure.code), ("writing to standard output: no storage space", 1));
        assert_eq!(finish(ErrorKind::BrokenPipe), Ok(()));
    }

    #[test]
    fn a_failure_ends_an_open_line() {
        let (p, _, err) = testing::printer();
        p.begin("Creating a thing");
        p.failure(&Failure::new("it broke").hint("mend it"));
        assert_eq!(err.text(), "Creating a thing...\nerror: it broke\nhint: mend it\n");
    }
}
