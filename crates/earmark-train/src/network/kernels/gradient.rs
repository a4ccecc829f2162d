//! How the kernels take part in autodiff.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Flex};
use earmark::model::block::PoolKind;

use super::normalise::{self, Affine, Curve};
use super::{Kernels, Map, Window, dense, depthwise, gru, pool, values};

/// Gives the parents of an operation the gradients that `backward` finds from the operation's state, the
/// gradient of its output and which of the parents want one.
fn pass_back<S, const N: usize>(
    ops: Ops<S, N>,
    grads: &mut Gradients,
    backward: impl FnOnce(S, FlexTensor, [bool; N]) -> [Option<FlexTensor>; N],
) {
    let pull = grads.consume::<Flex>(&ops.node);
    let wanted = ops.parents.each_ref().map(Option::is_some);
    let found = backward(ops.state, pull, wanted);
    for (parent, gradient) in ops.parents.into_iter().zip(found) {
        if let (Some(parent), Some(gradient)) = (parent, gradient) {
            grads.register::<Flex>(parent.id, gradient);
        }
    }
}

#[derive(Debug)]
struct DenseStep;

impl Backward<Flex, 2> for DenseStep {
    type State = (FlexTensor, FlexTensor, (Window, usize));

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        pass_back(ops, grads, |(x, weight, window), pull, wanted| {
            dense::backward(&Map::of(&x), &weight, window, &Map::of(&pull), wanted)
        });
    }
}

#[derive(Debug)]
struct DepthwiseStep;

impl Backward<Flex, 2> for DepthwiseStep {
    type State = (FlexTensor, FlexTensor, Window);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        pass_back(ops, grads, |(x, weight, window), pull, _| {
            let weight = values(&weight);
            depthwise::backward(&Map::of(&x), &weight, window, &Map::of(&pull)).map(Some)
        });
    }
}

#[derive(Debug)]
struct PoolStep;

impl Backward<Flex, 1> for PoolStep {
    /// Input, output, window and kind.
    type State = (FlexTensor, FlexTensor, (Window, PoolKind));

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        pass_back(ops, grads, |(x, output, pool), pull, wanted| {
            let [x, output, pull] = [&x, &output, &pull].map(Map::of);
            wanted.map(|wanted| wanted.then(|| pool::backward(&x, &output, pool, &pull)))
        });
    }
}

#[derive(Debug)]
struct GruStep;

impl Backward<Flex, 3> for GruStep {
    /// Input, weight, bias and states.
    type State = [FlexTensor; 4];

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        pass_back(ops, grads, |[input, weight, bias, states], pull, _| {
            let unit = gru::Unit::new(&weight, &bias);
            gru::backward(&input, &unit, &states, &pull).map(Some)
        });
    }
}

#[derive(Debug)]
struct NormaliseStep;

impl Backward<Flex, 3> for NormaliseStep {
    type State = ([FlexTensor; 4], f32, Curve);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        pass_back(ops, grads, |(inputs, eps, curve), pull, _| {
            let [x, weight, bias, statistics] = &inputs;
            let affine = Affine::new(weight, bias, statistics, eps);
            normalise::backward(&Map::of(x), &affine, curve, &Map::of(&pull)).map(Some)
        });
    }
}

impl<C: CheckpointStrategy> Kernels for Autodiff<Flex, C> {
    fn dense(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        window: Window,
        groups: usize,
    ) -> FloatTensor<Self> {
        let (x, x_node) = x.into_parts();
        let (weight, weight_node) = weight.into_parts();
        let output = Flex::dense(x.clone(), weight.clone(), window, groups);
        let prepared = DenseStep.prepare::<C>([x_node, weight_node]);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((x, weight, (window, groups)), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn depthwise(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        let (x, x_node) = x.into_parts();
        let (weight, weight_node) = weight.into_parts();
        let output = Flex::depthwise(x.clone(), weight.clone(), window);
        let prepared = DepthwiseStep.prepare::<C>([x_node, weight_node]);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((x, weight, window), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn pool(x: FloatTensor<Self>, window: Window, kind: PoolKind) -> FloatTensor<Self> {
        let (x, node) = x.into_parts();
        let output = Flex::pool(x.clone(), window, kind);
        let prepared = PoolStep.prepare::<C>([node]);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                prepared.finish((x, output.clone(), (window, kind)), output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn gru(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (input, input_node) = input.into_parts();
        let (weight, weight_node) = weight.into_parts();
        let (bias, bias_node) = bias.into_parts();
        let states = Flex::gru(input.clone(), weight.clone(), bias.clone());
        let prepared = GruStep.prepare::<C>([input_node, weight_node, bias_node]);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                prepared.finish([input, weight, bias, states.clone()], states)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(states),
        }
    }

    fn statistics(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, _) = x.into_parts();
        Self::from_inner(Flex::statistics(x))
    }

    fn normalise(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        eps: f32,
        curve: Curve,
    ) -> FloatTensor<Self> {
        let (x, x_node) = x.into_parts();
        let (weight, weight_node) = weight.into_parts();
        let (bias, bias_node) = bias.into_parts();
        let (statistics, _) = statistics.into_parts();
        let inputs = [x, weight, bias, statistics];
        let [x, weight, bias, statistics] = inputs.clone();
        let output = Flex::normalise(x, weight, bias, statistics, eps, curve);
        let prepared = NormaliseStep.prepare::<C>([x_node, weight_node, bias_node]);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((inputs, eps, curve), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }
}
