/* ONNX Runtime and the networks of this page: from the page itself, or from where it says. */

/** Part of the share of values that a network may be away from what it said at the export. */
const MOST_APART = 0.02, MOST_THREADS = 4;

/** Bytes of a file inside the page, or at an address whose hash is known. */
async function bytesOf(name, say) {
  const element = document.getElementById(`file-${name}`);
  if (element) {
    const text = atob(element.textContent), raw = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) raw[i] = text.charCodeAt(i);
    const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("gzip"));
    const whole = await new Response(stream).arrayBuffer().catch(() => null);
    if (!whole) throw new Error(`this page is damaged: its part "${name}" cannot be read. Get the page again`);
    return new Uint8Array(whole);
  }
  const address = PAGE.runtime.address + name;
  say(`fetching ${name} ...`);
  try {
    const answer = await fetch(address, { integrity: PAGE.runtime.files[name] });
    if (!answer.ok) throw new Error(`the answer was ${answer.status}`);
    return new Uint8Array(await answer.arrayBuffer());
  } catch (error) {
    throw new Error(`ONNX Runtime could not be fetched from ${address} (${error.message}). This page needs a network for `
      + "that, and nothing that blocks the address; a page exported with --embed-runtime needs neither.");
  }
}

/** Whether the browser can compute on the graphics card. */
export async function hasWebGpu() {
  return Boolean(await navigator.gpu?.requestAdapter().catch(() => null));
}

let ort = null, loaded = null;

/** Load ONNX Runtime once; `gpu`: the build for WebGPU, else the smaller one. */
async function runtime(gpu, say) {
  const name = gpu ? "gpu" : "cpu";
  if (loaded === name) return;
  const [code, wasm] = await Promise.all(PAGE.runtime.builds[name].map((file) => bytesOf(file, say)));
  ort = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  ort.env.wasm.wasmBinary = wasm.buffer;
  // browsers give threads only to pages whose server isolates them
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, MOST_THREADS) : 1;
  ort.env.logLevel = "error";
  loaded = name;
}

/** A network: pixels in, outputs [{data, dims}] out, in the order of the file. */
class Network {
  constructor(session, about) {
    this.session = session;
    this.about = about;
  }

  async run(pixels, count) {
    const { size, planes } = this.about, name = this.session.inputNames[0];
    const tensor = planes ? new ort.Tensor("float32", planesOf(pixels, size), [count, 3, size[1], size[0]])
      : new ort.Tensor("uint8", pixels, [count, size[1], size[0], 3]);
    const found = await this.session.run({ [name]: tensor });
    return this.session.outputNames.map((output) => ({ data: found[output].data, dims: found[output].dims }));
  }

  /** How far outputs are from those at the export, as a part of their range; on a made picture. */
  async apart() {
    const outputs = await this.run(madePixels(this.about.size), 1);
    return Math.max(...this.about.control.map(({ output, values, range, best }) => {
      const { data } = outputs[output];
      const own = best ? Float32Array.from(data).sort().reverse() : data;
      const apart = values.map((value, i) => Math.abs(value - own[best ? i : Math.floor(i * data.length / values.length)]));
      return apart.every(Number.isFinite) ? Math.max(...apart) / range : Infinity;
    }));
  }
}

/** RGB planes from 0 to 1 of BGR pixels. */
function planesOf(pixels, [w, h]) {
  const planes = new Float32Array(pixels.length);
  for (let i = 0; i < w * h; i++) for (let c = 0; c < 3; c++) planes[c * w * h + i] = pixels[i * 3 + 2 - c] / 255;
  return planes;
}

/** The picture that control values were taken on: waves that differ by colour. */
export function madePixels([w, h]) {
  const pixels = new Uint8Array(w * h * 3);
  for (let i = 0; i < pixels.length; i++) {
    const c = i % 3, x = ((i - c) / 3) % w, y = Math.floor(i / 3 / w), wave = (x * (3 + c) + y * (5 - c)) % 510;
    pixels[i] = wave < 256 ? wave : 510 - wave;
  }
  return pixels;
}

/** The networks of the page, which say here what they said at the export; {pose, detector, how}. */
export async function networks(gpu, say) {
  await runtime(gpu, say);
  const refused = [];
  for (const provider of gpu ? ["webgpu", "wasm"] : ["wasm"]) {
    const made = { how: provider === "webgpu" ? "WebGPU" : `processor, ${ort.env.wasm.numThreads} thread(s)` };
    try {
      for (const name of ["pose", "detector"].filter((own) => PAGE[own])) {
        say(`making the ${name} network ready (${made.how}) ...`);
        const session = await ort.InferenceSession.create(await bytesOf(name, say), { executionProviders: [provider] });
        made[name] = new Network(session, PAGE[name]);
        const apart = await made[name].apart();
        if (!(apart <= MOST_APART)) throw new Error(`the ${name} network gives other numbers here than where it was exported (${(100 * apart).toPrecision(2)} % of their range)`);
        made.apart = Math.max(made.apart ?? 0, apart);
      }
      return { ...made, refused };
    } catch (error) {
      refused.push(`${made.how}: ${error.message}`);
    }
  }
  throw new Error(`This browser cannot run the model. ${refused.join("; ")}`);
}
