//! Which clips are answered, in which order, and what the columns are.

use std::path::{Path, PathBuf};

use earmark::ensemble;

use super::PredictArgs;
use crate::errors::Hinted;
use crate::inputs::Inputs;
use crate::submission::SubmissionFormat;

/// Where the challenges have their test clips, as Kaggle and Zenodo lay them out.
const TEST_FOLDERS: [&str; 4] = [
    "audio_test",
    "FSDKaggle2018.audio_test",
    "test",
    "FSDKaggle2019.audio_test",
];

const SAMPLE: &str = "sample_submission.csv";

/// One row of the submission.
pub(super) struct TestClip {
    /// The name in the submission.
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// The rows of the submission.
pub(super) struct ClipList {
    pub(super) clips: Vec<TestClip>,
    /// The columns, where the sample has them.
    pub(super) classes: Option<Vec<String>>,
    /// What was decided, for the user.
    pub(super) note: Option<String>,
}

impl ClipList {
    /// Finds the clips.
    ///
    /// # Errors
    /// When the sample does not fit the format, or there are no clips.
    pub(super) fn open(args: &PredictArgs) -> anyhow::Result<Self> {
        if !args.data.is_dir() {
            anyhow::bail!("--data {}: no such folder", args.data.display());
        }
        let folder = audio_folder(args)?;
        let beside = args.data.join(SAMPLE);
        let sample = args
            .sample
            .clone()
            .or_else(|| beside.is_file().then_some(beside));
        match sample {
            Some(sample) => Self::of_sample(&sample, &folder, args.format),
            None => Self::of_folder(&folder, args.format),
        }
    }

    fn of_sample(sample: &Path, folder: &Path, format: SubmissionFormat) -> anyhow::Result<Self> {
        let table = ensemble::read(sample)?;
        let shown = sample.display();
        match (format, table.is_ranked) {
            (SubmissionFormat::Kaggle2018, false) => anyhow::bail!(
                "{shown}: has a column per class, expected `fname,label` for kaggle2018"
            ),
            (SubmissionFormat::Kaggle2019, true) => anyhow::bail!(
                "{shown}: has the columns `fname,label`, expected a column per class for kaggle2019"
            ),
            _ => {}
        }
        let clip = |name: String| TestClip {
            path: folder.join(&name),
            name,
        };
        Ok(Self {
            clips: table.clips.into_iter().map(clip).collect(),
            classes: (!table.is_ranked).then_some(table.classes),
            note: None,
        })
    }

    fn of_folder(folder: &Path, format: SubmissionFormat) -> anyhow::Result<Self> {
        let inputs = Inputs::expand(&[folder.to_owned()])?;
        if let Some(unreadable) = inputs.unreadable.first() {
            anyhow::bail!("{}: {}", unreadable.path.display(), unreadable.reason);
        }
        let clips: Vec<TestClip> = inputs
            .recordings
            .into_iter()
            .map(|input| TestClip {
                name: input.place.to_string_lossy().into_owned(),
                path: input.path,
            })
            .collect();
        if clips.is_empty() {
            return Err(Hinted::error(
                format!("{}: no audio files", folder.display()),
                "name the folder of the clips with --audio",
            ));
        }
        let needs_sample = matches!(
            format,
            SubmissionFormat::Kaggle2018 | SubmissionFormat::Kaggle2019
        );
        Ok(Self {
            note: needs_sample.then(|| {
                format!(
                    "no {SAMPLE}: {} clips in the order of their names",
                    clips.len()
                )
            }),
            clips,
            classes: None,
        })
    }
}

fn audio_folder(args: &PredictArgs) -> anyhow::Result<PathBuf> {
    match &args.audio {
        Some(folder) if folder.is_dir() => Ok(folder.clone()),
        Some(folder) => anyhow::bail!("--audio {}: no such folder", folder.display()),
        None => {
            let known = TEST_FOLDERS.map(|name| args.data.join(name));
            let found = known.into_iter().find(|folder| folder.is_dir());
            Ok(found.unwrap_or_else(|| args.data.clone()))
        }
    }
}
