// The batch as a table: sorted by any column, filtered by name or tag.

import { duration, element, score } from "./format.js";

const PAGE = 200;

const COLUMNS = [
  { key: "path", title: "Recording", value: (r) => r.path.toLowerCase() },
  { key: "secs", title: "Length", value: (r) => r.durationSecs ?? -1 },
  { key: "tag", title: "Best tag", value: (r) => (r.best?.class ?? "\uffff").toLowerCase() },
  { key: "score", title: "Score", value: (r) => r.best?.score ?? -1 },
  { key: "state", title: "State", value: (r) => r.state },
];

const STATES = { waiting: "waiting", hearing: "hearing…", done: "done", failed: "failed", cancelled: "cancelled" };

export class BatchTable {
  constructor(parts, choose) {
    this.parts = parts;
    this.choose = choose;
    this.sort = { key: null, ascending: true };
    this.nShown = PAGE;
    this.recordings = [];
    this.chosen = null;
    this.head();
    parts.filter.addEventListener("input", () => {
      this.nShown = PAGE;
      this.draw();
    });
    parts.more.addEventListener("click", () => {
      this.nShown += PAGE;
      this.draw();
    });
  }

  head() {
    const cells = COLUMNS.map((column) => {
      const sorted = this.sort.key === column.key ? (this.sort.ascending ? "ascending" : "descending") : "none";
      const arrow = { ascending: " ▲", descending: " ▼", none: "" }[sorted];
      const button = element("button", { type: "button" }, `${column.title}${arrow}`);
      button.addEventListener("click", () => {
        const ascending = this.sort.key === column.key ? !this.sort.ascending : column.key !== "score";
        this.sort = { key: column.key, ascending };
        this.head();
        this.parts.columns.querySelectorAll("button")[COLUMNS.indexOf(column)].focus();
        this.draw();
      });
      return element("th", { scope: "col", "aria-sort": sorted }, button);
    });
    this.parts.columns.replaceChildren(...cells);
  }

  visible() {
    const wanted = this.parts.filter.value.trim().toLowerCase();
    const has = (r) =>
      r.path.toLowerCase().includes(wanted) ||
      (r.clip?.tags ?? []).some((tag) => tag.class.toLowerCase().includes(wanted)) ||
      r.state.includes(wanted);
    const found = this.recordings.filter((r) => !wanted || has(r));
    const column = COLUMNS.find((c) => c.key === this.sort.key);
    if (!column) return found;
    const way = this.sort.ascending ? 1 : -1;
    const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
    return found.sort((a, b) => way * compare(column.value(a), column.value(b)));
  }

  draw() {
    const visible = this.visible();
    const focused = document.activeElement?.dataset?.path;
    this.parts.rows.replaceChildren(...visible.slice(0, this.nShown).map((r) => this.row(r)));
    if (focused) {
      const again = [...this.parts.rows.querySelectorAll("button")].find((b) => b.dataset.path === focused);
      again?.focus();
    }
    const nDone = this.recordings.filter((r) => !["waiting", "hearing"].includes(r.state)).length;
    const shown = visible.length === this.recordings.length ? "" : `, ${visible.length} match`;
    this.parts.count.textContent = `${nDone} of ${this.recordings.length} heard${shown}`;
    this.parts.more.hidden = visible.length <= this.nShown;
  }

  row(recording) {
    const best = recording.best;
    const name = element("button", { type: "button" }, recording.path);
    name.dataset.path = recording.path;
    name.addEventListener("click", () => this.choose(recording));
    const tag = recording.state === "failed" ? recording.problem.message : (best?.class ?? "");
    const isChosen = recording === this.chosen;
    if (isChosen) name.setAttribute("aria-current", "true");
    return element(
      "tr",
      { class: `${isChosen ? "chosen" : ""} ${recording.state}` },
      element("td", { class: "name" }, name),
      element("td", { class: "number" }, duration(recording.durationSecs)),
      element("td", { class: "tag" }, tag),
      element("td", { class: "number" }, best ? score(best.score) : ""),
      element("td", {}, STATES[recording.state]),
    );
  }
}
