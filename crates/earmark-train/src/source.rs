//! Where a run gets its examples: batches for training, whole clips for validation.
//!
//! The trainer knows only these two traits. `clips` implements them for a dataset on disk; tests
//! implement them for numbers in memory.

use earmark::Result;
use earmark::bundle::Aggregation;
use earmark::features::Features;

/// The examples of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `[batch, channel, band, frame]`, frame fastest.
    pub features: Vec<f32>,
    /// The four lengths of `features`.
    pub shape: [usize; 4],
    /// `[batch, class]`, each in [0, 1].
    pub targets: Vec<f32>,
    /// `[batch]`: how much each clip counts, 1 for an ordinary one.
    pub weights: Vec<f32>,
    /// `[batch]`: whether nobody checked the clip's labels.
    pub is_noisy: Vec<bool>,
    /// The clips' names, for messages.
    pub names: Vec<String>,
}

/// Batches for training. What a batch holds depends only on the epoch and its clips, so any thread
/// may make any batch.
pub trait Batches: Sync {
    /// The number of classes.
    fn n_classes(&self) -> usize;

    /// The batches of an epoch, each a list of clips as [`Batches::batch`] takes them: a clip that is drawn again
    /// may have another number.
    fn plan(&self, epoch: usize) -> Vec<Vec<usize>>;

    /// The examples of a batch.
    ///
    /// # Errors
    /// What reading or changing a clip ends in.
    fn batch(&self, epoch: usize, clips: &[usize]) -> Result<Batch>;
}

/// A segment of a validation clip.
#[derive(Debug, Clone)]
pub struct Cut {
    /// Its features.
    pub features: Features,
    /// How much it counts in the clip's mean: its duration without padding, in any unit.
    pub weight: f64,
}

/// Clips for validation, each as the segments that the tagger would score.
pub trait Examples: Sync {
    /// The number of clips.
    fn n_clips(&self) -> usize;

    /// The clip's segments in time order, at least one.
    ///
    /// # Errors
    /// What reading the clip ends in.
    fn segments(&self, clip: usize) -> Result<Vec<Cut>>;

    /// How the scores of segments become the score of the clip.
    fn aggregation(&self) -> Aggregation {
        Aggregation::Mean
    }

    /// The clip's labels as `[class]`, 0 or 1.
    fn target(&self, clip: usize) -> Vec<f32>;

    /// The clip's name, for messages.
    fn name(&self, clip: usize) -> String;
}
