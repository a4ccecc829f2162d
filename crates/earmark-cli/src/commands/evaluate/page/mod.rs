//! The reports: one page each that needs no other file and no script, readable on light and dark
//! ground, on paper and on a phone.

pub(super) mod clips;
pub(super) mod recordings;
mod training;

use std::fmt::Write as _;

use super::svg::{self, ClassCurve, escaped};
use training::training;

/// Above this many classes nobody looks at all the curves; the worst are shown.
const MAX_CURVES: usize = 60;

const STYLE: &str = include_str!("style.css");

/// The beginning of a page.
fn begin(title: &str, about: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Evaluation of {title}</title><style>{STYLE}</style><main>\
         <h1>{title}</h1><div class=\"muted\">{about}</div>",
        title = escaped(title),
        about = escaped(about),
    )
}

/// A figure in a frame, with something small below it.
fn card(page: &mut String, name: &str, value: f64, below: &str) {
    let _ = write!(
        page,
        "<div class=\"card\">{}<b>{value:.3}</b><small>{}&nbsp;</small></div>",
        escaped(name),
        escaped(below)
    );
}

/// Precision-recall curves as small plots.
fn curve_grid(page: &mut String, curves: &[ClassCurve<'_>]) {
    if curves.is_empty() {
        return;
    }
    page.push_str(
        "<h2>Precision over recall</h2><p class=\"muted\">Upright: precision; across: recall; the number \
         is the area (average precision). Dot: the threshold in use. Ring: the threshold with the best F1 \
         on these very clips.</p><div class=\"small-plots\">",
    );
    for curve in curves.iter().take(MAX_CURVES) {
        page.push_str(&svg::precision_recall(curve));
    }
    page.push_str("</div>");
    if let Some(more @ 1..) = curves.len().checked_sub(MAX_CURVES) {
        let _ = write!(
            page,
            "<p class=\"muted\">{more} more classes are in the table written by --curves.</p>"
        );
    }
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= chunk.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_equals_the_standards_examples() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
