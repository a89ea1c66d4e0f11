import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { grad, GradientError, mapTensors, ones, relu, tensor, type Tensor, valueAndGrad } from 'tapegrad';

const loose = <T>(value: unknown): T => value as T;

interface Row {
  source: string;
  program: string;
  expected: Record<string, unknown>;
  atol: number;
}
const file = JSON.parse(readFileSync(join(__dirname, '..', 'peer', 'peer_cases.json'), 'utf8')) as {
  cases: { kind: string; rows: Row[] }[];
};
const rows = file.cases.find(({ kind }) => kind === 'autodiff')!.rows;

/** The recorded numbers of a program, found by its beginning, so that a changed file cannot silently drop a case. */
function row(start: string): { expected: Record<string, unknown>; atol: number } {
  const found = rows.filter(({ program }) => program.startsWith(start));
  expect(found).toHaveLength(1);
  return found[0]!;
}

const scalar = (value: number): Tensor => tensor(value, { dtype: 'float64' });
const plain = (tree: unknown): unknown => mapTensors((t) => t.arraySync(), tree);

test('every recorded program is covered here', () => {
  expect(rows).toHaveLength(7);
});

test('micrograd: more ops', () => {
  const { expected, atol } = row('a=-4,b=2');
  const [g, [da, db]] = valueAndGrad(
    (a: Tensor, b: Tensor) => {
      let c = a.add(b);
      let d = a.mul(b).add(b.pow(3));
      c = c.add(c).add(1);
      c = c.add(1).add(c).sub(a);
      d = d.add(d.mul(2)).add(relu(b.add(a)));
      d = d.add(d.mul(3)).add(relu(b.sub(a)));
      const f = c.sub(d).square();
      return f.div(2).add(tensor(10, { dtype: 'float64' }).div(f));
    },
    { argnums: [0, 1] },
  )(scalar(-4), scalar(2));
  for (const [name, t] of Object.entries({ g, da, db }))
    expect(Math.abs(t.itemSync() - (expected[name] as number))).toBeLessThanOrEqual(atol);
});

test('micrograd: sanity check', () => {
  const { expected, atol } = row('x=-4; z=2x+2+x');
  const [y, dx] = valueAndGrad((x: Tensor) => {
    const z = x.mul(2).add(2).add(x);
    const q = relu(z).add(z.mul(x));
    return relu(z.mul(z)).add(q).add(q.mul(x));
  })(scalar(-4));
  for (const [name, t] of Object.entries({ y, dx }))
    expect(Math.abs(t.itemSync() - (expected[name] as number))).toBeLessThanOrEqual(atol);
});

test('MLX: x * x and its derivatives up to the third', () => {
  const { expected } = row('f(x)=x*x at 0.5');
  const f = (x: Tensor): Tensor => x.mul(x);
  const x = tensor(0.5);
  expect({
    value: f(x).itemSync(),
    d1: grad(f)(x).itemSync(),
    d2: grad(grad(f))(x).itemSync(),
    d3: grad(grad(grad(f)))(x).itemSync(),
  }).toEqual(expected);
});

test('MLX: trees', () => {
  const first = row('valueAndGrad(p => p.x*p.y)').expected;
  const [value, gradient] = valueAndGrad((p: { x: Tensor; y: Tensor }) => p.x.mul(p.y))({
    x: tensor(0.5),
    y: tensor(2),
  });
  expect({ value: value.itemSync(), grad: plain(gradient) }).toEqual(first);

  const second = row('valueAndGrad((p,b)').expected;
  const [deep, inner] = valueAndGrad((p: { foo: [unknown[], unknown[], Tensor] }[], b: Tensor) =>
    p[0]!.foo[2].square().mul(b),
  )([{ foo: [[], [], tensor(2)] }], tensor(0.5));
  expect({ value: deep.itemSync(), grad: plain(inner) }).toEqual(second);
});

test('MLX: what is refused', () => {
  expect(row('throws: argnums').expected).toBe('throws');
  const f = (x: Tensor): Tensor => x.mul(2).sum();
  const one = tensor([1, 2]);
  const anything = f as (...args: unknown[]) => Tensor;
  expect(() => grad(anything, { argnums: 1 })(one)).toThrow(GradientError);
  expect(() => grad(anything, { argnums: -1 })(one)).toThrow(GradientError);
  expect(() => grad(anything, { argnums: [0, 0] })(one)).toThrow(GradientError);
  expect(() => grad(anything, { argnums: [] as number[] })(one)).toThrow(GradientError);
  expect(() => grad(anything)('one')).toThrow(GradientError);
  expect(() => grad((x: Tensor) => x.mul(2))(one)).toThrow(GradientError);
  expect(() => grad(loose<(x: Tensor) => Tensor>((x: Tensor) => [f(x), x]))(one)).toThrow(GradientError);
});

test('MLX: auxiliary values', () => {
  const { expected } = row('f(x,y)=(sum(x*y)');
  const [[value, aux], gradient] = valueAndGrad(
    (x: Tensor, y: Tensor) => [x.mul(y).sum(), { note: 'kept', list: [x.sum(), 7] }] as const,
    { hasAux: true },
  )(ones([2, 2]), ones([2, 2]));
  expect({ value: value.itemSync(), grad: plain(gradient) }).toEqual(expected);
  expect(plain(aux)).toEqual({ note: 'kept', list: [4, 7] });
});
