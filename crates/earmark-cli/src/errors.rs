//! Errors of the program: advice that travels with a message, and how a chain of causes is told.

use std::fmt;
use std::io;

/// An error of the command line itself, with advice.
#[derive(Debug)]
pub(crate) struct Hinted {
    message: String,
    hint: String,
}

impl Hinted {
    /// An error that says `message` and advises `hint` on a line of its own.
    pub(crate) fn error(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self {
            message: message.into(),
            hint: hint.into(),
        })
    }
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Hinted {}

/// The first advice found along the chain of causes.
pub(crate) fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        if let Some(hinted) = cause.downcast_ref::<Hinted>() {
            return Some(hinted.hint.clone());
        }
        cause.downcast_ref::<earmark::Error>()?.hint()
    })
}

/// Whether the error is a closed reader of our output.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io_error = match cause.downcast_ref::<earmark::Error>() {
            Some(earmark::Error::Io(io_error)) => Some(io_error),
            _ => cause.downcast_ref::<io::Error>(),
        };
        io_error.is_some_and(|io_error| io_error.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// The causes' messages from the outside in, without repeating what the message before already says.
pub(crate) fn messages(error: &anyhow::Error) -> Vec<String> {
    let mut messages: Vec<String> = Vec::new();
    for cause in error.chain() {
        let message = cause.to_string();
        if messages.last().is_none_or(|last| !last.ends_with(&message)) {
            messages.push(message);
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn causes_are_told_once_and_the_hint_is_found_below_them() {
        let inner = earmark::Error::UnknownClass {
            label: "Bark ".to_owned(),
            n_classes: 80,
            suggestion: Some("Bark".to_owned()),
        };
        let error = Err::<(), _>(inner).context("train.csv").unwrap_err();
        assert_eq!(
            messages(&error),
            [
                "train.csv",
                "label `Bark ` is not in the vocabulary (80 classes)"
            ]
        );
        assert_eq!(hint(&error).as_deref(), Some("did you mean `Bark`?"));
    }

    #[test]
    fn a_closed_pipe_is_recognised_below_context() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        let error = Err::<(), _>(earmark::Error::from(closed))
            .context("writing")
            .unwrap_err();
        assert!(is_broken_pipe(&error));
        assert!(!is_broken_pipe(&anyhow::anyhow!("other")));
    }
}
