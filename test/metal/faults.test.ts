/**
 * The software device is only as good as what it catches. Each case is a wrong kernel or a wrong use of Metal's interface, planted to see
 * it caught; beside them stand right ones that must pass.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import type { MetalDevice } from '../../src/backends/metal/device.js';
import { openDevice, ORDER, softLibrary, softTests, withSettings } from './harness.js';
import { nodeArgs } from '../node.js';

const HEADER = '#include <metal_stdlib>\nusing namespace metal;\n';

/** A kernel of 64 threads a group over x[128] and y[128], with a threadgroup array of 64. */
const kernelOf = (body: string, before = ''): string => `${HEADER}${before}
kernel void k(device float *x [[buffer(0)]], device float *y [[buffer(1)]], constant uint &n [[buffer(2)]],
              uint i [[thread_index_in_threadgroup]], uint g [[thread_position_in_grid]]) {
  threadgroup float s[64];
  (void)s;
  ${body}
}`;
const BARRIER = 'threadgroup_barrier(mem_flags::mem_threadgroup);';

const WRONG_KERNELS: Readonly<Record<string, readonly [source: string, caught: RegExp]>> = {
  'a missing barrier': [kernelOf('s[i] = x[g]; y[g] = s[(i + 1) % 64];'), /threadgroup memory/],
  'a barrier with the wrong flag': [
    kernelOf('s[i] = x[g]; threadgroup_barrier(mem_flags::mem_device); y[g] = s[(i + 1) % 64];'),
    /race on threadgroup memory/,
  ],
  'device memory behind a threadgroup barrier': [
    kernelOf(`y[g] = x[g]; ${BARRIER} x[g] = y[g - i + (i + 1) % 64];`),
    /race on buffer\(1\)/,
  ],
  'a second barrier missing in a loop': [
    kernelOf(`for (uint t = 0; t < 3; t++) { s[i] = x[g] + t; ${BARRIER} y[g] += s[(i + 1) % 64]; }`),
    /race on threadgroup memory/,
  ],
  'a barrier in a branch': [
    kernelOf(`if (i < 3) ${BARRIER} y[g] = 0;`),
    /barrier at line \d+ is not reached by every thread/,
  ],
  'two barriers in the arms of a branch': [
    kernelOf(`if (i < 3) {\n ${BARRIER}\n } else {\n ${BARRIER}\n } y[g] = 0;`),
    /wait at different barriers/,
  ],
  'a barrier in a loop of uneven length': [
    kernelOf(`for (uint t = 0; t < i; t++) ${BARRIER} y[g] = 0;`),
    /is not reached by every thread/,
  ],
  'a return before a barrier': [
    kernelOf(`if (g == 5) return; s[i] = 0; ${BARRIER} y[g] = s[i];`),
    /is not reached by every thread/,
  ],
  'a read past the end': [
    kernelOf('y[g] = x[g + 1];'),
    /read of 4 bytes out of bounds, 0 bytes past the end of buffer\(0\) of 512 bytes/,
  ],
  'a read before the start': [kernelOf('y[g] = x[int(g) - 1];'), /out of bounds, 4 bytes before buffer\(0\)/],
  'a write past the end': [kernelOf('y[g + 4] = 1;'), /write of 4 bytes out of bounds.*buffer\(1\)/],
  'threadgroup memory past its end': [kernelOf('s[i + 1] = 1; y[g] = 0;'), /past the 256 bytes of threadgroup memory/],
  'a race between groups': [kernelOf('y[i] = x[g];'), /race on buffer\(1\).*group 0/],
  'a race between groups, read after write': [
    kernelOf('if (g == 0) y[0] = 1; if (g == 127) x[127] = y[0];'),
    /race on buffer\(1\)/,
  ],
  'a plain write beside an atomic one': [
    kernelOf('if (i == 0) y[0] = 0; atomic_fetch_add_explicit((device atomic_uint *)y, 1u, memory_order_relaxed);'),
    /race on buffer\(1\)/,
  ],
  'unwritten threadgroup memory': [kernelOf('y[g] = s[i];'), /threadgroup memory that nobody wrote/],
  'an atomic on unwritten threadgroup memory': [
    kernelOf('threadgroup atomic_uint c[1]; atomic_fetch_add_explicit(&c[0], 1u, memory_order_relaxed); y[g] = 0;'),
    /nobody wrote/,
  ],
  'too much threadgroup memory': [
    kernelOf('threadgroup float big[8192]; big[i] = 1; y[g] = 0;'),
    /threadgroup memory are over the limit of 16384/,
  ],
  'a write to a constant': [kernelOf('n = 3;'), /const-qualified/],
  'mixed address spaces': [kernelOf('device float *p = s; y[g] = p[i];'), /program_source/],
  'a pointer parameter without an address space': [
    kernelOf('y[g] = f(x);', 'static float f(float *p) { return p[0]; }\n'),
    /program_source:3: error: function f: .*address space/,
  ],
  'a reference parameter without an address space': [
    kernelOf('float v = x[g]; f(v); y[g] = v;', 'static void f(float &p) { p += 1; }\n'),
    /must have an address space/,
  ],
  'a pointer variable without an address space': [
    kernelOf('float v = x[g]; float *p = &v; y[g] = *p;'),
    /'p': .*address space/,
  ],
  'max of an int and a uint': [kernelOf('y[g] = max(1, n);'), /no matching function for call to 'max'/],
  'a SIMD-group function': [kernelOf('y[g] = simd_sum(x[g]);'), /undeclared identifier 'simd_sum'/],
  'a double': [kernelOf('double d = x[g]; y[g] = float(d);'), /soft_no_double_in_metal/],
  'a goto': [kernelOf('if (g == 0) goto end; y[g] = 0; end: y[g] = 1;'), /error/],
  'C++17': [kernelOf('if constexpr (true) y[g] = 0;'), /C\+\+17/],
  'two parameters at one index': [
    `${HEADER}kernel void k(device float *x [[buffer(0)]], device float *y [[buffer(0)]]) { x[0] = y[0]; }`,
    /share a buffer index/,
  ],
  'a parameter without an attribute': [`${HEADER}kernel void k(device float *x) { x[0] = 0; }`, /'x' has no attribute/],
};

const RIGHT_KERNELS: Readonly<Record<string, string>> = {
  'neighbours through threadgroup memory': kernelOf(`s[i] = x[g]; ${BARRIER} y[g] = s[(i + 1) % 64];`),
  'device memory behind a device barrier': kernelOf(
    'y[g] = x[g]; threadgroup_barrier(mem_flags::mem_device); x[g] = y[g - i + (i + 1) % 64];',
  ),
  'atomics are no race': kernelOf('atomic_fetch_add_explicit((device atomic_uint *)y, 1u, memory_order_relaxed);'),
  'a reference to a thread variable': kernelOf(
    'float v = x[g]; f(v); y[g] = v;',
    'static void f(thread float &p) { p += 1; }\n',
  ),
  'a pointer to a thread variable': kernelOf('float v = x[g]; thread float *p = &v; y[g] = *p * v;'),
  'bytes side by side': kernelOf('((device bool *)y)[g] = true;'),
};

softTests('planted faults in kernels', () => {
  let device: MetalDevice;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => {
    device.close();
  });

  async function run(source: string): Promise<string> {
    const [x, y] = [device.buffer(512), device.buffer(512)];
    new Float32Array(x.view).fill(1);
    new Float32Array(y.view).fill(0);
    try {
      const library = device.library(source);
      const pipeline = library.pipeline('k');
      library.release();
      const work = device.submit((encoder) => {
        encoder.dispatch(
          pipeline,
          [{ memory: x, offset: 0 }, { memory: y, offset: 0 }, new Uint32Array([7])],
          [2, 1, 1],
          64,
        );
      });
      pipeline.release();
      await work.done();
      return 'no complaint';
    } catch (error) {
      return (error as Error).message;
    } finally {
      x.release();
      y.release();
    }
  }

  test.each(Object.entries(WRONG_KERNELS))('%s', async (_, [source, caught]) => {
    expect(await withSettings({ checked: 1 }, () => run(source))).toMatch(caught);
  });

  test.each(Object.entries(RIGHT_KERNELS))('%s passes', async (_, source) => {
    expect(await withSettings({ checked: 1 }, () => run(source))).toBe('no complaint');
  });

  test('thread order matters to a wrong kernel, and only to a wrong one', async () => {
    const total = async (order: number): Promise<number> =>
      withSettings({ order }, async () => {
        const source = kernelOf(`s[i] = x[g]; if (i == 0) y[0] = s[63];`);
        const [x, y] = [device.buffer(512), device.buffer(512)];
        new Float32Array(x.view).fill(2);
        new Float32Array(y.view).fill(-1);
        const library = device.library(source);
        const pipeline = library.pipeline('k');
        await device
          .submit((encoder) => {
            encoder.dispatch(
              pipeline,
              [{ memory: x, offset: 0 }, { memory: y, offset: 0 }, new Uint32Array([1])],
              [1, 1, 1],
              64,
            );
          })
          .done();
        const [result] = new Float32Array(y.view);
        for (const it of [library, pipeline, x, y]) it.release();
        return result!;
      });
    expect(await total(ORDER.reverse)).toBe(2);
    expect(await total(ORDER.forward)).toBeNaN();
  });
});

// A pipeline and its buffer set; and its parameter as well.
const BOUND = 'send.setPipeline(encoder, pipeline.handle); send.setBuffer(encoder, x.handle, 0, 0);';
const READY = `${BOUND} send.setBytes(encoder, new Uint32Array(1), 4, 1);`;

/** Wrong uses of the interface: Metal's validation layer ends the process, and so does the software device. */
const MISUSES: Readonly<Record<string, readonly [body: string, caught: RegExp]>> = {
  'commit without endEncoding': [
    'const b = send.commandBuffer(queue); send.computeCommandEncoder(b); send.commit(b);',
    /commit command buffer with uncommitted encoder/,
  ],
  'an encoder left open': [
    'const b = send.commandBuffer(queue); send.computeCommandEncoder(b);',
    /released without endEncoding/,
  ],
  'dispatch without a pipeline': ['send.dispatchThreadgroups(encoder, one, one);', /dispatch without a pipeline/],
  'dispatch without a buffer': [
    'send.setPipeline(encoder, pipeline.handle); send.dispatchThreadgroups(encoder, one, one);',
    /missing Buffer binding at index 0 for x/,
  ],
  'an argument that is too small': [
    `${BOUND} send.setBytes(encoder, new Uint8Array(2), 2, 1); send.dispatchThreadgroups(encoder, one, one);`,
    /has space for 2 bytes, but argument has a length\(4\)/,
  ],
  'too many threads': [
    'send.setPipeline(encoder, pipeline.handle); send.dispatchThreadgroups(encoder, one, { width: 2048, height: 1, depth: 1 });',
    /must be 1\.\.1024/,
  ],
  'no threadgroups': [
    `${READY} send.dispatchThreadgroups(encoder, { width: 0, height: 1, depth: 1 }, one);`,
    /threadgroupsPerGrid has a zero/,
  ],
  'a buffer bound past its end': ['send.setBuffer(encoder, x.handle, 64, 0);', /offset\(64\) must be </],
  'a parameter struct over 4096 bytes': ['send.setBytes(encoder, new Uint8Array(4097), 4097, 0);', /must be 1\.\.4096/],
  'a wait before the commit': [
    'send.waitUntilCompleted(send.commandBuffer(queue));',
    /waitUntilCompleted before commit/,
  ],
  'a selector that the object does not have': [
    'send.contents(device.handle);',
    /\[SoftMTLDevice contents\]: unrecognized selector/,
  ],
  'one release too many': ['runtime.release(queue); runtime.release(queue);', /release sent to an object that is gone/],
  'a message to an object that is gone': [
    'runtime.release(queue); send.commandBuffer(queue);',
    /commandBuffer sent to an object that is gone/,
  ],
  'an object on loan outside a pool': ['runtime.popAll(); send.commandBuffer(queue);', /no pool in place/],
};

softTests('planted misuses of the interface', () => {
  const bundle = join(__dirname, '..', '..', 'out', 'soft-metal', 'device.cjs');
  beforeAll(() => {
    mkdirSync(join(bundle, '..'), { recursive: true });
    const entry = join(__dirname, '..', '..', 'src', 'backends', 'metal', 'device.ts');
    buildSync({
      entryPoints: [entry],
      bundle: true,
      platform: 'node',
      format: 'cjs',
      external: ['koffi'],
      outfile: bundle,
      logLevel: 'silent',
    });
  });

  function runInChild(body: string): string {
    const source = `${HEADER}kernel void k(device float *x [[buffer(0)]], constant uint &n [[buffer(1)]]) { x[0] = n; }`;
    const program = `(async () => {
      const { MetalDevice } = require(${JSON.stringify(bundle)});
      const device = await MetalDevice.open(${JSON.stringify(softLibrary)}), { runtime } = device, { send } = runtime, one = { width: 1, height: 1, depth: 1 };
      const pipeline = device.library(${JSON.stringify(source)}).pipeline('k'), x = device.buffer(64), queue = send.newCommandQueue(device.handle);
      const popAll = runtime.cFunction('void objc_autoreleasePoolPop(void *)');
      runtime.popAll = () => popAll(1n);
      runtime.pool(() => { const encoder = ${/\bencoder\b/.test(body) ? 'send.computeCommandEncoder(send.commandBuffer(queue))' : 'null'}; ${body} });
      console.log('no complaint');
      process.exit(0);
    })();`;
    const child = spawnSync(process.execPath, nodeArgs('-e', program), { encoding: 'utf8' });
    return child.stdout + child.stderr + (child.status === 0 ? '' : ` exit ${child.status ?? child.signal}`);
  }

  test('a right use passes', () => {
    const body = `${READY} send.dispatchThreadgroups(encoder, one, one); send.endEncoding(encoder);`;
    expect(runInChild(body)).toBe('no complaint\n');
  });

  test.each(Object.entries(MISUSES))('%s', (_, [body, caught]) => {
    const said = runInChild(body);
    expect(said).not.toContain('no complaint');
    expect(said).toMatch(caught);
  });
});
