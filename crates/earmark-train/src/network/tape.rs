//! What a training pass leaves behind: the leaves of the gradient graph and measured statistics.

use burn::tensor::Tensor;
use rand_chacha::ChaCha8Rng;

/// Whether a forward pass trains.
#[derive(Debug)]
pub enum Pass<'a> {
    /// Running statistics, no dropout, nothing recorded.
    Evaluate,
    /// Statistics of the batch, dropout, gradients.
    Train(&'a mut Tape),
}

/// The record of one training pass.
#[derive(Debug)]
pub struct Tape {
    /// By parameter: whether its value may change. A frozen normalisation also keeps its statistics.
    trained: Vec<bool>,
    /// Whether a gradient graph is built. It holds every map of the pass until it is gone through
    /// backwards.
    has_gradients: bool,
    leaves: Vec<Option<Tensor<1>>>,
    statistics: Vec<Measured>,
    /// Where dropout takes its chances from.
    pub(super) rng: ChaCha8Rng,
}

/// The statistics of a batch as a normalisation measured them.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) mean_parameter: usize,
    pub(super) variance_parameter: usize,
    pub(super) mean: Tensor<1>,
    /// The unbiased variance.
    pub(super) variance: Tensor<1>,
    pub(super) momentum: f32,
}

impl Tape {
    /// An empty record. `trained` says for every parameter whether it gets a gradient; dropout draws
    /// from `rng`.
    pub fn new(trained: Vec<bool>, rng: ChaCha8Rng) -> Self {
        Self {
            leaves: vec![None; trained.len()],
            trained,
            has_gradients: true,
            statistics: Vec::new(),
            rng,
        }
    }

    /// An empty record for a pass that only measures statistics: nothing of it can be gone through
    /// backwards, and nothing is kept.
    pub fn measuring(trained: Vec<bool>, rng: ChaCha8Rng) -> Self {
        Self {
            has_gradients: false,
            ..Self::new(trained, rng)
        }
    }

    /// The parameter as a leaf of the gradient graph, or as a constant if it is frozen.
    pub(super) fn leaf(&mut self, parameter: usize, value: Tensor<1>) -> Tensor<1> {
        if !self.has_gradients || !self.trained[parameter] {
            return value.autodiff();
        }
        self.leaves[parameter]
            .get_or_insert_with(|| value.autodiff().require_grad())
            .clone()
    }

    pub(super) fn is_trained(&self, parameter: usize) -> bool {
        self.trained[parameter]
    }

    pub(super) fn measured(&mut self, statistics: Measured) {
        self.statistics.push(statistics);
    }

    /// Makes what was measured move the running statistics by this share instead of the network's.
    pub(crate) fn set_momentum(&mut self, momentum: f32) {
        for measured in &mut self.statistics {
            measured.momentum = momentum;
        }
    }

    pub(super) fn take_leaves(&mut self) -> Vec<(usize, Tensor<1>)> {
        let leaves = std::mem::take(&mut self.leaves);
        leaves
            .into_iter()
            .enumerate()
            .filter_map(|(parameter, leaf)| Some((parameter, leaf?)))
            .collect()
    }

    pub(super) fn take_statistics(&mut self) -> Vec<Measured> {
        std::mem::take(&mut self.statistics)
    }
}
