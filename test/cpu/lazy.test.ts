import {
  ctcLoss,
  grad,
  logSoftmax,
  memory,
  random,
  scope,
  softmax,
  tensor,
  type Tensor,
  valueAndGrad,
  vjp,
} from 'tapegrad';

/** logSoftmax is computed when something reads it; nobody may be able to tell. */

const x = random(1).normal([6, 2, 4]);
const eager = logSoftmax(x).dataSync();
const same = (t: Tensor): void => {
  expect([...t.dataSync()]).toEqual([...eager]);
};

test('read inside a transform, and returned from it', () => {
  const [[, aux]] = valueAndGrad(
    (t: Tensor) => {
      const p = logSoftmax(t);
      same(p);
      const q = logSoftmax(t);
      return [q.mul(2).sum(), { p, q, unread: logSoftmax(t), view: logSoftmax(t).reshape([12, 4]) }] as const;
    },
    { hasAux: true },
  )(x);
  for (const t of Object.values(aux)) same(t);
});

test('never read: the gradient of ctcLoss is that of the logits', () => {
  const targets = [[1, 2], [3]];
  const [loss, gradient] = valueAndGrad((t: Tensor) => ctcLoss(logSoftmax(t), targets).sum())(x);
  const direct = valueAndGrad((t: Tensor) => ctcLoss(t, targets, undefined, undefined, { from: 'logits' }).sum())(x);
  expect(loss.itemSync()).toBe(direct[0].itemSync());
  expect([...gradient.dataSync()]).toEqual([...direct[1].dataSync()]);
});

test('the backward pass reads it', () => {
  const [, gradient] = vjp(
    (t: Tensor) => logSoftmax(t),
    x,
    tensor(
      new Float32Array(48).map((_, i) => Math.sin(i)),
      { shape: [6, 2, 4] },
    ),
  );
  const g = tensor(
    new Float32Array(48).map((_, i) => Math.sin(i)),
    { shape: [6, 2, 4] },
  );
  const want = g.sub(softmax(x).mul(g.sum(2, { keepDims: true }))).dataSync();
  gradient.dataSync().forEach((value, i) => {
    expect(value).toBeCloseTo(want[i]!, 5);
  });
});

test('transforms within transforms, scopes within scopes', () => {
  const inner = (t: Tensor): Tensor => grad((u: Tensor) => logSoftmax(u).square().mean())(t);
  const outer = grad((t: Tensor) => inner(t).mul(logSoftmax(t)).sum())(x);
  expect(outer.dataSync().every(Number.isFinite)).toBe(true);
  same(
    scope(() => {
      const kept = scope(() => logSoftmax(x.mul(1)));
      return kept.mul(1);
    }),
  );
  same(scope(() => scope(() => logSoftmax(x))));
});

test('what is never read leaves nothing behind', () => {
  const before = memory().usedBytes;
  for (let i = 0; i < 100; i++)
    grad((t: Tensor) => {
      logSoftmax(t.mul(2));
      return t.sum();
    })(x);
  expect(memory()).toMatchObject({ usedBytes: before, scopes: 0 });
});
