import {
  arange,
  cast,
  concat,
  conv2d,
  customVjp,
  type DType,
  DTypeError,
  dropout,
  embedding,
  eye,
  full,
  grad,
  GradientError,
  layerNorm,
  matmul,
  maxPool2d,
  memory,
  oneHot,
  ones,
  pad,
  random,
  ShapeError,
  softmax,
  stack,
  tensor,
  type Tensor,
  type TapegradError,
  ValueError,
  zeros,
} from 'tapegrad';

/** What a caller without types gets wrong must still be a typed error that says what is wanted. */
const loose = <T>(value: unknown): T => value as T;
const matrix = tensor([
  [1, 2],
  [3, 4],
]);

afterEach(() => {
  expect(memory().scopes).toBe(0);
});

describe('callers without types', () => {
  test.each<[string, () => unknown, new (...args: never[]) => TapegradError, string]>([
    [
      'a number for a shape',
      () => zeros(loose(3)),
      ShapeError,
      '[zeros] the shape is 3; it must be an array of numbers',
    ],
    [
      'dimensions one by one',
      () => (matrix as unknown as { reshape: (...dims: number[]) => Tensor }).reshape(4, 1),
      ShapeError,
      '[reshape] the shape is 4; it must be an array',
    ],
    [
      'axes one by one',
      () => matrix.permute(loose(1)),
      ShapeError,
      '[permute] the order is 1; it must be an array of numbers',
    ],
    [
      'tensors one by one',
      () => concat(loose(matrix)),
      ShapeError,
      '[concat] the tensors to join come in an array: concat([a, b])',
    ],
    [
      'tensors one by one, stacked',
      () => stack(loose(matrix)),
      ShapeError,
      '[stack] the tensors to join come in an array: stack([a, b])',
    ],
    [
      'a dtype that does not exist',
      () => tensor([1], { dtype: loose<DType>('float') }),
      DTypeError,
      "[tensor] there is no dtype 'float'; there are bool, int32, float16, bfloat16, float32, float64",
    ],
    [
      'the same for full',
      () => full([1], 0, { dtype: loose<DType>('f32') }),
      DTypeError,
      "[full] there is no dtype 'f32'",
    ],
    ['the same for eye', () => eye(2, 2, { dtype: loose<DType>('f32') }), DTypeError, "[eye] there is no dtype 'f32'"],
    [
      'a dtype in the place of the options',
      () => zeros([2], loose('int32')),
      ValueError,
      "[zeros] the options are the text 'int32'; write { dtype: 'int32' }",
    ],
    [
      'the same for arange',
      () => arange(0, 1, 0.5, loose('float64')),
      ValueError,
      "[arange] the options are the text 'float64'",
    ],
    ['the same for eye, two', () => eye(2, loose('int32')), ValueError, "[eye] the options are the text 'int32'"],
    [
      'the same for oneHot',
      () => oneHot([1], 2, loose('int32')),
      ValueError,
      "[oneHot] the options are the text 'int32'",
    ],
    [
      'dimensions of zeros one by one',
      () => (zeros as unknown as (...dims: number[]) => Tensor)(2, 3),
      ShapeError,
      '[zeros] the shape is 2; it must be an array of numbers',
    ],
    [
      'an option of another function',
      () => ones([2], loose({ shape: [3] })),
      ValueError,
      "[ones] there is no option 'shape'; there are dtype, device",
    ],
    [
      'a misspelt option',
      () => random(0).normal([2], loose({ sigma: 3 })),
      ValueError,
      "[normal] there is no option 'sigma'; there are mean, std, dtype, device",
    ],
    ['numbers too many', () => (arange as (...all: number[]) => Tensor)(0, 1, 2, 3), ValueError, '[arange] 4 numbers'],
    [
      'the value of padding by position',
      () =>
        pad(
          matrix,
          [
            [1, 1],
            [0, 0],
          ],
          loose(7),
        ),
      ValueError,
      '[pad] the options are 7; they must be an object: { value }',
    ],
    ['the same for cast', () => cast(matrix, loose<DType>('double')), DTypeError, "[cast] there is no dtype 'double'"],
    [
      'an array for a tensor',
      () => softmax(loose([1, 2])),
      DTypeError,
      'x is an array, not a tensor; write tensor(data)',
    ],
    ['an array for a matrix', () => matmul(matrix, loose([[1], [2]])), DTypeError, 'b is an array, not a tensor'],
    [
      'argnums as text',
      () => grad((x: Tensor) => x.sum(), { argnums: loose<number>('0') })(matrix),
      GradientError,
      "[grad] argnums is '0'; it must be a position or an array of positions",
    ],
    [
      'two results of a function with a vjp',
      () =>
        customVjp(
          function twins(x: Tensor) {
            return loose<Tensor>([x, x]);
          },
          (g) => [g],
        )(matrix),
      GradientError,
      '[twins] the function returned an array; it must return one tensor',
    ],
    [
      'padding that int32 cannot hold',
      () => pad(tensor([1], { dtype: 'int32' }), [[1, 0]], { value: 2 ** 40 }),
      DTypeError,
      '[pad] value 1099511627776 in a tensor of int32',
    ],
    [
      'padding that bool cannot hold',
      () => pad(tensor([true]), [[1, 0]], { value: 2 }),
      DTypeError,
      '[pad] value 2 in a tensor of bool',
    ],
  ])('%s', (_, run, error, message) => {
    expect(run).toThrow(error);
    expect(run).toThrow(message);
  });

  test.each<[string, () => unknown, string]>([
    [
      'a negative eps',
      () => layerNorm(matrix, { eps: -1 }),
      '[layerNorm] eps is -1; it must be finite and not negative',
    ],
    [
      'a correction above the count',
      () => matrix.variance(0, { correction: 3 }),
      '[variance] correction 3 for 2 elements; it must be in [0, 2]',
    ],
    ['a negative correction', () => matrix.variance(0, { correction: -1 }), '[variance] correction -1'],
    [
      'a deviation that is no number',
      () => random(0).normal([2], { std: NaN }),
      '[normal] mean 0 and deviation NaN: both must be finite',
    ],
  ])('numbers that would end in nonsense: %s', (_, run, message) => {
    expect(run).toThrow(ValueError);
    expect(run).toThrow(message);
  });
});

test('every op of one tensor and more is a method as well', () => {
  const image = random(1).normal([1, 4, 4, 2]);
  const weight = random(2).normal([3, 2, 2, 2]);
  const ids = tensor([1, 0, 1], { dtype: 'int32' });
  const pairs: [Tensor, Tensor][] = [
    [matrix.concat([matrix], 1), concat([matrix, matrix], 1)],
    [matrix.stack([matrix], -1), stack([matrix, matrix], -1)],
    [ids.oneHot(2), oneHot(ids, 2)],
    [matrix.embedding(ids), embedding(matrix, ids)],
    [image.conv2d(weight, { stride: 2 }), conv2d(image, weight, { stride: 2 })],
    [image.maxPool2d(2), maxPool2d(image, 2)],
    [matrix.layerNorm({ eps: 1e-3 }), layerNorm(matrix, { eps: 1e-3 })],
    [matrix.dropout(0.5, random(3)), dropout(matrix, 0.5, random(3))],
  ];
  for (const [method, fn] of pairs) {
    expect(method.shape).toEqual(fn.shape);
    expect(method.arraySync()).toEqual(fn.arraySync());
  }
  const missing = ['conv1d', 'avgPool2d', 'unfold'].filter(
    (name) => typeof (matrix as unknown as Record<string, unknown>)[name] !== 'function',
  );
  expect(missing).toEqual([]);
});
