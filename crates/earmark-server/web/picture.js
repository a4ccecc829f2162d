// Draws what the server's front end computed: a spectrogram and the waveform's outline.

/** Black, violet, red, orange, pale yellow: dark is quiet, and lightness grows evenly. */
const STOPS = [
  [0, 5, 3, 12], [0.2, 45, 17, 96], [0.4, 114, 31, 129], [0.6, 183, 55, 121],
  [0.78, 241, 96, 93], [0.9, 254, 175, 119], [1, 252, 253, 191],
];

const COLOURS = (() => {
  const table = new Uint8ClampedArray(256 * 4);
  for (let level = 0; level < 256; level++) {
    const at = level / 255;
    const upper = STOPS.findIndex(([place]) => place >= at);
    const [b, a] = [STOPS[Math.max(upper, 1)], STOPS[Math.max(upper, 1) - 1]];
    const part = (at - a[0]) / (b[0] - a[0]);
    for (let c = 0; c < 3; c++) table[level * 4 + c] = a[c + 1] + part * (b[c + 1] - a[c + 1]);
    table[level * 4 + 3] = 255;
  }
  return table;
})();

/** The columns of a picture as an image, highest band on top. */
export function paintColumns(context, picture, x) {
  const { n_columns: width, n_bands: height, levels } = picture;
  const image = context.createImageData(width, height);
  for (let column = 0; column < width; column++) {
    for (let band = 0; band < height; band++) {
      const from = levels[column * height + band] * 4;
      const to = ((height - 1 - band) * width + column) * 4;
      image.data.set(COLOURS.subarray(from, from + 4), to);
    }
  }
  context.putImageData(image, x, 0);
}

/** A recording's picture, drawn piece by piece. */
export class PictureView {
  constructor(canvas, wave) {
    this.canvas = canvas;
    this.wave = wave;
    this.store = document.createElement("canvas");
    this.clear();
  }

  clear() {
    this.nColumns = 0;
    this.columnSecs = 0;
    this.peaks = [];
    this.store.width = 1;
    this.store.height = 96;
    this.draw(0);
  }

  add(picture) {
    this.columnSecs = picture.column_secs;
    const end = picture.first_column + picture.n_columns;
    if (end > this.store.width) this.grow(Math.max(end, this.store.width * 2, 2048), picture.n_bands);
    paintColumns(this.store.getContext("2d"), picture, picture.first_column);
    this.peaks.push(...picture.peaks);
    this.nColumns = end;
  }

  grow(width, height) {
    const old = this.store;
    this.store = document.createElement("canvas");
    this.store.width = width;
    this.store.height = height;
    if (this.nColumns) this.store.getContext("2d").drawImage(old, 0, 0);
  }

  /** The seconds that are drawn. */
  get secs() {
    return this.nColumns * this.columnSecs;
  }

  /** Draws what there is, the whole width being `totalSecs` seconds. */
  draw(totalSecs) {
    const context = fit(this.canvas);
    const { width, height } = this.canvas;
    context.fillStyle = "#05030c";
    context.fillRect(0, 0, width, height);
    const total = Math.max(totalSecs, this.secs);
    if (!this.nColumns || !total) return;
    const share = (this.secs / total) * width;
    context.imageSmoothingEnabled = this.nColumns > share / 3;
    context.drawImage(this.store, 0, 0, this.nColumns, this.store.height, 0, 0, share, height);
    this.drawWave(share);
  }

  drawWave(share) {
    const context = fit(this.wave);
    const { width, height } = this.wave;
    context.fillStyle = "#05030c";
    context.fillRect(0, 0, width, height);
    context.fillStyle = "#86efac";
    const middle = height / 2;
    for (let x = 0; x < share; x++) {
      const from = Math.floor((x / share) * this.nColumns);
      const to = Math.max(from + 1, Math.floor(((x + 1) / share) * this.nColumns));
      let [low, high] = [0, 0];
      for (let column = from; column < to; column++) {
        low = Math.min(low, this.peaks[2 * column]);
        high = Math.max(high, this.peaks[2 * column + 1]);
      }
      const top = middle - (high / 127) * middle;
      const bottom = middle - (low / 127) * middle;
      context.fillRect(x, top, 1, Math.max(bottom - top, 1));
    }
  }
}

/** Gives a canvas the pixels that it has on the screen. */
export function fit(canvas) {
  const scale = Math.min(window.devicePixelRatio || 1, 2);
  const width = Math.max(1, Math.round(canvas.clientWidth * scale));
  const height = Math.max(1, Math.round(canvas.clientHeight * scale));
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  return canvas.getContext("2d");
}
