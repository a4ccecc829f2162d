// The server as what hears: one request for short recordings, a job that is heard while it is uploaded
// for long ones.

import { events, patientRequest, request } from "./api.js";

/** Uploads from this size on are heard while they come in. */
const LONG_BYTES = 4 << 20;

export class Server {
  /** Recordings on their way at the same time. */
  parallel = 3;
  cards = [];
  /** The index that it searches in, if it has one. */
  index = null;

  /** Asks for the models; gives the version of the program. */
  async start() {
    const answer = await (await request("/v1/models")).json();
    this.cards = answer.models;
    this.index = answer.index;
    return answer.version;
  }

  get names() {
    return this.cards.map((card) => card.name);
  }

  async card(name) {
    return this.cards.find((card) => card.name === name);
  }

  /** Hears a file; gives events as `[name, data]`. `settings` are the query of `/v1/jobs`. */
  async *hear(file, settings, signal) {
    const query = new URLSearchParams(settings);
    if (!settings.picture && file.size < LONG_BYTES) {
      const headers = { accept: "text/event-stream", "content-type": "application/octet-stream" };
      yield* events(await patientRequest(`/v1/tag?${query}`, { method: "POST", body: file, headers, signal }));
      return;
    }
    const created = await patientRequest(`/v1/jobs?${query}`, { method: "POST", signal });
    const job = await created.json();
    const upload = request(job.audio, { method: "PUT", body: file, signal });
    // The events say better what is wrong; an upload that is not finished ends with them.
    upload.catch(() => {});
    yield* events(await request(job.events, { signal }));
  }

  /** The pictures of a file, without hearing it. */
  async pictures(file, columns) {
    const query = new URLSearchParams({ columns, name: file.name });
    const response = await patientRequest(`/v1/picture?${query}`, {
      method: "POST",
      body: file,
      headers: { "content-type": "application/octet-stream" },
    });
    return (await response.json()).pictures;
  }
}
