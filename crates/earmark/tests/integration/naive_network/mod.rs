//! Every block written out as its definition says, with plain loops: what builders and runtimes are
//! held against. Slow, `f64`, and independent of all that it judges.

use earmark::model::block::{
    Axis, BatchNorm, Block, Conv, Function, Gru, Join, Linear, OutputKind, Pad, Pool, PoolKind,
    Prelu, Reduce, ReduceKind,
};
use earmark::model::{Architecture, Role, Tensor, Weights};

/// One map `[channel, band, frame]` of one segment.
#[derive(Clone, Debug)]
pub(crate) struct Map {
    pub(crate) size: [usize; 3],
    pub(crate) data: Vec<f64>,
}

impl Map {
    fn filled(size: [usize; 3], mut value: impl FnMut(usize, usize, usize) -> f64) -> Self {
        let mut data = Vec::new();
        for c in 0..size[0] {
            for f in 0..size[1] {
                for t in 0..size[2] {
                    data.push(value(c, f, t));
                }
            }
        }
        Self { size, data }
    }

    fn at(&self, c: usize, f: usize, t: usize) -> f64 {
        self.data[(c * self.size[1] + f) * self.size[2] + t]
    }

    /// The value there, or `outside` beyond the edges.
    fn near(&self, c: usize, f: isize, t: isize, outside: f64) -> f64 {
        let inside = |i: isize, n: usize| i >= 0 && (i as usize) < n;
        if inside(f, self.size[1]) && inside(t, self.size[2]) {
            self.at(c, f as usize, t as usize)
        } else {
            outside
        }
    }
}

/// Logits and embedding of one segment `[channel, band, frame]`.
pub(crate) fn run(net: &Architecture, weights: &Weights, segment: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let (channels, bands) = (net.input.n_channels, net.input.n_bands);
    let x = Map {
        size: [channels, bands, segment.len() / (channels * bands)],
        data: segment.iter().map(|&v| f64::from(v)).collect(),
    };
    let mut naive = Naive {
        weights,
        embedding: Vec::new(),
    };
    let end = naive.blocks(&net.blocks, x);
    (end.data, naive.embedding)
}

/// Reproducible numbers for all parameters of a network, small enough for activations to stay near 1.
pub(crate) fn random_weights(net: &Architecture, seed: u64) -> Weights {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1 << 24) as f32) * 2.0 - 1.0
    };
    let plan = net.plan().unwrap();
    let tensor = |shape: &[usize], mut value: Box<dyn FnMut() -> f32 + '_>| {
        let data = (0..shape.iter().product()).map(|_| value()).collect();
        Tensor::new(shape.to_vec(), data).unwrap()
    };
    plan.parameters
        .iter()
        .map(|p| {
            let value: Box<dyn FnMut() -> f32> = match p.role {
                Role::ConvWeight { fan_in, .. } | Role::LinearWeight { fan_in, .. } => {
                    let scale = (3.0 / fan_in as f32).sqrt();
                    Box::new(move || scale)
                }
                Role::RunningVar => Box::new(|| 0.0),
                _ => Box::new(|| 0.5),
            };
            let variance = p.role == Role::RunningVar;
            let scale = tensor(&p.shape, value);
            let mut values = scale;
            for v in values.data_mut() {
                *v = if variance {
                    1.0 + 0.5 * next()
                } else {
                    *v * next()
                };
            }
            (p.name.clone(), values)
        })
        .collect()
}

/// Reproducible features.
pub(crate) fn random_features(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed | 1;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

struct Naive<'a> {
    weights: &'a Weights,
    embedding: Vec<f64>,
}

impl Naive<'_> {
    fn blocks(&mut self, blocks: &[Block], x: Map) -> Map {
        blocks.iter().fold(x, |x, block| self.block(block, x))
    }

    fn block(&mut self, block: &Block, x: Map) -> Map {
        match block {
            Block::Conv(conv) => self.conv(conv, &x),
            Block::BatchNorm(norm) => self.batch_norm(norm, &x),
            Block::Activation(activation) => Map::filled(x.size, |c, f, t| {
                function(activation.function, x.at(c, f, t))
            }),
            Block::Prelu(prelu) => self.prelu(prelu, &x),
            Block::Pool(pool) => pooled(pool, &x),
            Block::Pad(pad) => padded(pad, &x),
            Block::Reduce(reduce) => reduced(reduce, &x),
            Block::Softmax(softmax) => softmaxed(softmax.axis, &x),
            Block::Linear(linear) => self.linear(linear, &x),
            Block::Gru(gru) => self.gru(gru, &x),
            Block::Dropout(_) => x,
            Block::StackBands => Map {
                size: [x.size[0] * x.size[1], 1, x.size[2]],
                data: x.data,
            },
            Block::Flatten => Map {
                size: [x.data.len(), 1, 1],
                data: x.data,
            },
            Block::Parallel(parallel) => {
                let ends = parallel
                    .branches
                    .iter()
                    .map(|branch| self.blocks(branch, x.clone()));
                let ends: Vec<Map> = ends.collect();
                joined(parallel.join, &ends)
            }
            Block::Output(output) => {
                if output.kind == OutputKind::Embedding {
                    self.embedding = self.blocks(&output.blocks, x.clone()).data;
                }
                x
            }
        }
    }

    fn values(&self, block: &str, name: &str) -> &[f32] {
        self.weights.get(&format!("{block}.{name}")).unwrap().data()
    }

    fn conv(&self, conv: &Conv, x: &Map) -> Map {
        let weight = self.values(&conv.name, "weight");
        let per_group = conv.in_channels / conv.groups;
        let outputs_per_group = conv.out_channels / conv.groups;
        let count = |axis: usize, n: usize| {
            (n + 2 * conv.padding[axis] - conv.dilation[axis] * (conv.kernel[axis] - 1) - 1)
                / conv.stride[axis]
                + 1
        };
        let size = [conv.out_channels, count(0, x.size[1]), count(1, x.size[2])];
        Map::filled(size, |o, f, t| {
            let mut sum = if conv.bias {
                f64::from(self.values(&conv.name, "bias")[o])
            } else {
                0.0
            };
            for i in 0..per_group {
                for kf in 0..conv.kernel[0] {
                    for kt in 0..conv.kernel[1] {
                        let w = weight
                            [((o * per_group + i) * conv.kernel[0] + kf) * conv.kernel[1] + kt];
                        let c = o / outputs_per_group * per_group + i;
                        let at = |step: usize, axis: usize, k: usize| {
                            (step * conv.stride[axis] + k * conv.dilation[axis]) as isize
                                - conv.padding[axis] as isize
                        };
                        sum += f64::from(w) * x.near(c, at(f, 0, kf), at(t, 1, kt), 0.0);
                    }
                }
            }
            sum
        })
    }

    fn batch_norm(&self, norm: &BatchNorm, x: &Map) -> Map {
        let part = |name: &str, i: usize| f64::from(self.values(&norm.name, name)[i]);
        Map::filled(x.size, |c, f, t| {
            let i = if norm.axis == Axis::Band { f } else { c };
            let deviation = (part("running_var", i) + f64::from(norm.eps)).sqrt();
            (x.at(c, f, t) - part("running_mean", i)) / deviation * part("weight", i)
                + part("bias", i)
        })
    }

    fn prelu(&self, prelu: &Prelu, x: &Map) -> Map {
        let slopes = self.values(&prelu.name, "weight");
        Map::filled(x.size, |c, f, t| {
            let slope = slopes[if slopes.len() == 1 { 0 } else { c }];
            let v = x.at(c, f, t);
            if v < 0.0 { v * f64::from(slope) } else { v }
        })
    }

    fn linear(&self, linear: &Linear, x: &Map) -> Map {
        let weight = self.values(&linear.name, "weight");
        Map::filled([linear.out_features, x.size[1], x.size[2]], |o, f, t| {
            let constant = if linear.bias {
                self.values(&linear.name, "bias")[o]
            } else {
                0.0
            };
            let products = (0..linear.in_features)
                .map(|c| f64::from(weight[o * linear.in_features + c]) * x.at(c, f, t));
            f64::from(constant) + products.sum::<f64>()
        })
    }

    fn gru(&self, gru: &Gru, x: &Map) -> Map {
        let frames = x.size[2];
        let forward = self.states(gru, "", x, &mut (0..frames));
        if !gru.bidirectional {
            return Map::filled([gru.hidden, 1, frames], |c, _, t| forward[t][c]);
        }
        let backward = self.states(gru, "_reverse", x, &mut (0..frames).rev());
        Map::filled([2 * gru.hidden, 1, frames], |c, _, t| {
            if c < gru.hidden {
                forward[t][c]
            } else {
                backward[t][c - gru.hidden]
            }
        })
    }

    fn states(
        &self,
        gru: &Gru,
        ending: &str,
        x: &Map,
        order: &mut dyn Iterator<Item = usize>,
    ) -> Vec<Vec<f64>> {
        let part = |name: &str| self.values(&gru.name, &format!("{name}_l0{ending}"));
        let (wi, wh, bi, bh) = (
            part("weight_ih"),
            part("weight_hh"),
            part("bias_ih"),
            part("bias_hh"),
        );
        let n = gru.hidden;
        let mut state = vec![0.0; n];
        let mut states = vec![Vec::new(); x.size[2]];
        for t in order {
            let of_input = |row: usize| -> f64 {
                let products = (0..gru.in_channels)
                    .map(|c| f64::from(wi[row * gru.in_channels + c]) * x.at(c, 0, t));
                products.sum::<f64>() + f64::from(bi[row])
            };
            let of_state = |row: usize| -> f64 {
                let products = (0..n).map(|c| f64::from(wh[row * n + c]) * state[c]);
                products.sum::<f64>() + f64::from(bh[row])
            };
            let next = (0..n).map(|i| {
                let r = function(Function::Sigmoid, of_input(i) + of_state(i));
                let z = function(Function::Sigmoid, of_input(n + i) + of_state(n + i));
                let new = (of_input(2 * n + i) + r * of_state(2 * n + i)).tanh();
                (1.0 - z) * new + z * state[i]
            });
            state = next.collect();
            states[t].clone_from(&state);
        }
        states
    }
}

fn function(function: Function, x: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let hardsigmoid = |x: f64| (x / 6.0 + 0.5).clamp(0.0, 1.0);
    match function {
        Function::Relu => x.max(0.0),
        Function::LeakyRelu { slope } => {
            if x < 0.0 {
                x * f64::from(slope)
            } else {
                x
            }
        }
        Function::Elu => {
            if x < 0.0 {
                x.exp() - 1.0
            } else {
                x
            }
        }
        Function::Gelu => x * normal_distribution(x),
        Function::Silu => x * sigmoid(x),
        Function::Hardsigmoid => hardsigmoid(x),
        Function::Hardswish => x * hardsigmoid(x),
        Function::Sigmoid => sigmoid(x),
        Function::Tanh => x.tanh(),
    }
}

/// The normal distribution function by its power series, exact to rounding for small arguments.
fn normal_distribution(x: f64) -> f64 {
    let mut term = x;
    let mut sum = x;
    for n in 1..200 {
        term *= -x * x / 2.0 / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    0.5 + sum / (2.0 * std::f64::consts::PI).sqrt()
}

fn pooled(pool: &Pool, x: &Map) -> Map {
    let count = |axis: usize, n: usize| {
        (n + 2 * pool.padding[axis] - pool.kernel[axis]) / pool.stride[axis] + 1
    };
    let size = [x.size[0], count(0, x.size[1]), count(1, x.size[2])];
    Map::filled(size, |c, f, t| {
        let at = |step: usize, axis: usize, k: usize| {
            (step * pool.stride[axis] + k) as isize - pool.padding[axis] as isize
        };
        let outside = if pool.kind == PoolKind::Max {
            f64::NEG_INFINITY
        } else {
            0.0
        };
        let mut window = Vec::new();
        for kf in 0..pool.kernel[0] {
            for kt in 0..pool.kernel[1] {
                window.push(x.near(c, at(f, 0, kf), at(t, 1, kt), outside));
            }
        }
        match pool.kind {
            PoolKind::Max => window.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            PoolKind::Mean => window.iter().sum::<f64>() / window.len() as f64,
        }
    })
}

fn padded(pad: &Pad, x: &Map) -> Map {
    let size = [
        x.size[0],
        x.size[1] + pad.before[0] + pad.after[0],
        x.size[2] + pad.before[1] + pad.after[1],
    ];
    Map::filled(size, |c, f, t| {
        x.near(
            c,
            f as isize - pad.before[0] as isize,
            t as isize - pad.before[1] as isize,
            0.0,
        )
    })
}

/// All indices that a reduced axis stands for.
fn over(axes: &[Axis], axis: Axis, length: usize, index: usize) -> Vec<usize> {
    if axes.contains(&axis) {
        (0..length).collect()
    } else {
        vec![index]
    }
}

fn reduced(reduce: &Reduce, x: &Map) -> Map {
    let left = |axis: Axis, n: usize| if reduce.axes.contains(&axis) { 1 } else { n };
    let size = [
        left(Axis::Channel, x.size[0]),
        left(Axis::Band, x.size[1]),
        left(Axis::Frame, x.size[2]),
    ];
    Map::filled(size, |c, f, t| {
        let mut all = Vec::new();
        for c in over(&reduce.axes, Axis::Channel, x.size[0], c) {
            for f in over(&reduce.axes, Axis::Band, x.size[1], f) {
                for t in over(&reduce.axes, Axis::Frame, x.size[2], t) {
                    all.push(x.at(c, f, t));
                }
            }
        }
        match reduce.kind {
            ReduceKind::Max => all.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            ReduceKind::Mean => all.iter().sum::<f64>() / all.len() as f64,
            ReduceKind::Sum => all.iter().sum(),
        }
    })
}

fn softmaxed(axis: Axis, x: &Map) -> Map {
    Map::filled(x.size, |c, f, t| {
        let index = [c, f, t];
        let others = (0..x.size[axis.index() - 1]).map(|i| {
            let mut other = index;
            other[axis.index() - 1] = i;
            x.at(other[0], other[1], other[2]).exp()
        });
        x.at(c, f, t).exp() / others.sum::<f64>()
    })
}

fn joined(join: Join, ends: &[Map]) -> Map {
    let mut sum = ends[0].clone();
    for next in &ends[1..] {
        sum = match join {
            Join::Add => Map::filled(sum.size, |c, f, t| sum.at(c, f, t) + next.at(c, f, t)),
            Join::Multiply => {
                let size = [0, 1, 2].map(|axis| sum.size[axis].max(next.size[axis]));
                let of = |x: &Map, c: usize, f: usize, t: usize| {
                    x.at(
                        c.min(x.size[0] - 1),
                        f.min(x.size[1] - 1),
                        t.min(x.size[2] - 1),
                    )
                };
                Map::filled(size, |c, f, t| of(&sum, c, f, t) * of(next, c, f, t))
            }
            Join::ConcatChannels => {
                let first = sum.size[0];
                Map::filled(
                    [first + next.size[0], sum.size[1], sum.size[2]],
                    |c, f, t| {
                        if c < first {
                            sum.at(c, f, t)
                        } else {
                            next.at(c - first, f, t)
                        }
                    },
                )
            }
            Join::ConcatFrames => {
                let first = sum.size[2];
                Map::filled(
                    [sum.size[0], sum.size[1], first + next.size[2]],
                    |c, f, t| {
                        if t < first {
                            sum.at(c, f, t)
                        } else {
                            next.at(c, f, t - first)
                        }
                    },
                )
            }
        };
    }
    sum
}
