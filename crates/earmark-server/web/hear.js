// Recordings through the server: one request for short ones, a job that is heard while it is uploaded
// for long ones.

import { Problem, events, patientRequest, request } from "./api.js";

/** Uploads from this size on are heard while they come in. */
const LONG_BYTES = 4 << 20;

/** What is asked for, whatever the slider says: it filters what came. */
const TOP = 12;
const LOWEST_SCORE = 0.02;

export const PICTURE_COLUMNS = 2400;

/** A recording and what is known of it. */
export class Recording {
  constructor(file, path) {
    this.file = file;
    this.path = path;
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
    this.problem = null;
    this.controller = null;
  }

  /** The best tag of the whole recording, or of what is heard so far. */
  get best() {
    return this.clip?.tags[0] ?? this.segments.at(-1)?.tags[0] ?? null;
  }
}

function query(settings, more = {}) {
  return new URLSearchParams({ ...settings, top: TOP, threshold: LOWEST_SCORE, ...more });
}

/** Hears a recording with `settings` (`model`, perhaps `window` and `hop`); calls `changed(kind)` as it goes. */
export async function hear(recording, settings, withPicture, changed) {
  recording.reset();
  recording.state = "hearing";
  recording.controller = new AbortController();
  changed("state");
  try {
    if (withPicture || recording.file.size >= LONG_BYTES) {
      await hearAsJob(recording, settings, changed);
    } else {
      await hearAtOnce(recording, settings, changed);
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

async function hearAtOnce(recording, settings, changed) {
  const signal = recording.controller.signal;
  const name = recording.file.name;
  const path = `/v1/tag?${query(settings, { name })}`;
  const headers = { accept: "text/event-stream", "content-type": "application/octet-stream" };
  const response = await patientRequest(path, { method: "POST", body: recording.file, headers, signal });
  await take(recording, response, changed);
}

async function hearAsJob(recording, settings, changed) {
  const signal = recording.controller.signal;
  const parameters = query(settings, { name: recording.file.name, picture: PICTURE_COLUMNS });
  const created = await patientRequest(`/v1/jobs?${parameters}`, { method: "POST", signal });
  const job = await created.json();
  const upload = request(job.audio, { method: "PUT", body: recording.file, signal });
  // The events say better what is wrong; an upload that is not finished ends with them.
  upload.catch(() => {});
  const response = await request(job.events, { signal });
  recording.hasPicture = true;
  await take(recording, response, changed);
}

async function take(recording, response, changed) {
  for await (const [name, data] of events(response)) {
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
    changed(name);
  }
}

/** Asks for the picture of a recording that was heard without. */
export async function fetchPicture(recording) {
  recording.hasPicture = true;
  const parameters = new URLSearchParams({ columns: PICTURE_COLUMNS, name: recording.file.name });
  const response = await patientRequest(`/v1/picture?${parameters}`, {
    method: "POST",
    body: recording.file,
    headers: { "content-type": "application/octet-stream" },
  });
  const drawn = await response.json();
  recording.pictures = drawn.pictures.map(unpack);
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
