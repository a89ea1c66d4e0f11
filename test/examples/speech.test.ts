import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { alphabet, loadSafetensors, type SavedAlphabet } from 'tapegrad';
import { checkBuilt, ROOT } from '../built.js';
import { withRecordings } from './recordings.js';
import { evaluate, exampleFolder, type Result, runExample } from './run.js';

const EXAMPLE = exampleFolder('speech');
const runSpeech = (args: readonly string[], interruptedAt?: string): Promise<Result> =>
  runExample(EXAMPLE, args, interruptedAt);

let scratch = '';

beforeAll(() => {
  checkBuilt(); // the example uses the built package, as its users do
  scratch = mkdtempSync(join(tmpdir(), 'speech-'));
});

afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

/** A folder of recordings that nobody spoke: each letter is a tone of its own. */
function writeTones(folder: string, texts: readonly string[], rate = 8000): void {
  mkdirSync(folder, { recursive: true });
  const transcript = ['; tones for a test', ''];
  texts.forEach((text, i) => {
    transcript.push(`tone-${i}: ${text}`);
    const each = Math.round(0.12 * rate);
    const wav = Buffer.alloc(44 + 2 * each * text.length);
    wav.write('RIFF', 0);
    wav.writeUInt32LE(wav.length - 8, 4);
    wav.write('WAVEfmt ', 8);
    wav.writeUInt32LE(16, 16);
    [1, 1].forEach((value, k) => wav.writeUInt16LE(value, 20 + 2 * k));
    [rate, 2 * rate].forEach((value, k) => wav.writeUInt32LE(value, 24 + 4 * k));
    [2, 16].forEach((value, k) => wav.writeUInt16LE(value, 32 + 2 * k));
    wav.write('data', 36);
    wav.writeUInt32LE(wav.length - 44, 40);
    Array.from(text).forEach((letter, k) => {
      const hz = letter === ' ' ? 0 : 300 + 120 * (letter.charCodeAt(0) - 97);
      for (let t = 0; t < each; t++)
        wav.writeInt16LE(Math.round(8000 * Math.sin((2 * Math.PI * hz * t) / rate)), 44 + 2 * (k * each + t));
    });
    writeFileSync(join(folder, `tone-${i}.wav`), wav);
  });
  writeFileSync(join(folder, 'core-sounds-en.txt'), transcript.join('\n'));
}

const TEXTS = ['abba', 'cab', 'a bad cab', 'dab', 'bad dad', 'deaf', 'fed', 'a fee', 'bee', 'cede', 'face', 'a cafe'];

test('texts as they are spoken', async () => {
  const said = {
    'Press 1, or 10.': 'press one or one zero',
    'I\'m sorry; \'tis \u2018quoted\u2019 "too"': "i'm sorry tis quoted too",
    'press * then # ...': 'press star then pound',
    'A.M. and P.M.': 'a m and p m',
    'Inter-Asterisk eXchange': 'inter asterisk exchange',
    '... 4 ...': 'four',
    '[tone]': 'tone',
    '?!': '',
  };
  const code = `
    import { spell } from './prompts.mjs';
    console.log(JSON.stringify(${JSON.stringify(Object.keys(said))}.map(spell)));
  `;
  expect(await evaluate(EXAMPLE, code)).toEqual(Object.values(said));
});

test('a word model: probabilities after any context sum to 1, and are those of the formula', async () => {
  const facts = (await evaluate(
    EXAMPLE,
    `
    import { wordModel } from './language.mjs';
    const texts = ['the cat sat', 'the cat ran', 'a dog', 'the dog sat', 'the the the'];
    const { model, words } = wordModel(texts, 3);
    const all = [...words, '</s>', '<unk>'].map((word) => model.idOf(word));
    const sums = [];
    const visit = (state, depth) => {
      sums.push(all.reduce((sum, id) => sum + Math.exp(model.logProb(state, id)), 0));
      if (depth > 0) for (const id of all) visit(model.after(state, id), depth - 1);
    };
    visit(model.start, 3);
    visit(model.empty, 2);
    const of = (...text) => Math.exp(model.logProb(text.slice(0, -1).reduce((s, w) => w === '<s>' ? model.start : model.after(s, model.idOf(w)), model.empty), model.idOf(text.at(-1))));
    console.log(JSON.stringify({ order: model.order, words, worst: Math.max(...sums.map((sum) => Math.abs(sum - 1))), values: [of('sat'), of('cat', 'sat'), of('<s>', 'the', 'cat'), of('zebra')] }));
  `,
  )) as { order: number; words: string[]; worst: number; values: number[] };
  expect(facts.order).toBe(3);
  expect(facts.words.sort()).toEqual(['a', 'cat', 'dog', 'ran', 'sat', 'the']);
  expect(facts.worst).toBeLessThan(1e-9);
  // 19 words and ends, 7 different ones; 8 with the unknown one.
  const uniform = 1 / 8;
  const sat = (2 + 7 * uniform) / (19 + 7);
  const cat = (2 + 7 * uniform) / (19 + 7);
  const afterThe = (2 + 4 * cat) / (6 + 4); // cat twice, dog, the twice, the end
  const expected = [sat, (1 + 2 * sat) / (2 + 2), (2 + 3 * afterThe) / (4 + 3), (7 * uniform) / (19 + 7)];
  facts.values.forEach((value, i) => {
    expect(value).toBeCloseTo(expected[i]!, 6);
  });
});

describe('a run on recordings of its own', () => {
  const data = (): string => join(scratch, 'tones');
  const args = (): string[] => ['--steps', '14', '--seed', '3', '--data', data()];

  beforeAll(() => {
    writeTones(data(), TEXTS);
  });

  test('that Ctrl-C stops and --resume ends is the uninterrupted one, byte for byte; it shows what it promises', async () => {
    const [whole, parts] = [join(scratch, 'whole'), join(scratch, 'parts')];
    const uninterrupted = await runSpeech([...args(), '--out', whole]);
    expect(uninterrupted).toMatchObject({ code: 0, error: '' });
    const { out } = uninterrupted;
    expect(out).toMatch(/11 recordings to learn from \(\d\.\d minutes, 11 texts\); 1 others are held out/);
    expect(out).toContain('Allison Smith');
    expect(out).toContain('CC BY-SA 3.0');
    expect(out).toMatch(
      /step 14\/14 {2}(blank plateau|learning|starting) {2}loss \d+\.\d+ {2}lr \S+ {2}CER \d+\.\d % {2}\d+ clips\/s {2}0 s left/,
    );
    const rate = String.raw`\d+\.\d\d % \(\d+ substitutions, \d+ insertions, \d+ deletions in \d+`;
    for (const what of ['Held-out', 'Word 3-gram of the training texts, beam of 64,'])
      for (const [name, unit] of [
        ['CER', 'characters'],
        ['WER', 'words'],
      ])
        expect(out).toMatch(new RegExp(`${what} ${name} ${rate} ${unit}\\)`));
    expect(out).toMatch(/When each word of tone-\d+ is said, in seconds:\n( +\d\.\d\d to +\d\.\d\d {2}[a-z]+\n)+/);
    for (const picture of ['loss.svg', 'alignment.svg'])
      expect(readFileSync(join(whole, picture), 'utf8')).toMatch(/^<svg [^]*<\/svg>\s*$/);
    expect(readFileSync(join(whole, 'subtitles.srt'), 'utf8')).toMatch(
      /^1\n00:00:0\d,\d{3} --> 00:00:0\d,\d{3}\n[a-z]+\n/,
    );

    const checkpoint = join(parts, 'checkpoint.safetensors');
    const stopped = await runSpeech([...args(), '--out', parts], checkpoint);
    expect(stopped.code).toBe(130);
    expect(stopped.out).toMatch(/Stopped at step \d+ and saved\. Go on with:\n\n {2}npm run speech -- --resume /);
    expect(readFileSync(checkpoint).equals(readFileSync(join(whole, 'checkpoint.safetensors')))).toBe(false);
    const resumed = await runSpeech(['--resume', checkpoint, '--data', data()]);
    expect(resumed).toMatchObject({ code: 0, error: '' });
    expect(readFileSync(checkpoint).equals(readFileSync(join(whole, 'checkpoint.safetensors')))).toBe(true);

    const { metadata } = loadSafetensors(readFileSync(checkpoint));
    const letters = alphabet(JSON.parse(metadata.alphabet!) as SavedAlphabet);
    expect([letters.size, letters.decode(letters.encode("it's"))]).toEqual([29, "it's"]);
  });

  test('names and leaves out what it cannot use; takes other rates', async () => {
    const other = join(scratch, 'others');
    writeTones(other, [...TEXTS, 'feed', 'add'], 16_000);
    writeFileSync(join(other, 'tone-3.wav'), 'nothing of the kind');
    rmSync(join(other, 'tone-4.wav'));
    const lines = readFileSync(join(other, 'core-sounds-en.txt'), 'utf8').split('\n');
    writeFileSync(
      join(other, 'core-sounds-en.txt'),
      [
        ...lines,
        'tone-5: [a beep]',
        'tone-6: dial 500',
        'tone-0: far too many words for so short a tone as this one is',
      ].join('\n'),
    );
    const { out, code } = await runSpeech(['--steps', '1', '--data', other, '--out', join(scratch, 'other')]);
    expect(out).toMatch(/Left out: \S+tone-3\.wav: \[readWav\] this is no WAV file/);
    expect(out).toContain(
      'Left out: 1 without words, 1 with numbers of several digits, 1 without a recording, 1 too short for their text.',
    );
    expect(code).toBe(0);
  });
});

describe('the command line', () => {
  test.each([
    [['--help'], 0, 'out', 'Ctrl-C saves a checkpoint and stops.'],
    [['--epochs', 'many'], 2, 'error', '--epochs is many; it must be a whole number from 1 to 10000'],
    [['--epochs', '2', '--steps', '3'], 2, 'error', '--steps and --epochs: one of them says how long'],
    [['--fast'], 2, 'error', "Unknown option '--fast'"],
    [['--resume', 'x', '--quick'], 2, 'error', '--resume goes on with the seed and steps of its checkpoint'],
    [['--data', 'no/such/folder'], 1, 'error', '--data: there is no folder no/such/folder'],
    [['--data', 'docs'], 1, 'error', '--data: docs has no transcript core-sounds-en.txt'],
  ] as const)('%j', async (args, code, stream, message) => {
    const result = await runSpeech([...args]);
    expect(result.code).toBe(code);
    expect(result[stream]).toContain(message);
  });

  test('missing packages are named, with the command that installs them', async () => {
    const code = `
      import { MissingDataError } from './prompts.mjs';
      console.log(JSON.stringify([{}, { sounds: 'there' }].map((found) => new MissingDataError(null, found).message)));
    `;
    const [recordings, transcript] = (await evaluate(EXAMPLE, code)) as [string, string];
    expect(recordings).toContain(
      '\n  apt-get install --no-install-recommends asterisk-core-sounds-en asterisk-core-sounds-en-wav\n',
    );
    expect(transcript).toMatch(/\n {2}apt-get install --reinstall .*--path-include=.* asterisk-core-sounds-en\n/);
    const alone = join(scratch, 'alone');
    cpSync(join(ROOT, 'examples'), alone, { recursive: true });
    const result = await runExample(join(alone, 'speech'), []);
    expect(result.code).toBe(1);
    expect(result.error).toContain('\n  npm install --save-dev vega\n');
  });
});

withRecordings('real speech', () => {
  test('no text on both sides of the split, whatever the seed; what is left out is counted', async () => {
    const facts = await evaluate(
      EXAMPLE,
      `
      import { loadPrompts, split } from './prompts.mjs';
      const { prompts, left } = loadPrompts();
      const { training, heldOut } = split(prompts);
      const texts = (list) => new Set(list.map(({ text }) => text));
      const known = texts(training);
      console.log(JSON.stringify({
        all: training.length + heldOut.length === prompts.length,
        shared: [...texts(heldOut)].filter((text) => known.has(text)).length,
        share: texts(heldOut).size / texts(prompts).size,
        enough: prompts.length > 500,
        letters: prompts.every(({ text }) => /^[a-z']+( [a-z']+)*$/.test(text)),
        left: Object.values(left).every((count) => count < 60),
        again: JSON.stringify(split([...prompts].reverse()).heldOut.map(({ name }) => name).sort()) === JSON.stringify(heldOut.map(({ name }) => name).sort()),
      }));
    `,
    );
    expect(facts).toEqual({
      all: true,
      shared: 0,
      share: expect.closeTo(0.1, 2) as number,
      enough: true,
      letters: true,
      left: true,
      again: true,
    });
  });

  test('a few steps on it', async () => {
    const out = join(scratch, 'real');
    const result = await runSpeech(['--steps', '4', '--out', out]);
    expect(result).toMatchObject({ code: 0, error: '' });
    expect(result.out).toMatch(/\d+ recordings to learn from \(\d+\.\d minutes, \d+ texts\); \d+ others are held out/);
    expect(result.out).toMatch(/Held-out CER \d+\.\d\d %/);
  });
});
