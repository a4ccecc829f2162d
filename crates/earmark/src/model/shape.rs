//! Follows shapes through a list of blocks: the check of a description, its parameters and its cost.

use super::block::{
    Axis, BatchNorm, Block, Conv, Gru, Join, Linear, Output, OutputKind, Pad, Parallel, Pool,
    PoolKind, Prelu, Reduce,
};
use super::{Architecture, Parameter, Role};
use crate::{Error, Result};

/// The longest axis and the largest tensor that a description may have.
const MAX_LENGTH: usize = 1 << 28;

/// ONNX Runtime 1.31 joins a padding with zeros and a maximum after it into a maximum that passes the
/// padding over, which differs for negative values.
const PAD_THEN_MAX: &str = "an activation between them";

/// The shape of one value, without the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Axis 1.
    pub channels: usize,
    /// Axis 2.
    pub bands: usize,
    /// Axis 3; `None` where any length is allowed.
    pub frames: Option<usize>,
}

impl Shape {
    /// Whether the value is a vector: one band and one frame.
    pub fn is_vector(self) -> bool {
        self.bands == 1 && self.frames == Some(1)
    }

    fn vector(channels: usize) -> Self {
        Self {
            channels,
            bands: 1,
            frames: Some(1),
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} channels × {} bands × ", self.channels, self.bands)?;
        match self.frames {
            Some(frames) => write!(f, "{frames} frames"),
            None => write!(f, "any frames"),
        }
    }
}

/// What a checked description amounts to.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// All parameters in the order of the blocks.
    pub parameters: Vec<Parameter>,
    /// The length of the embedding.
    pub embedding_dim: usize,
    /// The loss weights of the auxiliary classifiers, in the order of the blocks.
    pub auxiliary: Vec<f32>,
    /// Multiply-adds of convolutions, linear and recurrent layers for one segment, without auxiliary
    /// classifiers; `None` when the number of frames is open.
    pub macs: Option<u64>,
}

impl Plan {
    /// The number of trained values, auxiliary classifiers included.
    pub fn n_trained(&self) -> usize {
        let trained = self.parameters.iter().filter(|p| p.is_trained());
        trained.map(Parameter::n_values).sum()
    }

    /// The parameter of that name.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|p| p.name == name)
    }
}

/// The shape after one block. Builders use it to know what they are given.
///
/// # Errors
/// [`Error::Shape`] when the block cannot take `input`.
pub fn after(block: &Block, input: Shape) -> Result<Shape> {
    Walk::new("network", 0).block(block, input)
}

/// The shape after a list of blocks.
///
/// # Errors
/// [`Error::Shape`] when a block cannot take what comes before it.
pub fn after_all(blocks: &[Block], input: Shape) -> Result<Shape> {
    Walk::new("network", 0).blocks(blocks, input)
}

/// Checks `architecture` for a number of frames, or for any.
pub(super) fn plan(architecture: &Architecture, n_frames: Option<usize>) -> Result<Plan> {
    let plan = walk(architecture, n_frames)?;
    if n_frames.is_none() {
        // Branches that differ in length for some inputs only show when lengths are numbers. Sixty-four
        // neighbouring lengths meet every remainder of the strides in use.
        for n in 100_000..100_064 {
            walk(architecture, Some(n))?;
        }
    }
    Ok(plan)
}

fn walk(architecture: &Architecture, n_frames: Option<usize>) -> Result<Plan> {
    let input = &architecture.input;
    let shape = Shape {
        channels: input.n_channels,
        bands: input.n_bands,
        frames: n_frames,
    };
    let mut walk = Walk::new(&architecture.name, architecture.n_classes);
    walk.in_range(shape)?;
    let end = walk.blocks(&architecture.blocks, shape)?;
    walk.expect_logits("logits", end)?;
    walk.finish(n_frames.is_some())
}

/// The state of one walk over a description.
struct Walk<'a> {
    network: &'a str,
    n_classes: usize,
    /// Where the walk is: indices of blocks and branches, outermost first.
    path: Vec<usize>,
    parameters: Vec<Parameter>,
    embeddings: Vec<usize>,
    auxiliary: Vec<f32>,
    in_auxiliary: bool,
    macs: u64,
}

impl<'a> Walk<'a> {
    fn new(network: &'a str, n_classes: usize) -> Self {
        Self {
            network,
            n_classes,
            path: Vec::new(),
            parameters: Vec::new(),
            embeddings: Vec::new(),
            auxiliary: Vec::new(),
            in_auxiliary: false,
            macs: 0,
        }
    }

    fn finish(self, frames_known: bool) -> Result<Plan> {
        let [embedding_dim] = self.embeddings[..] else {
            return Err(self.error("embedding outputs", self.embeddings.len(), "1"));
        };
        let mut names: Vec<&str> = self.parameters.iter().map(|p| p.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(self.error(
                "parameter names",
                format!("`{}` twice", pair[0]),
                "unique names",
            ));
        }
        Ok(Plan {
            embedding_dim,
            auxiliary: self.auxiliary,
            macs: frames_known.then_some(self.macs),
            parameters: self.parameters,
        })
    }

    fn error(&self, what: &str, found: impl ToString, expected: impl ToString) -> Error {
        let at: Vec<String> = self.path.iter().map(usize::to_string).collect();
        let place = if at.is_empty() {
            String::new()
        } else {
            format!(" block {}:", at.join("."))
        };
        Error::Shape {
            what: format!("{}:{place} {what}", self.network),
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }

    fn blocks(&mut self, blocks: &[Block], input: Shape) -> Result<Shape> {
        let mut shape = input;
        for (index, block) in blocks.iter().enumerate() {
            self.path.push(index);
            if let [Block::Pad(_), Block::Pool(pool), ..] = &blocks[index..]
                && pool.kind == PoolKind::Max
            {
                return Err(self.error("pad", "a maximum right after it", PAD_THEN_MAX));
            }
            shape = self.block(block, shape)?;
            self.in_range(shape)?;
            self.path.pop();
        }
        Ok(shape)
    }

    fn block(&mut self, block: &Block, x: Shape) -> Result<Shape> {
        match block {
            Block::Conv(conv) => self.conv(conv, x),
            Block::BatchNorm(norm) => self.batch_norm(norm, x),
            Block::Prelu(prelu) => self.prelu(prelu, x),
            Block::Pool(pool) => self.pool(pool, x),
            Block::Pad(pad) => self.pad(pad, x),
            Block::Reduce(reduce) => self.reduce(reduce, x),
            Block::Linear(linear) => self.linear(linear, x),
            Block::Gru(gru) => self.gru(gru, x),
            Block::Parallel(parallel) => self.parallel(parallel, x),
            Block::Output(output) => self.output(output, x),
            Block::StackBands => Ok(Shape {
                channels: self.product(&[x.channels, x.bands])?,
                bands: 1,
                frames: x.frames,
            }),
            Block::Flatten => self.flatten(x),
            Block::Dropout(dropout) if !(0.0..1.0).contains(&dropout.rate) => {
                Err(self.error("dropout rate", dropout.rate, "0 to below 1"))
            }
            Block::Activation(_) | Block::Softmax(_) | Block::Dropout(_) => Ok(x),
        }
    }

    fn conv(&mut self, conv: &Conv, x: Shape) -> Result<Shape> {
        let name = &conv.name;
        self.expect_channels(name, x, conv.in_channels)?;
        let groups = conv.groups;
        if groups == 0
            || !conv.in_channels.is_multiple_of(groups)
            || !conv.out_channels.is_multiple_of(groups)
        {
            let divides = format!(
                "a divisor of {} and {}",
                conv.in_channels, conv.out_channels
            );
            return Err(self.error(&format!("`{name}` groups"), groups, divides));
        }
        let [bands, frames] = self.windows(
            name,
            x,
            Window {
                kernel: conv.kernel,
                stride: conv.stride,
                padding: conv.padding,
                dilation: conv.dilation,
            },
        )?;
        let fan_in = self.product(&[conv.in_channels / groups, conv.kernel[0], conv.kernel[1]])?;
        let fan_out =
            self.product(&[conv.out_channels / groups, conv.kernel[0], conv.kernel[1]])?;
        let shape = vec![
            conv.out_channels,
            conv.in_channels / groups,
            conv.kernel[0],
            conv.kernel[1],
        ];
        self.parameter(name, "weight", shape, Role::ConvWeight { fan_in, fan_out })?;
        if conv.bias {
            self.parameter(name, "bias", vec![conv.out_channels], Role::Bias { fan_in })?;
        }
        let y = Shape {
            channels: conv.out_channels,
            bands: bands.unwrap_or(0),
            frames,
        };
        self.count(y, conv.out_channels as u64 * fan_in as u64);
        Ok(y)
    }

    fn batch_norm(&mut self, norm: &BatchNorm, x: Shape) -> Result<Shape> {
        let name = &norm.name;
        let length = match norm.axis {
            Axis::Channel => x.channels,
            Axis::Band => x.bands,
            Axis::Frame => {
                return Err(self.error(&format!("`{name}` axis"), "frame", "channel or band"));
            }
        };
        if length != norm.n_features {
            return Err(self.error(&format!("`{name}` features"), length, norm.n_features));
        }
        if !(norm.eps > 0.0 && norm.eps.is_finite()) {
            return Err(self.error(&format!("`{name}` eps"), norm.eps, "above 0"));
        }
        if !(0.0..=1.0).contains(&norm.momentum) {
            return Err(self.error(&format!("`{name}` momentum"), norm.momentum, "0 to 1"));
        }
        self.parameter(name, "weight", vec![length], Role::NormWeight)?;
        self.parameter(name, "bias", vec![length], Role::NormBias)?;
        self.parameter(name, "running_mean", vec![length], Role::RunningMean)?;
        self.parameter(name, "running_var", vec![length], Role::RunningVar)?;
        Ok(x)
    }

    fn prelu(&mut self, prelu: &Prelu, x: Shape) -> Result<Shape> {
        if prelu.n_slopes != 1 && prelu.n_slopes != x.channels {
            let expected = format!("1 or {}", x.channels);
            return Err(self.error(
                &format!("`{}` slopes", prelu.name),
                prelu.n_slopes,
                expected,
            ));
        }
        self.parameter(&prelu.name, "weight", vec![prelu.n_slopes], Role::Slope)?;
        Ok(x)
    }

    fn pool(&mut self, pool: &Pool, x: Shape) -> Result<Shape> {
        if pool.padding[0] > pool.kernel[0] / 2 || pool.padding[1] > pool.kernel[1] / 2 {
            let found = format!("{:?}", pool.padding);
            return Err(self.error("pool padding", found, "at most half the kernel"));
        }
        let window = Window {
            kernel: pool.kernel,
            stride: pool.stride,
            padding: pool.padding,
            dilation: [1, 1],
        };
        let [bands, frames] = self.windows("pool", x, window)?;
        Ok(Shape {
            channels: x.channels,
            bands: bands.unwrap_or(0),
            frames,
        })
    }

    fn pad(&mut self, pad: &Pad, x: Shape) -> Result<Shape> {
        let grown = |length: usize, axis: usize| {
            let sum = length.checked_add(pad.before[axis])?;
            sum.checked_add(pad.after[axis])
        };
        let bands = grown(x.bands, 0);
        let frames = x.frames.map(|n| grown(n, 1));
        match (bands, frames) {
            (None, _) | (_, Some(None)) => Err(self.error("pad", "too much", "a map")),
            (Some(bands), frames) => Ok(Shape {
                channels: x.channels,
                bands,
                frames: frames.flatten(),
            }),
        }
    }

    fn reduce(&mut self, reduce: &Reduce, x: Shape) -> Result<Shape> {
        let mut axes: Vec<usize> = reduce.axes.iter().map(|a| a.index()).collect();
        axes.sort_unstable();
        axes.dedup();
        if axes.is_empty() || axes.len() != reduce.axes.len() {
            let found = format!("{:?}", reduce.axes);
            return Err(self.error("reduce axes", found, "at least one, each once"));
        }
        let reduced = |axis| reduce.axes.contains(&axis);
        Ok(Shape {
            channels: if reduced(Axis::Channel) {
                1
            } else {
                x.channels
            },
            bands: if reduced(Axis::Band) { 1 } else { x.bands },
            frames: if reduced(Axis::Frame) {
                Some(1)
            } else {
                x.frames
            },
        })
    }

    fn linear(&mut self, linear: &Linear, x: Shape) -> Result<Shape> {
        let name = &linear.name;
        let (fan_in, fan_out) = (linear.in_features, linear.out_features);
        self.expect_channels(name, x, fan_in)?;
        let role = Role::LinearWeight { fan_in, fan_out };
        self.parameter(name, "weight", vec![fan_out, fan_in], role)?;
        if linear.bias {
            self.parameter(name, "bias", vec![fan_out], Role::Bias { fan_in })?;
        }
        let y = Shape {
            channels: fan_out,
            ..x
        };
        self.count(y, fan_in as u64 * fan_out as u64);
        Ok(y)
    }

    fn gru(&mut self, gru: &Gru, x: Shape) -> Result<Shape> {
        let name = &gru.name;
        self.expect_channels(name, x, gru.in_channels)?;
        if x.bands != 1 {
            return Err(self.error(
                &format!("`{name}` bands"),
                x.bands,
                "1 (stack the bands first)",
            ));
        }
        let hidden = gru.hidden;
        let gates = self.product(&[3, hidden])?;
        let endings: &[&str] = if gru.bidirectional {
            &["", "_reverse"]
        } else {
            &[""]
        };
        for ending in endings {
            let weight = Role::RecurrentWeight { hidden };
            let bias = Role::RecurrentBias { hidden };
            let input = vec![gates, gru.in_channels];
            self.parameter(name, &format!("weight_ih_l0{ending}"), input, weight)?;
            self.parameter(
                name,
                &format!("weight_hh_l0{ending}"),
                vec![gates, hidden],
                weight,
            )?;
            self.parameter(name, &format!("bias_ih_l0{ending}"), vec![gates], bias)?;
            self.parameter(name, &format!("bias_hh_l0{ending}"), vec![gates], bias)?;
        }
        let y = Shape {
            channels: self.product(&[endings.len(), hidden])?,
            ..x
        };
        let per_frame = (gates as u64).saturating_mul((gru.in_channels + hidden) as u64);
        self.count(y, per_frame.saturating_mul(endings.len() as u64));
        Ok(y)
    }

    fn flatten(&mut self, x: Shape) -> Result<Shape> {
        let Some(frames) = x.frames else {
            return Err(self.error("flatten", x, "a fixed number of frames"));
        };
        Ok(Shape::vector(self.product(&[x.channels, x.bands, frames])?))
    }

    fn parallel(&mut self, parallel: &Parallel, x: Shape) -> Result<Shape> {
        if parallel.branches.len() < 2 {
            return Err(self.error("branches", parallel.branches.len(), "at least 2"));
        }
        let mut joined = None;
        for (index, branch) in parallel.branches.iter().enumerate() {
            self.path.push(index);
            let shape = self.blocks(branch, x)?;
            joined = Some(match joined {
                None => shape,
                Some(first) => join(parallel.join, first, shape)
                    .ok_or_else(|| self.error(&format!("{:?}", parallel.join), shape, first))?,
            });
            self.path.pop();
        }
        Ok(joined.unwrap_or(x))
    }

    fn output(&mut self, output: &Output, x: Shape) -> Result<Shape> {
        let auxiliary = matches!(output.kind, OutputKind::Auxiliary { .. });
        let (outer, macs) = (self.in_auxiliary, self.macs);
        self.in_auxiliary |= auxiliary;
        let end = self.blocks(&output.blocks, x)?;
        self.in_auxiliary = outer;
        match output.kind {
            OutputKind::Embedding if end.is_vector() => self.embeddings.push(end.channels),
            OutputKind::Embedding => {
                return Err(self.error("embedding", end, "one band and one frame"));
            }
            OutputKind::Auxiliary { weight } => {
                if !(weight > 0.0 && weight.is_finite()) {
                    return Err(self.error("auxiliary weight", weight, "above 0"));
                }
                self.expect_logits("auxiliary logits", end)?;
                self.auxiliary.push(weight);
                self.macs = macs;
            }
        }
        Ok(x)
    }

    fn windows(&self, name: &str, x: Shape, window: Window) -> Result<[Option<usize>; 2]> {
        let bands = window.count(0, Some(x.bands));
        let frames = window.count(1, x.frames);
        match (bands, frames) {
            (Some(bands), Some(frames)) => Ok([bands, frames]),
            _ => Err(self.error(&format!("`{name}` input"), x, format!("room for {window}"))),
        }
    }

    fn expect_channels(&self, name: &str, x: Shape, expected: usize) -> Result<()> {
        if x.channels == expected {
            return Ok(());
        }
        Err(self.error(&format!("`{name}` input channels"), x.channels, expected))
    }

    fn expect_logits(&self, what: &str, shape: Shape) -> Result<()> {
        if shape == Shape::vector(self.n_classes) || self.n_classes == 0 {
            return Ok(());
        }
        Err(self.error(what, shape, Shape::vector(self.n_classes)))
    }

    fn in_range(&self, shape: Shape) -> Result<()> {
        let lengths = [shape.channels, shape.bands, shape.frames.unwrap_or(1)];
        if lengths.iter().all(|n| (1..=MAX_LENGTH).contains(n)) {
            return Ok(());
        }
        Err(self.error("shape", shape, format!("axes of 1 to {MAX_LENGTH}")))
    }

    fn product(&self, factors: &[usize]) -> Result<usize> {
        let product = factors.iter().try_fold(1usize, |n, &f| n.checked_mul(f));
        product
            .filter(|&n| (1..=MAX_LENGTH).contains(&n))
            .ok_or_else(|| {
                let found = format!("the product of {factors:?}");
                self.error("size", found, format!("1 to {MAX_LENGTH}"))
            })
    }

    fn parameter(&mut self, block: &str, name: &str, shape: Vec<usize>, role: Role) -> Result<()> {
        self.product(&shape)?;
        self.parameters.push(Parameter {
            name: format!("{block}.{name}"),
            shape,
            role,
            auxiliary: self.in_auxiliary,
        });
        Ok(())
    }

    fn count(&mut self, y: Shape, per_position: u64) {
        let positions = (y.bands as u64).saturating_mul(y.frames.unwrap_or(0) as u64);
        let macs = positions.saturating_mul(per_position);
        self.macs = self.macs.saturating_add(macs);
    }
}

/// A sliding window over bands and frames.
struct Window {
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
}

impl Window {
    /// How many positions the window has on an axis of that length (`None` is an open length, which
    /// stays open); outer `None` when it does not fit or makes no sense.
    fn count(&self, axis: usize, length: Option<usize>) -> Option<Option<usize>> {
        let (kernel, stride) = (self.kernel[axis], self.stride[axis]);
        if kernel == 0 || stride == 0 || self.dilation[axis] == 0 {
            return None;
        }
        let reach = self.dilation[axis]
            .checked_mul(kernel - 1)?
            .checked_add(1)?;
        let padding = self.padding[axis].checked_mul(2)?;
        let Some(length) = length else {
            return Some(None);
        };
        let room = length.checked_add(padding)?.checked_sub(reach)?;
        Some(Some(room / stride + 1))
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "a kernel of {:?} with stride {:?}",
            self.kernel, self.stride
        )?;
        write!(
            f,
            ", padding {:?}, dilation {:?}",
            self.padding, self.dilation
        )
    }
}

/// The shape of two branches together, or `None` when they do not fit.
fn join(join: Join, a: Shape, b: Shape) -> Option<Shape> {
    match join {
        Join::Add => (a == b).then_some(a),
        Join::ConcatChannels => (a.bands == b.bands && a.frames == b.frames).then_some(Shape {
            channels: a.channels.checked_add(b.channels)?,
            ..a
        }),
        Join::ConcatFrames => (a.bands == b.bands && a.channels == b.channels).then_some(Shape {
            frames: match (a.frames, b.frames) {
                (Some(a), Some(b)) => Some(a.checked_add(b)?),
                _ => None,
            },
            ..a
        }),
        Join::Multiply => Some(Shape {
            channels: broadcast(a.channels, b.channels)?,
            bands: broadcast(a.bands, b.bands)?,
            frames: match (a.frames, b.frames) {
                (Some(a), Some(b)) => Some(broadcast(a, b)?),
                (None, None | Some(1)) | (Some(1), None) => None,
                _ => return None,
            },
        }),
    }
}

fn broadcast(a: usize, b: usize) -> Option<usize> {
    match (a, b) {
        (1, n) | (n, 1) => Some(n),
        (n, m) => (n == m).then_some(n),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Input, parts};

    fn tiny(blocks: Vec<Block>) -> Architecture {
        Architecture {
            name: "tiny".to_owned(),
            input: Input {
                n_channels: 1,
                n_bands: 8,
                n_frames: None,
            },
            n_classes: 3,
            blocks,
        }
    }

    #[test]
    fn counts_parameters_and_macs_of_a_hand_checked_network() {
        let net = tiny(vec![
            parts::conv("c", [1, 4], [3, 3], [2, 2], true),
            parts::mean_all(),
            parts::embedding(),
            parts::linear("l", [4, 3]),
        ]);
        let plan = net.plan_for(10).expect("the network is sound");
        assert_eq!(plan.embedding_dim, 4);
        assert_eq!(plan.n_trained(), 4 * 9 + 4 + 12 + 3);
        // 4 × 5 positions, 36 products each, then 12.
        assert_eq!(plan.macs, Some(4 * 5 * 36 + 12));
        assert_eq!(net.plan().expect("sound for any length").macs, None);
    }

    #[test]
    fn names_the_block_that_does_not_fit() {
        let net = tiny(vec![parts::conv("c", [2, 4], [3, 3], [1, 1], true)]);
        let error = net.plan().expect_err("two channels wanted, one given");
        assert_eq!(
            error.to_string(),
            "tiny: block 0: `c` input channels: found 1, expected 2"
        );
    }

    #[test]
    fn refuses_branches_that_only_sometimes_fit() {
        let stride_two = parts::conv("a", [1, 1], [3, 3], [2, 2], true);
        let pool = parts::max_pool([2, 2], [2, 2]);
        let net = tiny(vec![
            parts::residual(vec![stride_two], vec![pool]),
            parts::mean_all(),
            parts::embedding(),
            parts::linear("l", [1, 3]),
        ]);
        assert!(net.plan_for(10).is_ok());
        assert!(
            net.plan().is_err(),
            "an odd number of frames breaks the sum"
        );
    }

    #[test]
    fn refuses_two_parameters_of_one_name() {
        let net = tiny(vec![
            parts::mean_all(),
            parts::linear("l", [1, 1]),
            parts::embedding(),
            parts::linear("l", [1, 3]),
        ]);
        let error = net.plan().expect_err("`l.weight` is there twice");
        assert!(error.to_string().contains("`l.bias` twice"), "{error}");
    }

    #[test]
    fn finds_the_shortest_input() {
        let net = tiny(vec![
            parts::max_pool([8, 16], [8, 16]),
            parts::mean_all(),
            parts::embedding(),
            parts::linear("l", [1, 3]),
        ]);
        assert_eq!(net.min_frames(), Some(16));
    }
}
