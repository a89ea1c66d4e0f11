import { ValueError } from '../errors.js';
import { checkTensor, describe, isCallable, isPlainObject } from '../tensor/arguments.js';
import type { Random } from '../tensor/random.js';
import type { Shape } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import {
  type AnyLayer,
  type ApplyOptions,
  type InitOptions,
  isTraining,
  type Layer,
  layer,
  type ParamsOf,
  type StatefulLayer,
  statefulLayer,
  type StateOf,
} from './layer.js';
import { type Lengths, lengthsOf, maskFrames } from './lengths.js';

/** Layers made of layers. Each part gets its own parameters, state and lengths, and the one source of randomness. */

/** A layer without running state, or a function without parameters such as `relu`. */
export type Stage = Layer<unknown> | ((x: Tensor) => Tensor);

/** A layer of either kind, or a function without parameters. */
export type AnyStage = AnyLayer | ((x: Tensor) => Tensor);

/** What parts of a layer make of it: one with running state if one of them has it. */
export type Composite<Part, Params, State> = ([Extract<Part, { initState(): unknown }>] extends [never]
  ? Layer<Params>
  : StatefulLayer<Params, State>) &
  Lengths;

/** The parameters of stages: a tuple, with null where a stage has none. */
export type StageParams<Stages extends readonly AnyStage[]> = {
  -readonly [K in keyof Stages]: ParamsOf<Stages[K]>;
};

/** The running states of stages: a tuple, with null where a stage has none. */
export type StageStates<Stages extends readonly AnyStage[]> = {
  -readonly [K in keyof Stages]: StateOf<Stages[K]>;
};

/** What `summary` learns of a model's application, handed on from a layer to its parts: the stages that have none, as they run. */
export interface Watch {
  readonly path: string;
  readonly seen: { readonly path: string; readonly stage: AnyStage; readonly params: unknown; readonly shape: Shape }[];
}

/** Where a watch stands in the options of `apply`: a symbol, so that it is no option of users. */
export const WATCH = Symbol('watch');

/** Says to a part that what lies beyond the lengths is not the user's padding, which may hold anything, but what layers have made of zeros. */
const CLEAN = Symbol('clean');

/** What a part is told, by users and by the layer that it is in. */
export interface Told extends ApplyOptions {
  readonly [WATCH]?: Watch;
  readonly [CLEAN]?: true;
}

/** Parts, and the tree that their parameters and states form. */
interface Anatomy {
  readonly op: string;
  readonly parts: readonly (readonly [key: string, stage: AnyStage])[];
  gather(values: readonly unknown[]): unknown;
  /** The parts' values out of what `gather` made. @throws {ValueError} for another tree. */
  read(what: string, tree: unknown): readonly unknown[];
  /** What x becomes; one part after the other when left out. */
  readonly wire?: ((pass: Pass, x: Tensor) => Tensor) | undefined;
  readonly outputLength?: ((length: number) => number) | undefined;
}

const isStateful = (stage: AnyStage): stage is StatefulLayer<unknown, unknown> =>
  typeof stage !== 'function' && typeof stage.initState === 'function';

/** Frames that a stage gives; a function keeps them. */
export const lengthOut = (stage: AnyStage, length: number): number =>
  typeof stage === 'function' ? length : (stage.outputLength?.(length) ?? length);

/** Refuses what is neither a layer nor a function. */
export function checkStage(op: string, what: string, stage: unknown, advice = ''): asserts stage is AnyStage {
  const isLayer = isPlainObject(stage) && typeof stage.init === 'function' && typeof stage.apply === 'function';
  if (!isLayer && !isCallable(stage))
    throw new ValueError(op, `${what} is ${describe(stage)}, neither a layer nor a function${advice}`);
}

/** One application of parts: what they are told, and the states that they leave. */
export class Pass {
  readonly states: unknown[];
  /** Lengths of what the next part gets; null where there are none. */
  private lengths: Int32Array | null;
  /** The part after which lengths are not known any more. */
  private lost: string | null = null;

  constructor(
    private readonly anatomy: Anatomy,
    private readonly params: readonly unknown[],
    states: readonly unknown[],
    private readonly options: Told,
    x: Tensor,
  ) {
    this.states = [...states];
    this.lengths = options.lengths === undefined ? null : lengthsOf(anatomy.op, options.lengths, x);
  }

  /** What a part makes of x, with the lengths that the parts before it have left. */
  next(i: number, x: Tensor): Tensor {
    const [key, stage] = this.anatomy.parts[i]!;
    if (typeof stage !== 'function' && this.lost !== null)
      throw new ValueError(
        this.anatomy.op,
        `${this.lost}, a function, changed the number of frames, so that the lengths for ${this.nameOf(key)} are not known; make it a layer with an outputLength: { init, apply, outputLength }`,
      );
    const result = this.through(i, x, this.lengths ? { lengths: this.lengths } : {}, this.lengths !== null);
    if (this.lengths) {
      if (typeof stage === 'function' && result.shape[1] !== x.shape[1]) this.lost = this.nameOf(key);
      this.lengths = this.lengths.map((length) => lengthOut(stage, length));
    }
    return result;
  }

  /** What a part makes of x where the parts are wired by a function; it gets the lengths of the whole unless it is told others. */
  wired(i: number, x: Tensor, told: Told): Tensor {
    const { op, parts, outputLength } = this.anatomy;
    if (!isPlainObject(told))
      throw new ValueError(op, `the options of a part are ${describe(told)}; write { lengths }`);
    const [key, stage] = parts[i]!;
    const { lengths } = this;
    const changes = lengths?.some((length) => lengthOut(stage, length) !== length) ?? false;
    if (changes && !outputLength)
      throw new ValueError(
        op,
        `${this.nameOf(key)} changes the lengths; give { outputLength } of the whole, and { lengths } to the parts after it`,
      );
    const { lengths: given, ...rest } = told;
    const own = given ?? lengths;
    return this.through(i, x, own ? { ...rest, lengths: own } : rest, given === undefined && lengths !== null);
  }

  private through(i: number, x: Tensor, told: Told, isClean: boolean): Tensor {
    const [key, stage] = this.anatomy.parts[i]!;
    const watch = this.options[WATCH];
    const path = watch && [watch.path, key].filter((step) => step !== '').join('.');
    const before = watch?.seen.length;
    const result = this.result(i, stage, x, {
      ...told,
      ...(isClean && { [CLEAN]: true }),
      ...(watch && { [WATCH]: { path: path!, seen: watch.seen } }),
    });
    checkTensor(this.anatomy.op, `what ${this.nameOf(key)} returned`, result);
    if (watch?.seen.length === before)
      watch?.seen.push({ path: path!, stage, params: this.params[i], shape: result.shape });
    return result;
  }

  private result(i: number, stage: AnyStage, x: Tensor, told: Told): Tensor {
    if (typeof stage === 'function') return stage(x);
    const { random, training } = this.options;
    const options = { ...told, ...(random && { random }), ...(training !== undefined && { training }) };
    if (!isStateful(stage)) return stage.apply(this.params[i], x, options);
    const given = stage.apply(this.params[i], x, { ...options, state: this.states[i] });
    if (!Array.isArray(given)) return given;
    this.states[i] = given[1];
    return given[0];
  }

  private nameOf(key: string): string {
    if (key === '') return 'the layer';
    return /^\d+$/.test(key) ? `stage ${key}` : `'${key}'`;
  }
}

/** A layer of parts; with running state where one of them has it. */
export function compose(anatomy: Anatomy): (Layer<unknown> | StatefulLayer<unknown, unknown>) & Lengths {
  const { op, parts, wire } = anatomy;
  const none = parts.map(() => null);
  const run = (params: unknown, given: Tensor, options: Told & { readonly state?: unknown }): [Tensor, unknown] => {
    const x = options[CLEAN] ? given : maskFrames(op, given, options.lengths);
    const states = hasState ? anatomy.read('the state', options.state) : none;
    const pass = new Pass(anatomy, anatomy.read('the parameters', params), states, options, x);
    const result = wire ? wire(pass, x) : parts.reduce((value, _, i) => pass.next(i, value), x);
    checkTensor(op, 'the result', result);
    return [result, anatomy.gather(pass.states)];
  };
  const init = (random: Random, placement: InitOptions): unknown =>
    anatomy.gather(parts.map(([, stage]) => (typeof stage === 'function' ? null : stage.init(random, placement))));
  const outputLength: (length: number) => number =
    anatomy.outputLength ??
    ((length) =>
      parts.reduce((frames, [key, stage]) => {
        const next = lengthOut(stage, frames);
        if (wire && next !== frames)
          throw new ValueError(op, `'${key}' changes the lengths; give { outputLength } of the whole`);
        return next;
      }, length));
  const hasState = parts.some(([, stage]) => isStateful(stage));
  return hasState
    ? statefulLayer<unknown, unknown>(op, null, {
        init,
        initState: (placement) =>
          anatomy.gather(parts.map(([, stage]) => (isStateful(stage) ? stage.initState(placement) : null))),
        apply: (params, x, options) => {
          const [result, state] = run(params, x, options);
          return [result, isTraining(options) ? state : null];
        },
        outputLength,
      })
    : layer<unknown>(op, null, { init, apply: (params, x, options) => run(params, x, options)[0], outputLength });
}

/** Parts by name, whose parameters and states are objects of those names. */
export function named(op: string, parts: Readonly<Record<string, AnyStage>>): Anatomy {
  const entries = Object.entries(parts);
  const names = entries.map(([name]) => name);
  return {
    op,
    parts: entries,
    gather: (values) => Object.fromEntries(names.map((name, i) => [name, values[i]])),
    read: (what, tree) => {
      const gave = `what ${what === 'the state' ? 'initState' : 'init'} gave: { ${names.join(', ')} }`;
      if (!isPlainObject(tree)) throw new ValueError(op, `${what}: got ${describe(tree)}; must be ${gave}`);
      for (const name of names)
        if (!Object.hasOwn(tree, name)) throw new ValueError(op, `${what}: there is no '${name}'; must be ${gave}`);
      return names.map((name) => tree[name]);
    },
  };
}
