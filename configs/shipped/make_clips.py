#!/usr/bin/env python3
"""Lists the clips that the shipped bundle is trained and judged on: `make_clips.py DATA > clips.csv`.

DATA holds `esc10/`, `fsdkaggle2018/` and `more/`. Every clip is CC0 or CC BY; the table carries the
licence and the author or source of each. The held-out clips are chosen by source, before anything
was trained, and never by how hard they are:

* ESC-10: official fold 5 (the folds keep the clips of one Freesound recording together);
* FSDKaggle2018: fold 4 of "rank of sha256(fname) within its class, modulo 5", with the clips whose
  Freesound recording also occurs in ESC-10 left in training with their ESC-10 fold;
* `more/`: a whole source, where a class has two.

Needs nothing but Python's standard library.
"""

import csv
import hashlib
import re
import sys
from collections import defaultdict
from pathlib import Path

# ESC-10's folders, with FSDKaggle2018's name where that data set has the class.
ESC10 = {
    "001 - Dog bark": "Bark",
    "002 - Rain": "Rain",
    "003 - Sea waves": "Sea_waves",
    "004 - Baby cry": "Crying_baby",
    "005 - Clock tick": "Clock_tick",
    "006 - Person sneeze": "Sneeze",
    "007 - Helicopter": "Helicopter",
    "008 - Chainsaw": "Chainsaw",
    "009 - Rooster": "Rooster",
    "010 - Fire crackling": "Crackling_fire",
}
# Classes of `more/` beyond those of the two data sets. Chime has two sources and is evaluated on
# the smaller; the others have one source and are not evaluated.
MORE_EVALUATED = {"Chime": "Discord GM bank"}
MORE_UNEVALUATED = {"Electric_piano", "Finger_snapping", "Gong", "Keys_jangling", "Tearing"}


def esc10(data: Path):
    text = (data / "esc10/README.txt").read_text(encoding="utf-8")
    pattern = r"\[([\w-]+\.ogg)\]:\s*clip derived from .*?/sounds/(\d+)/?\) +by (.*?) \[(CC0|CC-BY)\]"
    origin = {name: (number, author, licence) for name, number, author, licence in re.findall(pattern, text)}
    for folder, label in ESC10.items():
        for path in sorted((data / "esc10" / folder).glob("*.ogg")):
            if path.name not in origin:
                continue  # two roosters are CC Sampling+, neither CC0 nor CC BY
            number, author, licence = origin[path.name]
            split = "test" if path.name.startswith("5-") else "train"
            yield f"esc10/{folder}/{path.name}", label, split, f"freesound:{number}", licence.replace("-", " "), author


def fsdkaggle2018(data: Path, groups: dict):
    with open(data / "fsdkaggle2018/train_post_competition.csv", newline="") as file:
        rows = {row["fname"]: row for row in csv.DictReader(file)}
    by_label = defaultdict(list)
    for path in (data / "fsdkaggle2018/audio_train").glob("*.wav"):
        by_label[rows[path.name]["label"]].append(path.name)
    for label, names in sorted(by_label.items()):
        names.sort(key=lambda name: hashlib.sha256(name.encode()).hexdigest())
        for rank, name in enumerate(names):
            group = f"freesound:{rows[name]['freesound_id']}"
            split = groups.get(group, "test" if rank % 5 == 4 else "train")
            licence = {"Attribution": "CC BY", "Creative Commons 0": "CC0"}[rows[name]["license"]]
            yield f"fsdkaggle2018/audio_train/{name}", label, split, group, licence, "Freesound"


def more(data: Path, known: set):
    with open(data / "more/clips.csv", newline="") as file:
        for row in csv.DictReader(file):
            label, source = row["label"], row["source"]
            if label not in known and label not in MORE_EVALUATED and label not in MORE_UNEVALUATED:
                continue
            split = "test" if MORE_EVALUATED.get(label) == source else "train"
            yield f"more/clips/{row['fname']}", label, split, source, row["licence"], source


def main():
    data = Path(sys.argv[1])
    rows = list(esc10(data))
    groups = {row[3]: row[2] for row in rows}
    rows += fsdkaggle2018(data, groups)
    rows += more(data, {row[1] for row in rows})
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["path", "label", "split", "group", "licence", "author"])
    writer.writerows(sorted(rows))


main()
