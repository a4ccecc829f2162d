//! The order of clips in training: lengths and labels in, batches of clip indices out.
//!
//! Plain index arithmetic: the same settings and epoch give the same batches, whoever loads them.
//! Batches of clips of similar length waste little padding; class balance draws rare classes more
//! often.

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Error, Result};

/// How an epoch is put together.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SamplerConfig {
    /// Clips per batch, at least 1. Default 32.
    pub batch_size: usize,
    /// A new order in every epoch. Default true.
    pub shuffle: bool,
    /// Draw clips with replacement so that every class comes up equally often. Default false.
    pub balance_classes: bool,
    /// Sort by length within windows of this many batches; 0 or 1 does not look at lengths. Default 0.
    pub bucket_batches: usize,
    /// Leave out a last batch that is not full. Default false.
    pub drop_last: bool,
    /// Seed of the orders. Default 0.
    pub seed: u64,
}

impl Default for SamplerConfig {
    fn default() -> Self {
        Self {
            batch_size: 32,
            shuffle: true,
            balance_classes: false,
            bucket_batches: 0,
            drop_last: false,
            seed: 0,
        }
    }
}

/// Batches of clip indices, epoch by epoch.
#[derive(Clone, Debug)]
pub struct BatchSampler {
    config: SamplerConfig,
    clips: Vec<usize>,
    /// Length of each clip in any unit, in the order of `clips`.
    lengths: Vec<usize>,
    /// Cumulative drawing weights, in the order of `clips`; empty without balance.
    cumulative: Vec<f64>,
}

impl BatchSampler {
    /// Prepares sampling from `clips` (any indices), whose lengths and labels are given in the same
    /// order. Labels are only looked at for class balance; a clip without labels counts as a class of
    /// its own together with the others of that kind.
    ///
    /// # Errors
    /// [`Error::Config`] for a batch size of 0 or no clips, [`Error::Shape`] if the lists differ in
    /// length.
    pub fn new(
        config: &SamplerConfig,
        clips: &[usize],
        lengths: &[usize],
        labels: &[&[usize]],
    ) -> Result<Self> {
        if config.batch_size == 0 {
            return Err(Error::Config {
                key: "batch_size".to_owned(),
                found: "0".to_owned(),
                expected: "must be at least 1".to_owned(),
            });
        }
        if clips.is_empty() {
            return Err(Error::Config {
                key: "clips".to_owned(),
                found: "none".to_owned(),
                expected: "must be at least 1 to train on".to_owned(),
            });
        }
        if lengths.len() != clips.len() || labels.len() != clips.len() {
            return Err(Error::Shape {
                what: "lengths and labels of clips".to_owned(),
                found: format!("{} and {}", lengths.len(), labels.len()),
                expected: format!("{} each", clips.len()),
            });
        }
        let cumulative = if config.balance_classes {
            cumulative_weights(labels)
        } else {
            vec![]
        };
        Ok(Self {
            config: config.clone(),
            clips: clips.to_vec(),
            lengths: lengths.to_vec(),
            cumulative,
        })
    }

    /// Number of batches of an epoch.
    pub fn n_batches(&self) -> usize {
        match self.config.drop_last {
            true => self.clips.len() / self.config.batch_size,
            false => self.clips.len().div_ceil(self.config.batch_size),
        }
    }

    /// The batches of an epoch, clip indices as given to [`BatchSampler::new`].
    pub fn epoch(&self, epoch: u64) -> Vec<Vec<usize>> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
        rng.set_stream(epoch);
        let mut order = self.draw(&mut rng);
        let batch_size = self.config.batch_size;
        if self.config.bucket_batches > 1 {
            for window in order.chunks_mut(batch_size * self.config.bucket_batches) {
                window.sort_by_key(|at| self.lengths[*at]);
            }
        }
        let mut batches: Vec<Vec<usize>> = order
            .chunks(batch_size)
            .filter(|batch| !self.config.drop_last || batch.len() == batch_size)
            .map(|batch| batch.iter().map(|at| self.clips[*at]).collect())
            .collect();
        if self.config.shuffle && self.config.bucket_batches > 1 {
            batches.shuffle(&mut rng);
        }
        batches
    }

    /// Positions in `clips`, as many as there are clips.
    fn draw(&self, rng: &mut ChaCha8Rng) -> Vec<usize> {
        let n = self.clips.len();
        let Some(total) = self.cumulative.last() else {
            let mut order: Vec<usize> = (0..n).collect();
            if self.config.shuffle {
                order.shuffle(rng);
            }
            return order;
        };
        let mut draw = || {
            let place = rng.random_range(0.0..*total);
            self.cumulative
                .partition_point(|weight| *weight <= place)
                .min(n - 1)
        };
        (0..n).map(|_| draw()).collect()
    }
}

/// Running sums of the clips' weights: each class has the weight 1, shared by its clips.
fn cumulative_weights(labels: &[&[usize]]) -> Vec<f64> {
    let n_classes = labels
        .iter()
        .flat_map(|labels| labels.iter())
        .max()
        .map_or(0, |max| max + 1);
    // The last entry stands for clips without labels.
    let mut counts = vec![0.0_f64; n_classes + 1];
    for labels in labels {
        labels.iter().for_each(|label| counts[*label] += 1.0);
        counts[n_classes] += f64::from(u8::from(labels.is_empty()));
    }
    let weight = |labels: &[usize]| match labels {
        [] => 1.0 / counts[n_classes],
        labels => labels.iter().map(|label| 1.0 / counts[*label]).sum(),
    };
    let mut sum = 0.0;
    labels
        .iter()
        .map(|labels| {
            sum += weight(labels);
            sum
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_epoch_holds_every_clip_once() {
        let clips: Vec<usize> = (100..123).collect();
        let labels: Vec<&[usize]> = vec![&[]; 23];
        let config = SamplerConfig {
            batch_size: 5,
            bucket_batches: 2,
            ..Default::default()
        };
        let lengths: Vec<usize> = (0..23).map(|i| i * 37 % 11).collect();
        let sampler = BatchSampler::new(&config, &clips, &lengths, &labels).unwrap();
        let mut all: Vec<usize> = sampler.epoch(0).concat();
        assert_eq!(sampler.epoch(0).len(), sampler.n_batches());
        assert_ne!(all, sampler.epoch(1).concat());
        assert_eq!(all, sampler.epoch(0).concat());
        all.sort_unstable();
        assert_eq!(all, clips);
    }

    #[test]
    fn buckets_save_padding() {
        let clips: Vec<usize> = (0..512).collect();
        let labels: Vec<&[usize]> = vec![&[]; 512];
        // Lengths from 1 to 512 in an order without structure (37 is coprime to 512).
        let lengths: Vec<usize> = (0..512).map(|i| 1 + i * 37 % 512).collect();
        let padding = |bucket_batches| {
            let config = SamplerConfig {
                batch_size: 16,
                bucket_batches,
                ..Default::default()
            };
            let sampler = BatchSampler::new(&config, &clips, &lengths, &labels).unwrap();
            let of_batch = |batch: &Vec<usize>| {
                let longest = batch.iter().map(|clip| lengths[*clip]).max().unwrap();
                batch
                    .iter()
                    .map(|clip| longest - lengths[*clip])
                    .sum::<usize>()
            };
            sampler.epoch(0).iter().map(of_batch).sum::<usize>()
        };
        assert!(
            padding(16) * 5 < padding(0),
            "{} {}",
            padding(16),
            padding(0)
        );
    }

    #[test]
    fn balance_draws_rare_classes_as_often() {
        let labels: Vec<&[usize]> = (0..1000)
            .map(|i| if i < 50 { &[1_usize][..] } else { &[0][..] })
            .collect();
        let clips: Vec<usize> = (0..1000).collect();
        let config = SamplerConfig {
            balance_classes: true,
            ..Default::default()
        };
        let sampler = BatchSampler::new(&config, &clips, &[1; 1000], &labels).unwrap();
        let rare = sampler
            .epoch(0)
            .concat()
            .iter()
            .filter(|clip| **clip < 50)
            .count();
        // Binomial(1000, ½): six standard deviations are 95.
        assert!((405..=595).contains(&rare), "{rare}");
    }

    #[test]
    fn impossible_settings_are_refused() {
        let config = SamplerConfig {
            batch_size: 0,
            ..Default::default()
        };
        assert!(BatchSampler::new(&config, &[0], &[1], &[&[]]).is_err());
        assert!(BatchSampler::new(&SamplerConfig::default(), &[], &[], &[]).is_err());
    }

    proptest! {
        #[test]
        fn batches_have_the_promised_size(
            n in 1_usize..60, batch_size in 1_usize..9, bucket_batches in 0_usize..4,
            drop_last in any::<bool>(), epoch in 0_u64..9,
        ) {
            let config =
                SamplerConfig { batch_size, bucket_batches, drop_last, ..Default::default() };
            let clips: Vec<usize> = (0..n).collect();
            let labels: Vec<&[usize]> = vec![&[0]; n];
            let sampler = BatchSampler::new(&config, &clips, &clips, &labels).unwrap();
            let batches = sampler.epoch(epoch);
            prop_assert_eq!(batches.len(), sampler.n_batches());
            let short = batches.iter().filter(|batch| batch.len() != batch_size).count();
            prop_assert!(short <= usize::from(!drop_last));
        }
    }
}
