//! The boundary between WebAssembly and the worker: plain numbers and bytes, no generated glue.
//!
//! The worker writes what it hands over to the memory that [`earmark_input`] gives, then calls one of
//! the others. They read the recording through the import `read`, piece by piece, so that it is never
//! in memory as a whole, and answer through the import `tell`.

#![allow(
    unsafe_code,
    reason = "functions of the other side take and give addresses in the module's memory"
)]

use std::cell::RefCell;
use std::io::{self, Read, Seek, SeekFrom};
use std::panic;

use earmark::audio::Source;
use serde_json::json;

use crate::session::Session;

#[link(wasm_import_module = "earmark")]
unsafe extern "C" {
    /// Copies up to `len` bytes of the recording from `position` on to `to`; the number of bytes, or a
    /// negative one when the browser cannot read the file.
    fn read(position: f64, to: *mut u8, len: usize) -> isize;
    /// Takes an event: its name and what it says, as UTF-8.
    fn tell(name: *const u8, name_len: usize, json: *const u8, json_len: usize);
}

#[derive(Default)]
struct Worker {
    input: Vec<u8>,
    session: Session,
}

thread_local! {
    static WORKER: RefCell<Worker> = RefCell::default();
}

/// Gives `len` bytes of memory to be filled, until the next call.
#[unsafe(no_mangle)]
extern "C" fn earmark_input(len: usize) -> *mut u8 {
    WORKER.with_borrow_mut(|worker| {
        worker.input = vec![0; len];
        worker.input.as_mut_ptr()
    })
}

/// Loads a bundle. The input is its name, `name_len` bytes, and the bundle.
#[unsafe(no_mangle)]
extern "C" fn earmark_load(name_len: usize) {
    tell_panics();
    WORKER.with_borrow_mut(|worker| {
        let input = std::mem::take(&mut worker.input);
        let (name, bundle) = input.split_at(name_len.min(input.len()));
        let name = String::from_utf8_lossy(name);
        worker.session.load(&name, bundle, &mut send);
    });
}

/// Hears the recording of `len` bytes that `read` gives. The input is the settings.
#[unsafe(no_mangle)]
extern "C" fn earmark_hear(len: f64) {
    WORKER.with_borrow(|Worker { input, session }| {
        session.hear(input, |name| recording(name, len), &mut send);
    });
}

/// Draws the recording of `len` bytes that `read` gives. The input is the settings.
#[unsafe(no_mangle)]
extern "C" fn earmark_picture(len: f64) {
    WORKER.with_borrow(|Worker { input, session }| {
        session.picture(input, |name| recording(name, len), &mut send);
    });
}

fn send(name: &str, json: &str) {
    // SAFETY: the worker reads the two texts before it returns, and they live until then.
    unsafe { tell(name.as_ptr(), name.len(), json.as_ptr(), json.len()) }
}

/// A panic ends the module, so the last that it does is to say why.
fn tell_panics() {
    panic::set_hook(Box::new(|info| {
        let detail = format!("the recording made the decoder or the network give up: {info}");
        let problem = json!({ "code": "internal", "detail": detail });
        send("problem", &problem.to_string());
    }));
}

fn recording(name: String, len: f64) -> Source {
    Source::Seekable {
        name,
        reader: Box::new(BrowserFile {
            position: 0,
            len: len as u64,
        }),
    }
}

/// The file that the user chose, as the browser gives it.
struct BrowserFile {
    position: u64,
    len: u64,
}

impl Read for BrowserFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.len.saturating_sub(self.position);
        let wanted = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        // SAFETY: the worker writes at most `wanted` bytes, which are the buffer's.
        let n = unsafe { read(self.position as f64, buffer.as_mut_ptr(), wanted) };
        let n =
            usize::try_from(n).map_err(|_| io::Error::other("the browser cannot read the file"))?;
        let n = n.min(wanted);
        self.position += n as u64;
        Ok(n)
    }
}

impl Seek for BrowserFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
        };
        let before = || {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "position is before the beginning",
            )
        };
        self.position = position.ok_or_else(before)?;
        Ok(self.position)
    }
}
