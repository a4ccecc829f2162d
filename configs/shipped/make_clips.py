#!/usr/bin/env python3
"""Lists the clips that the shipped bundle is trained and judged on: `make_clips.py DATA > clips.csv`.

DATA holds `esc10/`, `fsdkaggle2018/` and `more/`. Every clip is CC0 or CC BY; the table carries the
licence and the author or source of each. The held-out clips are chosen by source, before anything
was trained, and never by how hard they are:

* ESC-10: official fold 5 (the folds keep the clips of one Freesound recording together);
* FSDKaggle2018: fold 4 of "rank of sha256(fname) within its class, modulo 5", with the clips whose
  Freesound recording also occurs in ESC-10 left in training with their ESC-10 fold;
* `more/`: a whole source, where a class has two.

Sounds that are none of the classes are listed as `_background`; they teach what not to answer. Those
whose name does not rule a class out (`animals3`, `bell_1a`) are `_unlabelled` and only carry the
teacher's opinion. A fifth of the former, by the SHA-256 of the name, is held out.

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
# Words in the name of an unlabelled sound that may stand for one of the classes, or for a sound that
# a listener could take for one.
AMBIGUOUS = re.compile(
    r"anim|ambi|atmos|bark|dog|cat|bird|rain|water|gurgl|bubbl|sizzl|fry|sprinkl|splash|swoosh|ocean|sea|wave"
    r"|baby|cry|vocal|voc|voice|mouth|clock|tick|click|timer|tap|sneez|gasp|asthma|heli|fan|motor|engine|saw|drill"
    r"|power|dremel|vacuum|rooster|quack|mooo|fire|crack|crinkl|crumpl|crush|chip|guitar|bass|kick|drum|thump|thud"
    r"|boom|tom|cello|violin|bow|string|pluck|reso|chime|bell|ring|ting|tinkl|ping|clarinet|electric|piano|organ"
    r"|casio|finger|snap|clap|slap|pop|flute|whistl|blow|recorder|horn|khaen|gong|bowl|lid|pan|plate|cym|crash|key"
    r"|coin|penn|pins|nail|hat|hh|shak|rattl|tamb|sax|reed|brass|snare|brush|beat|loop|perc|groove|groov|hit|tear|rip"
    r"|paper|tape|cut|shred|velcro|cloth|foil|fiddle|scratch|synth|analog|arp|tone|pad|music|techno|orch|banjo|sitar"
    r"|comp|funk|impulse|roland|kaos|stick|wood|metal|can|glass",
    re.IGNORECASE,
)


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


def others(data: Path, known: set):
    """Sounds of none of the classes, and sounds that may or may not be."""
    with open(data / "more/clips.csv", newline="") as file:
        for row in csv.DictReader(file):
            if row["label"] not in known:
                yield f"more/clips/{row['fname']}", "_background", row["source"], row["licence"]
    for path in (data / "more/berklee").iterdir():
        label = "_unlabelled" if AMBIGUOUS.search(path.stem) else "_background"
        yield f"more/berklee/{path.name}", label, "Berklee/OLPC", "CC BY 3.0 (OLPC/Berklee)"


def held_out(name: str, label: str):
    is_fifth = int(hashlib.sha256(name.encode()).hexdigest(), 16) % 5 == 4
    return "test" if label == "_background" and is_fifth else "train"


def main():
    data = Path(sys.argv[1])
    rows = list(esc10(data))
    groups = {row[3]: row[2] for row in rows}
    rows += fsdkaggle2018(data, groups)
    rows += more(data, {row[1] for row in rows})
    for name, label, group, licence in others(data, {row[1] for row in rows}):
        rows.append((name, label, held_out(Path(name).name, label), group, licence, group))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["path", "label", "split", "group", "licence", "author"])
    writer.writerows(sorted(rows))


main()
