// The sounds of the server's index that are most like a recording: found, listed, played.

import { patientRequest, request } from "./api.js";
import { clock, element, score } from "./format.js";

export class Alike {
  constructor(parts) {
    this.parts = parts;
    /** The recording that is shown, and what was found for it. */
    this.recording = null;
    this.shown = undefined;
    parts.find.addEventListener("click", () => this.find());
    parts.audio.addEventListener("ended", () => this.stop());
  }

  /** Shows what is known of a recording; `index` is the server's, if it hears the recording and has one. */
  show(recording, index) {
    const { box, note, find } = this.parts;
    box.hidden = !index;
    if (!index || (this.recording === recording && this.shown === recording.alike)) return;
    this.stop();
    [this.recording, this.shown] = [recording, recording.alike];
    find.hidden = Boolean(recording.alike);
    note.textContent = `The index has ${index.n_recordings} recordings, heard by ${index.model}.`;
    this.list(recording.alike ?? []);
  }

  async find() {
    const { note, find } = this.parts;
    const recording = this.recording;
    find.disabled = true;
    note.textContent = "Searching…";
    try {
      const query = new URLSearchParams({ name: recording.file.name });
      const headers = { "content-type": "application/octet-stream" };
      const answer = await patientRequest(`/v1/search?${query}`, { method: "POST", body: recording.file, headers });
      recording.alike = (await answer.json()).hits;
      if (recording !== this.recording) return;
      this.shown = recording.alike;
      note.textContent = recording.alike.length ? "" : "The index is empty.";
      find.hidden = true;
      this.list(recording.alike);
    } catch (problem) {
      if (recording === this.recording) note.textContent = `Not found: ${problem.message}`;
    } finally {
      find.disabled = false;
    }
  }

  list(hits) {
    const rows = hits.map((hit) => {
      const span = `${clock(hit.start_secs)} – ${clock(hit.end_secs)}`;
      const play = element("button", { type: "button", "aria-label": `Play ${hit.path}, ${span}` }, "Play");
      play.addEventListener("click", () => this.play(hit, play));
      return element(
        "li",
        {},
        play,
        element("span", { class: "name" }, hit.path),
        element("span", { class: "quiet" }, span),
        element("span", { class: "score" }, score(hit.score)),
      );
    });
    this.parts.list.replaceChildren(...rows);
  }

  async play(hit, button) {
    const isThis = this.playing === button;
    this.stop();
    if (isThis) return;
    this.playing = button;
    button.textContent = "Stop";
    const { path, start_secs, end_secs } = hit;
    try {
      const query = new URLSearchParams({ path, start_secs, end_secs });
      // Fetched rather than named: a player can send no key.
      const sound = await (await request(`/v1/search/sound?${query}`)).blob();
      if (this.playing !== button) return;
      this.url = URL.createObjectURL(sound);
      this.parts.audio.src = this.url;
      await this.parts.audio.play();
    } catch (problem) {
      if (this.playing !== button) return;
      this.parts.note.textContent = `Cannot be played: ${problem.message}`;
      this.stop();
    }
  }

  stop() {
    const { audio } = this.parts;
    audio.pause();
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = null;
    if (this.playing) this.playing.textContent = "Play";
    this.playing = null;
  }
}
