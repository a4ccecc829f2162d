// Recordings and what is heard in them, whoever hears: the server (remote.js) or this browser (private.js).

import { Problem } from "./api.js";

/** What is asked for, whatever the slider says: it filters what came. */
const TOP = 12;
const LOWEST_SCORE = 0.02;

const PICTURE_COLUMNS = 2400;

/** A recording and what is known of it. */
export class Recording {
  /** `by` hears it, now and whenever it is heard again: a recording of private mode stays private. */
  constructor(file, path, by) {
    this.file = file;
    this.path = path;
    this.by = by;
    this.state = "waiting";
    /** Whether it is to be heard again when what runs has stopped. */
    this.again = false;
    this.reset();
  }

  reset() {
    this.opened = null;
    this.heardSecs = 0;
    this.durationSecs = null;
    this.segments = [];
    this.clip = null;
    this.pictures = [];
    this.hasPicture = false;
    /** The sounds of the index that are most like it, once they were asked for. */
    this.alike = null;
    this.problem = null;
    this.controller = null;
  }

  /** The best tag of the whole recording, or of what is heard so far. */
  get best() {
    return this.clip?.tags[0] ?? this.segments.at(-1)?.tags[0] ?? null;
  }
}

/** Hears a recording with `settings` (`model`, perhaps `window` and `hop`); calls `changed(kind)` as it goes. */
export async function hear(recording, settings, withPicture, changed) {
  recording.reset();
  recording.state = "hearing";
  recording.controller = new AbortController();
  recording.hasPicture = withPicture;
  changed("state");
  try {
    const wish = { ...settings, name: recording.file.name, top: TOP, threshold: LOWEST_SCORE };
    if (withPicture) wish.picture = PICTURE_COLUMNS;
    for await (const [name, data] of recording.by.hear(recording.file, wish, recording.controller.signal)) {
      take(recording, name, data);
      changed(name);
    }
    if (!recording.clip) throw new Problem(0, { detail: "the answer broke off" });
    recording.state = "done";
  } catch (error) {
    recording.state = error.name === "AbortError" ? "cancelled" : "failed";
    recording.problem = error;
  }
  recording.controller = null;
  if (recording.again) {
    recording.again = false;
    recording.state = "waiting";
  }
  changed("state");
}

function take(recording, name, data) {
  switch (name) {
    case "opened":
      recording.opened = data;
      recording.durationSecs = data.duration_secs;
      break;
    case "segment":
      recording.segments.push(data);
      break;
    case "progress":
      recording.heardSecs = data.heard_secs;
      break;
    case "picture":
      recording.pictures.push(unpack(data));
      break;
    case "clip":
      recording.clip = data;
      recording.durationSecs = data.duration_secs;
      break;
    case "problem":
      throw new Problem(data.status, data);
  }
}

/** Asks for the picture of a recording that was heard without. */
export async function fetchPicture(recording) {
  recording.hasPicture = true;
  const pictures = await recording.by.pictures(recording.file, PICTURE_COLUMNS);
  recording.pictures = pictures.map(unpack);
}

/** A picture with bytes instead of base64. */
export function unpack(picture) {
  const bytes = (text) => Uint8Array.from(atob(text), (symbol) => symbol.charCodeAt(0));
  return {
    ...picture,
    levels: bytes(picture.levels),
    peaks: new Int8Array(bytes(picture.peaks).buffer),
  };
}
