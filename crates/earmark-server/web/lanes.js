// When each tag is heard: a lane per class above the spectrogram, a button per stretch.

import { clock, element, score } from "./format.js";

const MAX_LANES = 8;

/** Joins neighbouring segments of a class that reach the threshold. */
export function stretches(segments, threshold) {
  const classes = new Map();
  for (const segment of segments) {
    for (const tag of segment.tags) {
      if (tag.score < threshold) continue;
      const list = classes.get(tag.class) ?? [];
      const last = list.at(-1);
      if (last && segment.start_secs <= last.end + 1e-6) {
        last.end = Math.max(last.end, segment.end_secs);
        last.score = Math.max(last.score, tag.score);
      } else {
        list.push({ start: segment.start_secs, end: segment.end_secs, score: tag.score });
      }
      classes.set(tag.class, list);
    }
  }
  const strength = (list) => list.reduce((sum, s) => sum + (s.end - s.start) * s.score, 0);
  return [...classes].sort((a, b) => strength(b[1]) - strength(a[1])).slice(0, MAX_LANES);
}

/** Where a lane's name covers none of its stretches, as a share of the width; the left edge if there is
 * no such place. */
function freePlace(list, name, totalSecs, width) {
  const needed = ((name.length * 7.2 + 16) / Math.max(width, 1)) * totalSecs;
  const places = [0, ...list.map((stretch) => stretch.end)];
  const isFree = (at) => at + needed <= totalSecs && !list.some((s) => s.start < at + needed && s.end > at + 1e-6);
  return (places.find(isFree) ?? 0) / totalSecs;
}

/** Fills `box` with lanes; `play(secs)` is called for a stretch that is chosen. */
export function drawLanes(box, segments, threshold, totalSecs, play) {
  const lanes = stretches(segments, threshold);
  const focused = box.contains(document.activeElement) ? document.activeElement.dataset.at : null;
  box.replaceChildren(
    ...lanes.map(([name, list]) => {
      const label = element("span", { class: "lane-name", "aria-hidden": "true" }, name);
      label.style.left = `${100 * freePlace(list, name, totalSecs, box.clientWidth)}%`;
      const lane = element("div", { class: "lane" }, label);
      for (const stretch of list) {
        const label = `${name}, ${clock(stretch.start)} to ${clock(stretch.end)}, score ${score(stretch.score)}, play`;
        const button = element("button", { type: "button", "aria-label": label, title: label });
        button.dataset.at = `${name}@${stretch.start}`;
        button.style.left = `${(100 * stretch.start) / totalSecs}%`;
        button.style.width = `max(3px, calc(${(100 * (stretch.end - stretch.start)) / totalSecs}% - 1px))`;
        button.style.opacity = String(0.35 + 0.65 * stretch.score);
        button.addEventListener("click", () => play(stretch.start));
        lane.append(button);
      }
      return lane;
    }),
  );
  if (focused) [...box.querySelectorAll("button")].find((b) => b.dataset.at === focused)?.focus();
}

/** Fills a list with tags, best first, those below the threshold pale. */
export function drawTags(list, tags, threshold, emptyText = "No tag") {
  const items = tags.map((tag) => {
    const bar = element("i");
    bar.style.width = `${Math.round(tag.score * 100)}%`;
    return element(
      "li",
      { class: tag.score < threshold ? "below" : "" },
      element("span", { class: "name" }, tag.class),
      element("span", { class: "bar", "aria-hidden": "true" }, bar),
      element("span", { class: "score" }, score(tag.score)),
    );
  });
  list.replaceChildren(...(items.length ? items : [element("li", {}, element("span", { class: "quiet" }, emptyText))]));
}
