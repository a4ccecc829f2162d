// Private mode's workers. The page starts this one; it starts the ones that hear, from its own text, so that
// a new one costs no request. The server sends this file with a policy under which it and they can load
// nothing and send nothing.

/** What a worker that hears runs: commands of the page in, events out, both through a port. */
function hearing() {
  const files = new FileReaderSync();
  const texts = new TextDecoder();
  const utf8 = (value) => new TextEncoder().encode(value);

  let port = null;
  let module = null;
  /** The file that is heard. */
  let file = null;
  /** What went wrong in this command. */
  let problem = null;

  const bytes = (address, length) => new Uint8Array(module.memory.buffer, address >>> 0, length >>> 0);
  const text = (address, length) => texts.decode(bytes(address, length));

  const imports = {
    earmark: {
      read(position, to, length) {
        try {
          const part = files.readAsArrayBuffer(file.slice(position, position + (length >>> 0)));
          bytes(to, length).set(new Uint8Array(part));
          return part.byteLength;
        } catch {
          return -1;
        }
      },
      tell(name, nameLength, json, jsonLength) {
        const event = [text(name, nameLength), JSON.parse(text(json, jsonLength))];
        // A panic is told before it ends the module.
        if (event[0] === "problem") problem = event[1];
        else port.postMessage(event);
      },
    },
  };

  /** Hands bytes over to the module. */
  function input(...parts) {
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    let address = module.earmark_input(length) >>> 0;
    for (const part of parts) {
      bytes(address, part.length).set(part);
      address += part.length;
    }
  }

  const commands = {
    async start(command) {
      const { instance } = await WebAssembly.instantiate(command.module, imports);
      module = instance.exports;
    },
    load({ name, bundle }) {
      const called = utf8(name);
      input(called, new Uint8Array(bundle));
      module.earmark_load(called.length);
    },
    hear(command) {
      file = command.file;
      input(utf8(JSON.stringify(command.settings)));
      module.earmark_hear(file.size);
    },
    picture(command) {
      file = command.file;
      input(utf8(JSON.stringify(command.settings)));
      module.earmark_picture(file.size);
    },
  };

  /** The module is there before anything is asked of it. */
  let ready = Promise.resolve();

  async function obey(command) {
    problem = null;
    try {
      await commands[command.do](command);
      if (problem) port.postMessage(["problem", problem]);
    } catch (error) {
      const detail = `private mode has stopped: ${error.message}`;
      port.postMessage(["crash", problem ?? { code: "internal", detail }]);
    }
    file = null;
  }

  onmessage = ({ data }) => {
    port = data;
    port.onmessage = ({ data: command }) => {
      ready = ready.then(() => obey(command));
    };
  };
}

const text = new Blob([`(${hearing})()`], { type: "text/javascript" });
const workers = new Map();

onmessage = ({ data: { start, end, port } }) => {
  if (end) {
    workers.get(end)?.terminate();
    workers.delete(end);
    return;
  }
  const url = URL.createObjectURL(text);
  const worker = new Worker(url);
  worker.onerror = (error) => {
    postMessage({ failed: start, detail: error.message || "private mode's worker does not start" });
  };
  worker.postMessage(port, [port]);
  workers.set(start, worker);
};

postMessage({ ready: true });
