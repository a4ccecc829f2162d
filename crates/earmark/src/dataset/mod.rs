//! Labelled clips: folders and tables in; clips, labels, folds, batches and a cache out.
//!
//! [`Manifest::open`] reads a data set in any of the known [layouts](Layout) into one list of
//! [`Clip`]s with one [`Vocabulary`]. [`check`] and [`audit`] say what is wrong with it before anything
//! is trained, [`folds`] divides it, [`sampler`] puts it in batches, and [`cache`] keeps its front-end
//! output or its resampled audio on disk. Nothing here knows a network.

pub mod audit;
pub mod cache;
pub mod check;
mod clip;
pub mod folds;
mod layout;
mod manifest;
pub mod sampler;
#[cfg(test)]
mod test_support;
mod vocabulary;

pub use cache::{CacheOptions, FeatureCache, WaveformCache};
pub use clip::{Clip, Origin, Quality, Split};
pub use folds::Folds;
pub use layout::{Layout, audio_files, detect};
pub use manifest::{Manifest, ReadOptions};
pub use sampler::{BatchSampler, SamplerConfig};
pub use vocabulary::{Class, Vocabulary, nearest};

/// What a long piece of work over clips tells its caller, from any thread.
pub trait Progress: Sync {
    /// What the work that begins next is called, in a word such as `checking`.
    fn stage(&self, what: &'static str) {
        let _ = what;
    }

    /// `n_clips` clips are about to be worked on.
    fn begin(&self, n_clips: usize) {
        let _ = n_clips;
    }

    /// One more clip is done.
    fn advance(&self) {}

    /// Whether the work should stop; asked before every clip.
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Says nothing and never stops.
impl Progress for () {}
