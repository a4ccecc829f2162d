// Who can hear for this page: a server, or this browser in private mode; and who does.

import { request } from "./api.js";
import { Private } from "./private.js";
import { Server } from "./remote.js";

const CHOICE = "earmark-private";

/** Bytes from where the page came from. */
async function fetchBytes(url) {
  return (await request(url)).arrayBuffer();
}

export class Listeners {
  server = null;
  own = null;
  /** Who hears what is added; `null` while that is being settled. */
  now = null;

  /** Learns who is there; gives the version of the program. */
  async start() {
    // Beside this file: written by `cargo xtask web` for a page without a server, and by the server.
    const here = new URL("./page.json", import.meta.url);
    const page = await (await request(here)).json();
    if (page.server) {
      this.server = new Server();
      await this.server.start();
    }
    if (page.module) {
      const bundle = (name) => `/v1/models/${encodeURIComponent(name)}/bundle`;
      const models = page.models ?? this.server.names.map((name) => ({ name, url: bundle(name) }));
      const found = models.map(({ name, url }) => ({ name, url: new URL(url, here) }));
      this.own = new Private(new URL(page.module, here), found, fetchBytes);
    }
    return page.version;
  }

  /** Whether private mode is to be on: there is nothing else, or it was chosen the last time. */
  get wantsPrivate() {
    return !this.server || localStorage.getItem(CHOICE) === "on";
  }

  get isPrivate() {
    return Boolean(this.own) && this.now === this.own;
  }

  /** Turns private mode on or off, also for the next visit. If it does not start, the server hears. */
  async choose(isPrivate) {
    this.now = null;
    try {
      if (isPrivate && !this.own) throw new Error("it is not built into this program");
      if (isPrivate) await this.own.start();
      this.now = isPrivate ? this.own : this.server;
      localStorage.setItem(CHOICE, isPrivate ? "on" : "off");
    } finally {
      this.now ??= this.server;
    }
  }
}
