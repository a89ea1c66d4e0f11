/** Ops with kernels of one's own, through the public interface only. */
import {
  defineOp,
  device,
  DeviceError,
  grad,
  gradCheck,
  type Kernel,
  type KernelCall,
  mul,
  random,
  registerKernel,
  scope,
  sum,
  tensor,
  type Tensor,
  UnsupportedOpError,
  valueAndGrad,
  ValueError,
} from 'tapegrad';
import { MetalBackend } from '../../src/backends/metal/backend.js';
import { remoteDevice } from '../devices.js';
import { metalTests, softLibrary } from '../metal/harness.js';

const declare = (name: string): Kernel => ({
  name,
  family: name,
  inputs: ['x', 'y'],
  outputs: ['out'],
  types: { x: ['float32', 'int32'], y: 'x', out: 'x' },
  params: { size: 'u32', weights: 'i32x8', scale: 'f32' },
});

/** out = scale * x * y + weights[i % 8] */
const compute = ({ inputs: [x, y], outputs: [out], params }: KernelCall): void => {
  for (let i = 0; i < out!.length; i++)
    out![i] = (params.scale as number) * x![i]! * y![i]! + ((params.weights as readonly number[])[i % 8] ?? 0);
};

const inMetal = (name: string): string => `#include "math.metal"
struct OwnParams { uint size; int4 weights[2]; float scale; };
kernel void ${name}(device const IN *x [[buffer(0)]], device const IN *y [[buffer(1)]], device OUT *out [[buffer(2)]],
                    constant OwnParams &p [[buffer(3)]], uint index [[thread_position_in_grid]], uint threads [[threads_per_grid]]) {
  for (uint i = index; i < p.size; i += threads)
    out[i] = OUT(p.scale * float(x[i]) * float(y[i])) + OUT(p.weights[i % 8 / 4][i % 4]);
}`;

const WEIGHTS = [1, -2, 3, 0, 5, 0, -7, 8];

function define(kernel: Kernel): (x: Tensor, y: Tensor) => Tensor {
  const op = defineOp<null>({
    name: kernel.name,
    infer: ([x]) => ({ shape: x!.shape, dtype: x!.dtype }),
    run: (call, [x]) => {
      const { inputs, outputs } = call;
      const params = { size: x!.size, weights: WEIGHTS, scale: 1.5 };
      call.launch({ kernel, inputs, outputs, params, grid: x!.size });
    },
    vjp: (g, { inputs: [x, y] }) => [mul(g, mul(1.5, y!)), mul(g, mul(1.5, x!))],
  });
  return (x, y) => op([x, y], null);
}

const kernel = declare('ownBilinear');
registerKernel('cpu', kernel, compute);
const bilinear = define(kernel);

const expected = (x: Tensor, y: Tensor): number[] =>
  Array.from(x.dataSync(), (v, i) => 1.5 * v * y.dataSync()[i]! + WEIGHTS[i % 8]!);

test('a new op computes in every dtype, in and out of scopes and transforms', async () => {
  const [x, y] = [random(1).normal([3, 5]), random(2).normal([3, 5])];
  const close = (got: ArrayLike<number>, digits: number): void => {
    expected(x, y).forEach((value, i) => {
      expect(got[i]).toBeCloseTo(value, digits);
    });
  };
  close(bilinear(x, y).dataSync(), 6);
  close(scope(() => bilinear(x, y).mul(1)).dataSync(), 6);
  close(bilinear(x.cast('float64'), y.cast('float64')).dataSync(), 6);
  const half = bilinear(x.cast('float16'), y.cast('float16'));
  expect(half.dtype).toBe('float16');
  close(half.dataSync(), 1);
  const ints = bilinear(tensor([2, -4], { dtype: 'int32' }), tensor([4, 6], { dtype: 'int32' }));
  expect(Array.from(ints.dataSync())).toEqual([13, -38]);
  expect(bilinear(tensor([], { shape: [0] }), tensor([], { shape: [0] })).size).toBe(0);
  // Contents that are on their way are waited for.
  const back = bilinear(x.to(await remoteDevice()).to(await device('cpu')), y);
  close(await back.data(), 6);
});

test('it is differentiated to second order', () => {
  const x = random(3).normal([4]).cast('float64');
  const f = (t: Tensor): Tensor => sum(bilinear(t, t.tanh()).square());
  gradCheck(f, [x], { order: 2 });
  const [value, gradient] = valueAndGrad((t: Tensor) => bilinear(t, t).sum())(tensor([1, 2]));
  expect([value.itemSync(), ...gradient.dataSync()]).toEqual([6.5, 3, 6]);
});

test('wrong registrations are refused', () => {
  const own = declare('refused');
  expect(() => {
    registerKernel('cpu', kernel, compute);
  }).toThrow(new ValueError('registerKernel', "kernel 'ownBilinear' is registered for 'cpu' already"));
  const register = registerKernel as (...args: unknown[]) => void;
  const wrong: [args: unknown[], Error][] = [
    [['gpu', own, compute], new DeviceError('registerKernel', "no device 'gpu'; there are 'cpu', 'metal'")],
    [[3, own, compute], new DeviceError('registerKernel', "no device 3; there are 'cpu', 'metal'")],
    [
      ['cpu', own, 'kernel void'],
      new ValueError('registerKernel', "kernel 'refused' for 'cpu' is a string; it must be a function"),
    ],
    [
      ['metal', own, compute],
      new ValueError('registerKernel', "kernel 'refused' for 'metal' is a function; it must be the text of the kernel"),
    ],
  ];
  for (const [args, error] of wrong) {
    expect(() => {
      register(...args);
    }).toThrow(error.constructor as new () => Error);
    expect(() => {
      register(...args);
    }).toThrow(/^\[registerKernel\] /);
  }
  const many = { ...own, inputs: ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'] };
  expect(() => {
    register('metal', many, 'kernel void');
  }).toThrow(
    new ValueError(
      'registerKernel',
      "kernel 'refused' has 9 buffers; on a GPU it may have 8, inputs and outputs together",
    ),
  );
  const wide = { ...own, params: Object.fromEntries(Array.from({ length: 1025 }, (_, i) => [`p${i}`, 'u32'])) };
  expect(() => {
    register('metal', wide, 'kernel void');
  }).toThrow(
    new ValueError('registerKernel', "kernel 'refused' has 4112 bytes of parameters; on a GPU it may have 4096"),
  );
  for (const nothing of [undefined, null, 'own', {}, { ...own, inputs: 'x' }])
    expect(() => {
      register('cpu', nothing, compute);
    }).toThrow('is no declaration of a kernel; it needs name, family, inputs, outputs and params');
});

metalTests('kernels of one’s own on metal', () => {
  let metal: MetalBackend;
  beforeAll(async () => {
    metal = await MetalBackend.open(softLibrary);
  });
  afterAll(() => {
    metal.close();
  });

  test('without a text the op is unsupported; with one, also a late one, it runs', async () => {
    const late = declare('lateBilinear');
    registerKernel('cpu', late, compute);
    const op = define(late);
    const [x, y] = [random(1).normal([3, 5]), random(2).normal([3, 5])];
    const [there, other] = [x.to(metal), y.to(metal)];
    expect(() => op(there, other)).toThrow(UnsupportedOpError);
    expect(() => op(there, other)).toThrow("[lateBilinear] has no float32 kernel on device 'metal'");
    registerKernel('metal', late, inMetal('lateBilinear'));
    const close = (got: ArrayLike<number>, want: ArrayLike<number>): void => {
      Array.from(want).forEach((value, i) => {
        expect(Math.abs(got[i]! - value)).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(value)));
      });
    };
    close(await op(there, other).data(), expected(x, y));
    const f = (t: Tensor, u: Tensor): Tensor =>
      grad((v: Tensor) => op(v, u).square().sum())(t)
        .square()
        .sum();
    close(await grad(f)(there, other).data(), grad(f)(x, y).dataSync());
    const ints = op(tensor([2, -4], { dtype: 'int32' }).to(metal), tensor([4, 6], { dtype: 'int32' }).to(metal));
    expect(Array.from(await ints.data())).toEqual([13, -38]);
    expect(() => op(there.greater(0), other.greater(0))).toThrow("has no bool kernel on device 'metal'");
  });

  test('a text that does not compile names the op', () => {
    const broken = declare('brokenBilinear');
    registerKernel('metal', broken, 'kernel void brokenBilinear(');
    expect(() => define(broken)(tensor([1]).to(metal), tensor([1]).to(metal))).toThrow(
      /^\[brokenBilinear\] on device 'metal': a kernel does not compile: /,
    );
  });
});
