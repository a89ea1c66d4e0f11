import {
  customVjp,
  defineOp,
  grad,
  gradCheck,
  GradientError,
  type Kernel,
  memory,
  mul,
  ShapeError,
  square,
  tensor,
  type Tensor,
  UnsupportedOpError,
  ValueError,
} from 'tapegrad';

const f64 = (data: number | number[]): Tensor => tensor(data, { dtype: 'float64' });

afterEach(() => {
  expect(memory().scopes).toBe(0);
});

describe('customVjp', () => {
  test('replaces the derivative, is differentiable again and names itself', () => {
    const cube = customVjp(
      (x: Tensor) => x.pow(3),
      (g, [x]) => [g.mul(x.square()).mul(30)],
    ); // ten times too steep
    expect(cube(f64(2)).itemSync()).toBe(8);
    expect(grad(cube)(f64(2)).itemSync()).toBe(120);
    expect(grad(grad(cube))(f64(2)).itemSync()).toBe(120);
  });

  test('sees its inputs and its result', () => {
    const root = customVjp(
      (x: Tensor) => x.sqrt(),
      (g, _inputs, y) => [g.div(y.mul(2))],
    );
    gradCheck(root, [f64([0.5, 2, 3])], { order: 2 });
  });

  test('several inputs, null for none', () => {
    const product = customVjp(
      (a: Tensor, b: Tensor) => a.mul(b),
      (g, [, b]) => [g.mul(b), null],
    );
    const [da, db] = grad((a: Tensor, b: Tensor) => product(a, b).sum(), { argnums: [0, 1] })(f64([2, 3]), f64([5, 7]));
    expect([da.arraySync(), db.arraySync()]).toEqual([
      [5, 7],
      [0, 0],
    ]);
  });

  test('the identity with another derivative', () => {
    const reversed = customVjp(
      (x: Tensor) => x,
      (g) => [g.neg()],
    );
    expect(grad((x: Tensor) => reversed(x).mul(3).sum())(f64([1, 2])).arraySync()).toEqual([-3, -3]);
  });

  test("a cotangent of another float type is brought to the input's", () => {
    const wide = customVjp(
      (x: Tensor) => x.mul(2),
      (g) => [g.cast('float64').mul(2)],
    );
    const gradient = grad((x: Tensor) => wide(x).sum())(tensor([1]));
    expect([gradient.dtype, gradient.arraySync()]).toEqual(['float32', [2]]);
  });

  test('wrong cotangents are refused', () => {
    const bad = (parts: (g: Tensor) => (Tensor | null)[]): (() => unknown) => {
      const halved = customVjp(function halved(x: Tensor) {
        return x.mul(0.5);
      }, parts);
      return () => grad((x: Tensor) => halved(x).sum())(f64([1, 2]));
    };
    expect(bad(() => [])).toThrow('[halved] the vjp gave 0 cotangents for 1 inputs');
    expect(bad((g) => [g, g])).toThrow('[halved] the vjp gave 2 cotangents for 1 inputs');
    expect(bad((g) => [g.sum()])).toThrow('[halved] its vjp gave input 0, which is [2], a cotangent of shape []');
    expect(bad((g) => [g.reshape([1, 2])])).toThrow(GradientError);
  });

  test('closing over a differentiated tensor would lose its gradient, and is refused', () => {
    const lossy = (w: Tensor): ((x: Tensor) => Tensor) =>
      customVjp(
        (x: Tensor) => x.mul(w),
        (g) => [g.mul(w)],
      );
    expect(() => grad((w: Tensor) => lossy(w)(w).sum())(f64([1]))).toThrow(
      'the function closes over a tensor that is being differentiated, and the vjp gives it no cotangent: pass that tensor as an input',
    );
    expect(grad((x: Tensor) => lossy(f64([3]))(x).sum())(f64([1])).arraySync()).toEqual([3]);
  });
});

describe('defineOp', () => {
  const kernel: Kernel = {
    name: 'testCube',
    family: 'elementwise',
    inputs: ['x'],
    outputs: ['out'],
    params: { size: 'u32', rank: 'u32', shape: 'u32x8', xStrides: 'i32x8', yStrides: 'i32x8', zStrides: 'i32x8' },
    elementwise: {
      code: 'x > 0 && !(x != x) ? x * x * x : -abs(x) * pow(x, 2)',
      arity: 1,
      result: 'number',
      operands: ['number'],
    },
  };
  const apply = defineOp<null>({
    name: 'testCube',
    infer: ([x]) => ({ shape: x!.shape, dtype: x!.dtype }),
    run: (call, [x]) =>
      call.launch({
        kernel,
        inputs: call.inputs,
        outputs: call.outputs,
        params: { size: x!.size, rank: 1, shape: [x!.size], xStrides: [1], yStrides: [0], zStrides: [0] },
        grid: x!.size,
      }),
    vjp: (g, { inputs: [x] }) => [mul(g, mul(3, square(x!)))],
  });
  const cube = (x: Tensor): Tensor => apply([x], null);

  test("an op of one's own computes, on every float type, and differentiates", () => {
    for (const dtype of ['float32', 'float64', 'float16', 'bfloat16'] as const)
      expect([cube(tensor([2, -3], { dtype })).dtype, cube(tensor([2, -3], { dtype })).arraySync()]).toEqual([
        dtype,
        [8, -27],
      ]);
    expect(cube(tensor([], { shape: [0, 2] })).shape).toEqual([0, 2]);
    gradCheck(cube, [f64([0.5, -1.5])], { order: 3 });
    expect(grad((x: Tensor) => cube(x).sum())(tensor([2, -3])).arraySync()).toEqual([12, 27]);
  });

  test('refuses a second op of the name, and one that computes nothing', () => {
    const spec = { name: 'testCube', infer: ([x]: readonly Tensor[]) => x!, run: () => undefined };
    expect(() => defineOp<null>(spec)).toThrow(ValueError);
    expect(() => defineOp<null>(spec)).toThrow("[defineOp] an op named 'testCube' exists already");
    expect(() => defineOp<null>({ name: 'testIdle', infer: ([x]) => x! })).toThrow(
      "[defineOp] op 'testIdle' has no run(): nothing would compute its result",
    );
  });

  test('a kernel that the device does not have is an error, not a detour', () => {
    const absent = defineOp<null>({
      name: 'testAbsent',
      infer: ([x]) => x!,
      run: (call) => {
        call.launch({
          kernel: { name: 'testAbsentKernel', family: 'none', inputs: ['x'], outputs: ['out'], params: {} },
          inputs: call.inputs,
          outputs: call.outputs,
          params: {},
          grid: 1,
        });
      },
    });
    expect(() => absent([tensor([1])], null)).toThrow(UnsupportedOpError);
    expect(() => absent([tensor([1])], null)).toThrow("[testAbsent] has no float32 kernel on device 'cpu'");
    expect(() => grad((x: Tensor) => absent([x], null).sum())(tensor([1]))).toThrow(UnsupportedOpError);
  });

  test('a vjp with a cotangent of the wrong shape is refused, not summed or stretched', () => {
    const wrong = defineOp<null>({
      name: 'testWrongShape',
      infer: ([x]) => ({ shape: [], dtype: x!.dtype }),
      run: (call) => {
        call.launch({
          kernel: { name: 'sum', family: 'reduce', inputs: ['x'], outputs: ['out'], params: {} },
          inputs: call.inputs,
          outputs: call.outputs,
          params: { outer: 1, axis: 2, inner: 1 },
          grid: 1,
        });
      },
      vjp: (g) => [g],
    });
    expect(wrong([tensor([1, 2])], null).itemSync()).toBe(3);
    expect(() => grad((x: Tensor) => wrong([x], null))(tensor([1, 2]))).toThrow(
      '[testWrongShape] its vjp gave input 0, which is [2], a cotangent of shape []',
    );
    expect(new ShapeError('a', 'b').message).toBe('[a] b');
  });
});
