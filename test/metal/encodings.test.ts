/** What the binding believes of each method against what the Objective-C runtime says of it; on a Mac this runs before everything else. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MetalDevice } from '../../src/backends/metal/device.js';
import { type Id, MESSAGES, type Message } from '../../src/backends/metal/messages.js';
import { encodingOf } from './encoding.js';
import { metalTests, openDevice } from './harness.js';

const SOURCE = `#include <metal_stdlib>
using namespace metal;
kernel void k(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { x[i] = 1; }`;

// Intel Macs have BOOL as a signed char; it is 0 or 1 in the same register.
const spell = (encoding: string): string =>
  process.arch === 'x64' && process.platform === 'darwin' ? encoding.replace(/B/g, 'c') : encoding;

metalTests('type encodings', () => {
  let device: MetalDevice;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => {
    device.close();
  });

  test('every message agrees with the runtime', () => {
    const { runtime } = device;
    const { send } = runtime;
    const pointer = 'void *';
    const classOf = runtime.cFunction<(object: Id) => Id>(`${pointer}object_getClass(${pointer})`);
    const instanceMethod = runtime.cFunction<(type: Id, selector: bigint) => bigint | null>(
      `${pointer}class_getInstanceMethod(${pointer}, ${pointer})`,
    );
    const classMethod = runtime.cFunction<(type: Id, selector: bigint) => bigint | null>(
      `${pointer}class_getClassMethod(${pointer}, ${pointer})`,
    );
    const selectorNamed = runtime.cFunction<(name: string) => bigint>(`${pointer}sel_registerName(const char *)`);
    const typesOf = runtime.cFunction<(method: bigint) => string>(`const char *method_getTypeEncoding(${pointer})`);
    const allDevices = runtime.cFunction<() => Id>(`${pointer}MTLCopyAllDevices()`);

    runtime.pool(() => {
      const owned: Id[] = [];
      const own = (object: Id | null): Id => {
        owned.push(object!);
        return object!;
      };
      const text = device.string(SOURCE);
      const error: [Id | null] = [null];
      expect(send.newLibrary(device.handle, device.string('kernel void broken('), null, error)).toBeNull();
      const library = own(send.newLibrary(device.handle, text, null, [null]));
      const kernel = own(send.newFunction(library, device.string('k')));
      const queue = own(send.newCommandQueue(device.handle));
      const commandBuffer = send.commandBuffer(queue)!;
      const encoder = send.computeCommandEncoder(commandBuffer)!;
      const receivers: Record<Message['to'], Id> = {
        '+NSString': runtime.classOf('NSString'),
        string: text,
        error: error[0]!,
        array: own(allDevices()),
        '+MTLCompileOptions': runtime.classOf('MTLCompileOptions'),
        options: own(send.newOptions(runtime.classOf('MTLCompileOptions'))),
        device: device.handle,
        library,
        pipeline: own(send.newPipeline(device.handle, kernel, [null])),
        buffer: own(send.newBuffer(device.handle, 16, 0)),
        queue,
        commandBuffer,
        encoder,
      };
      const said = Object.entries(MESSAGES).map(([name, message]: [string, Message]) => {
        const receiver = receivers[message.to];
        const selector = selectorNamed(message.selector);
        const method = message.to.startsWith('+')
          ? classMethod(receiver, selector)
          : instanceMethod(classOf(receiver), selector);
        return [name, method === null ? 'no such method' : typesOf(method).replace(/\d+/g, '')];
      });
      send.endEncoding(encoder);
      for (const object of owned) runtime.release(object);
      expect(Object.fromEntries(said)).toEqual(
        Object.fromEntries(Object.entries(MESSAGES).map(([name, message]) => [name, spell(encodingOf(message))])),
      );
    });
  });
});

test('docs/metal.md prints the table as it is', () => {
  const rows = Object.values(MESSAGES).map((message: Message) => {
    const { selector, to, result, parameters } = message;
    return `| \`${selector}\` | ${to} | ${result} | ${parameters.join(', ') || '-'} | \`${encodingOf(message)}\` |`;
  });
  expect(readFileSync(join(__dirname, '..', '..', 'docs', 'metal.md'), 'utf8')).toContain(`${rows.join('\n')}\n`);
});
