import { ShapeError, ValueError } from '../errors.js';
import type { MergedSpan, Span } from '../ops/ctc/spans.js';
import { checkArray, checkOptions, describe, isPlainObject } from '../tensor/arguments.js';

/** Spans of frames as files that players and phoneticians read. */

/** What is written of a span: only its frames count. */
type Frames = Pick<Span, 'start' | 'end'>;

export interface SubtitleOptions<S extends Frames = MergedSpan> {
  /** How long a frame is, in seconds: the hop of the features, times how many of them the network makes one frame of. */
  readonly secondsPerFrame: number;
  /** The text of each span: a list, or a function of a span and its place. */
  readonly text: readonly string[] | ((span: S, index: number) => string);
  /** When the first frame begins, in seconds; 0 by default. */
  readonly offset?: number;
}

export interface TextGridOptions<S extends Frames = MergedSpan> extends Omit<SubtitleOptions<S>, 'text'> {
  /** The text of a span, by its place in its tier. */
  readonly text: (span: S, index: number, tier: string) => string;
  /** When the recording ends, in seconds; the end of the last span by default. */
  readonly duration?: number;
}

/** Up to here every millisecond is a number of its own. */
const MOST_SECONDS = Number.MAX_SAFE_INTEGER / 1000;

interface Cue {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/**
 * Subtitles as SubRip has them (.srt): numbered, with times to the millisecond. Spans may overlap; they come in the order of their beginnings, and one of
 * no length is shown for a millisecond. The format has no way to write an empty line or an arrow in a text: lines are joined, and `-->`, or a longer one, becomes `->`.
 *
 * ```ts
 * const srt = toSrt(mergeSpans(alignment, SPACE, { boundaries: 'middle' }), { secondsPerFrame: 0.04, text: words });
 * ```
 * @throws {ValueError} for spans or options that are none, and for times before 0 or beyond 2^53 milliseconds.
 */
export function toSrt<S extends Frames>(spans: readonly S[], options: SubtitleOptions<S>): string {
  const blocks = cuesOf('toSrt', spans, options).map(
    ({ start, end, text }, i) =>
      `${i + 1}\n${clock(start, ',')} --> ${clock(end, ',')}\n${inLines(text).replace(/-{2,}>/g, '->')}\n`,
  );
  return blocks.join('\n');
}

/**
 * Subtitles as browsers read them: WebVTT (W3C, https://www.w3.org/TR/webvtt1/), with `&`, `<` and `>` escaped. Spans may overlap; they come in the order
 * of their beginnings, and one of no length is shown for a millisecond.
 * @throws {ValueError} for spans or options that are none, and for times before 0 or beyond 2^53 milliseconds.
 */
export function toVtt<S extends Frames>(spans: readonly S[], options: SubtitleOptions<S>): string {
  const blocks = cuesOf('toVtt', spans, options).map(
    ({ start, end, text }) => `${clock(start, '.')} --> ${clock(end, '.')}\n${escapeVtt(inLines(text))}\n`,
  );
  return ['WEBVTT\n', ...blocks].join('\n');
}

const escapeVtt = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** Lines without empty ones, which would end a cue. */
const inLines = (text: string): string =>
  text
    .split(/\r\n|\r|\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join('\n');

const two = (value: number): string => String(value).padStart(2, '0');

function clock(milliseconds: number, point: string): string {
  const seconds = Math.floor(milliseconds / 1000);
  const fraction = String(milliseconds - 1000 * seconds).padStart(3, '0');
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}${point}${fraction}`;
}

/** Cues in milliseconds, in the order of their beginnings. */
function cuesOf<S extends Frames>(op: string, spans: readonly S[], options: SubtitleOptions<S>): Cue[] {
  checkOptions(op, options, ['secondsPerFrame', 'text', 'offset']);
  const { text } = options;
  checkArray(op, 'the spans', spans);
  const list = spans;
  if (Array.isArray(text)) {
    if (text.length !== list.length)
      throw new ShapeError(op, `there are ${text.length} texts for ${list.length} spans`);
  } else if (typeof text !== 'function')
    throw new ValueError(op, `text is ${describe(text)}; it must be a list, or a function of a span and its place`);
  const timed = timesOf(op, list, options).map(({ start, end }, i) => {
    const own: unknown = typeof text === 'function' ? text(list[i]!, i) : text[i];
    const begin = Math.round(1000 * start);
    return { start: begin, end: Math.max(begin + 1, Math.round(1000 * end)), text: checkText(op, own, i) };
  });
  return timed.sort((a, b) => a.start - b.start || a.end - b.end);
}

function checkText(op: string, text: unknown, i: number): string {
  if (typeof text !== 'string')
    throw new ValueError(op, `the text of span ${i} is ${describe(text)}; it must be a string`);
  return text;
}

/** Times in seconds. */
function timesOf(
  op: string,
  spans: readonly Frames[],
  { secondsPerFrame, offset = 0 }: { readonly secondsPerFrame: number; readonly offset?: number },
): { start: number; end: number }[] {
  if (typeof secondsPerFrame !== 'number' || !(secondsPerFrame > 0 && secondsPerFrame < Infinity))
    throw new ValueError(
      op,
      `secondsPerFrame is ${describe(secondsPerFrame)}; it must be a finite number of seconds above 0`,
    );
  if (typeof offset !== 'number' || !Number.isFinite(offset))
    throw new ValueError(op, `offset is ${describe(offset)}; it must be a finite number of seconds`);
  return Array.from(spans, (span: Frames | undefined, i) => {
    const { start, end } = (isPlainObject(span) ? span : {}) as Partial<Record<keyof Frames, unknown>>;
    if (typeof start !== 'number' || typeof end !== 'number' || !(start <= end && Math.abs(end) < Infinity))
      throw new ValueError(
        op,
        `span ${i} is ${isPlainObject(span) ? `[${describe(start)}, ${describe(end)})` : describe(span)}; it must have a start and an end, not before it`,
      );
    const time = { start: start * secondsPerFrame + offset, end: end * secondsPerFrame + offset };
    if (time.start < 0) throw new ValueError(op, `span ${i} begins at ${time.start} seconds, before 0`);
    // Also where a product is beyond all numbers: Infinity, or NaN with an offset.
    if (!(time.start >= 0 && time.end <= MOST_SECONDS))
      throw new ValueError(
        op,
        `span ${i} lasts from ${time.start} to ${time.end} seconds; times to the millisecond end at ${MOST_SECONDS}`,
      );
    return time;
  });
}

/**
 * Tiers of intervals for Praat (a TextGrid in its long text format, https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html). What lies
 * between spans becomes intervals without text, and where two overlap, the earlier one ends where the later one begins: intervals must not.
 *
 * ```ts
 * const grid = toTextGrid({ words, letters: alignment.spans }, { secondsPerFrame: 0.04, text: (span) => textOf(span) });
 * ```
 * @param tiers spans by the name of their tier, each in the order of time.
 * @throws {ValueError} for spans or options that are none, for times before 0 or after the end, and for a span of which nothing is left.
 */
export function toTextGrid<S extends Frames>(
  tiers: Readonly<Record<string, readonly S[]>>,
  options: TextGridOptions<S>,
): string {
  const op = 'toTextGrid';
  checkOptions(op, options, ['secondsPerFrame', 'text', 'offset', 'duration']);
  const { text, duration } = options;
  if (!isPlainObject(tiers))
    throw new ValueError(op, `the tiers are ${describe(tiers)}; they must be lists of spans by name`);
  if (typeof text !== 'function')
    throw new ValueError(op, `text is ${describe(text)}; it must be a function of a span, its place and its tier`);
  const timed = Object.entries(tiers).map(([name, spans]) => {
    checkArray(op, `tier ${describe(name)}`, spans);
    const times = timesOf(op, spans, options);
    return { name, cues: times.map((time, i) => ({ ...time, text: checkText(op, text(spans[i]!, i, name), i) })) };
  });
  const last = timed.reduce((most, { cues }) => cues.reduce((a, { end }) => Math.max(a, end), most), 0);
  const end = duration ?? last;
  // What a recording's samples give and what its frames give differ by roundings.
  if (typeof end !== 'number' || !(end >= last * (1 - 1e-9) && end <= MOST_SECONDS))
    throw new ValueError(
      op,
      `duration is ${describe(duration)}; the last span ends at ${last} seconds, and times to the millisecond at ${MOST_SECONDS}`,
    );
  const blocks = timed.map(({ name, cues }, t) => tierText(t, name, intervalsOf(op, name, cues, end), end));
  return [
    'File type = "ooTextFile"',
    'Object class = "TextGrid"',
    '',
    'xmin = 0',
    `xmax = ${end}`,
    'tiers? <exists>',
    `size = ${timed.length}`,
    'item []:',
    ...blocks,
    '',
  ].join('\n');
}

/** Intervals that follow each other without a gap. */
function intervalsOf(op: string, tier: string, cues: readonly Cue[], end: number): Cue[] {
  const intervals: Cue[] = [];
  let at = 0;
  cues.forEach((cue, i) => {
    const next = cues[i + 1]?.start ?? end;
    if (next < cue.start)
      throw new ValueError(op, `tier ${describe(tier)}: span ${i + 1} begins before span ${i}; spans are in order`);
    const until = Math.min(cue.end, next);
    if (until <= cue.start)
      throw new ValueError(op, `tier ${describe(tier)}: of span ${i} nothing is left; an interval must have a length`);
    if (cue.start > at) intervals.push({ start: at, end: cue.start, text: '' });
    intervals.push({ ...cue, end: until });
    at = until;
  });
  if (at < end || intervals.length === 0) intervals.push({ start: at, end, text: '' });
  return intervals;
}

/** A quotation mark within a text is written twice. */
const quote = (text: string): string => `"${text.replaceAll('"', '""')}"`;

function tierText(place: number, name: string, intervals: readonly Cue[], end: number): string {
  const lines = intervals.flatMap(({ start, end: until, text }, i) => [
    `        intervals [${i + 1}]:`,
    `            xmin = ${start}`,
    `            xmax = ${until}`,
    `            text = ${quote(text)}`,
  ]);
  return [
    `    item [${place + 1}]:`,
    '        class = "IntervalTier"',
    `        name = ${quote(name)}`,
    '        xmin = 0',
    `        xmax = ${end}`,
    `        intervals: size = ${intervals.length}`,
    ...lines,
  ].join('\n');
}
