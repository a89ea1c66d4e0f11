import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadSafetensors, random } from 'tapegrad';
import { checkBuilt, ROOT } from '../built.js';
import { drawn, spoken, textsOf } from '../guide.js';
import { nodeArgs } from '../node.js';
import { signalled } from './run.js';

/** The example that learns from a user's own files, on small sets that are made here. */

let scratch = '';

beforeAll(() => {
  checkBuilt();
  scratch = mkdtempSync(join(tmpdir(), 'recognise-'));
});

afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

function run(
  args: readonly string[],
  { flags, env }: { flags: readonly string[]; env: Readonly<Record<string, string>> },
): { code: number | null; out: string; error: string } {
  const program = join(ROOT, 'examples/recognise/recognise.mjs');
  const { status, stdout, stderr } = spawnSync(process.execPath, nodeArgs(...flags, program, ...args), {
    cwd: scratch,
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  return { code: status, out: stdout, error: stderr };
}

const recognise = (...args: string[]): ReturnType<typeof run> => run(args, { flags: [], env: {} });

function folder(name: string, files: Readonly<Record<string, string | Buffer>>): string {
  const path = join(scratch, name);
  mkdirSync(path);
  for (const [file, content] of Object.entries(files)) writeFileSync(join(path, file), content);
  return path;
}

const errorRateIn = (out: string, name: string): number =>
  Number(new RegExp(`${name} CER (\\d+\\.\\d+) % on \\d+ files`).exec(out)?.[1] ?? NaN);

const TEXTS = [...new Set(textsOf(random(5), 120))];

test('lines of text: learns from a folder, names what it cannot use, reads and measures', () => {
  const set = folder('lines', {
    ...Object.fromEntries(TEXTS.map((text, i) => [`${i}.png`, drawn(text)])),
    'labels.tsv': [
      'file\ttext',
      ...TEXTS.map((text, i) => `${i}.png\t${text}`),
      'gone.png\tabc',
      'white.png\tabc',
      'cut.png\tabc',
      'fake.png\tabc',
      'empty.png\t ',
      'sound.wav\tabc',
      'page.jpg\tabc',
      '0.png\tagain',
      `short.png\t${'abc'.repeat(20)}`,
    ].join('\r\n'),
    'cut.png': drawn('abc').subarray(0, 60),
    'fake.png': 'no picture at all',
    'white.png': drawn(' '),
    'empty.png': drawn('a'),
    'sound.wav': spoken('a'),
    'short.png': drawn('ab'),
    'forgotten.png': drawn('b'),
    'notes.md': 'not asked about',
  });
  const others = folder('test-lines', {
    'labels.tsv': 'x.png\tcabacb\nbad.png\tabc\n',
    'x.png': drawn('cabacb'),
    'bad.png': '',
  });
  const { code, out, error } = recognise('train', '--data', set, '--test', others, '--steps', '120', '--out', 'made');
  expect({ code, error }).toEqual({ code: 0, error: '' });
  for (const [name, reason] of [
    ['gone.png', 'is in labels.tsv .line \\d+. and not in the folder'],
    ['cut.png', 'is a damaged PNG .+'],
    ['fake.png', 'is no PNG, whatever its name says'],
    ['white.png', 'is blank'],
    ['empty.png', 'has no text in labels.tsv .line \\d+.'],
    ['sound.wav', 'is sound among images'],
    ['page.jpg', 'is in labels.tsv .line \\d+. and not in the folder'],
    ['0.png', 'is in labels.tsv twice'],
    ['short.png', 'is too short for its text'],
    ['forgotten.png', 'is not in labels.tsv'],
  ])
    expect(out).toMatch(new RegExp(`^  skipped \\S*/${name}: ${reason}$`, 'm'));
  expect(out).toMatch(new RegExp(`^10 of ${TEXTS.length + 10} files are left out\\.$`, 'm'));
  expect(out).toMatch(/^3 letters: [abc]{3}$/m);
  const heldOut = Math.max(1, Math.round((TEXTS.length + 1) / 10));
  expect(out).toMatch(new RegExp(`others, of ${heldOut} texts that training does not have, are held out`));
  expect(errorRateIn(out, 'Held-out')).toBeLessThan(10);
  expect(out).toMatch(/skipped \S*bad\.png: is no PNG.+\n1 of 2 files are left out/);
  expect(readFileSync(join(scratch, 'made/loss.svg'), 'utf8')).toContain('<svg');
  const { metadata } = loadSafetensors(readFileSync(join(scratch, 'made/recogniser.safetensors')));
  const { settings, letters } = JSON.parse(metadata.recogniser!) as {
    settings: object;
    letters: { symbols: string[] };
  };
  expect(settings).toMatchObject({ kind: 'image', height: 32, invert: true });
  expect([...letters.symbols].sort()).toEqual(['a', 'b', 'c']);

  const model = ['--model', 'made/recogniser.safetensors'];
  const x = join(others, 'x.png');
  expect(recognise('read', ...model, x)).toEqual({ code: 0, out: `${x}\tcabacb\n`, error: '' });
  const some = recognise('read', ...model, x, join(others, 'bad.png'), join(set, 'sound.wav'), 'nowhere.png');
  expect(some).toMatchObject({ code: 1, out: `${x}\tcabacb\n` });
  expect(some.error).toMatch(
    /bad\.png: .+\n.*sound\.wav: is no PNG.*\n.*nowhere\.png: is not there\n3 of 4 files are left out/,
  );
  const tested = recognise('test', '--data', others, ...model);
  expect(tested.code).toBe(0);
  expect(errorRateIn(tested.out, others)).toBe(0);
});

test('recordings with texts beside them, any alphabet; stops when nothing gets better', () => {
  const sign: Readonly<Record<string, string>> = { a: 'é', b: 'ß', c: '字' };
  const signs = (text: string): string => [...text].map((letter) => sign[letter]!).join('');
  const set = folder('sounds', {
    ...Object.fromEntries(
      TEXTS.slice(0, 60).flatMap((text, i): [string, string | Buffer][] => [
        [`${i}.wav`, spoken(text)],
        // Half of them with the accent as a character of its own: the same letter.
        [`${i}.txt`, `${i % 2 ? signs(text).normalize('NFD') : signs(text)}\n`],
      ]),
    ),
    'lonely.wav': spoken('a'),
    'blank.wav': spoken('a'),
    'blank.txt': ' \n',
    'broken.wav': spoken('a').subarray(0, 30),
    'broken.txt': 'é',
  });
  const { code, out, error } = recognise(
    ...['train', '--data', set, '--steps', '800', '--patience', '3', '--out', 'heard', '--seed', '2'],
  );
  expect({ code, error }).toEqual({ code: 0, error: '' });
  expect(out).toMatch(/lonely\.wav: has no lonely\.txt beside it/);
  expect(out).toMatch(/blank\.wav: has an empty blank\.txt/);
  expect(out).toMatch(/broken\.wav: \[readWav\]/);
  expect(out).toMatch(/^3 of 63 files are left out\.$/m);
  expect(out).toMatch(/^3 letters: [éß字]{3}$/m);
  expect(out).toMatch(/Nothing got better in 3 evaluations: stopped at step \d+/);
  expect(errorRateIn(out, 'Held-out')).toBeLessThan(10);
  const again = recognise('read', '--model', 'heard/recogniser.safetensors', join(set, '0.wav'));
  expect(again.out.trim().split('\t')[1]).toBe(signs(TEXTS[0]!));
});

test('a training that Ctrl-C stops and --resume ends is the uninterrupted one, byte for byte', () => {
  const set = folder('resumed', {
    'labels.tsv': TEXTS.slice(0, 24)
      .map((text, i) => `${i}.png\t${text}`)
      .join('\n'),
    ...Object.fromEntries(TEXTS.slice(0, 24).map((text, i) => [`${i}.png`, drawn(text)])),
  });
  const fixed = ['train', '--data', 'resumed', '--steps', '44', '--seed', '3', '--batch', '4'];
  const files = ['recogniser.safetensors', 'checkpoint.safetensors'];
  const bytesIn = (out: string): Buffer[] => files.map((file) => readFileSync(join(scratch, out, file)));
  expect(recognise(...fixed, '--out', 'whole')).toMatchObject({ code: 0, error: '' });

  const { code, out } = run([...fixed, '--out', 'parts'], signalled(join('parts', files[1]!)));
  expect(code).toBe(0);
  expect(out).toMatch(/Stopped at step 2\d\. The best recogniser, of step 20, is kept\.\nGo on with:\n\n {2}npm run /);
  expect(bytesIn('parts')[1]!.equals(bytesIn('whole')[1]!)).toBe(false);

  const resume = ['train', '--resume', 'parts/checkpoint.safetensors'];
  const resumed = recognise(...resume);
  expect(resumed).toMatchObject({ code: 0, error: '' });
  expect(resumed.out).toContain('All steps are made.');
  expect(bytesIn('parts').map((bytes, i) => bytes.equals(bytesIn('whole')[i]!))).toEqual([true, true]);
  // There is nothing left to do, and nothing changes.
  expect(recognise(...resume, '--data', set)).toMatchObject({ code: 0, error: '' });
  expect(bytesIn('parts').map((bytes, i) => bytes.equals(bytesIn('whole')[i]!))).toEqual([true, true]);

  for (const [wrong, message] of [
    [
      ['--resume', 'parts/recogniser.safetensors'],
      '--resume: cannot go on from parts/recogniser.safetensors: [loadRun] the',
    ],
    [['--resume', 'gone'], '--resume: there is no file gone'],
    [['--resume', '.'], '--resume: there is no file .'],
    [['--resume', 'parts/checkpoint.safetensors', '--seed', '3'], '--seed, --steps, --patience and --batch do not go'],
  ] as const) {
    const refused = recognise('train', ...wrong);
    expect(refused.error).toContain(message);
    expect(refused.code).toBe(2);
  }
  writeFileSync(join(set, '7.png'), drawn('cab'));
  const changed = recognise(...resume);
  expect(changed.error).toContain(
    'the files of resumed are not those that parts/checkpoint.safetensors was learning from',
  );
  expect(changed.code).toBe(2);
});

test.each([
  [['fly'], /there is no command 'fly'; there are train, read, test/],
  [['train'], /--data FOLDER says where the files are/],
  [['train', '--data', 'nowhere'], /there is no folder nowhere/],
  [['train', '--data', '.', '--steps', 'many'], /--steps is many/],
  [['train', '--data', '.', '--model', 'x'], /Unknown option '--model'/],
  [['read'], /read: which files\?/],
  [['read', 'x.png', '--model', 'none'], /there is no recogniser none; train one first/],
] as [string[], RegExp][])('a mistake in the command line is explained: %j', (args, text) => {
  const { code, error } = recognise(...args);
  expect(error).toMatch(text);
  expect(error).not.toMatch(/^\s+at /m);
  expect(code).toBe(2);
});

test('a folder with nothing to use, or with one text only, is refused with the reasons', () => {
  expect(recognise('train', '--data', folder('nothing', { 'a.txt': 'a' })).error).toMatch(
    /has no PNG or WAV with a text/,
  );
  const one = recognise(
    'train',
    '--data',
    folder('single', { 'labels.tsv': 'a.png\ta\nb.png\tb', 'a.png': drawn('a') }),
  );
  expect(one.error).toMatch(/b\.png: is in labels\.tsv \(line 2\) and not in the folder\n1 of 2 files are left out/);
  expect(one.error).toMatch(/has 1 different texts that can be used/);
  expect(recognise('--help').out).toContain('npm run recognise');
});
