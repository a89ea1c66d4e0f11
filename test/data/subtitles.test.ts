import { ctcAlignSync, mergeSpans, random, tensor, toSrt, toTextGrid, toVtt } from 'tapegrad';

/** Readers of the three formats, by their specifications. */
interface Cue {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

const seconds = (clock: string): number => {
  const match = /^(\d{2,}):([0-5]\d):([0-5]\d)[.,](\d{3})$/.exec(clock)!;
  return 3600 * Number(match[1]) + 60 * Number(match[2]) + Number(match[3]) + Number(match[4]) / 1000;
};

function readSrt(file: string): Cue[] {
  return file
    .trimEnd()
    .split(/\n{2,}/)
    .filter((block) => block !== '')
    .map((block, i) => {
      const [number, times, ...lines] = block.split('\n');
      expect(number).toBe(String(i + 1));
      const [start, end] = times!.split(' --> ');
      expect(lines.join('')).not.toContain('-->');
      return { start: seconds(start!), end: seconds(end!), text: lines.join('\n') };
    });
}

function readVtt(file: string): Cue[] {
  expect(file.startsWith('WEBVTT\n\n') || file === 'WEBVTT\n').toBe(true);
  return file
    .slice('WEBVTT\n'.length)
    .trim()
    .split(/\n{2,}/)
    .filter((block) => block !== '')
    .map((block) => {
      const [times, ...lines] = block.split('\n');
      const [start, end] = times!.split(' --> ');
      const text = lines.join('\n');
      expect(text).not.toMatch(/-->|<|&(?!amp;|lt;|gt;)/);
      return {
        start: seconds(start!),
        end: seconds(end!),
        text: text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&'),
      };
    });
}

/** A TextGrid is a list of numbers, texts and flags; all else is comment. */
function readTextGrid(file: string): { xmax: number; tiers: { name: string; intervals: Cue[] }[] } {
  const tokens = [...file.matchAll(/"((?:[^"]|"")*)"|<exists>|(?<![[\w])-?\d+(?:\.\d+)?(?:e-?\d+)?(?![\]\w])/g)].map(
    ([whole, text]) => (text !== undefined ? text.replaceAll('""', '"') : whole === '<exists>' ? whole : Number(whole)),
  );
  let at = 0;
  const next = <T>(): T => tokens[at++] as T;
  expect([next(), next(), next()]).toEqual(['ooTextFile', 'TextGrid', 0]);
  const xmax = next<number>();
  expect(next()).toBe('<exists>');
  const tiers = Array.from({ length: next<number>() }, () => {
    expect(next()).toBe('IntervalTier');
    const name = next<string>();
    expect([next(), next()]).toEqual([0, xmax]);
    const intervals = Array.from({ length: next<number>() }, () => ({
      start: next<number>(),
      end: next<number>(),
      text: next<string>(),
    }));
    let before = 0;
    for (const { start, end } of intervals) {
      expect(start).toBe(before);
      expect(end).toBeGreaterThan(start);
      before = end;
    }
    expect(before).toBe(xmax);
    return { name, intervals };
  });
  expect(at).toBe(tokens.length);
  return { xmax, tiers };
}

const spoken = [0, 1, 1, 0, 2, 0, 3, 0, 1, 1, 0];
const logProbs = tensor(spoken.map((best) => [0, 1, 2, 3].map((c) => Math.log(c === best ? 0.91 : 0.03))));
const [alignment] = ctcAlignSync(logProbs, [1, 2, 3, 1]);
const words = mergeSpans(alignment!, 2);
const names = ['', 'a', ' ', 'b'];
const text = ({ labels }: { labels: readonly number[] }): string => labels.map((label) => names[label]).join('');

test('words of an alignment, in all three formats', () => {
  const options = { secondsPerFrame: 0.02, text };
  expect(toSrt(words, options)).toBe('1\n00:00:00,020 --> 00:00:00,060\na\n\n2\n00:00:00,120 --> 00:00:00,200\nba\n');
  expect(toVtt(words, { ...options, text: ['a', 'ba'], offset: 3600 })).toBe(
    'WEBVTT\n\n01:00:00.020 --> 01:00:00.060\na\n\n01:00:00.120 --> 01:00:00.200\nba\n',
  );
  const { xmax, tiers } = readTextGrid(toTextGrid({ words }, { ...options, secondsPerFrame: 0.5, duration: 6 }));
  expect(xmax).toBe(6);
  expect(tiers).toEqual([
    {
      name: 'words',
      intervals: [
        { start: 0, end: 0.5, text: '' },
        { start: 0.5, end: 1.5, text: 'a' },
        { start: 1.5, end: 3, text: '' },
        { start: 3, end: 5, text: 'ba' },
        { start: 5, end: 6, text: '' },
      ],
    },
  ]);
});

const NASTY = [
  'a < b && c > d',
  'an --> arrow',
  ' two\n\n\nlines\r\n',
  'say "x"',
  '&amp; &lt;',
  '',
  'naïve 日本 🙂',
  '1',
  '<i>',
  'a ---> b ----->',
];

test('texts come back from WebVTT and TextGrid as they were, whatever is in them', () => {
  const spans = NASTY.map((_, i) => ({ start: 2 * i, end: 2 * i + 1 }));
  const lines = (own: string): string => own.trim().replace(/\s*[\r\n]+\s*/g, '\n');
  expect(readVtt(toVtt(spans, { secondsPerFrame: 1, text: NASTY })).map((cue) => cue.text)).toEqual(NASTY.map(lines));
  expect(readSrt(toSrt(spans, { secondsPerFrame: 1, text: NASTY })).map((cue) => cue.text)).toEqual(
    NASTY.map((own) => lines(own).replace(/-+->/g, '->')),
  );
  const { tiers } = readTextGrid(toTextGrid({ 'a "tier"': spans }, { secondsPerFrame: 1, text: (_, i) => NASTY[i]! }));
  expect(tiers[0]!.name).toBe('a "tier"');
  expect(tiers[0]!.intervals.filter((_, i) => i % 2 === 0).map((cue) => cue.text)).toEqual(NASTY);
});

test('random spans: in order, to the millisecond, never empty', () => {
  const rng = random(5);
  const spans = Array.from({ length: 300 }, () => {
    const start = rng.integer(0, 500_000);
    return { start, end: start + rng.integer(0, 40) };
  });
  const options = { secondsPerFrame: 0.01999, text: (_: unknown, i: number) => `span ${i}` };
  for (const cues of [readSrt(toSrt(spans, options)), readVtt(toVtt(spans, options))]) {
    expect(cues).toHaveLength(300);
    cues.forEach((cue, i) => {
      const span = spans[Number(cue.text.slice(5))]!;
      expect(Math.abs(cue.start - span.start * 0.01999)).toBeLessThan(0.000501);
      expect(Math.abs(cue.end - span.end * 0.01999)).toBeLessThan(0.001501);
      expect(cue.end).toBeGreaterThan(cue.start);
      if (i > 0) expect(cue.start).toBeGreaterThanOrEqual(cues[i - 1]!.start);
    });
  }
});

test('a TextGrid cuts what overlaps', () => {
  const overlapping = [
    { start: 0, end: 5 },
    { start: 3, end: 4 },
  ];
  const { tiers } = readTextGrid(
    toTextGrid({ t: overlapping, none: [] }, { secondsPerFrame: 1, text: (_, i) => String(i) }),
  );
  expect(tiers.map(({ intervals }) => intervals.map(({ start, end, text: own }) => [start, end, own]))).toEqual([
    [
      [0, 3, '0'],
      [3, 4, '1'],
      [4, 5, ''],
    ],
    [[0, 5, '']],
  ]);
});

test('a duration may differ by roundings from the end of the last frame', () => {
  const spans = [{ start: 1, end: 3 }]; // 3 * 0.1 is a bit above 0.3
  const { xmax, tiers } = readTextGrid(
    toTextGrid({ t: spans }, { secondsPerFrame: 0.1, text: () => 'a', duration: 0.3 }),
  );
  expect(xmax).toBe(0.3);
  expect(tiers[0]!.intervals.map(({ start, end }) => [start, end])).toEqual([
    [0, 0.1],
    [0.1, 0.3],
  ]);
});

test('a recording that began with the calendar: hours have as many digits as they need', () => {
  const late = { secondsPerFrame: 3600, text: ['a'] };
  expect(readSrt(toSrt([{ start: 2e7, end: 2e7 + 1 }], late))).toEqual([
    { start: 7.2e10, end: 7.2e10 + 3600, text: 'a' },
  ]);
  expect(toVtt([{ start: 2e7, end: 2e7 + 1 }], late)).toContain('20000000:00:00.000 --> 20000001:00:00.000');
});

test('nothing at all', () => {
  expect(toSrt([], { secondsPerFrame: 1, text })).toBe('');
  expect(readVtt(toVtt([], { secondsPerFrame: 1, text }))).toEqual([]);
});

type Write = (
  spans: readonly { readonly start: number; readonly end: number }[],
  options: { readonly secondsPerFrame: number; readonly offset: number; readonly text: () => string },
) => string;
const WRITERS: readonly (readonly [string, Write])[] = [
  ['toSrt', toSrt],
  ['toVtt', toVtt],
  ['toTextGrid', (spans, options): string => toTextGrid({ t: spans }, options)],
];

test.each<[string, () => string, string]>([
  ['no seconds', () => toSrt(words, { text } as never), '[toSrt] secondsPerFrame is undefined'],
  ['no text', () => toVtt(words, { secondsPerFrame: 1 } as never), '[toVtt] text is undefined'],
  ['too few texts', () => toVtt(words, { secondsPerFrame: 1, text: ['a'] }), 'there are 1 texts for 2 spans'],
  [
    'a text that is none',
    () => toSrt(words, { secondsPerFrame: 1, text: () => 3 as never }),
    'the text of span 0 is 3',
  ],
  [
    'a span that is none',
    () => toSrt([{ start: 3, end: 1 }], { secondsPerFrame: 1, text: ['a'] }),
    'span 0 is [3, 1); it must',
  ],
  [
    'a time before 0',
    () => toSrt(words, { secondsPerFrame: 1, text, offset: -2 }),
    'span 0 begins at -1 seconds, before 0',
  ],
  [
    'an empty interval',
    () => toTextGrid({ t: [{ start: 1, end: 1 }] }, { secondsPerFrame: 1, text: () => 'a' }),
    "tier 't': of span 0 nothing is left",
  ],
  [
    'a duration too short',
    () => toTextGrid({ words }, { secondsPerFrame: 1, text, duration: 2 }),
    'duration is 2; the last span ends at 10 seconds',
  ],
  ...WRITERS.flatMap(([writer, write]) =>
    (
      [
        ['a time beyond all numbers', [{ start: 1, end: 10 }], 1e308, 0, 'lasts from 1e+308 to Infinity seconds'],
        ['a time that is no number', [{ start: 0, end: 1e200 }], 1e200, -1, 'begins at -1 seconds, before 0'],
        [
          'two products that cancel',
          [{ start: 1e200, end: 1e200 }],
          1e200,
          5,
          'lasts from Infinity to Infinity seconds',
        ],
        [
          'a time beyond milliseconds',
          [{ start: 0, end: 1 }],
          1e13,
          0,
          'to 10000000000000 seconds; times to the milli',
        ],
        ['an offset beyond milliseconds', [{ start: 0, end: 1 }], 1, 1e300, 'lasts from 1e+300 to 1e+300 seconds'],
        ['a start that is NaN', [{ start: NaN, end: 1 }], 1, 0, 'span 0 is [NaN, 1); it must have a start'],
        ['an end that is NaN', [{ start: 0, end: NaN }], 1, 0, 'span 0 is [0, NaN); it must have a start'],
        ['seconds that are NaN', [{ start: 0, end: 1 }], NaN, 0, 'secondsPerFrame is NaN; it must be'],
        ['an offset that is infinite', [{ start: 0, end: 1 }], 1, Infinity, 'offset is Infinity; it must be'],
      ] as const
    ).map(([name, spans, secondsPerFrame, offset, message]): [string, () => string, string] => [
      `${name}, ${writer},`,
      () => write(spans, { secondsPerFrame, offset, text: () => 'a' }),
      message,
    ]),
  ),
  [
    'a duration beyond milliseconds',
    () => toTextGrid({ words }, { secondsPerFrame: 1, text: () => 'a', duration: 1e300 }),
    'duration is 1e+300; the last span ends at 10 seconds, and times',
  ],
])('%s is refused', (_, call, message) => {
  expect(call).toThrow(message);
});
