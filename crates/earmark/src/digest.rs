//! Bytes in hexadecimal, and SHA-256 of files and bytes.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use fs_err::File;
use sha2::{Digest as _, Sha256};

use crate::Result;

const BLOCK: usize = 1 << 16;

/// The SHA-256 of a file in hexadecimal.
///
/// # Errors
/// [`crate::Error::Io`] with the path.
pub fn sha256_of(path: &Path) -> Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; BLOCK];
    loop {
        match file.read(&mut block)? {
            0 => break,
            n => hasher.update(&block[..n]),
        }
    }
    Ok(hex(&hasher.finalize()))
}

/// The SHA-256 of bytes in hexadecimal.
pub fn sha256_of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes in hexadecimal, two digits each.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_standard() {
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_of_bytes(b"abc"), expected);
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), b"abc").unwrap();
        assert_eq!(sha256_of(file.path()).unwrap(), expected);
    }
}
