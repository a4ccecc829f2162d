//! Where in the network a parameter sits: its depth, and whether it belongs to the head.

use earmark::model::block::{Join, Output, OutputKind, Parallel};
use earmark::model::{Architecture, Block, Parameter};

/// The place of a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// The index of its block along the network.
    pub block: usize,
    /// How far into the network the block is: 0 for the first block with parameters, 1 for the last.
    pub depth: f64,
    /// Whether it comes after the embedding: what a new set of classes trains first.
    pub is_head: bool,
}

/// The places of all parameters, in the order of `parameters`.
pub fn places(architecture: &Architecture, parameters: &[Parameter]) -> Vec<Place> {
    let names = chain(&architecture.blocks);
    let block_of = |parameter: &Parameter| {
        let prefix = parameter
            .name
            .rsplit_once('.')
            .map_or("", |(prefix, _)| prefix);
        let holds = |names: &Vec<&str>| names.contains(&prefix);
        names.iter().position(holds).unwrap_or(0)
    };
    let blocks: Vec<usize> = parameters.iter().map(block_of).collect();
    let first = blocks.iter().copied().min().unwrap_or(0);
    let last = blocks.iter().copied().max().unwrap_or(0);
    let embedding = architecture.blocks.iter().position(is_embedding);
    let head_from = embedding.map_or(last, |at| chain(&architecture.blocks[..at]).len());
    blocks
        .into_iter()
        .map(|block| Place {
            block,
            depth: (block - first) as f64 / (last - first).max(1) as f64,
            is_head: block >= head_from,
        })
        .collect()
}

/// A description like this one for another number of classes: every layer after the embedding that
/// gives one value per class gives as many as there are new classes.
pub fn with_classes(architecture: &Architecture, n_classes: usize) -> Architecture {
    let mut changed = architecture.clone();
    let old = architecture.n_classes;
    let head_from = architecture
        .blocks
        .iter()
        .position(is_embedding)
        .unwrap_or(0);
    for (index, block) in changed.blocks.iter_mut().enumerate() {
        change_classes(block, old, n_classes, index >= head_from);
    }
    changed.n_classes = n_classes;
    changed
}

fn change_classes(block: &mut Block, old: usize, new: usize, in_head: bool) {
    match block {
        Block::Linear(linear) if in_head && linear.out_features == old => linear.out_features = new,
        Block::Conv(conv) if in_head && conv.out_channels == old => conv.out_channels = new,
        Block::BatchNorm(norm) if in_head && norm.n_features == old => norm.n_features = new,
        Block::Parallel(parallel) => {
            for block in parallel.branches.iter_mut().flatten() {
                change_classes(block, old, new, in_head);
            }
        }
        Block::Output(output) => {
            let auxiliary = matches!(output.kind, OutputKind::Auxiliary { .. });
            for block in &mut output.blocks {
                change_classes(block, old, new, auxiliary);
            }
        }
        _ => {}
    }
}

fn is_embedding(block: &Block) -> bool {
    let embedding = OutputKind::Embedding;
    matches!(block, Block::Output(Output { kind, .. }) if *kind == embedding)
}

/// The names in each block along the network. Branches whose channels are joined stand one after the
/// other: a network may go on in one of them while the others carry what was found so far to its end.
fn chain(blocks: &[Block]) -> Vec<Vec<&str>> {
    let links = blocks.iter().flat_map(|block| match block {
        Block::Parallel(Parallel {
            join: Join::ConcatChannels,
            branches,
        }) => branches.iter().flat_map(|branch| chain(branch)).collect(),
        block => vec![names_in(block)],
    });
    links.collect()
}

/// The names of all blocks with parameters in a block.
fn names_in(block: &Block) -> Vec<&str> {
    match block {
        Block::Conv(conv) => vec![&conv.name],
        Block::BatchNorm(norm) => vec![&norm.name],
        Block::Prelu(prelu) => vec![&prelu.name],
        Block::Linear(linear) => vec![&linear.name],
        Block::Gru(gru) => vec![&gru.name],
        Block::Parallel(parallel) => parallel
            .branches
            .iter()
            .flatten()
            .flat_map(names_in)
            .collect(),
        Block::Output(output) => output.blocks.iter().flat_map(names_in).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Layers, probed};
    use earmark::Result;
    use earmark::model::efficient_at;

    #[test]
    fn the_head_of_mn04_is_its_two_linear_layers() {
        let architecture = efficient_at(0.4, 527);
        let parameters = architecture.plan().unwrap().parameters;
        let places = places(&architecture, &parameters);
        let heads: Vec<&str> = parameters
            .iter()
            .zip(&places)
            .filter(|(_, place)| place.is_head)
            .map(|(parameter, _)| parameter.name.as_str())
            .collect();
        assert_eq!(
            heads,
            [
                "classifier.2.weight",
                "classifier.2.bias",
                "classifier.5.weight",
                "classifier.5.bias"
            ]
        );
        assert_eq!(places[0].depth, 0.0);
        assert_eq!(places[places.len() - 1].depth, 1.0);
    }

    #[test]
    fn a_network_whose_layers_are_all_seen_is_as_deep_as_before() -> Result<()> {
        let plain = efficient_at(0.4, 527);
        let seen = probed(&plain, Layers::All, 10)?;
        let depths = |architecture: &Architecture| -> Result<Vec<(String, f64)>> {
            let parameters = architecture.plan()?.parameters;
            let places = places(architecture, &parameters);
            let named = parameters.iter().zip(&places);
            Ok(named
                .map(|(p, place)| (p.name.clone(), place.depth))
                .collect())
        };
        let (plain, seen) = (depths(&plain)?, depths(&seen)?);
        let order = |depths: &[(String, f64)]| -> Vec<String> {
            let body = depths
                .iter()
                .filter(|(name, _)| name.starts_with("features"));
            body.map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(order(&plain), order(&seen));
        assert!(seen.windows(2).all(|pair| pair[0].1 <= pair[1].1));
        let distinct = |depths: &[(String, f64)]| {
            let mut all: Vec<f64> = depths.iter().map(|d| d.1).collect();
            all.dedup();
            all.len()
        };
        // The last layer is another one, as deep as the one that it replaces.
        assert_eq!(distinct(&plain), distinct(&seen));
        Ok(())
    }

    #[test]
    fn another_number_of_classes_changes_the_last_layer_only() {
        let changed = with_classes(&efficient_at(0.4, 527), 10);
        assert_eq!(changed, efficient_at(0.4, 10));
        assert!(changed.plan().is_ok());
    }
}
