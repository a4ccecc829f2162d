//! The gated recurrent unit: one matrix product for what all frames give to the gates, then frame by frame.

use burn::tensor::activation::{sigmoid, tanh};
use burn::tensor::{Tensor, s};
use earmark::model::block::Gru;

use super::{Network, Pass, kernels};

impl Network {
    /// `[batch, in, 1, frame]` → `[batch, hidden, 1, frame]`, twice the channels when bidirectional.
    pub(super) fn gru(&self, gru: &Gru, x: Tensor<4>, pass: &mut Pass<'_>) -> Tensor<4> {
        let [batch, channel, _, frame] = x.dims();
        let sequence = x.reshape([batch, channel, frame]).swap_dims(1, 2);
        let forward = self.gru_direction(gru, "", sequence.clone(), pass);
        let states = match gru.bidirectional {
            true => {
                let backward = self
                    .gru_direction(gru, "_reverse", sequence.flip([1]), pass)
                    .flip([1]);
                Tensor::cat(vec![forward, backward], 2)
            }
            false => forward,
        };
        let [_, _, hidden] = states.dims();
        states.swap_dims(1, 2).reshape([batch, hidden, 1, frame])
    }

    /// All states `[batch, frame, hidden]` of one unit over `[batch, frame, in]`.
    fn gru_direction(
        &self,
        gru: &Gru,
        ending: &str,
        sequence: Tensor<3>,
        pass: &mut Pass<'_>,
    ) -> Tensor<3> {
        let [batch, frame, channel] = sequence.dims();
        let (hidden, gates) = (gru.hidden, 3 * gru.hidden);
        let mut part = |suffix: &str| self.used(&gru.name, &format!("{suffix}{ending}"), pass);
        let input_weight = part("weight_ih_l0").reshape([gates, channel]).transpose();
        let state_weight = part("weight_hh_l0").reshape([gates, hidden]).transpose();
        let input_bias = part("bias_ih_l0").reshape([1, gates]);
        let state_bias = part("bias_hh_l0");
        let from_input = (sequence
            .reshape([batch * frame, channel])
            .matmul(input_weight)
            + input_bias)
            .reshape([batch, frame, gates]);
        match self.is_cpu {
            true => kernels::gru(from_input, state_weight, state_bias),
            false => states(from_input, state_weight, state_bias),
        }
    }
}

/// All states of a unit of Burn's operations: what [`kernels::gru`] computes.
pub(super) fn states(
    from_input: Tensor<3>,
    state_weight: Tensor<2>,
    state_bias: Tensor<1>,
) -> Tensor<3> {
    let [batch, frame, gates] = from_input.dims();
    let hidden = gates / 3;
    let state_bias = state_bias.reshape([1, gates]);
    let mut state = Tensor::<2>::zeros([batch, hidden], &from_input.device());
    let mut states = Vec::with_capacity(frame);
    for t in 0..frame {
        let input = from_input
            .clone()
            .slice(s![.., t..t + 1, ..])
            .reshape([batch, gates]);
        let recurrent = state.clone().matmul(state_weight.clone()) + state_bias.clone();
        let third =
            |gates: &Tensor<2>, i: usize| gates.clone().slice(s![.., i * hidden..(i + 1) * hidden]);
        let reset = sigmoid(third(&input, 0) + third(&recurrent, 0));
        let update = sigmoid(third(&input, 1) + third(&recurrent, 1));
        let candidate = tanh(third(&input, 2) + reset * third(&recurrent, 2));
        state = candidate.clone() + update * (state - candidate);
        states.push(state.clone().reshape([batch, 1, hidden]));
    }
    Tensor::cat(states, 1)
}
