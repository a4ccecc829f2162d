//! What is to be tagged: arguments in, an ordered list of recordings out.
//!
//! An argument is a file, a folder (searched recursively, in the order of file names, links followed),
//! `-` for standard input, or `@LIST` for a text file with one path per line. A file named by the
//! user is always tried. In folders, hidden entries are skipped, and so are files that have neither
//! an audio extension nor the signature of an audio file; both are counted.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use earmark::audio::{Source, has_audio_extension, looks_like_audio};
use walkdir::{DirEntry, WalkDir};

use crate::errors::Hinted;

/// One recording to tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Input {
    /// The path as outputs show it; `-` for standard input.
    pub(crate) path: PathBuf,
    /// The recording's place in an output folder: its path below the folder that was named, or its
    /// file name.
    pub(crate) place: PathBuf,
    is_stdin: bool,
}

/// Something in a folder or list that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    pub(crate) path: PathBuf,
    pub(crate) reason: String,
}

/// Everything that the arguments stand for.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    pub(crate) recordings: Vec<Input>,
    pub(crate) unreadable: Vec<Unreadable>,
    pub(crate) n_hidden: usize,
    pub(crate) n_not_audio: usize,
    pub(crate) n_loops: usize,
}

impl Input {
    /// Whether it is standard input.
    pub(crate) fn is_stdin(&self) -> bool {
        self.is_stdin
    }

    /// What the library reads.
    pub(crate) fn source(&self) -> Source {
        if self.is_stdin {
            Source::Reader {
                name: "-".to_owned(),
                reader: Box::new(std::io::stdin()),
            }
        } else {
            Source::Path(self.path.clone())
        }
    }
}

impl Inputs {
    /// Expands the arguments of a command line.
    ///
    /// # Errors
    /// When a list cannot be read or standard input is named twice.
    pub(crate) fn expand(arguments: &[PathBuf]) -> anyhow::Result<Self> {
        let mut inputs = Self::default();
        let mut stdin_taken = false;
        for argument in arguments {
            let listed = argument.as_os_str().as_encoded_bytes().strip_prefix(b"@");
            match listed {
                None => inputs.add(argument, &mut stdin_taken)?,
                Some(_) => {
                    for path in read_list(argument, &mut stdin_taken)? {
                        inputs.add(&path, &mut stdin_taken)?;
                    }
                }
            }
        }
        Ok(inputs)
    }

    /// How many inputs there are to succeed or fail.
    pub(crate) fn len(&self) -> usize {
        self.recordings.len() + self.unreadable.len()
    }

    /// A sentence about what was left out, if anything was.
    pub(crate) fn skipped(&self) -> Option<String> {
        let parts: Vec<String> = [
            (self.n_not_audio, "not audio"),
            (self.n_hidden, "hidden"),
            (self.n_loops, "links back to a folder above"),
        ]
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
        let total = self.n_not_audio + self.n_hidden + self.n_loops;
        (total > 0).then(|| format!("skipped {}: {}", files(total), parts.join(", ")))
    }

    fn add(&mut self, path: &Path, stdin_taken: &mut bool) -> anyhow::Result<()> {
        if path == Path::new("-") {
            if std::mem::replace(stdin_taken, true) {
                anyhow::bail!("standard input (`-`) can be read once only");
            }
            self.recordings.push(Input {
                path: path.to_owned(),
                place: PathBuf::from("stdin"),
                is_stdin: true,
            });
        } else if path.is_dir() {
            self.search(path);
        } else {
            let place = path.file_name().unwrap_or(path.as_os_str());
            self.recordings.push(Input {
                path: path.to_owned(),
                place: PathBuf::from(place),
                is_stdin: false,
            });
        }
        Ok(())
    }

    /// Adds what is in a folder. A folder without audio is reported: it is hardly what was meant.
    fn search(&mut self, folder: &Path) {
        let before = self.len();
        let skipped_before = self.n_not_audio + self.n_hidden;
        let mut walk = WalkDir::new(folder)
            .follow_links(true)
            .sort_by_file_name()
            .into_iter();
        while let Some(entry) = walk.next() {
            match entry {
                Ok(entry) if entry.depth() > 0 && is_hidden(&entry) => {
                    self.n_hidden += 1;
                    if entry.file_type().is_dir() {
                        walk.skip_current_dir();
                    }
                }
                Ok(entry) if entry.file_type().is_dir() => {}
                Ok(entry) => self.consider(folder, entry),
                Err(error) if error.loop_ancestor().is_some() => self.n_loops += 1,
                Err(error) => self.broken_entry(folder, &error),
            }
        }
        if self.len() == before {
            let n_skipped = self.n_not_audio + self.n_hidden - skipped_before;
            let reason = match n_skipped {
                0 => "empty folder, expected audio files".to_owned(),
                n => format!("no audio among {}", files(n)),
            };
            self.unreadable.push(Unreadable {
                path: folder.to_owned(),
                reason,
            });
        }
    }

    fn consider(&mut self, folder: &Path, entry: DirEntry) {
        // Opening a pipe or a device in a folder could block for ever.
        let is_audio = entry.file_type().is_file()
            && (has_audio_extension(entry.path()) || has_audio_signature(entry.path()));
        if !is_audio {
            self.n_not_audio += 1;
            return;
        }
        let path = entry.into_path();
        let place = path.strip_prefix(folder).unwrap_or(&path).to_owned();
        self.recordings.push(Input {
            path,
            place,
            is_stdin: false,
        });
    }

    /// A folder that cannot be listed or a link to nothing. The latter matters only if its name
    /// promises audio.
    fn broken_entry(&mut self, folder: &Path, error: &walkdir::Error) {
        let path = error.path().unwrap_or(folder);
        let io_error = error.io_error();
        let is_dangling = io_error.is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound);
        if is_dangling && path != folder && !has_audio_extension(path) {
            self.n_not_audio += 1;
            return;
        }
        self.unreadable.push(Unreadable {
            path: path.to_owned(),
            reason: io_error.map_or_else(|| error.to_string(), reason),
        });
    }
}

/// Two recordings that would get the same place in an output folder are an error.
pub(crate) fn check_places(recordings: &[Input]) -> anyhow::Result<()> {
    let mut places: HashMap<&Path, &Path> = HashMap::new();
    for input in recordings {
        if let Some(other) = places.insert(&input.place, &input.path) {
            return Err(Hinted::error(
                format!(
                    "{} and {} would have the same output file",
                    other.display(),
                    input.path.display()
                ),
                "tag them in two runs with an output folder each, or tag the folder above them",
            ));
        }
    }
    Ok(())
}

/// An I/O error in words without the number of the operating system.
pub(crate) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        std::io::ErrorKind::PermissionDenied => "no permission to read it".to_owned(),
        _ => error.to_string(),
    }
}

fn files(n: usize) -> String {
    match n {
        1 => "1 file".to_owned(),
        n => format!("{n} files"),
    }
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

/// How much of a file is read to recognise it.
const N_SIGNATURE: u64 = 4096;

fn has_audio_signature(path: &Path) -> bool {
    let mut head = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(N_SIGNATURE).read_to_end(&mut head))
        .is_ok_and(|_| looks_like_audio(&head).is_some())
}

/// The paths in a list: one per line, taken as they are; empty lines are skipped.
fn read_list(argument: &Path, stdin_taken: &mut bool) -> anyhow::Result<Vec<PathBuf>> {
    let name = without_at(argument);
    let bytes = if name == OsStr::new("-") {
        *stdin_taken = true;
        let mut bytes = Vec::new();
        std::io::stdin()
            .read_to_end(&mut bytes)
            .context("standard input")?;
        bytes
    } else {
        std::fs::read(&name)
            .map_err(|error| anyhow::anyhow!("{}: {}", name.display(), reason(&error)))
            .context("cannot read the list of inputs")?
    };
    bytes
        .split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.is_empty())
        .map(|line| path_from_bytes(line, &name))
        .collect()
}

#[cfg(unix)]
fn without_at(argument: &Path) -> OsString {
    use std::os::unix::ffi::OsStrExt as _;
    OsStr::from_bytes(&argument.as_os_str().as_bytes()[1..]).to_owned()
}

#[cfg(not(unix))]
fn without_at(argument: &Path) -> OsString {
    argument.to_string_lossy()[1..].to_owned().into()
}

#[cfg(unix)]
#[expect(
    clippy::unnecessary_wraps,
    reason = "other systems have paths that are text"
)]
fn path_from_bytes(bytes: &[u8], _list: &OsStr) -> anyhow::Result<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    Ok(PathBuf::from(OsStr::from_bytes(bytes)))
}

#[cfg(not(unix))]
fn path_from_bytes(bytes: &[u8], list: &OsStr) -> anyhow::Result<PathBuf> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| anyhow::anyhow!("{}: a line is not UTF-8", list.display()))?;
    Ok(PathBuf::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAV_HEAD: &[u8] = b"RIFF\x24\0\0\0WAVEfmt ";

    fn names(inputs: &Inputs, folder: &Path) -> Vec<String> {
        inputs
            .recordings
            .iter()
            .map(|input| input.path.strip_prefix(folder).unwrap_or(&input.path))
            .map(|path| path.display().to_string())
            .collect()
    }

    fn expand(path: &Path) -> Inputs {
        Inputs::expand(&[path.to_owned()]).unwrap()
    }

    #[test]
    fn a_folder_gives_its_audio_in_order_and_counts_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("b/.git")).unwrap();
        for (name, content) in [
            ("b/x.wav", &b""[..]),
            ("b/.git/y.wav", b""),
            ("a.FLAC", b""),
            ("._a.FLAC", b""),
            ("notes.txt", b"text"),
            ("unnamed", WAV_HEAD),
        ] {
            std::fs::write(root.join(name), content).unwrap();
        }
        let inputs = expand(root);
        assert_eq!(names(&inputs, root), ["a.FLAC", "b/x.wav", "unnamed"]);
        assert_eq!(inputs.recordings[1].place, Path::new("b/x.wav"));
        assert_eq!(
            inputs.skipped().as_deref(),
            Some("skipped 3 files: 1 not audio, 2 hidden")
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_in_a_circle_end() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir(root.join("sub")).unwrap();
        std::os::unix::fs::symlink(root, root.join("sub/up")).unwrap();
        std::os::unix::fs::symlink("nowhere", root.join("gone.wav")).unwrap();
        std::fs::write(root.join("sub/x.wav"), b"").unwrap();
        let inputs = expand(root);
        assert_eq!(names(&inputs, root), ["sub/x.wav"]);
        assert_eq!(inputs.n_loops, 1);
        assert_eq!(inputs.unreadable[0].reason, "no such file or folder");
    }

    #[test]
    fn a_folder_without_audio_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            expand(folder.path()).unreadable[0].reason,
            "empty folder, expected audio files"
        );
        std::fs::write(folder.path().join("a.txt"), "x").unwrap();
        assert_eq!(
            expand(folder.path()).unreadable[0].reason,
            "no audio among 1 file"
        );
    }

    #[test]
    fn a_list_names_paths_line_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("list.txt");
        std::fs::write(&list, "one.wav\r\n\n# two.wav\n").unwrap();
        let mut argument = OsString::from("@");
        argument.push(&list);
        let inputs = expand(Path::new(&argument));
        assert_eq!(names(&inputs, folder.path()), ["one.wav", "# two.wav"]);
        let missing = Inputs::expand(&[PathBuf::from("@/no/such/list")]).unwrap_err();
        assert_eq!(
            format!("{:#}", missing),
            "cannot read the list of inputs: /no/such/list: no such file or folder"
        );
    }

    #[test]
    fn the_same_place_twice_is_an_error() {
        let inputs = Inputs::expand(&[PathBuf::from("a/x.wav"), PathBuf::from("b/x.wav")]).unwrap();
        assert!(check_places(&inputs.recordings).is_err());
        assert!(check_places(&inputs.recordings[..1]).is_ok());
    }
}
