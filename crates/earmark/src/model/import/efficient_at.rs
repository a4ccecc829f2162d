//! Recognises EfficientAT weights: which width, head and number of classes their shapes belong to.

use crate::model::efficient_at::{Head, Settings, efficient_at_with};
use crate::model::{Architecture, Weights};
use crate::{Error, Result};

/// The stem's kernel, the first tensor of every `mn` network.
const STEM: &str = "features.0.0.weight";

/// The widths of published networks, then all others in steps of a twentieth.
fn widths() -> impl Iterator<Item = f64> {
    let published = [0.1, 0.2, 0.4, 0.5, 1.0, 2.0, 3.0, 4.0];
    published
        .into_iter()
        .chain((1..=120).map(|n| f64::from(n) / 20.0))
}

/// Finds the network that EfficientAT weights belong to, and gives both: the description, and the
/// weights under its names. `name` is what errors call the file.
///
/// A prefix before all names (such as `module.`) is taken off, counters of training steps are left
/// out. Strides and the number of bands do not show in the shapes: those of the usual networks are
/// assumed (strides of 2, 128 bands); set [`Architecture::input`] for others.
///
/// # Errors
/// [`Error::Weights`] when the weights are of another family (`dymn` is named), or tensors are
/// missing, unexpected or of other shapes than the nearest width has; they are named.
pub fn efficient_at(name: &str, weights: Weights) -> Result<(Architecture, Weights)> {
    let error = |reason: String| Error::Weights {
        name: name.to_owned(),
        reason,
    };
    let weights = without_prefix_and_counters(weights).map_err(error)?;
    let (head, n_classes) = head(&weights).map_err(error)?;
    let other_axis = weights
        .iter()
        .find(|(name, _)| name.contains(".conc_se_layers.1."));
    if let Some((tensor, _)) = other_axis {
        return Err(error(format!(
            "`{tensor}`: squeeze-excite over several axes is not supported"
        )));
    }
    let settings = |width| Settings {
        width,
        n_classes,
        head,
        ..Settings::default()
    };
    let mut nearest: Option<(usize, Architecture)> = None;
    for width in widths() {
        let architecture = efficient_at_with(&settings(width));
        let strangers = differing(&architecture, &weights)?;
        if strangers == 0 {
            weights.check(&architecture, name)?;
            return Ok((architecture, weights));
        }
        if nearest
            .as_ref()
            .is_none_or(|(fewest, _)| strangers < *fewest)
        {
            nearest = Some((strangers, architecture));
        }
    }
    let (_, architecture) = nearest.expect("there is a first width");
    weights.check(&architecture, name)?;
    Ok((architecture, weights))
}

/// How many tensors an architecture wants that are not there in that shape.
fn differing(architecture: &Architecture, weights: &Weights) -> Result<usize> {
    let plan = architecture.plan()?;
    let differs = plan.parameters.iter().filter(|parameter| {
        weights
            .get(&parameter.name)
            .is_none_or(|tensor| tensor.shape() != parameter.shape)
    });
    Ok(differs.count())
}

fn without_prefix_and_counters(weights: Weights) -> Result<Weights, String> {
    let Some(prefix) = weights.iter().find_map(|(name, _)| name.strip_suffix(STEM)) else {
        return Err(unknown(&weights));
    };
    let prefix = prefix.to_owned();
    let kept = weights.iter().filter_map(|(name, tensor)| {
        let name = name.strip_prefix(&prefix)?;
        let counter = name.ends_with(".num_batches_tracked");
        (!counter).then(|| (name.to_owned(), tensor.clone()))
    });
    Ok(kept.collect())
}

fn unknown(weights: &Weights) -> String {
    let has = |part: &str| weights.iter().any(|(name, _)| name.contains(part));
    if has("context_gen") || has("in_c.0.weight") {
        return "weights of EfficientAT's dynamic networks (`dymn`), which are not supported; \
                expected one of its `mn` networks"
            .to_owned();
    }
    let first: Vec<String> = weights
        .iter()
        .take(3)
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    if first.is_empty() {
        return "no tensors".to_owned();
    }
    format!(
        "tensors {}, … belong to no known network, expected `{STEM}` of EfficientAT",
        first.join(", ")
    )
}

fn head(weights: &Weights) -> Result<(Head, usize), String> {
    let rows = |name: &str| {
        weights
            .get(name)
            .and_then(|tensor| tensor.shape().first().copied())
    };
    if let Some(n_classes) = rows("classifier.5.weight") {
        return Ok((Head::Mlp, n_classes));
    }
    if let Some(n_classes) = rows("classifier.0.weight") {
        return Ok((Head::FullyConvolutional, n_classes));
    }
    if weights.get("classifier.subspace_proj.weight").is_some() {
        return Err("a head with multi-head attention, which is not supported".to_owned());
    }
    Err("missing `classifier.5.weight`, the last layer".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Tensor;

    fn weights_of(architecture: &Architecture, prefix: &str) -> Weights {
        let plan = architecture.plan().expect("a sound network");
        let tensor = |shape: &[usize]| {
            Tensor::new(shape.to_vec(), vec![0.0; shape.iter().product()]).expect("it fits")
        };
        let name = |name: &str| format!("{prefix}{name}");
        plan.parameters
            .iter()
            .map(|p| (name(&p.name), tensor(&p.shape)))
            .collect()
    }

    #[test]
    fn finds_every_published_width() {
        for width in [0.1, 0.2, 0.4, 0.5, 1.0, 2.0] {
            let settings = Settings {
                width,
                n_classes: 50,
                head: Head::FullyConvolutional,
                ..Settings::default()
            };
            let mlp = crate::model::efficient_at(width, 7);
            for wanted in [efficient_at_with(&settings), mlp] {
                let mut weights = weights_of(&wanted, "module.");
                weights.insert(
                    "module.features.0.1.num_batches_tracked",
                    Tensor::new(vec![], vec![3.0]).expect("one value"),
                );
                let (found, _) = efficient_at("w.pt", weights).expect("a known network");
                assert_eq!(found, wanted);
            }
        }
    }

    #[test]
    fn names_what_does_not_fit() {
        let mut weights = weights_of(&crate::model::efficient_at(0.4, 7), "");
        weights.remove("features.3.block.0.0.weight");
        weights.insert("extra", Tensor::new(vec![1], vec![0.0]).expect("one value"));
        let error = efficient_at("w.pt", weights)
            .expect_err("one is missing")
            .to_string();
        assert_eq!(
            error,
            "w.pt: does not fit mn04: missing `features.3.block.0.0.weight`; unexpected `extra`"
        );
    }

    #[test]
    fn says_when_it_is_another_family() {
        let dymn: Weights = [
            ("layers.0.context_gen.conv_f.weight", 1),
            ("in_c.0.weight", 1),
        ]
        .map(|(name, n)| {
            (
                name.to_owned(),
                Tensor::new(vec![n], vec![0.0]).expect("one"),
            )
        })
        .into_iter()
        .collect();
        let error = efficient_at("dymn04_as.pt", dymn)
            .expect_err("dynamic")
            .to_string();
        assert!(error.contains("`dymn`"), "{error}");
    }
}
