import {
  Random,
  loadSafetensors,
  nn,
  optim,
  random,
  relu,
  restoreTree,
  saveSafetensors,
  tensor,
  type Tensor,
  type Unmatched,
  valueAndGrad,
} from 'tapegrad';

const values = (t: Tensor): number[] => Array.from(t.dataSync());
const text = (file: Uint8Array): string =>
  new TextDecoder().decode(file.subarray(8, 8 + Number(new DataView(file.buffer).getBigUint64(0, true)))).trimEnd();

describe('safetensors', () => {
  test('a tree becomes names, and every dtype its bytes', async () => {
    const file = await saveSafetensors(
      {
        layers: [{ weight: tensor([[1, -2]]) }, null, { mask: tensor([true, false, true]) }],
        count: tensor([-1, 7], { dtype: 'int32' }),
        half: tensor([1.5], { dtype: 'float16' }),
        brain: tensor([1.5], { dtype: 'bfloat16' }),
        wide: tensor(Math.PI, { dtype: 'float64' }),
      },
      { metadata: { step: '3' } },
    );
    expect(text(file)).toBe(
      '{"__metadata__":{"step":"3"},"wide":{"dtype":"F64","shape":[],"data_offsets":[0,8]},' +
        '"layers.0.weight":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]},"count":{"dtype":"I32","shape":[2],"data_offsets":[16,24]},' +
        '"brain":{"dtype":"BF16","shape":[1],"data_offsets":[24,26]},"half":{"dtype":"F16","shape":[1],"data_offsets":[26,28]},' +
        '"layers.2.mask":{"dtype":"BOOL","shape":[3],"data_offsets":[28,31]}}',
    );
    expect(Array.from(file.subarray(-31))).toEqual([
      0x18, 0x2d, 0x44, 0x54, 0xfb, 0x21, 0x09, 0x40, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 255, 255, 255, 255, 7, 0, 0, 0,
      0xc0, 0x3f, 0, 0x3e, 1, 0, 1,
    ]);
  });

  test.each(['float32', 'float64', 'int32', 'bool', 'float16', 'bfloat16'] as const)(
    '%s comes back, any shape',
    async (dtype) => {
      const tree = {
        a: tensor(
          [
            [1, 0, 1],
            [0, 0, 1],
          ],
          { dtype },
        ),
        scalar: tensor(1, { dtype }),
        none: tensor([], { shape: [0, 3], dtype }),
      };
      const file = await saveSafetensors(tree);
      for (const bytes of [file, Buffer.from(file), file.buffer]) {
        const { tensors, raw, metadata } = loadSafetensors(bytes);
        expect(raw).toEqual({});
        expect(metadata).toEqual({});
        for (const name of ['a', 'scalar', 'none'] as const) {
          expect([tensors[name]!.dtype, tensors[name]!.shape, values(tensors[name]!)]).toEqual([
            dtype,
            tree[name].shape,
            values(tree[name]),
          ]);
        }
      }
    },
  );

  test('what is loaded is a copy', async () => {
    const file = Buffer.from(
      await saveSafetensors(
        { a: tensor([1, 2]) },
        { raw: { b: { dtype: 'I64', shape: [1], bytes: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) } } },
      ),
    );
    const { tensors, raw } = loadSafetensors(file);
    file.fill(0);
    expect(values(tensors.a!)).toEqual([1, 2]);
    expect(Array.from(raw.b!.bytes)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test('dtypes that tapegrad does not have pass through untouched', async () => {
    const raw = {
      ids: { dtype: 'I64', shape: [1], bytes: Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 127) },
      f8: { dtype: 'F8_E4M3', shape: [2], bytes: Uint8Array.of(1, 2) },
    } as const;
    const file = await saveSafetensors({ w: tensor([1]) }, { raw, metadata: { a: 'b' } });
    const loaded = loadSafetensors(file);
    expect(loaded.raw).toEqual(raw);
    expect(await saveSafetensors(loaded.tensors, loaded)).toEqual(file);
  });

  test('what would be lost or mixed up is refused', async () => {
    await expect(saveSafetensors({ step: 3 })).rejects.toThrow("[saveSafetensors] 'step' is a number, not a tensor");
    await expect(saveSafetensors({ f: { g: 'x' } })).rejects.toThrow("'f.g' is a string");
    await expect(saveSafetensors(tensor(1))).rejects.toThrow('a bare tensor has no name');
    await expect(saveSafetensors({ a: { b: tensor(1) }, 'a.b': tensor(2) })).rejects.toThrow(
      'two tensors are named "a.b"',
    );
    expect(() => loadSafetensors(new Uint8Array(7))).toThrow('[loadSafetensors] the file has 7 bytes');
  });
});

describe('restoreTree', () => {
  const template = { w: tensor([[0, 0]]), rest: [tensor([0]), null] as const };
  const tensors = { w: tensor([[1, 2]]), 'rest.0': tensor([3]) };

  test('puts tensors where the template has theirs', () => {
    const restored = restoreTree(template, tensors);
    expect(values(restored.w)).toEqual([1, 2]);
    expect(values(restored.rest[0])).toEqual([3]);
    expect(restored.rest[1]).toBeNull();
  });

  test('refuses what does not fit', () => {
    expect(() => restoreTree(template, { w: tensors.w })).toThrow("[restoreTree] there is no tensor 'rest.0'");
    expect(() => restoreTree(template, { ...tensors, extra: tensor(1) })).toThrow(
      "the tensor 'extra' has no place in the template",
    );
    expect(() => restoreTree(template, { ...tensors, w: tensor([1, 2]) })).toThrow(
      "'w' is float32[2]; float32[1, 2] is wanted",
    );
    expect(() => restoreTree(template, { ...tensors, w: tensor([[1, 2]], { dtype: 'float64' }) })).toThrow(
      "'w' is float64[1, 2]; float32[1, 2] is wanted",
    );
    expect(() => restoreTree({ toString: tensor(1) }, {})).toThrow("there is no tensor 'toString'");
  });
});

test('restoreTree: one tensor for two places of a name is refused, as saving them is', async () => {
  const [one, two] = [tensor([1]), tensor([2])];
  for (const template of [
    { 'a.b': one, a: { b: two } },
    { a: new Map<unknown, Tensor>([['b', one]]), 'a.b': two },
  ]) {
    expect(() => restoreTree(template, { 'a.b': tensor([9]) })).toThrow(
      "[restoreTree] the template has two places for 'a.b'",
    );
    await expect(saveSafetensors(template)).rejects.toThrow('two tensors are named "a.b"');
  }
});

test('restoreTree: any number of tensors that do not fit is counted, and the first ones are named', () => {
  const one = tensor([1]);
  const many = Object.fromEntries(Array.from({ length: 130_000 }, (_, i) => [`k${i}`, one]));
  expect(() => restoreTree({ a: one }, many)).toThrow(
    "[restoreTree] 130001 tensors do not fit:\n  there is no tensor 'a'\n  the tensor 'k0' has no place",
  );
  expect(() => restoreTree(many, { a: one })).toThrow("130001 tensors do not fit:\n  there is no tensor 'k0'");
});

describe('restoreTree with names of another kind, and in part', () => {
  const model = nn.group({ front: nn.linear(2, 3), head: nn.linear(3, 1) });
  const params = model.init(random(1));
  const other = model.init(random(2));
  const named = async (tree: unknown) => loadSafetensors(await saveSafetensors(tree)).tensors;

  test('the weights out of a whole checkpoint', async () => {
    const tensors = await named({ params: other, state: optim.adam({ learningRate: 1 }).init(other) });
    const restored = restoreTree(params, tensors, { prefix: 'params' });
    expect(values(restored.front.weight)).toEqual(values(other.front.weight));
    const head = restoreTree(params.head, tensors, { prefix: 'params.head.' });
    expect(values(head.weight)).toEqual(values(other.head.weight));
    expect(() => restoreTree(params, tensors, { prefix: 'param' })).toThrow(
      "[restoreTree] no tensor's name begins with 'param.'; the given ones are such as '",
    );
  });

  test('rename', async () => {
    const tensors = await named({ module: { encoder: other.front, head: other.head, old: tensor(1) } });
    const rename = (name: string): string | null =>
      name === 'module.old' ? null : name.replace(/^module\./, '').replace('encoder', 'front');
    expect(values(restoreTree(params, tensors, { rename }).front.bias!)).toEqual(values(other.front.bias!));
    expect(() => restoreTree(params, tensors, { rename: () => 'head.bias' })).toThrow(
      "are both 'head.bias' in the template",
    );
    expect(() => restoreTree(params, tensors, { rename: () => 1 as never })).toThrow(
      "[restoreTree] rename gave 1 for 'module.encoder.bias'; it must give a name, or null to leave it out",
    );
  });

  test('all misfits at once, by the names on both sides', async () => {
    const tensors = await named({
      front: { weight: tensor([[1, 2]]), scale: tensor([1]) },
      head: { w: other.head.weight, bias: tensor([1], { dtype: 'float64' }) },
    });
    const rename = (name: string): string => name.replace(/w$/, 'weight');
    let message = '';
    try {
      restoreTree(params, tensors, { rename: (name) => (name === 'head.bias' ? 'head.bias' : rename(name)) });
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message.split('\n  ')).toEqual([
      '[restoreTree] 4 tensors do not fit:',
      "there is no tensor 'front.bias'",
      "'front.weight' is float32[1, 2]; float32[3, 2] is wanted",
      "'head.bias' is float64[1]; float32[1] is wanted",
      "the tensor 'front.scale' has no place in the template",
    ]);
    expect(() => restoreTree(params, { 'head.w': tensor([1]) }, { rename, partial: true })).toThrow(
      "[restoreTree] 'head.weight' ('head.w') is float32[1]; float32[1, 3] is wanted",
    );
    const many = Object.fromEntries(Array.from({ length: 99 }, (_, i) => [`t${i}`, tensor(i)]));
    expect(() => restoreTree({}, many)).toThrow(
      /^\[restoreTree\] 99 tensors do not fit:(\n {2}.*){50}\n {2}and 49 more$/,
    );
  });

  test('partial keeps what is missing, tells what is left, and refuses where nothing fits', async () => {
    const tensors = await named({ front: other.front, spare: tensor([1]) });
    let told: Unmatched | undefined;
    const restored = restoreTree(params, tensors, { partial: (unmatched) => (told = unmatched) });
    expect(values(restored.front.weight)).toEqual(values(other.front.weight));
    expect(restored.head.weight).toBe(params.head.weight);
    expect(told).toEqual({ missing: ['head.weight', 'head.bias'], unused: ['spare'] });
    expect(restoreTree(params, tensors, { partial: true }).head.weight).toBe(params.head.weight);
    expect(() => restoreTree(params, tensors, { partial: true, rename: (name) => `model.${name}` })).toThrow(
      "[restoreTree] no tensor has a place in the template, whose names are such as 'front.weight'; the given ones are such as '",
    );
    expect(() => restoreTree(params, tensors, { partial: 1 as never })).toThrow(
      '[restoreTree] partial is 1; it must be',
    );
    expect(() => restoreTree(params, tensors, 'params' as never)).toThrow('(write { prefix })');
    expect(() => restoreTree(params, tensors, { strict: false } as never)).toThrow("there is no option 'strict'");
  });
});

test('a resumed training equals an uninterrupted one, bit for bit', async () => {
  const model = nn.sequential(nn.linear(6, 16), nn.layerNorm(16), relu, nn.dropout(0.3), nn.linear(16, 3));
  const optimizer = optim.adamw({ learningRate: optim.warmup(3, optim.cosine(0.05, 12, 1e-4)), weightDecay: 0.01 });
  type Params = ReturnType<typeof model.init>;
  interface Run {
    params: Params;
    state: optim.AdamState<Params>;
    source: Random;
    losses: number[];
  }

  const start = (): Run => {
    const source = random(11);
    const params = model.init(source);
    return { params, state: optimizer.init(params), source, losses: [] };
  };
  const advance = (run: Run, steps: number): void => {
    for (let i = 0; i < steps; i++) {
      const x = run.source.normal([8, 6]);
      const lossOf = (p: Params): Tensor =>
        model
          .apply(p, x, { random: run.source })
          .sub(x.slice([], [0, 3]))
          .square()
          .mean();
      const [loss, gradients] = valueAndGrad(lossOf)(run.params);
      const clipped = optim.clipByGlobalNorm(gradients, 0.5);
      ({ params: run.params, state: run.state } = optimizer.update(run.params, clipped.gradients, run.state));
      run.losses.push(loss.itemSync());
    }
  };
  const save = ({ params, state, source }: Run): Promise<Uint8Array> =>
    saveSafetensors({ params, state }, { metadata: { random: JSON.stringify(source.state) } });
  const load = (file: Uint8Array): Run => {
    const { tensors, metadata } = loadSafetensors(file);
    const fresh = start();
    return {
      ...restoreTree({ params: fresh.params, state: fresh.state }, tensors),
      source: Random.fromState(JSON.parse(metadata.random!) as number[]),
      losses: [],
    };
  };

  const whole = start();
  advance(whole, 12);
  const first = start();
  advance(first, 5);
  const second = load(await save(first));
  advance(second, 7);
  expect([...first.losses, ...second.losses]).toEqual(whole.losses);
  expect(await save(second)).toEqual(await save(whole));
  expect(whole.losses[11]).toBeLessThan(whole.losses[0]!);
});
