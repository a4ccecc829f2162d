//! Settings for those who give none: a training from scratch, and a fine-tuning.
//!
//! Both are usual practice for small sets, not tuned on any of them. The number of epochs follows the
//! number of clips, because what a network needs is steps.

use super::RunConfig;
use crate::trainer::Scope;

/// Clips in a batch.
const BATCH_SIZE: usize = 16;

impl RunConfig {
    /// Settings for a network that starts at random and sees `n_clips` in an epoch: about 1500 steps,
    /// masks, shifts and mixup against learning by heart.
    pub fn from_scratch(n_clips: usize) -> Self {
        let mut config = Self::recipe(
            "[augment]\n\
             features = [\n\
                 { kind = 'time-shift' },\n\
                 { kind = 'frequency-mask', probability = 0.5 },\n\
                 { kind = 'time-mask', probability = 0.5 },\n\
             ]\n\
             mix_features = [{ kind = 'mixup', probability = 0.5 }]\n",
        );
        config.train.batch_size = BATCH_SIZE;
        config.train.epochs = epochs(n_clips, 1500, [40, 150]);
        config
    }

    /// Settings for a network that starts from another's weights: a probe for a head, then about 100
    /// steps of everything at a low rate, with mixup.
    pub fn fine_tuned(n_clips: usize) -> Self {
        let mut config =
            Self::recipe("[augment]\nmix_features = [{ kind = 'mixup', probability = 0.5 }]\n");
        config.train.scope = Scope::ProbeThenAll;
        config.train.batch_size = BATCH_SIZE;
        config.train.learning_rate = 3e-4;
        config.train.epochs = epochs(n_clips, 100, [4, 15]);
        config
    }

    /// Settings for another program's graph, which stays as it is: a linear probe on its embeddings.
    pub fn frozen() -> Self {
        let mut config = Self::default();
        config.train.scope = Scope::Probe;
        config
    }

    fn recipe(text: &str) -> Self {
        Self::parse("recipe", text, &[]).expect("a test reads every recipe")
    }
}

/// The epochs that make so many steps, within limits.
fn epochs(n_clips: usize, n_steps: usize, [least, most]: [usize; 2]) -> usize {
    let steps_per_epoch = n_clips.div_ceil(BATCH_SIZE).max(1);
    n_steps.div_ceil(steps_per_epoch).clamp(least, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_is_readable_and_its_epochs_follow_the_clips() {
        assert_eq!(RunConfig::from_scratch(400).train.epochs, 60);
        assert_eq!(RunConfig::from_scratch(1).train.epochs, 150);
        assert_eq!(RunConfig::from_scratch(100_000).train.epochs, 40);
        let tuned = RunConfig::fine_tuned(400);
        assert_eq!(tuned.train.epochs, 4);
        assert_eq!(RunConfig::fine_tuned(10).train.epochs, 15);
        assert_eq!(tuned.augment.mix_features.len(), 1);
    }
}
