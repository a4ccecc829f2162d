//! The gated recurrent unit over a whole sequence: `K. Cho et al. 2014`, with two biases as `PyTorch` has it.
//!
//! Frames follow one another, so each clip goes on its own and clips side by side. The way back computes the
//! gates again from the states, which are the output, instead of keeping them.

use burn::backend::flex::FlexTensor;
use pulp::Arch;
use rayon::prelude::*;

use super::{tensor, values};

/// What the unit multiplies its state with.
pub(super) struct Unit {
    hidden: usize,
    /// `[hidden, 3 * hidden]`: reset, update and candidate.
    weight: Vec<f32>,
    /// `[3 * hidden]`.
    bias: Vec<f32>,
}

/// A frame's gates.
struct Gates {
    /// What comes from the state before: `[3 * hidden]`.
    recurrent: Vec<f32>,
    reset: Vec<f32>,
    update: Vec<f32>,
    candidate: Vec<f32>,
}

impl Gates {
    fn new(hidden: usize) -> Self {
        Self {
            recurrent: vec![0.0; 3 * hidden],
            reset: vec![0.0; hidden],
            update: vec![0.0; hidden],
            candidate: vec![0.0; hidden],
        }
    }
}

impl Unit {
    pub(super) fn new(weight: &FlexTensor, bias: &FlexTensor) -> Self {
        Self {
            hidden: weight.layout().shape()[0],
            weight: values(weight),
            bias: values(bias),
        }
    }

    /// The gates of a frame from its input `[3 * hidden]` and the state before.
    #[inline(always)]
    fn gates(&self, input: &[f32], before: &[f32], gates: &mut Gates) {
        let hidden = self.hidden;
        gates.recurrent.copy_from_slice(&self.bias);
        for (x, row) in before.iter().zip(self.weight.chunks_exact(3 * hidden)) {
            for (sum, weight) in gates.recurrent.iter_mut().zip(row) {
                *sum += x * weight;
            }
        }
        for i in 0..hidden {
            let recurrent = |part: usize| gates.recurrent[part * hidden + i];
            let input = |part: usize| input[part * hidden + i];
            let reset = sigmoid(input(0) + recurrent(0));
            gates.reset[i] = reset;
            gates.update[i] = sigmoid(input(1) + recurrent(1));
            gates.candidate[i] = (input(2) + reset * recurrent(2)).tanh();
        }
    }

    /// All states `[frame, hidden]` of a clip.
    #[inline(always)]
    fn clip(&self, input: &[f32], states: &mut [f32]) {
        let hidden = self.hidden;
        let mut gates = Gates::new(hidden);
        let mut before = vec![0.0; hidden];
        let frames = input.chunks_exact(3 * hidden);
        for (input, state) in frames.zip(states.chunks_exact_mut(hidden)) {
            self.gates(input, &before, &mut gates);
            for i in 0..hidden {
                let candidate = gates.candidate[i];
                state[i] = candidate + gates.update[i] * (before[i] - candidate);
            }
            before.copy_from_slice(state);
        }
    }

    /// The gradients of a clip: of its input, and of weight and bias behind one another.
    #[inline(always)]
    fn clip_gradients(&self, clip: &Clip<'_>, for_input: &mut [f32], for_unit: &mut [f32]) {
        let hidden = self.hidden;
        let (for_weight, for_bias) = for_unit.split_at_mut(self.weight.len());
        let start = vec![0.0; hidden];
        let mut gates = Gates::new(hidden);
        let mut pull = vec![0.0f32; hidden];
        let mut for_recurrent = vec![0.0f32; 3 * hidden];
        for frame in (0..clip.states.len() / hidden).rev() {
            let before = match frame {
                0 => start.as_slice(),
                _ => &clip.states[(frame - 1) * hidden..][..hidden],
            };
            let wide = frame * 3 * hidden..(frame + 1) * 3 * hidden;
            self.gates(&clip.input[wide.clone()], before, &mut gates);
            let for_input = &mut for_input[wide];
            for i in 0..hidden {
                let [reset, update] = [gates.reset[i], gates.update[i]];
                let candidate = gates.candidate[i];
                let recurrent = gates.recurrent[2 * hidden + i];
                let state = pull[i] + clip.pull[frame * hidden + i];
                let for_candidate = state * (1.0 - update) * (1.0 - candidate * candidate);
                let for_update = state * (before[i] - candidate) * update * (1.0 - update);
                let for_reset = for_candidate * recurrent * reset * (1.0 - reset);
                for_input[i] = for_reset;
                for_input[hidden + i] = for_update;
                for_input[2 * hidden + i] = for_candidate;
                for_recurrent[2 * hidden + i] = for_candidate * reset;
                pull[i] = state * update;
            }
            for_recurrent[..2 * hidden].copy_from_slice(&for_input[..2 * hidden]);
            add(for_bias, &for_recurrent, 1.0);
            let rows = self.weight.chunks_exact(3 * hidden);
            let sums = for_weight.chunks_exact_mut(3 * hidden);
            for (i, (row, sums)) in rows.zip(sums).enumerate() {
                add(sums, &for_recurrent, before[i]);
                pull[i] += dot(row, &for_recurrent);
            }
        }
    }
}

/// What the way back needs of a clip.
struct Clip<'a> {
    /// `[frame, 3 * hidden]`.
    input: &'a [f32],
    /// `[frame, hidden]`.
    states: &'a [f32],
    /// The gradient of the states.
    pull: &'a [f32],
}

/// All states `[batch, frame, hidden]` for what the input gives to the gates, `[batch, frame, 3 * hidden]`.
pub(super) fn forward(input: &FlexTensor, unit: &Unit) -> FlexTensor {
    let shape = input.layout().shape();
    let [batch, frame, gates] = [shape[0], shape[1], shape[2]];
    let input = input.to_contiguous();
    let mut states = vec![0.0; batch * frame * unit.hidden];
    states
        .par_chunks_exact_mut(frame * unit.hidden)
        .zip(input.storage::<f32>().par_chunks_exact(frame * gates))
        .for_each(|(states, input)| Arch::new().dispatch(|| unit.clip(input, states)));
    tensor(states, [batch, frame, unit.hidden])
}

/// The gradients with respect to input, weight and bias.
pub(super) fn backward(
    input: &FlexTensor,
    unit: &Unit,
    states: &FlexTensor,
    pull: &FlexTensor,
) -> [FlexTensor; 3] {
    let shape = input.layout().shape();
    let [batch, frame, gates] = [shape[0], shape[1], shape[2]];
    let hidden = unit.hidden;
    let [input, states, pull] = [input, states, pull].map(FlexTensor::to_contiguous);
    let n_unit = unit.weight.len() + gates;
    let mut for_input = vec![0.0; batch * frame * gates];
    let mut for_units = vec![0.0f32; batch * n_unit];
    for_input
        .par_chunks_exact_mut(frame * gates)
        .zip(for_units.par_chunks_exact_mut(n_unit))
        .zip(input.storage::<f32>().par_chunks_exact(frame * gates))
        .zip(states.storage::<f32>().par_chunks_exact(frame * hidden))
        .zip(pull.storage::<f32>().par_chunks_exact(frame * hidden))
        .for_each(|((((for_input, for_unit), input), states), pull)| {
            let clip = Clip {
                input,
                states,
                pull,
            };
            Arch::new().dispatch(|| unit.clip_gradients(&clip, for_input, for_unit));
        });
    let mut for_unit = vec![0.0f32; n_unit];
    for of_clip in for_units.chunks_exact(n_unit) {
        add(&mut for_unit, of_clip, 1.0);
    }
    let for_bias = for_unit.split_off(unit.weight.len());
    [
        tensor(for_input, [batch, frame, gates]),
        tensor(for_unit, [hidden, gates]),
        tensor(for_bias, [gates]),
    ]
}

#[inline(always)]
fn add(sums: &mut [f32], values: &[f32], factor: f32) {
    sums.iter_mut()
        .zip(values)
        .for_each(|(sum, x)| *sum += factor * x);
}

/// A scalar product in eight sums, which take part in it in a fixed order.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let [(a_parts, a_rest), (b_parts, b_rest)] = [a.as_chunks::<8>(), b.as_chunks::<8>()];
    for (a, b) in a_parts.iter().zip(b_parts) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
