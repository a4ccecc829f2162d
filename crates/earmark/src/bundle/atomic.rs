//! Files that are either whole or not there.

use std::io::Write as _;
use std::path::Path;

use crate::Result;

/// Writes `bytes` to `path` so that the path never names half a file: into a temporary file in the
/// same folder, flushed to the disk, then renamed.
///
/// # Errors
/// [`crate::Error::Io`] with the path; what was at `path` before is then still there.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically_with(path, |file| file.write_all(bytes))
}

/// Like [`write_atomically`] for what is too large to be in memory at once.
pub(crate) fn write_atomically_with(
    path: &Path,
    write: impl FnOnce(&mut std::fs::File) -> std::io::Result<()>,
) -> Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let named = |error: std::io::Error| {
        std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    };
    let mut file = builder().tempfile_in(folder).map_err(named)?;
    write(file.as_file_mut()).map_err(named)?;
    file.as_file().sync_all().map_err(named)?;
    file.persist(path).map_err(|error| named(error.error))?;
    sync_folder(folder);
    Ok(())
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
        assert!(error.to_string().starts_with(&target.display().to_string()));
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
        let missing = folder.path().join("no/such/folder/a.onnx");
        let error = write_atomically(&missing, b"new").unwrap_err();
        assert!(error.to_string().contains("a.onnx"));
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
