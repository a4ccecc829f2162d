//! Files that are either whole or not there, and where they go: links are followed, pipes and devices
//! are written to as they are.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::Result;

/// The most links that are followed, as on Linux.
const MAX_LINKS: usize = 40;

/// Where what is written to a path goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputPlace {
    /// An ordinary file, there already or not: written beside its place and then renamed.
    File(PathBuf),
    /// A device, a pipe or an open descriptor, which cannot be replaced: opened and written to.
    Stream(PathBuf),
}

impl OutputPlace {
    /// The place that a path leads to. Opens and creates nothing.
    ///
    /// # Errors
    /// When the path is a folder's, or the folder that the file is to lie in is not there. The message
    /// is without the path.
    pub fn of(path: &Path) -> std::io::Result<Self> {
        let there = std::fs::metadata(path).ok();
        let is_folder = there.as_ref().is_some_and(std::fs::Metadata::is_dir);
        if is_folder || ends_with_separator(path) || path.file_name().is_none() {
            let message = "a folder, expected a file";
            return Err(Error::new(ErrorKind::IsADirectory, message));
        }
        if there.as_ref().is_some_and(|there| !there.is_file()) {
            return Ok(Self::Stream(path.to_owned()));
        }
        let mut target = path.to_owned();
        for _ in 0..MAX_LINKS {
            if there.is_some() && is_descriptor(&target) {
                return Ok(Self::Stream(path.to_owned()));
            }
            let Ok(next) = std::fs::read_link(&target) else {
                return Self::file(target);
            };
            target = folder_of(&target).join(next);
        }
        Err(Error::other(format!(
            "more than {MAX_LINKS} links, expected a file at their end"
        )))
    }

    /// Opens a stream. What is written to a descriptor of a file comes after what is in it.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn open_stream(path: &Path) -> std::io::Result<File> {
        let is_file = std::fs::metadata(path)?.is_file();
        OpenOptions::new().write(true).append(is_file).open(path)
    }

    fn file(target: PathBuf) -> std::io::Result<Self> {
        let folder = folder_of(&target);
        if folder.is_dir() {
            return Ok(Self::File(target));
        }
        let message = format!("there is no folder {}", folder.display());
        Err(Error::new(ErrorKind::NotFound, message))
    }
}

/// Writes `bytes` to `path` so that the path never names half a file: into a temporary file in the
/// same folder, flushed to the disk, then renamed. A link stays, and its target is replaced; what is
/// no ordinary file is written to, see [`OutputPlace`].
///
/// # Errors
/// [`crate::Error::Io`] with the path; what was at `path` before is then still there.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically_with(path, |file| file.write_all(bytes))
}

/// Like [`write_atomically`] for what is too large to be in memory at once.
pub(crate) fn write_atomically_with(
    path: &Path,
    write: impl FnOnce(&mut File) -> std::io::Result<()>,
) -> Result<()> {
    let named = |error: Error| Error::new(error.kind(), format!("{}: {error}", path.display()));
    let target = match OutputPlace::of(path).map_err(named)? {
        OutputPlace::File(target) => target,
        OutputPlace::Stream(stream) => {
            let mut stream = OutputPlace::open_stream(&stream).map_err(named)?;
            write(&mut stream).map_err(named)?;
            return Ok(());
        }
    };
    let folder = folder_of(&target);
    let mut file = builder().tempfile_in(folder).map_err(named)?;
    write(file.as_file_mut()).map_err(named)?;
    file.as_file().sync_all().map_err(named)?;
    file.persist(&target).map_err(|error| named(error.error))?;
    sync_folder(folder);
    Ok(())
}

/// The folder that a file lies in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn ends_with_separator(path: &Path) -> bool {
    let last = path.as_os_str().as_encoded_bytes().last();
    last.is_some_and(|&byte| std::path::is_separator(char::from(byte)))
}

/// Whether a path stands for something that is open already, as `/dev/stdout` does in the end.
fn is_descriptor(path: &Path) -> bool {
    let folders = ["/proc", "/dev/fd"];
    cfg!(unix) && folders.iter().any(|folder| path.starts_with(folder))
}

/// Temporary files are private; the finished file is an ordinary one, less what the umask takes.
fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".earmark-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder
}

/// Makes the rename itself survive a power cut where the system can; it has happened either way.
pub(crate) fn sync_folder(folder: &Path) {
    if let Ok(folder) = std::fs::File::open(folder) {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.onnx");
        write_atomically(&path, b"old").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), b"new");
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_names_the_path_and_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("taken");
        fs_err::create_dir(&target).unwrap();
        fs_err::write(target.join("inside"), b"x").unwrap();
        let error = write_atomically(&target, b"new").unwrap_err();
        let taken = format!("{}: a folder, expected a file", target.display());
        assert_eq!(error.to_string(), taken);
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
        let missing = folder.path().join("none/a.onnx");
        let error = write_atomically(&missing, b"new").unwrap_err().to_string();
        let none = folder.path().join("none");
        let expected = format!(
            "{}: there is no folder {}",
            missing.display(),
            none.display()
        );
        assert_eq!(error, expected);
        let mut slash = folder.path().join("new").into_os_string();
        slash.push("/");
        assert!(OutputPlace::of(Path::new(&slash)).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_and_what_it_leads_to_is_replaced() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs_err::create_dir(&inner).unwrap();
        let (target, link) = (inner.join("a.csv"), folder.path().join("link.csv"));
        fs_err::write(&target, b"old").unwrap();
        symlink("inner/second", &link).unwrap();
        symlink("a.csv", inner.join("second")).unwrap();
        let writes = |bytes: &[u8]| {
            write_atomically(&link, bytes).unwrap();
            assert!(fs_err::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(fs_err::read(&target).unwrap(), bytes);
            assert_eq!(fs_err::read_dir(&inner).unwrap().count(), 2);
        };
        writes(b"new");
        fs_err::remove_file(&target).unwrap();
        writes(b"made by its link");
        let circle = folder.path().join("circle");
        symlink("circle", &circle).unwrap();
        let error = write_atomically(&circle, b"new").unwrap_err().to_string();
        assert!(error.ends_with("circle: more than 40 links, expected a file at their end"));
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_written_to_and_stays() {
        use std::os::unix::fs::FileTypeExt as _;
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        if !made.is_ok_and(|status| status.success()) {
            return;
        }
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs_err::read(pipe)
        });
        write_atomically(&pipe, b"new").unwrap();
        // Before the reader is waited for: it would wait for ever at a pipe that was replaced.
        let metadata = fs_err::metadata(&pipe).unwrap();
        assert!(metadata.file_type().is_fifo());
        assert_eq!(reader.join().unwrap().unwrap(), b"new");
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_written_to_a_descriptor_comes_after_what_is_there() {
        use std::os::fd::AsRawFd as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs_err::write(&path, b"before, ").unwrap();
        let log = OpenOptions::new().append(true).open(&path).unwrap();
        let descriptor = format!("/proc/self/fd/{}", log.as_raw_fd());
        write_atomically(Path::new(&descriptor), b"after").unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), b"before, after");
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_what_was_written() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.onnx");
        write_atomically(&path, b"x").unwrap();
        let mode = fs_err::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o600, 0o600);
        // Umask 022 or 002 is usual; a stricter one is the user's will.
        let plain = folder.path().join("plain");
        fs_err::write(&plain, b"x").unwrap();
        assert_eq!(mode, fs_err::metadata(&plain).unwrap().permissions().mode());
    }
}
