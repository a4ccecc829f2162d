// Private mode: this browser as what hears. Workers run the program's own WebAssembly; the page gives them
// the module, the bundle and the file, and they can ask the network for nothing.

import { Problem } from "./api.js";
import { decodeByBrowser } from "./decode.js";

/** Formats that the module does not know, which the browser's own decoder may. */
const UNKNOWN = ["not-audio", "codec"];

/** The longest recording in seconds that the browser's decoder is given: what it decodes is in memory as a
 * whole. The module itself takes ten minutes. */
const MAX_DECODED_SECS = 300;

export class Private {
  /** `fetchBytes(url)` gets the module and bundles; `models` are `{ name, url }`. */
  constructor(moduleUrl, models, fetchBytes) {
    this.moduleUrl = moduleUrl;
    this.models = models.map((model) => ({ ...model, bytes: null, card: null }));
    this.fetchBytes = fetchBytes;
    this.parallel = Math.max(1, Math.min(3, navigator.hardwareConcurrency || 1));
    this.idle = [];
  }

  /** Loads the worker, the module and the first bundle, so that nothing has to be loaded later. */
  async start() {
    this.module ??= await this.fetchBytes(this.moduleUrl);
    this.starter ??= new Starter();
    try {
      await this.starter.ready;
    } catch (error) {
      this.starter = null;
      throw error;
    }
    if (this.models.length) await this.card(this.models[0].name);
  }

  get names() {
    return this.models.map((model) => model.name);
  }

  /** What a bundle says about itself; loads it when it is asked for. */
  async card(name) {
    const model = this.models.find((known) => known.name === name);
    if (!model) return null;
    model.bytes ??= await this.fetchBytes(model.url);
    model.card ??= await this.read(model);
    return model.card;
  }

  /** Adds a bundle that the user has as a file; gives its name. */
  async add(file) {
    const bytes = await file.arrayBuffer();
    const card = await this.read({ name: file.name, bytes });
    this.models = this.models.filter((model) => model.name !== card.name);
    this.models.unshift({ name: card.name, bytes, card });
    return card.name;
  }

  /** Has a worker read a bundle and gives its card. */
  async read(model) {
    for await (const [event, data] of this.run(model, null)) {
      if (event === "problem") throw new Problem(0, data);
      if (event === "model") return data;
    }
    return null;
  }

  /** Hears a file; gives the events that the server would. */
  async *hear(file, { model: name, ...settings }, signal) {
    const model = this.models.find((known) => known.name === name);
    yield* this.withDecoder(model, { do: "hear", settings: numbers(settings), file }, signal);
  }

  /** The pictures of a file, without hearing it. */
  async pictures(file, columns) {
    const command = { do: "picture", settings: { name: file.name, picture: columns }, file };
    const pictures = [];
    for await (const [event, data] of this.withDecoder(null, command)) {
      if (event === "problem") throw new Problem(0, data);
      if (event === "picture") pictures.push(data);
    }
    return pictures;
  }

  /** Runs a command; gives what the module does not know to the browser's decoder. */
  async *withDecoder(model, command, signal) {
    let unknown = null;
    for await (const event of this.run(model, command, signal)) {
      if (event[0] === "problem" && UNKNOWN.includes(event[1].code)) unknown = event;
      else yield event;
    }
    if (!unknown) return;
    const file = await decodeByBrowser(command.file, MAX_DECODED_SECS);
    signal?.throwIfAborted();
    if (!file) {
      yield unknown;
      return;
    }
    for await (const [name, data] of this.run(model, { ...command, file }, signal)) {
      yield [name, name === "opened" ? { ...data, format: "decoded by the browser" } : data];
    }
  }

  /** Has an idle worker, or a new one, load a bundle if it has another, and run a command. A worker that is
   * stopped in the middle, or crashes, is thrown away with its memory. */
  async *run(model, command, signal) {
    signal?.throwIfAborted();
    const hand = this.idle.pop() ?? new Hand(this.starter, this.module);
    try {
      if (model && hand.model !== model) {
        hand.model = null;
        for await (const event of hand.ask({ do: "load", name: model.name, bundle: model.bytes }, signal)) {
          if (event[0] === "model") hand.model = model;
          yield event;
        }
        if (!hand.model) return;
      }
      if (command) yield* hand.ask(command, signal);
    } finally {
      if (hand.isIdle && this.idle.length < this.parallel) this.idle.push(hand);
      else hand.end();
    }
  }
}

/** A form's texts as the numbers that the module expects. */
function numbers(settings) {
  const entries = Object.entries(settings);
  return Object.fromEntries(entries.map(([key, value]) => [key, key === "name" ? value : Number(value)]));
}

/** The worker that starts and ends the others. */
class Starter {
  hands = new Map();

  constructor() {
    this.worker = new Worker(new URL("./private-worker.js", import.meta.url));
    /** Settled once it is there. */
    this.ready = new Promise((resolve, reject) => {
      this.worker.onerror = (error) => reject(new Error(error.message || "its worker cannot be loaded"));
      this.worker.onmessage = ({ data: { failed, detail } }) => {
        if (failed) this.hands.get(failed)?.tell(["crash", { code: "internal", detail }]);
        else resolve();
      };
    });
  }

  start(hand, port) {
    const id = this.hands.size ? Math.max(...this.hands.keys()) + 1 : 1;
    this.hands.set(id, hand);
    this.worker.postMessage({ start: id, port }, [port]);
    return id;
  }

  end(id) {
    this.hands.delete(id);
    this.worker.postMessage({ end: id });
  }
}

/** One worker that hears. */
class Hand {
  constructor(starter, module) {
    const { port1, port2 } = new MessageChannel();
    /** What it has told and nobody has taken. */
    this.told = [];
    this.wake = () => {};
    this.port = port1;
    this.port.onmessage = ({ data }) => this.tell(data);
    this.starter = starter;
    this.id = starter.start(this, port2);
    this.port.postMessage({ do: "start", module });
    /** The bundle that it has loaded. */
    this.model = null;
    this.isIdle = true;
  }

  end() {
    this.port.close();
    this.starter.end(this.id);
  }

  tell(event) {
    this.told.push(event);
    this.wake();
  }

  /** The events of one command, the last of which is `model`, `done` or `problem`. */
  async *ask(command, signal) {
    const stop = () => this.wake();
    signal?.addEventListener("abort", stop);
    this.isIdle = false;
    try {
      this.port.postMessage(command);
      for (;;) {
        signal?.throwIfAborted();
        const event = this.told.shift();
        if (!event) {
          await new Promise((resolve) => (this.wake = resolve));
          continue;
        }
        const [name, data] = event;
        if (name === "crash") {
          yield ["problem", data];
          return;
        }
        this.isIdle = ["model", "done", "problem"].includes(name);
        yield event;
        if (this.isIdle) return;
      }
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }
}
