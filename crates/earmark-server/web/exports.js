// Tables for other programs, with the columns that `earmark tag` writes (docs/outputs.md).

import { hms } from "./format.js";

const CSV_COLUMNS = [
  "path", "channel", "start_secs", "end_secs", "start_hms", "end_hms", "start_time", "end_time",
  "rank", "class", "class_id", "score", "model", "runtime", "schema",
];

const RAVEN_COLUMNS = [
  "Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)",
  "High Freq (Hz)", "Begin Path", "Class", "Score", "Model", "Runtime",
];

/** The rows of recordings, with their own paths and only the tags that reach the threshold. */
export function rows(recordings, per, threshold) {
  return recordings.flatMap((recording) => {
    const heard = per === "segment" ? recording.segments : [recording.clip];
    return heard.filter(Boolean).map((row) => ({
      ...row,
      path: recording.path,
      start_secs: row.start_secs ?? 0,
      end_secs: row.end_secs ?? row.duration_secs,
      tags: row.tags.filter((tag) => tag.score >= threshold),
      isSegment: per === "segment",
      highestHz: Math.min(recording.opened?.sample_rate ?? Infinity, recording.card.sample_rate) / 2,
      classId: (name) => recording.card.classes.find((c) => c.name === name)?.id ?? "",
    }));
  });
}

const quoted = (value) => {
  const text = String(value ?? "");
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

function csv(all) {
  const lines = [CSV_COLUMNS.join(",")];
  for (const row of all) {
    row.tags.forEach((tag, index) => {
      const values = [
        row.path, row.channel, row.start_secs, row.end_secs, hms(row.start_secs), hms(row.end_secs),
        row.start_time, row.end_time, index + 1, tag.class, row.classId(tag.class), tag.score,
        row.model, row.runtime, "earmark-tags-1",
      ];
      lines.push(values.map(quoted).join(","));
    });
  }
  return `${lines.join("\n")}\n`;
}

function json(all) {
  const line = ({ isSegment, highestHz, classId, start_secs, end_secs, ...row }) =>
    JSON.stringify(isSegment ? { ...row, start_secs, end_secs } : row);
  return all.map((row) => `${line(row)}\n`).join("");
}

const oneLine = (text) => text.replaceAll(/[\t\n\r]/g, " ");

function audacity(all) {
  const line = (row, tag) =>
    `${row.start_secs.toFixed(6)}\t${row.end_secs.toFixed(6)}\t${oneLine(tag.class)} ${tag.score.toFixed(3)}\n`;
  return all.flatMap((row) => row.tags.map((tag) => line(row, tag))).join("");
}

function raven(all) {
  const lines = [RAVEN_COLUMNS.join("\t")];
  for (const row of all) {
    for (const tag of row.tags) {
      lines.push([
        lines.length, "Spectrogram 1", 1, row.start_secs.toFixed(6), row.end_secs.toFixed(6), "0.0",
        row.highestHz.toFixed(1), oneLine(row.path), oneLine(tag.class), tag.score, row.model, row.runtime,
      ].join("\t"));
    }
  }
  return `${lines.join("\n")}\n`;
}

export const FORMATS = {
  csv: { write: csv, extension: "csv", type: "text/csv", oneOnly: false },
  json: { write: json, extension: "jsonl", type: "application/x-ndjson", oneOnly: false },
  audacity: { write: audacity, extension: "audacity.txt", type: "text/plain", oneOnly: true },
  raven: { write: raven, extension: "raven.txt", type: "text/plain", oneOnly: true },
};

/** Hands a text to the browser's downloads. */
export function download(text, name, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
