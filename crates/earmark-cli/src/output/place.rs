//! Where tables go: standard output, a file, or a file per recording below a folder.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use earmark::bundle::OutputPlace;
use tempfile::NamedTempFile;

use crate::errors::Hinted;
use crate::inputs::Input;
use crate::printer::Printer;

use super::{Format, Row, Run, Subject, Table};

/// A stream to write a table to. A file gets its name when the table is complete.
pub(crate) struct Destination {
    stream: Stream,
    /// For messages.
    name: String,
}

enum Stream {
    Stdout(BufWriter<io::Stdout>),
    /// A pipe or a device, which cannot be replaced.
    Special(BufWriter<File>),
    File {
        writer: BufWriter<NamedTempFile>,
        /// What the user calls it.
        path: PathBuf,
        /// Where it goes: the end of the links, if the path is one.
        target: PathBuf,
    },
}

impl Destination {
    pub(crate) fn stdout() -> Self {
        Self {
            stream: Stream::Stdout(Printer::stdout()),
            name: "standard output".to_owned(),
        }
    }

    /// A file that replaces what is at `path` when it is complete; where a link leads, not the link.
    pub(crate) fn file(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let context = || format!("cannot write {name}");
        let stream = match place(path)? {
            OutputPlace::Stream(path) => {
                let stream = OutputPlace::open_stream(&path).with_context(context)?;
                Stream::Special(BufWriter::new(stream))
            }
            OutputPlace::File(target) => {
                let file = temporary_beside(&target).with_context(context)?;
                Stream::File {
                    writer: BufWriter::with_capacity(1 << 16, file),
                    path: path.to_owned(),
                    target,
                }
            }
        };
        Ok(Self { stream, name })
    }

    /// A file beside this one, for a format that has two. Standard output has none.
    pub(super) fn sibling(&self, extension: &str) -> anyhow::Result<Option<Self>> {
        match &self.stream {
            Stream::File { path, .. } => Self::file(&path.with_extension(extension)).map(Some),
            Stream::Stdout(_) | Stream::Special(_) => Ok(None),
        }
    }

    /// Whether [`Destination::write_at_start`] works.
    pub(crate) fn can_seek(&self) -> bool {
        matches!(self.stream, Stream::File { .. })
    }

    /// Overwrites the first bytes.
    pub(crate) fn write_at_start(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::File { writer, .. } => {
                writer.seek(SeekFrom::Start(0))?;
                writer.write_all(bytes)?;
                writer.seek(SeekFrom::End(0)).map(|_| ())
            }
            Stream::Stdout(_) | Stream::Special(_) => {
                Err(io::Error::from(io::ErrorKind::NotSeekable))
            }
        }
    }

    /// Writes what is buffered and, for a file, gives it its name.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let Self { stream, name } = self;
        let done = match stream {
            Stream::Stdout(mut writer) => writer.flush(),
            Stream::Special(mut writer) => writer.flush(),
            Stream::File { writer, target, .. } => writer
                .into_inner()
                .map_err(io::IntoInnerError::into_error)
                .and_then(|file| {
                    file.persist(&target)
                        .map(|_| ())
                        .map_err(|error| error.error)
                }),
        };
        done.with_context(|| format!("cannot write {name}"))
    }

    fn writer(&mut self) -> &mut dyn Write {
        match &mut self.stream {
            Stream::Stdout(writer) => writer,
            Stream::Special(writer) => writer,
            Stream::File { writer, .. } => writer,
        }
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer().flush()
    }
}

/// Refuses a path to which no file can be written, before there is anything to write.
pub(crate) fn check_output(path: &Path) -> anyhow::Result<()> {
    if let OutputPlace::File(target) = place(path)? {
        let file = temporary_beside(&target);
        drop(file.with_context(|| format!("cannot write {}", path.display()))?);
    }
    Ok(())
}

/// Where a path leads.
fn place(path: &Path) -> anyhow::Result<OutputPlace> {
    OutputPlace::of(path)
        .map_err(|error| anyhow::anyhow!("cannot write {}: {error}", path.display()))
}

fn temporary_beside(target: &Path) -> io::Result<NamedTempFile> {
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    temporary().tempfile_in(folder)
}

/// Temporary files that become ordinary ones, readable as the user's umask says.
fn temporary() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".earmark-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder
}

/// All tables of a run.
pub(crate) struct Outputs {
    layout: Layout,
    run: Run,
    /// The tables of the whole run, or of the recording in work.
    open: Vec<Box<dyn Table>>,
}

/// Where the tables of a run go.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Layout {
    /// One table on standard output.
    Stdout(Format),
    /// One table per format.
    Files(Vec<(Format, PathBuf)>),
    /// One file per recording and format below a folder.
    Folder(Vec<Format>, PathBuf),
}

impl Layout {
    /// Reads `--format` and `--output`.
    ///
    /// # Errors
    /// When they do not fit each other.
    pub(crate) fn new(
        formats: &[Format],
        output: Option<&Path>,
        default: Format,
    ) -> anyhow::Result<Self> {
        let mut seen = HashSet::new();
        let formats: Vec<Format> = formats
            .iter()
            .copied()
            .filter(|f| seen.insert(*f))
            .collect();
        let Some(output) = output else {
            return match formats[..] {
                [] => Ok(Self::Stdout(default)),
                [format] => Ok(Self::Stdout(format)),
                _ => Err(Hinted::error(
                    "several formats cannot share standard output",
                    "give --output FILE or --output DIR",
                )),
            };
        };
        if is_folder(output) || formats.iter().any(|format| format.is_per_recording()) {
            return Self::folder(formats, output);
        }
        match formats[..] {
            [format] => Ok(Self::Files(vec![(format, output.to_owned())])),
            [] => Err(Hinted::error(
                format!("{}: no format is given", output.display()),
                "give --format, or a file name that ends in .csv, .jsonl, .parquet or the like",
            )),
            _ => {
                let file = |format: Format| (format, output.with_extension(format.extension()));
                Ok(Self::Files(formats.iter().copied().map(file).collect()))
            }
        }
    }

    fn folder(formats: Vec<Format>, output: &Path) -> anyhow::Result<Self> {
        if formats.is_empty() {
            return Err(Hinted::error(
                format!("{}: no format is given", output.display()),
                "a folder of results needs --format",
            ));
        }
        if output.is_file() {
            let per_recording = formats.iter().find(|format| format.is_per_recording());
            return Err(Hinted::error(
                format!("{} is a file, expected a folder", output.display()),
                per_recording.map_or_else(
                    || "give another --output".to_owned(),
                    |format| format!("{} has one file per recording", format.name()),
                ),
            ));
        }
        Ok(Self::Folder(formats, output.to_owned()))
    }

    /// Whether results go to standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self, Self::Stdout(_))
    }

    /// Whether every recording gets files of its own.
    pub(crate) fn is_folder(&self) -> bool {
        matches!(self, Self::Folder(..))
    }

    /// The formats in use.
    pub(crate) fn formats(&self) -> Vec<Format> {
        match self {
            Self::Stdout(format) => vec![*format],
            Self::Files(files) => files.iter().map(|(format, _)| *format).collect(),
            Self::Folder(formats, _) => formats.clone(),
        }
    }
}

/// A folder exists, or ends with a slash.
fn is_folder(path: &Path) -> bool {
    let last = path.as_os_str().as_encoded_bytes().last();
    path.is_dir() || last.is_some_and(|&byte| std::path::is_separator(char::from(byte)))
}

impl Outputs {
    /// Opens the tables of a run, so that a place that cannot be written is known before tagging.
    pub(crate) fn open(layout: Layout, run: Run) -> anyhow::Result<Self> {
        let mut outputs = Self {
            layout,
            run,
            open: Vec::new(),
        };
        match &outputs.layout {
            Layout::Stdout(format) => {
                outputs.open = vec![super::create(*format, Destination::stdout(), &outputs.run)?];
            }
            Layout::Files(files) => {
                for (format, path) in files {
                    let destination = Destination::file(path)?;
                    outputs
                        .open
                        .push(super::create(*format, destination, &outputs.run)?);
                }
            }
            Layout::Folder(_, folder) => create_folder(folder)?,
        }
        Ok(outputs)
    }

    /// Begins a recording.
    pub(crate) fn begin(&mut self, input: &Input) -> anyhow::Result<()> {
        let Layout::Folder(formats, folder) = &self.layout else {
            return Ok(());
        };
        self.open.clear();
        for format in formats {
            let mut name = folder.join(&input.place).into_os_string();
            name.push(".");
            name.push(format.extension());
            let path = PathBuf::from(name);
            create_folder(path.parent().unwrap_or(folder))?;
            let destination = Destination::file(&path)?;
            self.open
                .push(super::create(*format, destination, &self.run)?);
        }
        Ok(())
    }

    /// Adds a row about the recording.
    pub(crate) fn row(
        &mut self,
        input: &Input,
        subject: &Subject,
        row: &Row,
    ) -> anyhow::Result<()> {
        for table in &mut self.open {
            table.row(&self.run, &input.path, subject, row)?;
        }
        Ok(())
    }

    /// Ends a recording. Files of its own get their names if it is `complete` and are dropped
    /// otherwise.
    pub(crate) fn end(&mut self, complete: bool) -> anyhow::Result<()> {
        if !self.layout.is_folder() {
            return self.flush();
        }
        for table in self.open.drain(..) {
            if complete {
                table.finish(&self.run)?;
            }
        }
        Ok(())
    }

    /// Hands rows to whoever reads standard output.
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        if self.layout.is_stdout() {
            self.open.iter_mut().try_for_each(|table| table.flush())?;
        }
        Ok(())
    }

    /// Completes the tables of the run.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        if self.layout.is_folder() {
            return Ok(());
        }
        let run = self.run;
        self.open.drain(..).try_for_each(|table| table.finish(&run))
    }
}

fn create_folder(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create the folder {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(formats: &[Format], output: Option<&str>) -> Result<Layout, String> {
        Layout::new(formats, output.map(Path::new), Format::Table).map_err(|e| e.to_string())
    }

    #[test]
    fn format_and_output_decide_the_layout() {
        use Format::{Csv, Json, Raven, Table};
        assert_eq!(layout(&[], None), Ok(Layout::Stdout(Table)));
        assert_eq!(layout(&[Csv], None), Ok(Layout::Stdout(Csv)));
        assert_eq!(
            layout(&[Csv, Json, Csv], Some("out.txt")),
            Ok(Layout::Files(vec![
                (Csv, "out.csv".into()),
                (Json, "out.jsonl".into())
            ]))
        );
        assert_eq!(
            layout(&[Csv], Some("x/")),
            Ok(Layout::Folder(vec![Csv], "x/".into()))
        );
        assert_eq!(
            layout(&[Raven], Some("x")),
            Ok(Layout::Folder(vec![Raven], "x".into()))
        );
        assert!(
            layout(&[Csv, Json], None)
                .unwrap_err()
                .contains("standard output")
        );
        assert!(
            layout(&[], Some("out.xyz"))
                .unwrap_err()
                .contains("no format")
        );
    }

    #[test]
    fn a_file_appears_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let mut destination = Destination::file(&path).unwrap();
        destination.write_all(b"hello").unwrap();
        assert!(!path.exists());
        destination.write_at_start(b"J").unwrap();
        destination.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"Jello");
        drop(Destination::file(&path).unwrap());
        check_output(&path).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_and_files_beside_it_are_called_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let [target, link] = ["a.npy", "link.npy"].map(|name| folder.path().join(name));
        std::os::unix::fs::symlink("a.npy", &link).unwrap();
        let mut destination = Destination::file(&link).unwrap();
        let rows = destination.sibling("rows.csv").unwrap().unwrap();
        rows.finish().unwrap();
        destination.write_all(b"hello").unwrap();
        destination.finish().unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(std::fs::read(&target).unwrap(), b"hello");
        assert!(folder.path().join("link.rows.csv").is_file());
    }

    #[test]
    fn places_that_cannot_be_written_are_known_before() {
        let folder = tempfile::tempdir().unwrap();
        let message = |name: &str| {
            let path = folder.path().join(name);
            let [checked, opened] = [check_output(&path).err(), Destination::file(&path).err()]
                .map(|error| error.map_or_else(String::new, |error| error.to_string()));
            assert_eq!(checked, opened);
            checked.replace(&folder.path().display().to_string(), "HERE")
        };
        assert_eq!(message(""), "cannot write HERE/: a folder, expected a file");
        assert_eq!(
            message("none/a.csv"),
            "cannot write HERE/none/a.csv: there is no folder HERE/none"
        );
        assert_eq!(message("a.csv"), "");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
