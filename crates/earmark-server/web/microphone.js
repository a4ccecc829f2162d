// The microphone as blocks of samples, and recordings made of them.

/** Opens the microphone without the browser's own processing; `take` gets blocks of 2048 samples. */
export async function openMicrophone(take) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error("This browser gives pages a microphone only over https or on localhost.");
  }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    });
  } catch (error) {
    const why = error.name === "NotFoundError" ? "There is no microphone." : "The microphone is not allowed for this page.";
    throw new Error(why);
  }
  const context = new AudioContext();
  await context.audioWorklet.addModule(new URL("./worklet.js", import.meta.url));
  const source = context.createMediaStreamSource(stream);
  const tap = new AudioWorkletNode(context, "earmark-tap", { numberOfOutputs: 0 });
  tap.port.onmessage = (message) => take(message.data);
  source.connect(tap);
  await context.resume();
  return {
    sampleRate: context.sampleRate,
    async close() {
      tap.port.onmessage = null;
      source.disconnect();
      for (const track of stream.getTracks()) track.stop();
      await context.close();
    },
  };
}

/** Samples as 16-bit integers. */
export function toInt16(samples) {
  return Int16Array.from(samples, (s) => Math.round(Math.max(-1, Math.min(1, s)) * 32767));
}

/** Blocks of samples as a 16-bit WAV file. */
export function wavFile(blocks, sampleRate, name) {
  const pcm = blocks.map(toInt16);
  const nBytes = pcm.reduce((sum, block) => sum + block.byteLength, 0);
  return new File([wavHeader({ sampleRate, nBytes, isFloat: false }), ...pcm], name, { type: "audio/wav" });
}

/** The header of a mono WAV file with `nBytes` of samples, 32-bit floats or 16-bit integers. */
export function wavHeader({ sampleRate, nBytes, isFloat }) {
  const width = isFloat ? 4 : 2;
  const header = new DataView(new ArrayBuffer(44));
  const text = (at, word) => [...word].forEach((c, i) => header.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF");
  header.setUint32(4, 36 + nBytes, true);
  text(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, isFloat ? 3 : 1, true);
  header.setUint16(22, 1, true);
  header.setUint32(24, sampleRate, true);
  header.setUint32(28, sampleRate * width, true);
  header.setUint16(32, width, true);
  header.setUint16(34, 8 * width, true);
  text(36, "data");
  header.setUint32(40, nBytes, true);
  return header;
}
