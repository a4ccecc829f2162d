// One recording: picture, lanes, tags, and the player that all of them steer.

import { clock, duration, element } from "./format.js";
import { fetchPicture } from "./hear.js";
import { drawLanes, drawTags } from "./lanes.js";
import { PictureView } from "./picture.js";

export class Detail {
  constructor(parts, settings) {
    this.parts = parts;
    this.settings = settings;
    this.view = new PictureView(parts.picture, parts.wave);
    this.recording = null;
    this.steer();
  }

  /** Shows a recording from its beginning. */
  show(recording) {
    if (this.recording !== recording) {
      this.recording = recording;
      this.nPainted = 0;
      this.view.clear();
      this.load();
    }
    this.parts.card.hidden = false;
    this.draw();
    this.fetchPicture();
  }

  clear() {
    this.recording = null;
    this.parts.audio.removeAttribute("src");
    this.parts.audio.load();
    this.parts.card.hidden = true;
  }

  /** What is known has changed; drawn with the next frame of the screen. */
  changed() {
    if (this.pending) return;
    this.pending = requestAnimationFrame(() => {
      this.pending = 0;
      this.draw();
    });
  }

  load() {
    const { audio, note, play } = this.parts;
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(this.recording.file);
    note.textContent = "";
    play.disabled = false;
    audio.src = this.url;
  }

  async fetchPicture() {
    const recording = this.recording;
    if (recording.hasPicture || recording.state !== "done") return;
    try {
      await fetchPicture(recording);
      this.changed();
    } catch (problem) {
      recording.hasPicture = false;
      this.parts.note.textContent = `No picture: ${problem.message}`;
    }
  }

  get totalSecs() {
    const { recording, view } = this;
    return Math.max(recording?.durationSecs ?? 0, recording?.heardSecs ?? 0, view.secs, 0.001);
  }

  draw() {
    const { recording, parts, view } = this;
    if (!recording) return;
    if (this.drawn !== recording.pictures) {
      this.drawn = recording.pictures;
      this.nPainted = 0;
      view.clear();
    }
    while (this.nPainted < recording.pictures.length) view.add(recording.pictures[this.nPainted++]);
    const total = this.totalSecs;
    const threshold = this.settings.threshold();
    parts.title.textContent = recording.path;
    const opened = recording.opened;
    const facts = opened && [
      duration(recording.durationSecs), opened.format, `${opened.sample_rate / 1000} kHz`,
      opened.n_channels === 1 ? "mono" : `${opened.n_channels} channels`,
    ];
    parts.facts.textContent = facts ? facts.filter(Boolean).join(" · ") : "";
    view.draw(total);
    drawLanes(parts.lanes, recording.segments, threshold, total, (secs) => this.playFrom(secs));
    this.drawAxis(total);
    drawTags(parts.tags, this.tags(), threshold, recording.state === "done" ? "No tag" : "…");
    this.drawProgress(total);
    this.drawPlayhead();
  }

  /** The tags of the recording, or while it is heard the best of each class so far. */
  tags() {
    const { clip, segments } = this.recording;
    if (clip) return clip.tags;
    const best = new Map();
    for (const segment of segments) {
      for (const tag of segment.tags) best.set(tag.class, Math.max(best.get(tag.class) ?? 0, tag.score));
    }
    const tags = [...best].map(([name, score]) => ({ class: name, score }));
    return tags.sort((a, b) => b.score - a.score).slice(0, 12);
  }

  drawAxis(total) {
    const steps = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
    const most = Math.max(2, Math.floor(this.parts.axis.clientWidth / 90));
    const step = steps.find((s) => total / s <= most) ?? 14_400;
    const marks = [];
    for (let secs = 0; secs <= total; secs += step) {
      const text = step < 1 ? secs.toFixed(1) : clock(secs);
      const mark = element("span", {}, text);
      mark.style.left = `${(100 * secs) / total}%`;
      marks.push(mark);
    }
    this.parts.axis.replaceChildren(...marks);
  }

  drawProgress(total) {
    const { recording, parts } = this;
    const isHearing = recording.state === "hearing";
    parts.progressRow.hidden = !isHearing;
    if (!isHearing) return;
    if (recording.durationSecs) {
      parts.progress.value = Math.min(1, recording.heardSecs / total);
    } else {
      parts.progress.removeAttribute("value");
    }
    const of = recording.durationSecs ? ` of ${clock(recording.durationSecs)}` : "";
    parts.progressText.textContent = `${clock(recording.heardSecs)}${of}`;
  }

  drawPlayhead() {
    const { audio, playhead, box, clockText, play } = this.parts;
    const at = audio.currentTime || 0;
    const total = this.totalSecs;
    playhead.style.left = `${Math.min(100, (100 * at) / total)}%`;
    clockText.textContent = `${clock(at)} / ${clock(total)}`;
    box.setAttribute("aria-valuemax", total.toFixed(1));
    box.setAttribute("aria-valuenow", at.toFixed(1));
    box.setAttribute("aria-valuetext", clock(at));
    play.textContent = audio.paused ? "Play" : "Pause";
  }

  async playFrom(secs) {
    const { audio } = this.parts;
    if (secs !== undefined) audio.currentTime = Math.max(0, Math.min(secs, this.totalSecs));
    try {
      await audio.play();
    } catch {
      // The player's own error event tells why.
    }
    this.drawPlayhead();
  }

  toggle() {
    if (this.parts.audio.paused) this.playFrom();
    else this.parts.audio.pause();
  }

  steer() {
    const { audio, box, play, note } = this.parts;
    play.addEventListener("click", () => this.toggle());
    const follow = () => {
      this.drawPlayhead();
      if (!audio.paused) requestAnimationFrame(follow);
    };
    audio.addEventListener("play", follow);
    for (const event of ["pause", "ended", "seeked", "timeupdate"]) {
      audio.addEventListener(event, () => this.drawPlayhead());
    }
    audio.addEventListener("error", () => {
      if (!audio.getAttribute("src")) return;
      note.textContent = "This browser cannot play this format; the tags are not affected.";
      play.disabled = true;
    });
    box.addEventListener("click", (event) => {
      const place = box.getBoundingClientRect();
      this.playFrom(((event.clientX - place.left) / place.width) * this.totalSecs);
    });
    box.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -5, ArrowUp: 5, PageDown: -30, PageUp: 30 };
      const at = audio.currentTime;
      if (event.key in steps) audio.currentTime = Math.max(0, Math.min(this.totalSecs, at + steps[event.key]));
      else if (event.key === "Home") audio.currentTime = 0;
      else if (event.key === "End") audio.currentTime = this.totalSecs;
      else if (event.key === " " || event.key === "Enter") this.toggle();
      else return;
      event.preventDefault();
      this.drawPlayhead();
    });
    new ResizeObserver(() => this.changed()).observe(box);
  }
}
