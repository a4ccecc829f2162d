//! Which classes of a row of scores become tags: a mask, thresholds and a number.

use crate::bundle::Thresholds;
use crate::dataset::Vocabulary;
use crate::{Error, Result};

/// What the user is told: a class and its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tag {
    /// The class' index in the vocabulary.
    pub class: usize,
    /// The score, in [0, 1].
    pub score: f32,
}

/// Chooses tags from scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    wanted: Vec<bool>,
    thresholds: Vec<f32>,
    top: Option<usize>,
}

impl Selection {
    /// Every class, whatever its score.
    pub fn all(vocabulary: &Vocabulary) -> Self {
        Self {
            wanted: vec![true; vocabulary.len()],
            thresholds: vec![0.0; vocabulary.len()],
            top: None,
        }
    }

    /// At most the `n` classes with the highest scores.
    #[must_use]
    pub fn top(mut self, n: usize) -> Self {
        self.top = Some(n);
        self
    }

    /// Only scores of at least `threshold`, in [0, 1].
    ///
    /// # Errors
    /// [`Error::Config`] outside that range.
    pub fn threshold(mut self, threshold: f32) -> Result<Self> {
        if !(0.0..=1.0).contains(&threshold) {
            return Err(Error::Config {
                key: "threshold".to_owned(),
                found: threshold.to_string(),
                expected: "must be from 0 to 1".to_owned(),
            });
        }
        self.thresholds.fill(threshold);
        Ok(self)
    }

    /// Only scores of at least the class' own threshold; `fallback` where `thresholds` is silent.
    ///
    /// # Errors
    /// As for [`Thresholds::check`].
    pub fn thresholds(
        mut self,
        thresholds: &Thresholds,
        vocabulary: &Vocabulary,
        fallback: f32,
    ) -> Result<Self> {
        self.thresholds = thresholds.per_class(vocabulary, fallback)?;
        Ok(self)
    }

    /// Only these classes, by name or id.
    ///
    /// # Errors
    /// [`Error::UnknownClass`].
    pub fn only<'a>(
        mut self,
        classes: impl IntoIterator<Item = &'a str>,
        vocabulary: &Vocabulary,
    ) -> Result<Self> {
        let mut wanted = vec![false; self.wanted.len()];
        for class in classes {
            let index = vocabulary.find(class)?;
            wanted[index] = self.wanted[index];
        }
        self.wanted = wanted;
        Ok(self)
    }

    /// All but these classes, by name or id.
    ///
    /// # Errors
    /// [`Error::UnknownClass`].
    pub fn without<'a>(
        mut self,
        classes: impl IntoIterator<Item = &'a str>,
        vocabulary: &Vocabulary,
    ) -> Result<Self> {
        for class in classes {
            self.wanted[vocabulary.find(class)?] = false;
        }
        Ok(self)
    }

    /// The score from which on a class is tagged; `None` for one that never is.
    ///
    /// # Panics
    /// When `class` is not below the number of classes.
    pub fn threshold_of(&self, class: usize) -> Option<f32> {
        self.wanted[class].then(|| self.thresholds[class])
    }

    /// The tags of a row of scores `[class]`, the highest score first; equal scores in the order of
    /// the vocabulary.
    pub fn tags(&self, scores: &[f32]) -> Vec<Tag> {
        let mut tags: Vec<Tag> = scores
            .iter()
            .enumerate()
            .filter(|&(class, &score)| self.wanted[class] && score >= self.thresholds[class])
            .map(|(class, &score)| Tag { class, score })
            .collect();
        tags.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.class.cmp(&b.class)));
        tags.truncate(self.top.unwrap_or(usize::MAX));
        tags
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const SCORES: [f32; 4] = [0.2, 0.9, 0.5, 0.5];

    fn vocabulary() -> Vocabulary {
        Vocabulary::from_names(["Dog", "Cat", "Rain", "Wind"]).unwrap()
    }

    fn classes(selection: &Selection) -> Vec<usize> {
        selection
            .tags(&SCORES)
            .iter()
            .map(|tag| tag.class)
            .collect()
    }

    #[test]
    fn tags_are_ranked_and_ties_keep_the_vocabularys_order() {
        let all = Selection::all(&vocabulary());
        assert_eq!(classes(&all), [1, 2, 3, 0]);
        assert_eq!(classes(&all.top(2)), [1, 2]);
    }

    #[test]
    fn a_score_at_the_threshold_counts() {
        let all = Selection::all(&vocabulary());
        assert_eq!(classes(&all.clone().threshold(0.5).unwrap()), [1, 2, 3]);
        let error = all.clone().threshold(1.5).unwrap_err().to_string();
        assert_eq!(error, "threshold is 1.5, must be from 0 to 1");
        let thresholds = Thresholds {
            default: None,
            classes: BTreeMap::from([("Dog".to_owned(), 0.1), ("Cat".to_owned(), 0.95)]),
        };
        let own = all.thresholds(&thresholds, &vocabulary(), 0.5).unwrap();
        assert_eq!(classes(&own), [2, 3, 0]);
    }

    #[test]
    fn classes_can_be_named_and_excluded() {
        let vocabulary = vocabulary();
        let all = Selection::all(&vocabulary);
        let only = all.clone().only(["Rain", "Dog"], &vocabulary).unwrap();
        assert_eq!(classes(&only), [2, 0]);
        assert_eq!(classes(&only.without(["Dog"], &vocabulary).unwrap()), [2]);
        assert!(all.only(["Rian"], &vocabulary).is_err());
    }
}
