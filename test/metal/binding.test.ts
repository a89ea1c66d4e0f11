import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { buildSync } from 'esbuild';
import { MetalCompileError, MetalError } from '../../src/backends/metal/errors.js';
import { DeviceError, OutOfMemoryError } from '../../src/errors.js';
import { MetalDevice, type MetalMemory } from '../../src/backends/metal/device.js';
import type { Id } from '../../src/backends/metal/messages.js';
import { liveObjects, metalTests, openDevice, softLibrary, softTests, withSettings } from './harness.js';
import { nodeArgs } from '../node.js';

const HEADER = '#include <metal_stdlib>\nusing namespace metal;\n';
const SCALE = `${HEADER}
kernel void scale(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], constant float &by [[buffer(2)]],
                  uint i [[thread_position_in_grid]]) {
  y[i] = x[i] * by;
}`;

const whole = (memory: MetalMemory) => ({ memory, offset: 0 });

metalTests('the Metal binding', () => {
  let device: MetalDevice;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => {
    device.close();
  });

  function scaled(by: number): {
    run: () => ReturnType<MetalDevice['submit']>;
    result: Float32Array;
    release: () => void;
  } {
    const library = device.library(SCALE);
    const pipeline = library.pipeline('scale');
    library.release();
    const x = device.buffer(256);
    const y = device.buffer(256);
    new Float32Array(x.view).forEach((_, i, all) => {
      all[i] = i;
    });
    return {
      run: () =>
        device.submit((encoder) => {
          encoder.dispatch(pipeline, [whole(x), whole(y), new Float32Array([by])], [2, 1, 1], 32);
        }),
      result: new Float32Array(y.view),
      release: () => {
        pipeline.release();
        x.release();
        y.release();
      },
    };
  }

  test('runs a kernel and waits in place', () => {
    const work = scaled(0.5);
    expect(work.run().wait()).toBeGreaterThanOrEqual(0);
    expect(Array.from(work.result)).toEqual(Array.from({ length: 64 }, (_, i) => i / 2));
    work.release();
  });

  test('waits on the event loop', async () => {
    const work = scaled(0.25);
    expect(await work.run().done()).toBeGreaterThanOrEqual(0);
    expect(work.result[63]).toBe(63 / 4);
    work.release();
  });

  test('binds a buffer from an offset on', () => {
    const library = device.library(SCALE);
    const pipeline = library.pipeline('scale');
    const x = device.buffer(512);
    new Float32Array(x.view).fill(1).fill(7, 64);
    const y = device.buffer(128);
    device
      .submit((encoder) => {
        encoder.dispatch(pipeline, [{ memory: x, offset: 256 }, whole(y), new Float32Array([2])], [1, 1, 1], 32);
      })
      .wait();
    expect(new Float32Array(y.view)[31]).toBe(14);
    for (const it of [library, pipeline, x, y]) it.release();
  });

  test("the compiler's words reach the user", () => {
    const broken = `${HEADER}kernel void k(device float *x [[buffer(0)]]) {\n  x[0] = nothing;\n}`;
    expect(() => device.library(broken)).toThrow(MetalCompileError);
    expect(() => device.library(broken)).toThrow(/program_source:4:.*undeclared identifier 'nothing'/s);
  });

  test('a kernel that is not there is named', () => {
    const library = device.library(SCALE);
    expect(() => library.pipeline('skale')).toThrow(new MetalCompileError('no kernel is named skale'));
    library.release();
  });

  test('fast math is off: infinities are kept apart from NaN', () => {
    const source = `${HEADER}
kernel void k(device float *x [[buffer(0)]]) {
  const float low = -INFINITY, m = max(low, x[0]);
  x[1] = m == -INFINITY ? m : log(exp(low - m) + exp(x[0] - m));
  x[2] = isnan(x[0] - x[0]) ? 1.0f : 0.0f;
}`;
    const library = device.library(source);
    const pipeline = library.pipeline('k');
    const x = device.buffer(12);
    new Float32Array(x.view)[0] = -Infinity;
    device
      .submit((encoder) => {
        encoder.dispatch(pipeline, [whole(x)], [1, 1, 1], 1);
      })
      .wait();
    expect(Array.from(new Float32Array(x.view))).toEqual([-Infinity, -Infinity, 1]);
    for (const it of [library, pipeline, x]) it.release();
  });

  test("a buffer over the device's limit is refused before Metal is asked", () => {
    expect(() => device.buffer(device.maxBufferLength + 1)).toThrow(OutOfMemoryError);
    expect(() => device.buffer(device.maxBufferLength + 1)).toThrow(/over the \d+ bytes that .* allows/);
  });

  test('arguments that koffi would take for something else are refused', () => {
    const { send } = device.runtime;
    const buffer = device.buffer(16);
    expect(() => send.contents(4096 as unknown as Id)).toThrow(/wrong arguments for contents/);
    expect(() => send.contents(null as unknown as Id)).toThrow(MetalError);
    expect(() => send.newBuffer(device.handle, -1, 0)).toThrow(/newBufferWithLength/);
    expect(() => send.newBuffer(device.handle, 1.5, 0)).toThrow(MetalError);
    expect(() =>
      send.dispatchThreadgroups(device.handle, [1, 1, 1] as never, { width: 1, height: 1, depth: 1 }),
    ).toThrow(/MTLSize/);
    expect(() =>
      send.dispatchThreadgroups(device.handle, { width: 1, height: 1 } as never, { width: 1, height: 1, depth: 1 }),
    ).toThrow(MetalError);
    expect(() => send.setBytes(device.handle, 12 as never, 4, 0)).toThrow(MetalError);
    expect(() => send.setBytes(device.handle, new Uint8Array(0), 0, 0)).toThrow(MetalError);
    expect(() => send.stringWithUTF8String(device.handle, 'a\0b')).toThrow(MetalError);
    buffer.release();
  });

  test('a released buffer is not looked into', () => {
    const buffer = device.buffer(16);
    buffer.release();
    buffer.release();
    expect(() => buffer.view).toThrow(MetalError);
  });

  test('nothing is submitted when recording throws', () => {
    const work = scaled(9);
    work.result.fill(-1);
    expect(() =>
      device.submit(() => {
        throw new RangeError('changed my mind');
      }),
    ).toThrow(RangeError);
    expect(work.result[1]).toBe(-1);
    work.release();
  });
});

/**
 * Runs until it is told to end, or else for minutes on whatever processor: each step of its sum waits for the one before. A GPU need not show a kernel what is
 * written while it runs; the software device does.
 */
const UNTIL_TOLD = `${HEADER}
kernel void until_told(device atomic_uint *told [[buffer(0)]], device uint *seen [[buffer(1)]]) {
  uint sum = 1;
  for (uint far = 0; far < 64; far++)
    for (uint near = 0; near < 0x80000000u && atomic_load_explicit(told, memory_order_relaxed) == 0; near++)
      sum = sum * 1664525 + 1013904223;
  seen[0] = atomic_load_explicit(told, memory_order_relaxed);
  seen[1] = sum;
}`;

softTests('waiting on the event loop', () => {
  test('goes on with the event loop meanwhile', async () => {
    const device = await openDevice();
    const pipeline = device.program(UNTIL_TOLD, 'until_told');
    const [told, seen] = [device.buffer(4), device.buffer(8)];
    new Uint32Array(told.view)[0] = 0;
    const work = device.submit((encoder) => {
      encoder.dispatch(pipeline, [whole(told), whole(seen)], [1, 1, 1], 1);
    });
    // Only a turn of the event loop lets the kernel end before its time.
    setImmediate(() => (new Uint32Array(told.view)[0] = 1));
    await work.done();
    expect(new Uint32Array(seen.view)[0]).toBe(1);
    for (const it of [pipeline, told, seen]) it.release();
    device.close();
  });
});

softTests('the Metal binding on devices that are hard to come by', () => {
  test('no device', async () => {
    await withSettings({ defaultDevice: 0, devices: 0 }, async () => {
      await expect(openDevice()).rejects.toThrow(DeviceError);
    });
  });

  test('no default device, as in a process without a window server', async () => {
    await withSettings({ defaultDevice: 0 }, async () => {
      const device = await openDevice();
      expect(device.name).toBe('Software Metal device');
      device.close();
    });
  });

  test('not macOS and no library', async () => {
    await expect(MetalDevice.open()).rejects.toThrow(/Metal needs macOS, this is linux/);
  });

  test('a library that is none', async () => {
    await expect(MetalDevice.open('/nowhere/libmetal.so')).rejects.toThrow(DeviceError);
  });

  test('an old family', async () => {
    await withSettings({ family: 1004 }, async () => {
      await expect(openDevice()).rejects.toThrow(DeviceError);
      await expect(openDevice()).rejects.toThrow(/Software Metal device is of no supported family/);
    });
  });

  test('families are told apart', async () => {
    const device = await openDevice();
    const [apple5, apple6] = [1005, 1006];
    expect([device.supports(apple5), device.supports(apple6)]).toEqual([true, false]);
    device.close();
  });

  test('out of memory', async () => {
    await withSettings({ memory: 1 << 20 }, async () => {
      const device = await openDevice();
      const first = device.buffer(700_000);
      expect(() => device.buffer(700_000)).toThrow(OutOfMemoryError);
      first.release();
      device.buffer(700_000).release();
      device.close();
    });
  });

  test('every object is given back', async () => {
    const before = await liveObjects();
    const device = await openDevice();
    const library = device.library(SCALE);
    const pipeline = library.pipeline('scale');
    library.release();
    const [x, y] = [device.buffer(256), device.buffer(256)];
    const run = () =>
      device.submit((encoder) => {
        encoder.dispatch(pipeline, [whole(x), whole(y), new Float32Array([1])], [1, 1, 1], 64);
      });
    for (let i = 0; i < 20; i++) run().wait();
    await Promise.all(Array.from({ length: 20 }, () => run().done()));
    expect(() => device.library('kernel')).toThrow(MetalCompileError);
    expect(() =>
      device.submit(() => {
        throw new RangeError('changed my mind');
      }),
    ).toThrow(RangeError);
    for (const it of [pipeline, x, y]) it.release();
    device.close();
    expect(await liveObjects()).toBe(before);
  });
});

metalTests('koffi', () => {
  test('is loaded when a device is opened, and not before', () => {
    const bundle = join(__dirname, '..', '..', 'out', 'soft-metal', 'tapegrad.mjs');
    mkdirSync(dirname(bundle), { recursive: true });
    buildSync({
      entryPoints: [join(__dirname, '..', '..', 'src', 'index.ts')],
      bundle: true,
      platform: 'node',
      format: 'esm',
      external: ['koffi'],
      outfile: bundle,
      logLevel: 'silent',
      banner: {
        js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
      }, // for the CommonJS packages in it
    });
    const program = `
      const { device, tensor } = await import(${JSON.stringify(pathToFileURL(bundle).href)});
      const loaded = () => process.report.getReport().sharedObjects.some((path) => /koffi/.test(path));
      const sum = tensor([1, 2]).sum().itemSync();
      const before = loaded();
      const metal = await device('metal');
      console.log(JSON.stringify([sum, before, loaded(), tensor([1, 2]).to(metal).sum().itemSync(), (await device('metal')) === metal]));`;
    const env = { ...process.env, ...(softLibrary === undefined ? {} : { TAPEGRAD_METAL_LIBRARY: softLibrary }) };
    const child = spawnSync(process.execPath, nodeArgs('--input-type=module', '-e', program), {
      encoding: 'utf8',
      env,
    });
    expect(child.stderr).toBe('');
    expect(JSON.parse(child.stdout)).toEqual([3, false, true, 3, true]);
  });
});
