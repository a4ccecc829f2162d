// How times and scores are written.

/** `m:ss`, or `h:mm:ss` from an hour on. */
export function clock(secs) {
  const whole = Math.floor(secs);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** `hh:mm:ss.mmm`, as in the tables of the command line. */
export function hms(secs) {
  const ms = Math.round(secs * 1000);
  const two = (n) => String(n).padStart(2, "0");
  const fraction = String(ms % 1000).padStart(3, "0");
  return `${two(Math.floor(ms / 3_600_000))}:${two(Math.floor(ms / 60_000) % 60)}:${two(Math.floor(ms / 1000) % 60)}.${fraction}`;
}

export function duration(secs) {
  if (secs === null || secs === undefined) return "";
  return secs < 60 ? `${secs.toFixed(1)} s` : clock(secs);
}

export const score = (value) => value.toFixed(3);

/** An element with text and children; nothing from outside is ever parsed as HTML. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}
