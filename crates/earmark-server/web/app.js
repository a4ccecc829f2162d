// The page: sounds in by drop, choice or microphone; what is heard out as pictures, tags and tables.

import { Alike } from "./alike.js";
import { key, onKeyNeeded, setKey } from "./api.js";
import { Detail } from "./detail.js";
import { FORMATS, download, rows } from "./exports.js";
import { clock, element } from "./format.js";
import { Recording, hear } from "./hear.js";
import { Live } from "./live.js";
import { Listeners } from "./listeners.js";
import { openMicrophone, wavFile } from "./microphone.js";
import { BatchTable } from "./table.js";

const $ = (id) => document.getElementById(id);
const threshold = () => Number($("threshold").value);

let recordings = [];
let nRunning = 0;
let recorder = null;
/** The chosen model, once it is there. */
let card = null;

/** Who can hear: the server, this browser. */
const listeners = new Listeners();

const detail = new Detail(
  {
    card: $("detail"), title: $("detail-title"), facts: $("detail-facts"), lanes: $("lanes"), box: $("picture-box"),
    wave: $("wave"), picture: $("picture"), playhead: $("playhead"), axis: $("axis"), play: $("play"),
    clockText: $("clock"), note: $("player-note"), audio: $("audio"), tags: $("tags"),
    progressRow: $("progress-row"), progress: $("progress"), progressText: $("progress-text"),
  },
  { threshold },
);

const alike = new Alike({
  box: $("alike"), find: $("find-alike"), note: $("alike-note"), list: $("alike-list"), audio: $("alike-audio"),
});

/** Shows a recording and, where the server has an index, what sounds like it. */
function show(recording) {
  detail.show(recording);
  alike.show(recording, recording.state === "done" ? recording.by.index : null);
}

const table = new BatchTable(
  { rows: $("rows"), columns: $("columns"), filter: $("filter"), more: $("more"), count: $("batch-count") },
  (recording) => choose(recording, true),
);

const live = new Live(
  { card: $("live-card"), clock: $("live-clock"), tags: $("live-tags"), log: $("live-log"), picture: $("live-picture") },
  {
    threshold,
    model: () => $("model").value,
    stopped(why) {
      $("live").setAttribute("aria-pressed", "false");
      $("live").textContent = "Listen live";
      $("live-title").textContent = "Listened";
      $("live-stop").hidden = true;
      if (why) showError(why);
    },
  },
);

function status(text) {
  $("status").textContent = text;
}

function showError(text) {
  $("error").textContent = text;
  $("error").hidden = !text;
}

/* The key, if the server asks for one. */

let asking = null;

onKeyNeeded(() => {
  asking ??= new Promise((resolve) => {
    const dialog = $("key-dialog");
    dialog.addEventListener(
      "close",
      () => {
        asking = null;
        setKey($("key").value);
        resolve(dialog.returnValue === "ok" && key() !== "");
      },
      { once: true },
    );
    dialog.returnValue = "";
    dialog.showModal();
  });
  return asking;
});

/* Models and who hears. */

/** Offers the models of whoever hears now. */
async function offerModels() {
  const { names } = listeners.now;
  $("model").replaceChildren(...names.map((name) => element("option", { value: name }, name)));
  await chooseModel();
}

async function chooseModel() {
  card = null;
  const name = $("model").value;
  if (!name) return;
  const chosen = await listeners.now.card(name);
  if (name !== $("model").value) return;
  card = chosen;
  const n = card.classes.length;
  const own = element("option", { value: "" }, `${card.window_secs} s, the model's`);
  const shorter = [5, 2, 1].filter((secs) => secs < card.window_secs);
  const options = shorter.map((secs) => element("option", { value: String(secs) }, `${secs} s, every ${secs / 2} s`));
  $("window").replaceChildren(own, ...options);
  $("model-note").textContent = `${card.name} tells ${n} classes apart, ${card.window_secs} s at a time, run by ${card.runtime}.`;
}

/** Says where sounds go. */
function showListener() {
  const { isPrivate, server, own } = listeners;
  document.body.classList.toggle("private", isPrivate);
  $("private").checked = isPrivate;
  $("private").disabled = !server || !own;
  $("private-note").textContent = own ? "" : "Not built into this program.";
  $("live").hidden = isPrivate;
  $("api").hidden = !server;
  $("invite").textContent = `files or a whole folder, ${isPrivate ? "up to ten minutes each" : "of any length"}`;
  $("privacy").textContent = isPrivate
    ? "Sounds are heard by this browser and sent nowhere."
    : "Sounds are sent to this server, heard, and forgotten. Nothing else is loaded from anywhere.";
}

/** Settles who hears what is added from now on, and what waits. */
async function settle(wantsPrivate) {
  $("private").disabled = true;
  $("private").checked = wantsPrivate;
  $("private-note").textContent = wantsPrivate ? "Loading…" : "";
  try {
    await listeners.choose(wantsPrivate);
  } catch (problem) {
    const instead = listeners.now ? "\nUntil it does, sounds are sent to this server." : "";
    showError(`Private mode does not start: ${problem.message}${instead}`);
  }
  showListener();
  for (const recording of recordings.filter((r) => r.state === "waiting" && r.by !== listeners.now)) {
    const isMeantPrivate = wantsPrivate || recording.by === listeners.own;
    if (isMeantPrivate && !listeners.isPrivate) recording.state = "cancelled";
    else recording.by = listeners.now;
  }
  drawSoon();
  if (listeners.now) await offerModels();
  pump();
}

async function switchPrivate() {
  showError("");
  if (live.isOn) await live.stop();
  try {
    await settle($("private").checked);
  } catch (problem) {
    showError(problem.message);
  }
}

/** Uses a bundle that the user has as a file. */
async function addModel(file) {
  if (!listeners.isPrivate) {
    showError(`${file.name} is a model: switch private mode on to use it.`);
    return;
  }
  try {
    const name = await listeners.now.add(file);
    await offerModels();
    status(`Loaded the model ${name}`);
    hearAgain();
  } catch (problem) {
    showError(problem.message);
  }
}

/* Files. */

function add(files) {
  showError("");
  const models = files.filter(({ path }) => MODEL.test(path));
  for (const { file } of models) addModel(file);
  const sounds = files.filter((file) => !models.includes(file));
  const fresh = sounds.map(({ file, path }) => new Recording(file, path, listeners.now));
  if (!fresh.length) return;
  recordings.push(...fresh);
  document.body.classList.add("compact");
  table.recordings = recordings;
  $("exports").hidden = false;
  $("batch").hidden = recordings.length < 2;
  if (recordings.length === fresh.length || fresh.length === 1) choose(fresh[0], false);
  pump();
  drawSoon();
}

/** What decides how recordings are heard. */
function hearSettings() {
  const window = Number($("window").value);
  return window ? { model: $("model").value, window, hop: window / 2 } : { model: $("model").value };
}

/** Starts waiting recordings while there is room. */
function pump() {
  while (card && listeners.now && nRunning < listeners.now.parallel) {
    const next = recordings.find((r) => r.state === "waiting" && r.by === listeners.now);
    if (!next) break;
    nRunning++;
    next.card = card;
    const isShown = next === detail.recording;
    hear(next, hearSettings(), isShown, () => changed(next)).finally(() => {
      nRunning--;
      pump();
    });
  }
}

function changed(recording) {
  if (recording === detail.recording) {
    detail.changed();
    if (recording.state === "done") show(recording);
    if (recording.state === "failed") {
      const { message, hint } = recording.problem;
      showError(hint ? `${message}\n${hint}` : message);
    }
  }
  drawSoon();
}

let drawing = 0;

/** Draws the table at most five times a second. */
function drawSoon() {
  drawing ||= setTimeout(() => {
    drawing = 0;
    table.draw();
    const nLeft = recordings.filter((r) => r.state === "waiting" || r.state === "hearing").length;
    const nFailed = recordings.filter((r) => r.state === "failed").length;
    const failed = nFailed ? `, ${nFailed} failed` : "";
    if (nLeft) status(`Hearing ${nLeft} of ${recordings.length} recordings${failed}`);
    else if (recordings.length) status(`Heard ${recordings.length - nFailed} of ${recordings.length} recordings${failed}`);
  }, 200);
}

function choose(recording, byHand) {
  table.chosen = recording;
  show(recording);
  showError(recording.state === "failed" ? recording.problem.message : "");
  table.draw();
  if (byHand) $("detail").scrollIntoView({ block: "start" });
}

const ofInput = (list) => [...list].map((file) => ({ file, path: file.webkitRelativePath || file.name }));

/** All files of a drop, folders opened. */
async function ofDrop(items) {
  const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const found = [];
  const visit = async (entry) => {
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
      found.push({ file, path: entry.fullPath.replace(/^\//, "") });
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      // A reader gives a hundred entries at a time.
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) return;
      for (const inner of some) await visit(inner);
    }
  };
  for (const entry of entries) await visit(entry);
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** In folders, files that are no sounds by their name are passed over, as on the command line. */
const EXTENSIONS = /\.(wav|wave|rf64|w64|bw64|aiff?|aifc|caf|flac|mp[123]|m4[ab]|mp4|aac|og[gax]|opus|webm|mk[av]|alac)$/i;

/** A bundle. */
const MODEL = /^[^/]+\.onnx$/i;

function soundsOf(files) {
  const sounds = files.filter(({ path }) => !path.includes("/") || EXTENSIONS.test(path));
  const nSkipped = files.length - sounds.length;
  if (nSkipped) showError(`${nSkipped} files that are no sounds by their names were left out.`);
  return sounds;
}

function acceptFiles() {
  $("choose-files").addEventListener("click", () => $("files").click());
  $("choose-folder").addEventListener("click", () => $("folder").click());
  for (const id of ["files", "folder"]) {
    $(id).addEventListener("change", () => {
      add(soundsOf(ofInput($(id).files)));
      $(id).value = "";
    });
  }
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    $("drop").classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) $("drop").classList.remove("over");
  });
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    $("drop").classList.remove("over");
    add(soundsOf(await ofDrop(event.dataTransfer.items)));
  });
}

/* Microphone. */

async function toggleRecording() {
  if (recorder) {
    const { microphone, blocks, timer } = recorder;
    recorder = null;
    clearInterval(timer);
    $("record").setAttribute("aria-pressed", "false");
    $("record").textContent = "Record";
    await microphone.close();
    const stamp = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
    const name = `recording-${stamp}.wav`;
    if (blocks.length) add([{ file: wavFile(blocks, microphone.sampleRate, name), path: name }]);
    return;
  }
  showError("");
  const blocks = [];
  try {
    const microphone = await openMicrophone((block) => blocks.push(block));
    const started = Date.now();
    const tell = () => ($("record").textContent = `Stop recording, ${clock((Date.now() - started) / 1000)}`);
    recorder = { microphone, blocks, timer: setInterval(tell, 500) };
    $("record").setAttribute("aria-pressed", "true");
    tell();
  } catch (error) {
    showError(error.message);
  }
}

async function toggleLive() {
  if (live.isOn) {
    await live.stop();
    return;
  }
  showError("");
  try {
    await live.start();
    document.body.classList.add("compact");
    $("live").setAttribute("aria-pressed", "true");
    $("live").textContent = "Stop listening";
    $("live-title").textContent = "Listening";
    $("live-stop").hidden = false;
  } catch (error) {
    showError(error.message);
  }
}

/* Exports. */

function exportAs(format) {
  const per = document.querySelector("input[name=per]:checked").value;
  const wantsOne = document.querySelector("input[name=of]:checked").value === "one" || FORMATS[format].oneOnly;
  const heard = (wantsOne ? [detail.recording] : recordings).filter((r) => r?.clip);
  if (!heard.length) {
    showError("Nothing is heard yet that could be exported.");
    return;
  }
  const { write, extension, type } = FORMATS[format];
  const stem = heard.length === 1 ? heard[0].path.split("/").pop() : "earmark";
  download(write(rows(heard, per, threshold())), `${stem}.${extension}`, type);
  const noun = heard.length === 1 ? "recording" : "recordings";
  status(`Exported ${heard.length} ${noun} as ${extension}`);
}

function clearAll() {
  for (const recording of recordings) recording.controller?.abort();
  recordings = [];
  table.recordings = recordings;
  table.chosen = null;
  table.draw();
  detail.clear();
  alike.stop();
  for (const id of ["batch", "exports"]) $(id).hidden = true;
  document.body.classList.remove("compact");
  showError("");
  status("");
}

/* Settings. */

function acceptSettings() {
  $("threshold").addEventListener("input", () => {
    $("threshold-value").textContent = threshold().toFixed(2);
    detail.changed();
  });
  $("model").addEventListener("change", async () => {
    try {
      await chooseModel();
      hearAgain();
    } catch (problem) {
      showError(problem.message);
    }
  });
  $("window").addEventListener("change", hearAgain);
  $("private").addEventListener("change", switchPrivate);
}

/** Hears everything again: by another model, or in other segments. What was heard in private mode is
 * never sent anywhere later. */
function hearAgain() {
  for (const recording of recordings) {
    if (recording.by !== listeners.now) continue;
    recording.again = recording.state === "hearing";
    if (!recording.again) recording.state = "waiting";
    recording.controller?.abort();
  }
  pump();
  drawSoon();
}

async function start() {
  acceptFiles();
  acceptSettings();
  $("record").addEventListener("click", toggleRecording);
  $("live").addEventListener("click", toggleLive);
  $("live-stop").addEventListener("click", () => live.stop());
  $("cancel").addEventListener("click", () => detail.recording?.controller?.abort());
  $("clear").addEventListener("click", clearAll);
  for (const button of document.querySelectorAll("[data-export]")) {
    button.addEventListener("click", () => exportAs(button.dataset.export));
  }
  try {
    $("version").textContent = `Earmark ${await listeners.start()}`;
    await settle(listeners.wantsPrivate);
  } catch (problem) {
    showError(problem.message);
  }
}

start();
