/**
 * Calls tested on Linux say something about macOS only if both put arguments in the same places. For each message of the table clang
 * compiles the call for Apple's calling convention and for Linux's, on both processors; the instructions must be the same.
 */
import { spawnSync } from 'node:child_process';
import { MESSAGES, type CType, type Message } from '../../src/backends/metal/messages.js';
import { encodingOf } from './encoding.js';
import { softTests } from './harness.js';

const C_TYPES: Readonly<Record<CType, string>> = {
  void: 'void',
  id: 'id',
  uint64: 'unsigned long',
  int64: 'long',
  bool: 'bool',
  double: 'double',
  cstring: 'const char *',
  pointer: 'void *',
  bytes: 'const void *',
  errorSlot: 'id *',
  MTLSize: 'MTLSize',
};

/** One C function a message, casting objc_msgSend as the binding does. */
function callsInC(messages: readonly Message[]): string {
  const functions = messages.map((message, index) => {
    const types = ['id', 'SEL', ...message.parameters.map((type) => C_TYPES[type])];
    const declared = types.map((type, i) => `${type} a${i}`).join(', ');
    const call = `((${C_TYPES[message.result]} (*)(${types.join(', ')}))objc_msgSend)(${types.map((_, i) => `a${i}`).join(', ')})`;
    // The further parameter keeps the compiler from turning the call into a jump, and the test of a bool shows which bits it reads.
    return `${C_TYPES[message.result]} call_${index}(${declared}, int further) { ${message.result === 'void' ? '' : 'return '}${call}${message.result === 'bool' ? ' ? 1 : 0' : ''}; }`;
  });
  return `#include <stdbool.h>
typedef void *id;
typedef const char *SEL;
typedef struct { unsigned long width, height, depth; } MTLSize;
extern void objc_msgSend(void);
${functions.join('\n')}
`;
}

/** The instructions of each function, without labels, directives, comments and Apple's leading underscore. */
function instructionsFor(target: string, source: string): Map<string, string[]> {
  const arm = target.startsWith('a') ? ['-mcpu=generic', '-fno-omit-frame-pointer'] : ['-fomit-frame-pointer'];
  const compiler = (process.env.SOFT_METAL_CXX ?? 'clang++-19').replace('clang++', 'clang');
  const flags = [
    `--target=${target}`,
    '-O1',
    '-fno-asynchronous-unwind-tables',
    '-fno-stack-protector',
    '-fno-pic',
    ...arm,
    '-S',
    '-o',
    '-',
    '-x',
    'c',
    '-',
  ];
  const compiled = spawnSync(compiler, flags, { input: source, encoding: 'utf8' });
  if (compiled.status !== 0) throw new Error(compiled.stderr);
  const functions = new Map<string, string[]>();
  let current: string[] = [];
  for (const raw of compiled.stdout.split('\n')) {
    const line = raw
      .replace(/(\/\/|;|#).*$/, '')
      .replace(/\b_(call_\d+|objc_msgSend)\b/g, '$1')
      .trim();
    const label = /^(call_\d+):/.exec(line);
    if (label) functions.set(label[1]!, (current = []));
    else if (line && !line.startsWith('.') && !/^[\w$.]+:/.test(line)) current.push(line);
  }
  return functions;
}

softTests('calling conventions', () => {
  const messages = Object.values(MESSAGES) as Message[];

  test.each([
    ['arm64-apple-macos14', 'aarch64-linux-gnu'],
    ['x86_64-apple-macos13', 'x86_64-linux-gnu'],
  ])('%s passes every message as %s does', (apple, linux) => {
    const source = callsInC(messages);
    const [there, here] = [instructionsFor(apple, source), instructionsFor(linux, source)];
    expect(there.size).toBe(messages.length);
    // The order of independent moves is the scheduler's choice, so instructions are compared as sets.
    const sorted = (functions: Map<string, string[]>) =>
      messages.map((message, i) => [message.selector, encodingOf(message), [...functions.get(`call_${i}`)!].sort()]);
    expect(sorted(there)).toEqual(sorted(here));
  });

  test("the comparison sees a difference: variadic calls on Apple's arm64 pass arguments on the stack", () => {
    const variadic = `typedef void *id;
typedef const char *SEL;
extern id objc_msgSend(id, SEL, ...);
id call_0(id a, SEL b, unsigned long c, int further) { return objc_msgSend(a, b, c); }
`;
    expect(instructionsFor('arm64-apple-macos14', variadic).get('call_0')).not.toEqual(
      instructionsFor('aarch64-linux-gnu', variadic).get('call_0'),
    );
  });
});
