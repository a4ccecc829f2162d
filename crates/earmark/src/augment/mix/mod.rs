//! Mixing of clips: two sounds and their targets in, one sound and one target out.
//!
//! The data are a waveform (one row of samples) or features (`channel × band` rows of frames); time
//! runs along the rows. Targets are vectors `[class]` in [0, 1]. What becomes of them is the setting
//! `labels`: `weighted` conserves their mass, `union` and `sum` say that both sounds can be heard.

mod concat;
mod labels;
mod mixup;
mod pressure;

use serde::{Deserialize, Serialize};

pub use concat::{CutMix, SigmoidConcat};
pub use labels::Labels;
pub use mixup::{Mixup, Weight};
pub use pressure::{Loudness, Pressure, sound_pressure_db};

use super::{ClipRng, Context};
use crate::{Error, Result};

/// A clip that others are mixed into.
#[derive(Debug)]
pub struct Mixture<'a> {
    /// The samples, or the features.
    pub data: &'a mut [f32],
    /// The number of rows: 1 for a waveform, channels times bands for features.
    pub n_rows: usize,
    /// The target, `[class]`.
    pub target: &'a mut [f32],
}

/// A clip that is mixed into another. Both have the same size.
#[derive(Clone, Copy, Debug)]
pub struct Partner<'a> {
    /// The samples, or the features.
    pub data: &'a [f32],
    /// The target, `[class]`.
    pub target: &'a [f32],
}

/// Where partners come from.
///
/// The one who trains decides which clips may be drawn (all, those of the batch, those of a class)
/// and how they are augmented themselves.
pub trait Partners {
    /// The next partner, chosen with the clip's own random numbers.
    ///
    /// # Errors
    /// Whatever reading it can end in.
    fn draw(&mut self, rng: &mut ClipRng) -> Result<Partner<'_>>;
}

impl Partners for &[Partner<'_>] {
    /// One of the slice.
    ///
    /// # Errors
    /// [`Error::Shape`] if it is empty.
    fn draw(&mut self, rng: &mut ClipRng) -> Result<Partner<'_>> {
        let chosen = self.get(rng.index(self.len())).copied();
        chosen.ok_or_else(|| Error::Shape {
            what: "clips to mix with".to_owned(),
            found: "none".to_owned(),
            expected: "at least one".to_owned(),
        })
    }
}

/// A way of mixing, written as its settings and `kind`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "each variant is the type of the same name")]
pub enum Mix {
    Mixup(Mixup),
    Pressure(Pressure),
    SigmoidConcat(SigmoidConcat),
    CutMix(CutMix),
}

impl Mix {
    pub(super) fn check(&self, at: &str) -> Result<()> {
        match self {
            Self::Mixup(mix) => mix.check(at),
            Self::Pressure(mix) => mix.check(at),
            Self::SigmoidConcat(mix) => mix.check(at),
            Self::CutMix(mix) => mix.check(at),
        }
    }

    /// Refuses what has no meaning for features.
    pub(super) fn check_for_features(&self, at: &str) -> Result<()> {
        match self {
            Self::Pressure(_) => Err(Error::Config {
                key: format!("{at}.kind"),
                found: "`pressure` among `mix_features`".to_owned(),
                expected: "mixes waveforms: list it under `mix_waveforms`".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn apply(
        &self,
        clip: &mut Mixture<'_>,
        partners: &mut dyn Partners,
        context: &mut Context<'_>,
    ) -> Result<()> {
        let partner = partners.draw(context.rng)?;
        check_sizes(clip, partner)?;
        match self {
            Self::Mixup(mix) => mix.apply(clip, partner, context),
            Self::Pressure(mix) => mix.apply(clip, partner, context),
            Self::SigmoidConcat(mix) => mix.apply(clip, partner, context),
            Self::CutMix(mix) => mix.apply(clip, partner, context),
        }
        Ok(())
    }
}

/// Makes sure that both clips and both targets have the same size.
fn check_sizes(clip: &Mixture<'_>, partner: Partner<'_>) -> Result<()> {
    let found = [partner.data.len(), partner.target.len()];
    let expected = [clip.data.len(), clip.target.len()];
    let whole_rows = clip.n_rows > 0 && clip.data.len().is_multiple_of(clip.n_rows);
    if found == expected && whole_rows {
        return Ok(());
    }
    Err(Error::Shape {
        what: "clip to mix in (values, classes)".to_owned(),
        found: format!("{found:?}"),
        expected: format!("{expected:?} in {} equal rows", clip.n_rows),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::waveform::tests::apply_at;

    /// Mixes 3 rows of zeros and a one-hot target with ones and another one-hot target.
    pub(super) fn mixed(settings: &str, n_frames: usize) -> (Vec<f32>, [f32; 3]) {
        let mix: Mix = toml::from_str(settings).unwrap();
        mix.check("mix[0]").unwrap();
        let mut data = vec![0.0; 3 * n_frames];
        let mut target = [1.0, 0.0, 0.0];
        let ones = vec![1.0; 3 * n_frames];
        let partner = Partner {
            data: &ones,
            target: &[0.0, 1.0, 0.0],
        };
        let mut clip = Mixture {
            data: &mut data,
            n_rows: 3,
            target: &mut target,
        };
        let partners: &mut dyn Partners = &mut &[partner][..];
        apply_at(8000, |context| mix.apply(&mut clip, partners, context)).unwrap();
        (data, target)
    }

    #[test]
    fn weighted_labels_conserve_target_mass() {
        for kind in ["mixup", "cut-mix", "sigmoid-concat", "pressure"] {
            let (_, target) = mixed(&format!("kind = '{kind}'\nlabels = 'weighted'"), 64);
            let mass: f32 = target.iter().sum();
            assert!((mass - 1.0).abs() < 1e-6, "{kind}: {target:?}");
            assert!(target[1] > 0.0 && target[2] == 0.0, "{kind}: {target:?}");
        }
    }

    #[test]
    fn union_and_sum_name_both_sounds() {
        for labels in ["union", "sum"] {
            let (_, target) = mixed(&format!("kind = 'mixup'\nlabels = '{labels}'"), 64);
            assert_eq!(target, [1.0, 1.0, 0.0]);
        }
    }

    #[test]
    fn partners_of_another_size_are_refused() {
        let mix = Mix::Mixup(Mixup::default());
        let partner = Partner {
            data: &[0.0; 5],
            target: &[1.0],
        };
        let mut clip = Mixture {
            data: &mut [0.0; 6],
            n_rows: 1,
            target: &mut [1.0],
        };
        let partners: &mut dyn Partners = &mut &[partner][..];
        let error = apply_at(8000, |context| mix.apply(&mut clip, partners, context));
        assert!(matches!(error, Err(Error::Shape { .. })));
        let nobody: &mut dyn Partners = &mut &[][..];
        let error = apply_at(8000, |context| mix.apply(&mut clip, nobody, context));
        assert!(matches!(error, Err(Error::Shape { .. })));
    }
}
