// Live mode: microphone to the server's WebSocket, a rolling spectrogram and tags back.

import { liveSocket } from "./api.js";
import { clock, element, score } from "./format.js";
import { drawTags } from "./lanes.js";
import { openMicrophone, toInt16 } from "./microphone.js";
import { fit, paintColumns } from "./picture.js";
import { unpack } from "./hear.js";

const SECS_SHOWN = 20;
const COLUMNS_PER_SEC = 25;
const MAX_LOG = 200;
/** An event that began at the threshold goes on down to this share of it, so that it ends once. */
const HOLD = 0.7;
/** More than this many bytes waiting means that the network is too slow for the sound. */
const MAX_WAITING_BYTES = 1 << 20;

export class Live {
  constructor(parts, settings) {
    this.parts = parts;
    this.settings = settings;
    this.store = document.createElement("canvas");
    this.store.width = SECS_SHOWN * COLUMNS_PER_SEC;
    this.store.height = 96;
  }

  get isOn() {
    return Boolean(this.socket);
  }

  async start() {
    this.open = new Map();
    this.parts.log.replaceChildren();
    this.parts.tags.replaceChildren();
    this.parts.clock.textContent = "0:00";
    this.store.getContext("2d").clearRect(0, 0, this.store.width, this.store.height);
    let isReady = false;
    this.microphone = await openMicrophone((block) => {
      if (!isReady) return;
      if (this.socket.bufferedAmount > MAX_WAITING_BYTES) {
        this.stop("The connection is too slow for live sound.");
        return;
      }
      this.socket.send(toInt16(block));
    });
    const query = new URLSearchParams({
      rate: Math.round(this.microphone.sampleRate),
      model: this.settings.model(),
      top: 8,
      threshold: 0.02,
      picture: true,
    });
    this.socket = liveSocket(query);
    this.socket.onmessage = (message) => {
      const told = JSON.parse(message.data);
      if (told.type === "ready") isReady = true;
      else if (told.type === "picture") this.scroll(unpack(told.picture));
      else if (told.type === "segment") this.segment(told.row);
      else if (told.type === "problem") this.stop(told.problem.detail);
    };
    this.socket.onclose = (event) => this.stop(event.reason || "The connection to the server has ended.");
    this.parts.card.hidden = false;
    this.draw();
  }

  /** Ends live mode; `why` is told if it was not the user who ended it. */
  async stop(why) {
    if (!this.socket && !this.microphone) return;
    const { socket, microphone } = this;
    this.socket = null;
    this.microphone = null;
    if (socket) {
      socket.onmessage = null;
      socket.onclose = null;
      socket.close();
    }
    await microphone?.close();
    for (const [name, event] of this.open) this.log(name, event);
    this.settings.stopped(why);
  }

  scroll(picture) {
    const context = this.store.getContext("2d");
    const { width, height } = this.store;
    context.globalCompositeOperation = "copy";
    context.drawImage(this.store, -picture.n_columns, 0);
    context.globalCompositeOperation = "source-over";
    paintColumns(context, { ...picture, n_bands: height }, width - picture.n_columns);
    this.draw();
  }

  draw() {
    const context = fit(this.parts.picture);
    const { width, height } = this.parts.picture;
    context.fillStyle = "#05030c";
    context.fillRect(0, 0, width, height);
    context.drawImage(this.store, 0, 0, width, height);
  }

  segment(row) {
    const threshold = this.settings.threshold();
    this.parts.clock.textContent = clock(row.end_secs);
    drawTags(this.parts.tags, row.tags, threshold, "Nothing yet");
    const scores = new Map(row.tags.map((tag) => [tag.class, tag.score]));
    for (const [name, event] of this.open) {
      const now = scores.get(name) ?? 0;
      if (now >= threshold * HOLD) {
        event.end = row.end_secs;
        event.score = Math.max(event.score, now);
      } else {
        this.open.delete(name);
        this.log(name, event);
      }
    }
    for (const [name, now] of scores) {
      if (now >= threshold && !this.open.has(name)) {
        this.open.set(name, { start: row.start_secs, end: row.end_secs, score: now });
      }
    }
  }

  log(name, event) {
    const when = element("time", {}, `${clock(event.start)} – ${clock(event.end)}`);
    this.parts.log.prepend(element("li", {}, when, `${name} `, element("span", { class: "quiet" }, score(event.score))));
    while (this.parts.log.children.length > MAX_LOG) this.parts.log.lastElementChild.remove();
  }
}
