//! `cargo xtask stand-in-2019 TABLES OUTPUT`: FSDKaggle2019 with sounds of our own in place of its audio.
//!
//! TABLES holds the challenge's `train_curated.csv` and `train_noisy.csv`. For each of their 24,785 rows
//! a WAV file of a quarter to half a second is made, whose tones follow the labels; a hundred test
//! clips and a sample submission are made up. One file is in memory at a time. It shows that the
//! workflow bears the size of the challenge, and nothing about accuracy.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::sounds::{self, Random, Sound};

const TABLES: [(&str, &str); 2] = [
    ("train_curated.csv", "train_curated"),
    ("train_noisy.csv", "train_noisy"),
];
const N_TEST: usize = 100;
const SAMPLE_RATE: u32 = 16_000;

/// Makes the data set.
pub(crate) fn run(tables: &Path, output: &Path) -> Result<()> {
    let mut texts = Vec::new();
    for (table, _) in TABLES {
        let path = tables.join(table);
        texts.push(std::fs::read_to_string(&path).with_context(|| path.display().to_string())?);
    }
    let mut listed = Vec::new();
    for ((table, folder), text) in TABLES.into_iter().zip(&texts) {
        listed.push((table, folder, rows(&tables.join(table), text)?, text));
    }
    let names: BTreeSet<&str> = listed
        .iter()
        .flat_map(|(_, _, rows, _)| rows.iter().flat_map(|(_, labels)| labels.iter().copied()))
        .collect();
    let names: Vec<&str> = names.into_iter().collect();
    let mut seed = 0;
    for (table, folder, rows, text) in &listed {
        let folder = output.join(folder);
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        for (clip, labels) in rows {
            seed += 1;
            let classes: Vec<usize> = labels
                .iter()
                .filter_map(|label| names.binary_search(label).ok())
                .collect();
            make(&folder.join(clip), &classes, seed)?;
        }
        std::fs::write(output.join(table), text)?;
        println!("{table}: {} clips", rows.len());
    }
    test_clips(output, &names, seed)
}

/// File names and labels of a table with the columns `fname,labels`.
fn rows<'t>(path: &Path, text: &'t str) -> Result<Vec<(&'t str, Vec<&'t str>)>> {
    let mut lines = text.lines();
    if lines.next() != Some("fname,labels") {
        bail!("{}:1: expected the columns `fname,labels`", path.display());
    }
    let mut rows = Vec::new();
    for (index, line) in lines.enumerate() {
        let Some((clip, labels)) = line.split_once(',') else {
            bail!("{}:{}: no label", path.display(), index + 2);
        };
        if clip.contains(['/', '\\']) {
            bail!("{}:{}: `{clip}` is no file name", path.display(), index + 2);
        }
        rows.push((clip, labels.trim_matches('"').split(',').collect()));
    }
    Ok(rows)
}

fn make(path: &Path, classes: &[usize], seed: u64) -> Result<()> {
    let sound = Sound {
        sample_rate: SAMPLE_RATE,
        secs: 0.25 + 0.25 * Random::new(seed).next(),
        classes,
        seed,
    };
    sounds::write(path, &sound)
}

/// Test clips, the sample submission that lists them, and their labels for `earmark score`.
fn test_clips(output: &Path, names: &[&str], seed: u64) -> Result<()> {
    let folder = output.join("test");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let mut sample = format!("fname,{}\n", names.join(","));
    let mut truth = "fname,labels\n".to_owned();
    for clip in 0..N_TEST {
        let class = clip % names.len();
        let name = format!("{clip:08x}.wav");
        make(&folder.join(&name), &[class], seed + 1 + clip as u64)?;
        writeln!(sample, "{name}{}", ",0".repeat(names.len()))?;
        writeln!(truth, "{name},{}", names[class])?;
    }
    std::fs::write(output.join("sample_submission.csv"), sample)?;
    std::fs::write(output.join("truth.csv"), truth)?;
    println!("test: {N_TEST} clips, {} classes", names.len());
    Ok(())
}
