//! Batch normalisation: batch statistics while training, running statistics otherwise.

use burn::tensor::{Tensor, module};
use earmark::model::block::{Axis, BatchNorm};

use super::tape::Measured;
use super::{Network, Pass};

impl Network {
    /// Normalises along the block's axis. A frozen normalisation uses its running statistics while
    /// training too: a small set should not move what a large one measured.
    pub(super) fn batch_norm(
        &self,
        norm: &BatchNorm,
        x: Tensor<4>,
        pass: &mut Pass<'_>,
    ) -> Tensor<4> {
        match norm.axis {
            Axis::Channel => self.batch_norm_channels(norm, x, pass),
            axis => self
                .batch_norm_channels(norm, x.swap_dims(1, axis.index()), pass)
                .swap_dims(1, axis.index()),
        }
    }

    fn batch_norm_channels(
        &self,
        norm: &BatchNorm,
        x: Tensor<4>,
        pass: &mut Pass<'_>,
    ) -> Tensor<4> {
        let weight = self.used(&norm.name, "weight", pass);
        let bias = self.used(&norm.name, "bias", pass);
        let mean_parameter = self.expect_parameter(&norm.name, "running_mean");
        let variance_parameter = self.expect_parameter(&norm.name, "running_var");
        let weight_parameter = self.expect_parameter(&norm.name, "weight");
        if let Pass::Train(tape) = pass
            && tape.is_trained(weight_parameter)
        {
            let [batch, channel, band, frame] = x.dims();
            let result = module::batch_norm_train(x, weight, bias, f64::from(norm.eps));
            let count = (batch * band * frame) as f32;
            debug_assert_eq!(channel, norm.n_features);
            tape.measured(Measured {
                mean_parameter,
                variance_parameter,
                mean: result.mean.without_autodiff(),
                variance: result
                    .variance
                    .without_autodiff()
                    .mul_scalar(count / (count - 1.0).max(1.0)),
                momentum: norm.momentum,
            });
            return result.output;
        }
        let scale = weight / (self.value(variance_parameter).clone() + norm.eps).sqrt();
        let shift = bias - self.value(mean_parameter).clone() * scale.clone();
        let shape = [1, norm.n_features, 1, 1];
        x * scale.reshape(shape) + shift.reshape(shape)
    }
}
