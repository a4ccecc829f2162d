// The browser's own decoder, for what the program's does not know.

import { Problem } from "./api.js";
import { wavHeader } from "./microphone.js";

/** The rate at which the browser decodes, in Hz: most sounds that need it have this one, so that it does
 * not resample them; the program does that. */
const RATE = 48_000;

/** How long the browser may take to read a header, in ms. */
const PATIENCE = 5_000;

/** A file as a WAV file of 32-bit floats, its channels mixed to one; `null` if the browser does not know
 * the format. Throws a Problem for a recording longer than `maxSecs`. */
export async function decodeByBrowser(file, maxSecs) {
  const secs = await lengthOf(file);
  if (secs === null) return null;
  if (secs > maxSecs) {
    throw new Problem(0, {
      code: "limit",
      detail: `${file.name}: duration is ${secs.toFixed(1)} s, the limit is ${maxSecs} s`,
      hint: `what only the browser can decode may be ${maxSecs / 60} minutes long; convert it, or cut it`,
    });
  }
  try {
    const context = new OfflineAudioContext(1, 1, RATE);
    const decoded = await context.decodeAudioData(await file.arrayBuffer());
    const mono = mix(decoded);
    const header = wavHeader({ sampleRate: RATE, nBytes: mono.byteLength, isFloat: true });
    return new File([header, mono], file.name);
  } catch {
    return null;
  }
}

/** The mean of all channels, as the program mixes them. */
function mix(decoded) {
  const mono = decoded.getChannelData(0);
  for (let channel = 1; channel < decoded.numberOfChannels; channel++) {
    const other = decoded.getChannelData(channel);
    for (let i = 0; i < mono.length; i++) mono[i] += other[i];
  }
  const share = 1 / decoded.numberOfChannels;
  if (share < 1) for (let i = 0; i < mono.length; i++) mono[i] *= share;
  return mono;
}

/** The length that the browser's player sees, in seconds; `null` if it cannot play the file. */
async function lengthOf(file) {
  const url = URL.createObjectURL(file);
  const audio = new Audio();
  try {
    return await new Promise((resolve) => {
      audio.onloadedmetadata = () => resolve(Number.isFinite(audio.duration) ? audio.duration : null);
      audio.onerror = () => resolve(null);
      setTimeout(() => resolve(null), PATIENCE);
      audio.preload = "metadata";
      audio.src = url;
    });
  } finally {
    audio.removeAttribute("src");
    URL.revokeObjectURL(url);
  }
}
