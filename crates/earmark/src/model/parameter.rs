//! The parameters that a description asks for: names, shapes and what they are for.

/// One named tensor of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The name in a PyTorch state dict, such as `features.0.0.weight`.
    pub name: String,
    /// The shape, slowest axis first.
    pub shape: Vec<usize>,
    /// What it is for.
    pub role: Role,
    /// Whether it belongs to an auxiliary classifier, which bundles leave out.
    pub auxiliary: bool,
}

/// What a parameter is for. Initial values, weight decay and what a gradient reaches follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The kernel of a convolution.
    ConvWeight {
        /// Products summed into one output value.
        fan_in: usize,
        /// Output values that one input value reaches, for a stride of 1.
        fan_out: usize,
    },
    /// The matrix of a fully connected layer.
    LinearWeight {
        /// Columns.
        fan_in: usize,
        /// Rows.
        fan_out: usize,
    },
    /// A matrix of a recurrent unit.
    RecurrentWeight {
        /// The length of the state.
        hidden: usize,
    },
    /// A constant of a recurrent unit.
    RecurrentBias {
        /// The length of the state.
        hidden: usize,
    },
    /// The constant of a convolution or fully connected layer.
    Bias {
        /// The `fan_in` of the weight beside it.
        fan_in: usize,
    },
    /// The factor of a normalisation.
    NormWeight,
    /// The constant of a normalisation.
    NormBias,
    /// The mean that a normalisation has measured. No gradient.
    RunningMean,
    /// The variance that a normalisation has measured. No gradient.
    RunningVar,
    /// The slopes of a [`super::block::Prelu`].
    Slope,
}

impl Parameter {
    /// The number of values.
    pub fn n_values(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether gradients change it; running statistics are measured instead.
    pub fn is_trained(&self) -> bool {
        !matches!(self.role, Role::RunningMean | Role::RunningVar)
    }
}
