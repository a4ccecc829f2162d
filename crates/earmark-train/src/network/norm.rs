//! Batch normalisation: batch statistics while training, running statistics otherwise.

use burn::tensor::{Tensor, module};
use earmark::model::block::{Axis, BatchNorm, Function};

use super::kernels::{self, Curve};
use super::tape::Measured;
use super::{Network, Pass};

impl Network {
    /// The curve of an activation that [`Network::batch_norm`] can apply itself, if it can.
    pub(super) fn fuses(
        &self,
        norm: &BatchNorm,
        function: Function,
        pass: &Pass<'_>,
    ) -> Option<Curve> {
        let by_kernel = self.is_cpu && self.measures(norm, pass);
        kernels::curve_of(function).filter(|_| by_kernel)
    }

    /// Whether a pass normalises by the statistics of the batch. A frozen normalisation uses its
    /// running statistics while training too: a small set should not move what a large one measured.
    fn measures(&self, norm: &BatchNorm, pass: &Pass<'_>) -> bool {
        let weight = self.expect_parameter(&norm.name, "weight");
        matches!(pass, Pass::Train(tape) if tape.is_trained(weight))
    }

    /// Normalises along the block's axis and applies the curve, which is straight unless
    /// [`Network::fuses`] said otherwise.
    pub(super) fn batch_norm(
        &self,
        norm: &BatchNorm,
        curve: Curve,
        x: Tensor<4>,
        pass: &mut Pass<'_>,
    ) -> Tensor<4> {
        match norm.axis {
            Axis::Channel => self.batch_norm_channels(norm, curve, x, pass),
            axis => self
                .batch_norm_channels(norm, curve, x.swap_dims(1, axis.index()), pass)
                .swap_dims(1, axis.index()),
        }
    }

    fn batch_norm_channels(
        &self,
        norm: &BatchNorm,
        curve: Curve,
        x: Tensor<4>,
        pass: &mut Pass<'_>,
    ) -> Tensor<4> {
        let weight = self.used(&norm.name, "weight", pass);
        let bias = self.used(&norm.name, "bias", pass);
        let mean_parameter = self.expect_parameter(&norm.name, "running_mean");
        let variance_parameter = self.expect_parameter(&norm.name, "running_var");
        let measures = self.measures(norm, pass);
        if let Pass::Train(tape) = pass
            && measures
        {
            let [batch, _, band, frame] = x.dims();
            let (output, mean, variance) = if self.is_cpu {
                let result = kernels::normalise(x, [weight, bias], norm.eps, curve);
                (result.output, result.mean, result.variance)
            } else {
                let result = module::batch_norm_train(x, weight, bias, f64::from(norm.eps));
                (result.output, result.mean, result.variance)
            };
            let count = (batch * band * frame) as f32;
            let unbiased = count / (count - 1.0).max(1.0);
            tape.measured(Measured {
                mean_parameter,
                variance_parameter,
                mean: mean.without_autodiff(),
                variance: variance.without_autodiff().mul_scalar(unbiased),
                momentum: norm.momentum,
            });
            return output;
        }
        let scale = weight / (self.value(variance_parameter).clone() + norm.eps).sqrt();
        let shift = bias - self.value(mean_parameter).clone() * scale.clone();
        let shape = [1, norm.n_features, 1, 1];
        x * scale.reshape(shape) + shift.reshape(shape)
    }
}
