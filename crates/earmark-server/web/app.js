// The page: sounds in by drop, choice or microphone; what is heard out as pictures, tags and tables.

import { key, onKeyNeeded, request, setKey } from "./api.js";
import { Detail } from "./detail.js";
import { FORMATS, download, rows } from "./exports.js";
import { clock, element } from "./format.js";
import { Recording, hear } from "./hear.js";
import { Live } from "./live.js";
import { openMicrophone, wavFile } from "./microphone.js";
import { BatchTable } from "./table.js";

/** Recordings on their way at the same time. */
const PARALLEL = 3;

const $ = (id) => document.getElementById(id);
const threshold = () => Number($("threshold").value);

let models = [];
let recordings = [];
let nRunning = 0;
let recorder = null;

const card = () => models.find((model) => model.name === $("model").value);

const detail = new Detail(
  {
    card: $("detail"), title: $("detail-title"), facts: $("detail-facts"), lanes: $("lanes"), box: $("picture-box"),
    wave: $("wave"), picture: $("picture"), playhead: $("playhead"), axis: $("axis"), play: $("play"),
    clockText: $("clock"), note: $("player-note"), audio: $("audio"), tags: $("tags"),
    progressRow: $("progress-row"), progress: $("progress"), progressText: $("progress-text"),
  },
  { threshold },
);

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

/* Models. */

async function loadModels() {
  const answer = await (await request("/v1/models")).json();
  models = answer.models;
  $("model").replaceChildren(...models.map((model) => element("option", { value: model.name }, model.name)));
  $("version").textContent = `Earmark ${answer.version}`;
  describeModel();
}

function describeModel() {
  const model = card();
  if (!model) return;
  const n = model.classes.length;
  const own = element("option", { value: "" }, `${model.window_secs} s, the model's`);
  const shorter = [5, 2, 1].filter((secs) => secs < model.window_secs);
  const options = shorter.map((secs) => element("option", { value: String(secs) }, `${secs} s, every ${secs / 2} s`));
  $("window").replaceChildren(own, ...options);
  $("model-note").textContent = `${model.name} tells ${n} classes apart, ${model.window_secs} s at a time, run by ${model.runtime}.`;
}

/* Files. */

function add(files) {
  showError("");
  const fresh = files.map(({ file, path }) => new Recording(file, path));
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
  while (nRunning < PARALLEL) {
    const next = recordings.find((r) => r.state === "waiting");
    if (!next) break;
    nRunning++;
    next.card = card();
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
    if (recording.state === "done") detail.show(recording);
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
  detail.show(recording);
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
  $("model").addEventListener("change", () => {
    describeModel();
    hearAgain();
  });
  $("window").addEventListener("change", hearAgain);
}

/** Hears everything again: by another model, or in other segments. */
function hearAgain() {
  for (const recording of recordings) {
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
    await loadModels();
  } catch (problem) {
    showError(problem.message);
  }
}

start();
