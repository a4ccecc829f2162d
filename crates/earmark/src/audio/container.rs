//! Recognises a container by its first bytes; the file's extension plays no part.

use std::ffi::OsStr;
use std::fmt;
use std::io::Read;
use std::path::Path;

use super::mpeg;
use super::source::io_error;

/// The file formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Container {
    /// RIFF WAVE.
    Wav,
    /// RF64 or BW64: WAVE with 64-bit sizes.
    Rf64,
    /// Sony Wave64.
    Wave64,
    /// AIFF and AIFF-C.
    Aiff,
    /// Apple Core Audio Format.
    Caf,
    /// Native FLAC.
    Flac,
    /// An MPEG audio stream: MP3, MP2, MP1, with or without an ID3v2 tag before it.
    Mpeg,
    /// Raw AAC in ADTS frames.
    Adts,
    /// Ogg: Vorbis, Opus, FLAC.
    Ogg,
    /// MP4, M4A, MOV.
    Mp4,
    /// Matroska and WebM.
    Matroska,
}

impl Container {
    /// The name as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wav => "WAV",
            Self::Rf64 => "RF64",
            Self::Wave64 => "Wave64",
            Self::Aiff => "AIFF",
            Self::Caf => "CAF",
            Self::Flac => "FLAC",
            Self::Mpeg => "MPEG audio",
            Self::Adts => "ADTS",
            Self::Ogg => "Ogg",
            Self::Mp4 => "MP4",
            Self::Matroska => "Matroska",
        }
    }
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Extensions, in lower case, that say a file is meant to be audio. Video containers are absent:
/// a folder of films is no folder of recordings. They are still read when named.
pub const AUDIO_EXTENSIONS: &[&str] = &[
    "wav", "wave", "bwf", "rf64", "bw64", "w64", "aif", "aiff", "aifc", "caf", "flac", "mp3",
    "mp2", "mp1", "mpga", "aac", "adts", "ogg", "oga", "opus", "m4a", "m4b", "mka", "webm", "weba",
];

/// Whether the path's extension is one of [`AUDIO_EXTENSIONS`], in any case.
pub fn has_audio_extension(path: &Path) -> bool {
    path.extension()
        .and_then(OsStr::to_str)
        .is_some_and(|extension| {
            AUDIO_EXTENSIONS
                .iter()
                .any(|known| extension.eq_ignore_ascii_case(known))
        })
}

/// The first bytes of a Sony Wave64 file: the GUID of its `riff` chunk.
pub(super) const WAVE64_RIFF: [u8; 16] = [
    0x72, 0x69, 0x66, 0x66, 0x2e, 0x91, 0xcf, 0x11, 0xa5, 0xd6, 0x28, 0xdb, 0x04, 0xc1, 0x00, 0x00,
];

/// The container that begins with `bytes`, if they are the beginning of a known one.
///
/// 4 096 bytes decide every case but MPEG audio behind leading junk, for which 64 KiB are searched.
/// A signature alone is no promise that the rest decodes.
pub fn looks_like_audio(bytes: &[u8]) -> Option<Container> {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    let at =
        |offset: usize, magic: &[u8]| bytes.get(offset..).is_some_and(|b| b.starts_with(magic));
    if (starts(b"RIFF") && at(8, b"WAVE")) || (starts(b"RIFX") && at(8, b"WAVE")) {
        return Some(Container::Wav);
    }
    if (starts(b"RF64") || starts(b"BW64")) && at(8, b"WAVE") {
        return Some(Container::Rf64);
    }
    if starts(&WAVE64_RIFF) {
        return Some(Container::Wave64);
    }
    if starts(b"FORM") && (at(8, b"AIFF") || at(8, b"AIFC")) {
        return Some(Container::Aiff);
    }
    if starts(b"caff\x00\x01") {
        return Some(Container::Caf);
    }
    if starts(b"fLaC") {
        return Some(Container::Flac);
    }
    if starts(b"OggS") {
        return Some(Container::Ogg);
    }
    if starts(&[0x1a, 0x45, 0xdf, 0xa3]) {
        return Some(Container::Matroska);
    }
    if at(4, b"ftyp") {
        return Some(Container::Mp4);
    }
    mpeg_or_tagged(bytes)
}

/// The container of a file by its first 64 KiB, `None` if they are of no known one.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the file cannot be read.
pub fn recognise(path: &Path) -> crate::Result<Option<Container>> {
    let named = |e: std::io::Error| io_error(&path.display().to_string(), e.kind(), &e.to_string());
    let mut head = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(64 * 1024).read_to_end(&mut head))
        .map_err(named)?;
    Ok(looks_like_audio(&head))
}

/// ID3v2 tags, MPEG audio and ADTS: formats whose only signature is a sync pattern.
fn mpeg_or_tagged(bytes: &[u8]) -> Option<Container> {
    let audio = match mpeg::id3v2_len(bytes) {
        None => bytes,
        Some(len) => match usize::try_from(len).ok().and_then(|len| bytes.get(len..)) {
            // FLAC behind an ID3v2 tag exists in the wild; anything else is MPEG audio.
            Some(rest) if rest.starts_with(b"fLaC") => return Some(Container::Flac),
            Some(rest) if !rest.is_empty() => rest,
            _ => return Some(Container::Mpeg),
        },
    };
    if mpeg::starts_with_adts(audio) {
        return Some(Container::Adts);
    }
    // The search is short, and two frames must follow each other: a sync pattern of eleven bits
    // alone is found in nearly every file.
    let search = audio.len().min(64 * 1024);
    (0..search)
        .find(|&at| mpeg::two_frames_at(&audio[at..]))
        .map(|_| Container::Mpeg)
}

/// What `bytes` look like when they are no audio, for an error message.
pub(super) fn describe(bytes: &[u8]) -> String {
    const KNOWN: [(&[u8], &str); 13] = [
        (b"%PDF", "a PDF document"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x1f\x8b", "a gzip archive"),
        (b"\x89PNG", "a PNG picture"),
        (b"\xff\xd8\xff", "a JPEG picture"),
        (b"GIF8", "a GIF picture"),
        (b"<!DOCTYPE", "an HTML page"),
        (b"<html", "an HTML page"),
        (b"<?xml", "an XML document"),
        (b"RIFF", "a RIFF file that is not WAVE"),
        (b"FORM", "an IFF file that is not AIFF"),
        (b"\x7fELF", "a program"),
        (b"MThd", "a MIDI file (notes, not sound)"),
    ];
    if bytes.is_empty() {
        return "file is empty (0 bytes)".to_owned();
    }
    if let Some((_, what)) = KNOWN.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return format!("content is {what}");
    }
    let head = &bytes[..bytes.len().min(512)];
    let text = String::from_utf8_lossy(head);
    let is_text = !text
        .trim_end_matches('\u{fffd}')
        .contains(|c: char| c == '\u{fffd}' || (c.is_control() && !c.is_whitespace()));
    if is_text {
        let beginning: String = text.chars().take(24).collect();
        return format!("content is text (`{}…`)", beginning.escape_debug());
    }
    if head.iter().all(|&b| b == 0) {
        return "content is zeros".to_owned();
    }
    let hex: Vec<String> = head.iter().take(4).map(|b| format!("{b:02x}")).collect();
    format!("content begins with bytes {}", hex.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_recognised_and_text_is_not() {
        assert_eq!(
            looks_like_audio(b"RIFF\0\0\0\0WAVEfmt "),
            Some(Container::Wav)
        );
        assert_eq!(looks_like_audio(b"RIFF\0\0\0\0AVI LIST"), None);
        assert_eq!(
            looks_like_audio(b"BW64\xff\xff\xff\xffWAVEds64"),
            Some(Container::Rf64)
        );
        assert_eq!(looks_like_audio(b"fLaC\0"), Some(Container::Flac));
        assert_eq!(
            looks_like_audio(b"\0\0\0\x20ftypM4A "),
            Some(Container::Mp4)
        );
        assert_eq!(looks_like_audio(b"this is a shopping list"), None);
        assert_eq!(looks_like_audio(b""), None);
    }

    #[test]
    fn extensions_are_compared_without_case() {
        assert!(has_audio_extension(Path::new("a/B.WAV")));
        assert!(has_audio_extension(Path::new("x.Opus")));
        assert!(!has_audio_extension(Path::new("wav")));
        assert!(!has_audio_extension(Path::new("notes.txt")));
    }

    #[test]
    fn what_is_no_audio_is_described() {
        assert_eq!(describe(b""), "file is empty (0 bytes)");
        assert_eq!(
            describe(b"hello\nworld"),
            "content is text (`hello\\nworld…`)"
        );
        assert_eq!(describe(b"PK\x03\x04rest"), "content is a ZIP archive");
        assert_eq!(describe(&[0; 100]), "content is zeros");
    }
}
