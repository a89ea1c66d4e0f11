import {
  DTypeError,
  gradCheck,
  image,
  random,
  scope,
  ShapeError,
  stack,
  tensor,
  type Tensor,
  ValueError,
} from 'tapegrad';
import { PNG } from 'pngjs';

/** Pixels to tensors, and images in other sizes and slants, against plain loops in float64. */

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const valuesOf = (x: Tensor): number[] => Array.from(x.dataSync());

function expectClose(given: Tensor, shape: number[], wanted: readonly number[], tolerance = 1e-6): void {
  expect(given.shape).toEqual(shape);
  valuesOf(given).forEach((value, i) => {
    if (!(Math.abs(value - wanted[i]!) <= tolerance)) throw new Error(`element ${i}: ${value}, not ${wanted[i]}`);
  });
  expect(given.size).toBe(wanted.length);
}

describe('fromPixels', () => {
  test.each([
    [1, bytes(0, 255, 51, 204), [0, 1, 0.2, 0.8]],
    [2, bytes(0, 255, 0, 0, 51, 255, 255, 51), [0, 1, 0.2, 1]],
    [3, bytes(255, 0, 0, 0, 255, 0, 0, 0, 255, 51, 51, 51), [0.299, 0.587, 0.114, 0.2]],
    [4, bytes(255, 0, 0, 255, 0, 255, 0, 51, 0, 0, 255, 0, 51, 51, 51, 255), [0.299, 0.8 + 0.2 * 0.587, 1, 0.2]],
  ])('%i channels become grey, on white', (channels, data, wanted) => {
    const own = { data, width: 2, height: 2 };
    const grey = image.fromPixels(own);
    expect(grey.dtype).toBe('float32');
    expectClose(grey, [2, 2, 1], wanted);
    // The three forms that decoders give.
    for (const same of [
      { data: new Uint8ClampedArray(data), width: 2, height: 2 },
      { data: Buffer.from(data), info: { format: 'raw', width: 2, height: 2, channels, size: data.length } },
      { ...own, channels, depth: 8 },
    ])
      expect(valuesOf(image.fromPixels(same))).toEqual(valuesOf(grey));
    expectClose(
      image.fromPixels(own, { invert: true }),
      [2, 2, 1],
      wanted.map((value) => 1 - value),
    );
  });

  test('colours are kept if asked for, grey in three channels too', () => {
    const data = bytes(255, 0, 51, 255, 0, 255, 0, 51);
    const wanted = [1, 0, 0.2, 0.8, 1, 0.8];
    expectClose(image.fromPixels({ data, width: 2, height: 1 }, { color: true }), [1, 2, 3], wanted);
    expectClose(
      image.fromPixels({ data: bytes(51, 255), width: 1, height: 2 }, { color: true, dtype: 'float64' }),
      [2, 1, 3],
      [0.2, 0.2, 0.2, 1, 1, 1],
      1e-15,
    );
  });

  test('white is 1 and black 0 to the last bit; every grey is the same in one channel, three and four', () => {
    const greys = Uint8Array.from({ length: 256 }, (_, i) => i);
    const rgba = Uint8Array.from(greys.length ? [...greys].flatMap((grey) => [grey, grey, grey, 255]) : []);
    for (const dtype of ['float32', 'float64'] as const) {
      const one = image.fromPixels({ data: greys, width: 256, height: 1 }, { dtype });
      const four = image.fromPixels({ data: rgba, width: 256, height: 1 }, { dtype });
      expect(valuesOf(one)).toEqual(valuesOf(four));
      expect([valuesOf(one)[0], valuesOf(one)[255]]).toEqual([0, 1]);
      const ink = valuesOf(image.fromPixels({ data: rgba, width: 256, height: 1 }, { dtype, invert: true }));
      expect([ink[0], ink[255]]).toEqual([1, 0]);
    }
  });

  test('16-bit numbers, floats, and another ground than white', () => {
    expectClose(
      image.fromPixels({ data: Uint16Array.of(0, 65_535, 13_107), width: 3, height: 1 }),
      [1, 3, 1],
      [0, 1, 0.2],
    );
    expectClose(image.fromPixels({ data: Float32Array.of(0.25, 1), width: 1, height: 2 }), [2, 1, 1], [0.25, 1]);
    expectClose(image.fromPixels({ data: bytes(255, 51), width: 1, height: 1 }, { background: 0 }), [1, 1, 1], [0.2]);
  });

  test('a PNG as pngjs decodes it', () => {
    const png = new PNG({ width: 3, height: 2 });
    png.data.set(Array.from({ length: 6 }, (_, i) => [10 * i, 10 * i, 10 * i, 255]).flat());
    const read = PNG.sync.read(PNG.sync.write(png));
    expectClose(
      image.fromPixels(read),
      [2, 3, 1],
      [0, 10, 20, 30, 40, 50].map((grey) => grey / 255),
    );
  });

  test('what is no picture is refused, and named', () => {
    const refuse = (pixels: unknown, kind: new (...args: never[]) => Error, text: RegExp): void => {
      const call = (): Tensor => image.fromPixels(pixels as never);
      expect(call).toThrow(kind);
      expect(call).toThrow(text);
    };
    refuse(null, ValueError, /^\[fromPixels\] the pixels are null/);
    refuse(bytes(1), ValueError, /typed array; they must be a decoded picture/);
    refuse({ data: [1, 2], width: 1, height: 2 }, DTypeError, /the data is an array/);
    refuse({ data: new Int8Array(2), width: 1, height: 2 }, DTypeError, /Int8Array/);
    refuse({ data: bytes(1, 2), width: 0, height: 2 }, ValueError, /width is 0/);
    refuse({ data: bytes(1, 2), width: 1, height: 1.5 }, ValueError, /height is 1.5/);
    refuse(
      { data: bytes(1, 2, 3), width: 1, height: 2 },
      ShapeError,
      /1 x 2 pixels of 1 to 4 channels are given with 3/,
    );
    refuse({ data: new Uint8Array(10), width: 1, height: 2 }, ShapeError, /with 10 numbers/);
    refuse(
      { data: bytes(1, 2), info: { width: 1, height: 1, channels: 1 } },
      ShapeError,
      /wrap the bytes in a Uint16Array/,
    );
    refuse({ data: bytes(1, 2), info: { width: 1, height: 1, channels: 5 } }, ValueError, /channels is 5/);
    refuse({ data: bytes(1), info: null }, ValueError, /info is null/);
    refuse({ data: Float32Array.of(1, NaN), width: 2, height: 1 }, ValueError, /number 1 of the data is NaN/);
    refuse({ data: bytes(0), width: 1, height: 1, palette: [[1, 2, 3]] }, ValueError, /palette/);
    const pixel = { data: bytes(0), width: 1, height: 1 };
    expect(() => image.fromPixels(pixel, { background: 2 })).toThrow(/background is 2/);
    expect(() => image.fromPixels(pixel, { dtype: 'int32' as never })).toThrow(DTypeError);
    expect(() => image.fromPixels(pixel, { grey: true } as never)).toThrow(/no option 'grey'; there are color/);
  });
});

/** Random weights of both signs. */
const cotangent = ([height, width]: readonly [number, number]): Tensor =>
  random(2).normal([height, width, 2], { dtype: 'float64' });

type Method = 'area' | 'bilinear';

/** How much a new position takes of an old one: by integration in small steps, and by the hat function. */
function weight(method: Method, from: number, to: number, i: number, j: number): number {
  const scale = from / to;
  if (method === 'area') return Math.max(0, Math.min(j + 1, (i + 1) * scale) - Math.max(j, i * scale)) / scale;
  const centre = Math.min(from - 1, Math.max(0, (i + 0.5) * scale - 0.5));
  return Math.max(0, 1 - Math.abs(centre - j));
}

function naiveResize(
  x: Tensor,
  [height, width]: readonly [number, number],
  methods: readonly [Method, Method],
): number[] {
  const [rows, columns, channels] = x.shape as [number, number, number];
  const data = x.dataSync();
  const result: number[] = [];
  for (let y = 0; y < height; y++)
    for (let at = 0; at < width; at++)
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let j = 0; j < rows; j++)
          for (let k = 0; k < columns; k++)
            sum +=
              weight(methods[0], rows, height, y, j) *
              weight(methods[1], columns, width, at, k) *
              data[(j * columns + k) * channels + c]!;
        result.push(sum);
      }
  return result;
}

const SIZES: [number, number][] = [
  [1, 1],
  [3, 7],
  [5, 2],
  [6, 9],
  [11, 4],
  [12, 18],
  [7, 9],
];

describe('resize', () => {
  const x = random(3).uniform([6, 9, 2], { dtype: 'float64' });

  test.each(SIZES)('to %i x %i, by every method', (height, width) => {
    const own = (from: number, to: number): Method => (to < from ? 'area' : 'bilinear');
    for (const method of [undefined, 'area', 'bilinear'] as const) {
      const methods = [method ?? own(6, height), method ?? own(9, width)] as const;
      const wanted = naiveResize(x, [height, width], methods);
      expectClose(image.resize(x, [height, width], { method }), [height, width, 2], wanted, 1e-14);
      expectClose(image.resize(x.cast('float32'), [height, width], { method }), [height, width, 2], wanted, 3e-7);
    }
  });

  test('area keeps the mean, whatever the sizes; both keep a plain surface', () => {
    const rng = random(8);
    for (let i = 0; i < 40; i++) {
      const [h, w, toH, toW] = [1, 2, 3, 4].map(() => rng.integer(1, 40)) as [number, number, number, number];
      const some = rng.uniform([h, w, 1], { dtype: 'float64' });
      expect(image.resize(some, [toH, toW], { method: 'area' }).mean().itemSync()).toBeCloseTo(
        some.mean().itemSync(),
        12,
      );
      for (const method of ['area', 'bilinear'] as const) {
        const plain = image.resize(some.mul(0).add(0.7), [toH, toW], { method });
        expectClose(plain, [toH, toW, 1], new Array<number>(toH * toW).fill(0.7), 1e-14);
      }
    }
  });

  test('has derivatives, of the second order too', () => {
    for (const size of [
      [3, 4],
      [8, 12],
      [2, 20],
    ] as const)
      gradCheck(
        (t: Tensor) => image.resize(t, size).mul(cotangent(size)).sin().sum(),
        [random(1).normal([5, 6, 2], { dtype: 'float64' })],
        { order: 2 },
      );
  });

  test('whole numbers become float32, float16 computes in float32', () => {
    const whole = tensor([[[0], [1]]], { dtype: 'int32' });
    expectClose(image.resize(whole, [1, 1]), [1, 1, 1], [0.5]);
    expect(image.resize(whole, [1, 2]).dtype).toBe('float32');
    expect(image.resize(whole.cast('float16'), [2, 2]).dtype).toBe('float32');
  });

  test('toHeight keeps the proportions, and at least one column', () => {
    expect(image.toHeight(x, 4).shape).toEqual([4, 6, 2]);
    expect(valuesOf(image.toHeight(x, 4))).toEqual(valuesOf(image.resize(x, [4, 6])));
    expect(image.toHeight(random(1).uniform([100, 2, 1]), 10).shape).toEqual([10, 1, 1]);
    expect(image.toHeight(x, 6)).toBe(x); // nothing to do
    const lines = [30, 64].map((height) => image.toHeight(random(2).uniform([height, 2 * height, 1]), 16));
    expect(stack(lines).shape).toEqual([2, 16, 32, 1]); // a batch for conv2d
  });

  test('refusals', () => {
    expect(() => image.resize(x, [0, 3])).toThrow('[resize] the height is 0');
    expect(() => image.resize(x, [3] as never)).toThrow('[resize] the size has 1 numbers');
    expect(() => image.resize(x.sum(2), [3, 3])).toThrow(
      '[resize] the image is [6, 9]; it must be [height, width, channels]',
    );
    expect(() => image.resize(x, [3, 3], { method: 'cubic' as never })).toThrow(
      "no method 'cubic'; there are area, bilinear",
    );
    expect(() => image.toHeight(random(1).uniform([1, 9, 1]), 2 ** 20)).toThrow('[toHeight] the image would be');
  });
});

function naiveShear(x: Tensor, slant: number, fill: number): { width: number; values: number[] } {
  const [rows, columns, channels] = x.shape as [number, number, number];
  const data = x.dataSync();
  const width = columns + Math.ceil(Math.abs(slant) * (rows - 1));
  const at = (y: number, column: number, c: number): number =>
    column < 0 || column >= columns ? fill : data[(y * columns + column) * channels + c]!;
  const values: number[] = [];
  for (let y = 0; y < rows; y++)
    for (let to = 0; to < width; to++)
      for (let c = 0; c < channels; c++) {
        const place = to - Math.abs(slant) * (slant > 0 ? rows - 1 - y : y);
        const left = Math.floor(place);
        values.push((1 - (place - left)) * at(y, left, c) + (place - left) * at(y, left + 1, c));
      }
  return { width, values };
}

describe('shear', () => {
  const x = random(4).uniform([5, 4, 2], { dtype: 'float64' });

  test.each([0.25, -0.25, 0.3, -0.7, 1, -2, 3.6, 1e-6])('by %f columns a row', (slant) => {
    for (const fill of [0, 0.4]) {
      const { width, values } = naiveShear(x, slant, fill);
      expectClose(image.shear(x, slant, { fill }), [5, width, 2], values, 1e-14);
    }
  });

  test('no slant changes nothing; no ink is lost', () => {
    expect(image.shear(x, 0)).toBe(x);
    expect(image.shear(x, 0.37).sum().itemSync()).toBeCloseTo(x.sum().itemSync(), 12);
    expect(image.shear(random(1).uniform([1, 4, 1]), 5).shape).toEqual([1, 4, 1]);
  });

  test('has derivatives', () => {
    const sides = cotangent([5, 7]);
    const f = (t: Tensor): Tensor => image.shear(t, -0.6, { fill: 0.2 }).mul(sides).sin().sum();
    gradCheck(f, [x], { order: 2 });
  });

  test('refusals', () => {
    expect(() => image.shear(x, NaN)).toThrow('[shear] slant is NaN');
    expect(() => image.shear(x, 1e9)).toThrow('columns wide');
    expect(() => image.shear(x, 1, { fill: Infinity })).toThrow('[shear] fill is Infinity');
  });
});

describe('noise and augment', () => {
  const x = random(5).uniform([16, 60, 1]);

  test('noise has the deviation asked for, and is decided by the seed', () => {
    const big = random(6).uniform([100, 200, 1]);
    const added = image.noise(big, random(1), { std: 0.2 }).sub(big);
    expect(Math.abs(added.mean().itemSync())).toBeLessThan(0.01);
    expect(Math.sqrt(added.variance().itemSync())).toBeCloseTo(0.2, 2);
    expect(valuesOf(image.noise(x, random(2)))).toEqual(valuesOf(image.noise(x, random(2))));
    expect(valuesOf(image.noise(x, random(2)))).not.toEqual(valuesOf(image.noise(x, random(3))));
    expect(image.noise(x.cast('float64'), random(1)).dtype).toBe('float64');
    expect(() => image.noise(x, random(1), { std: -1 })).toThrow('[noise] std is -1');
  });

  test('augment keeps the height, stays within its bounds, and is decided by the seed', () => {
    const widths = Array.from({ length: 60 }, (_, seed) => image.augment(x, random(seed)).shape);
    for (const [height, width, channels] of widths) {
      expect([height, channels]).toEqual([16, 1]);
      expect(width).toBeGreaterThanOrEqual(54);
      expect(width).toBeLessThanOrEqual(66 + 3);
    }
    expect(new Set(widths.map(([, width]) => width)).size).toBeGreaterThan(6);
    expect(valuesOf(image.augment(x, random(9)))).toEqual(valuesOf(image.augment(x, random(9))));
    const nothing = { slant: 0, stretch: 0, noise: 0 };
    expect(valuesOf(image.augment(x, random(9), nothing))).toEqual(valuesOf(x));
  });

  test('what it does to one image does not depend on its options for another part of it', () => {
    const [one, other] = [random(1), random(1)];
    image.augment(x, one, { slant: 0, stretch: 0 });
    image.augment(x, other, { noise: 0, stretch: 0, slant: 0 });
    expect(one.state).toEqual(other.state);
  });

  test('within a scope nothing but the result is left', () => {
    const seen = scope(() => image.augment(x, random(3)));
    expect(valuesOf(seen)).toEqual(valuesOf(image.augment(x, random(3))));
  });

  test('refusals', () => {
    expect(() => image.augment(x, random(1), { stretch: 1 })).toThrow('[augment] stretch is 1; it must be below 1');
    expect(() => image.augment(x, random(1), { slant: -1 })).toThrow('[augment] slant is -1');
    expect(() => image.augment(x, 3 as never)).toThrow('[augment] the source of randomness is 3');
  });
});
