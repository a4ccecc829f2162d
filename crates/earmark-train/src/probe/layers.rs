//! The network that a probe ends: which of its values the linear layer sees.

use earmark::model::block::{Axis, Join, Linear, Output, OutputKind, Parallel, ReduceKind};
use earmark::model::shape::after_all;
use earmark::model::{Architecture, Block, Shape, parts};
use earmark::{Error, Result};
use serde::{Deserialize, Serialize};

use super::LAYER;

/// What a probe sees of a network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layers {
    /// Its embedding.
    #[default]
    Embedding,
    /// Everything from the first residual block on: mean and maximum of each channel after every residual
    /// block and every pooling, the embedding, and what the hidden layers of the head make of it. All of
    /// it together becomes the embedding of the new network. Classes that the pretrained network was
    /// not taught to tell apart are often further apart before its last layers than after them.
    /// Evci et al., *`Head2Toe`: utilizing intermediate representations for better transfer learning*
    /// (2022).
    All,
    /// The same, with mean and maximum of each quarter of the bands instead of the whole map: four times as many
    /// values, which keep where in the spectrum a channel is active.
    Quarters,
}

/// Parts of the bands that [`Layers::Quarters`] looks at.
const N_QUARTERS: usize = 4;

/// The network that ends in a linear layer on the layers that the probe sees. The parameters up to there keep
/// their names.
///
/// # Errors
/// [`Error::Shape`] if the embedding is not one of the main blocks, or if there is nothing to see but
/// the embedding.
pub fn probed(
    architecture: &Architecture,
    layers: Layers,
    n_classes: usize,
) -> Result<Architecture> {
    let at = architecture
        .blocks
        .iter()
        .position(is_embedding)
        .ok_or_else(|| missing(architecture, "embedding", "inside a branch"))?;
    let mut blocks = match (layers, &architecture.blocks[at]) {
        (Layers::All | Layers::Quarters, _) => gathered(architecture, at, layers)?,
        (Layers::Embedding, Block::Output(output)) => {
            // What led to the side output leads to the main one now.
            [&architecture.blocks[..at], &output.blocks].concat()
        }
        (Layers::Embedding, _) => architecture.blocks[..at].to_vec(),
    };
    let input = architecture.input;
    let end = after_all(&blocks, input_shape(architecture))?;
    blocks.push(parts::embedding());
    blocks.push(Block::Linear(Linear {
        name: LAYER.to_owned(),
        in_features: end.channels,
        out_features: n_classes,
        bias: true,
    }));
    let probed = Architecture {
        name: format!("{}-probe", architecture.name),
        input,
        n_classes,
        blocks,
    };
    probed.plan()?;
    Ok(probed)
}

fn input_shape(architecture: &Architecture) -> Shape {
    let input = architecture.input;
    Shape {
        channels: input.n_channels,
        bands: input.n_bands,
        frames: input.n_frames,
    }
}

/// The blocks up to the classes' layer, with all that they let see joined in one vector.
fn gathered(architecture: &Architecture, embedding: usize, layers: Layers) -> Result<Vec<Block>> {
    let blocks = &architecture.blocks;
    let is_plain = |block: &Block| {
        matches!(
            block,
            Block::Linear(_) | Block::Activation(_) | Block::Dropout(_) | Block::BatchNorm(_)
        )
    };
    let head = &blocks[embedding + 1..];
    // The hidden layers of a head of vectors can be seen too; what other heads do cannot.
    let classes = head
        .iter()
        .rposition(|block| matches!(block, Block::Linear(_)));
    let n_hidden = classes.filter(|_| head.iter().all(is_plain)).unwrap_or(0);
    let mut rest = head[..n_hidden].to_vec();
    let Block::Output(output) = &blocks[embedding] else {
        return Err(missing(architecture, "embedding", "inside a branch"));
    };
    rest = match rest.is_empty() {
        true => output.blocks.clone(),
        false => vec![beside(rest, output.blocks.clone())],
    };
    let mut n_seen = 0;
    for (index, block) in blocks[..embedding].iter().enumerate().rev() {
        if matches!(block, Block::Output(_)) {
            continue;
        }
        if ends_stage(block) {
            n_seen += 1;
            let seen = match layers {
                Layers::Quarters => {
                    quarters(after_all(&blocks[..=index], input_shape(architecture))?.bands)
                }
                _ => beside(vec![parts::mean_all()], vec![parts::max_all()]),
            };
            rest = vec![beside(rest, vec![seen])];
        }
        rest.insert(0, block.clone());
    }
    match n_seen {
        0 => Err(missing(
            architecture,
            "residual blocks and poolings",
            "none",
        )),
        _ => Ok(rest),
    }
}

/// Mean and maximum of each channel in each quarter of the bands; bands that four does not divide stay together.
fn quarters(n_bands: usize) -> Block {
    let n_parts = if n_bands.is_multiple_of(N_QUARTERS) {
        N_QUARTERS
    } else {
        1
    };
    let kernel = [n_bands / n_parts, 1];
    let of = |kind, pool| vec![parts::reduce(kind, &[Axis::Frame]), pool, Block::StackBands];
    beside(
        of(ReduceKind::Mean, parts::mean_pool(kernel)),
        of(ReduceKind::Max, parts::max_pool(kernel, kernel)),
    )
}

/// Whether a probe looks at what a block gives.
fn ends_stage(block: &Block) -> bool {
    match block {
        Block::Parallel(parallel) => parallel.join == Join::Add,
        Block::Pool(_) => true,
        _ => false,
    }
}

fn beside(first: Vec<Block>, second: Vec<Block>) -> Block {
    Block::Parallel(Parallel {
        join: Join::ConcatChannels,
        branches: vec![first, second],
    })
}

fn is_embedding(block: &Block) -> bool {
    matches!(
        block,
        Block::Output(Output {
            kind: OutputKind::Embedding,
            ..
        })
    )
}

fn missing(architecture: &Architecture, what: &str, found: &str) -> Error {
    Error::Shape {
        what: format!("{}: {what}", architecture.name),
        found: found.to_owned(),
        expected: "among the network's main blocks".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use earmark::model::efficient_at;

    #[test]
    fn a_probed_network_keeps_the_body_and_its_embedding() -> Result<()> {
        let plan = probed(&efficient_at(0.4, 527), Layers::Embedding, 10)?.plan()?;
        assert_eq!(plan.embedding_dim, 384);
        assert_eq!(
            plan.parameter("probe.weight").map(|p| p.shape.clone()),
            Some(vec![10, 384])
        );
        assert!(plan.parameter("classifier.2.weight").is_none());
        Ok(())
    }

    #[test]
    fn all_layers_of_mn04_are_its_residuals_its_embedding_and_its_hidden_layer() -> Result<()> {
        let plan = probed(&efficient_at(0.4, 527), Layers::All, 10)?.plan()?;
        // Ten residual blocks of these widths, mean and maximum of each channel.
        let widths = [8, 16, 16, 16, 32, 32, 32, 48, 64, 64];
        let expected = 2 * widths.iter().sum::<usize>() + 384 + 512;
        assert_eq!(plan.embedding_dim, expected);
        assert!(plan.parameter("classifier.2.weight").is_some());
        assert!(plan.parameter("classifier.5.weight").is_none());
        let plan = probed(&efficient_at(0.4, 527), Layers::Quarters, 10)?.plan()?;
        let expected = 2 * 4 * widths.iter().sum::<usize>() + 384 + 512;
        assert_eq!(plan.embedding_dim, expected);
        Ok(())
    }
}
