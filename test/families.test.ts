/** Kernels as the ops declare them, against the files that hold them and the limits that all GPUs share. */
import { readdirSync, readFileSync } from 'node:fs';
import { ctcLoss, ctcPosterior, device, hvp, random, tensor, type Tensor, valueAndGrad } from 'tapegrad';
import { plans } from '../src/backends/gpu/plans.js';
import { type Kernel, overLimits } from '../src/backends/kernel.js';
import { opInfo } from './opinfo.js';
import { metal } from '../src/backends/metal/dialect.js';
import { wgsl } from '../src/backends/webgpu/dialect.js';
import { declared, signatureOf } from './metal/signatures.js';
import type { OpInfo } from './ops/info.js';
import { signatureInWgsl } from './webgpu/signatures.js';

/** Every kernel that the samples of all ops launch, with their derivatives, and those of the GPUs' plans. */
async function declaredKernels(): Promise<Kernel[]> {
  const seen = new Set<Kernel>(Object.values(plans).flatMap(({ kernels }) => kernels));
  const dispatch = jest.spyOn(await device('cpu'), 'dispatch');
  for (const info of Object.values(opInfo) as OpInfo[]) {
    for (const { inputs, run, forwardOnly } of info.samples) {
      const tensors = inputs.map((input) => tensor(input.data, { shape: input.shape, dtype: 'float32' }));
      if (forwardOnly || info.result) run(...tensors);
      else {
        const argnums = tensors.map((_, i) => i);
        valueAndGrad((...xs: Tensor[]) => run(...xs).sum(), { allowConstant: true, argnums })(...tensors);
      }
    }
  }
  const scores = random(1).normal([6, 2, 3]);
  const loss = (x: Tensor): Tensor => ctcLoss(x, [[1], [2]], undefined, undefined, { from: 'logits' });
  valueAndGrad((x: Tensor) =>
    loss(x)
      .mul(tensor([1, 2]))
      .sum(),
  )(scores);
  hvp((x: Tensor) => loss(x).sum(), scores, scores);
  ctcPosterior(scores, [[1], [2]]);
  for (const [{ kernel }] of dispatch.mock.calls) seen.add(kernel);
  dispatch.mockRestore();
  return [...seen];
}

/** The file of a folder that holds the definition of each name. */
function definitions(folder: string, ending: string, pattern: RegExp): Map<string, string> {
  const found = new Map<string, string>();
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith(ending) || file.includes('generated')) continue;
    const family = file.slice(0, -ending.length).replaceAll('\\', '/');
    for (const match of readFileSync(`${folder}/${file}`, 'utf8').matchAll(pattern))
      found.set(match[1]!.trim(), family);
  }
  return found;
}

let kernels: Kernel[];
beforeAll(async () => {
  kernels = await declaredKernels();
});

test('a kernel is in the file of its family, in every language that has it', () => {
  const inWasm = definitions('wasm', '.ts', /^export (?:function |\{ \w+ as )(\w+)/gm);
  const inMetal = definitions('metal', '.metal', /^kernel void (\w+)\(/gm);
  const inWgsl = definitions('wgsl', '.wgsl', /^\/\/ == (\w+) ==/gm);
  const named = kernels.filter(({ elementwise }) => !elementwise);
  expect(named.length).toBeGreaterThan(30);
  for (const { name, family } of named)
    for (const language of [inWasm, inMetal, inWgsl])
      expect([name, language.get(name) ?? family]).toEqual([name, family]);
  // The other way round: no kernel of a GPU's that nothing declares.
  const names = new Set(named.map(({ name }) => name));
  for (const language of [inMetal, inWgsl]) expect([...language.keys()].filter((name) => !names.has(name))).toEqual([]);
});

test.each([
  ['Metal', signatureOf],
  ['WGSL', signatureInWgsl],
] as const)(
  'a kernel has the buffers and parameters of its declaration, in that order, in %s',
  (language, signature) => {
    const sources = language === 'Metal' ? metal.sources : wgsl.sources;
    const there = kernels.filter(
      ({ name, family, elementwise }) =>
        elementwise ?? sources[family]?.includes(language === 'Metal' ? metal.entry(name) : wgsl.entry(name)),
    );
    expect(there.length).toBeGreaterThan(80);
    for (const kernel of there) {
      const own = signature(kernel);
      // Objects are equal in any order, structs are not.
      expect([kernel.name, own, Object.keys(own.params)]).toEqual([
        kernel.name,
        declared(kernel),
        Object.keys(kernel.params),
      ]);
    }
  },
);

test('every kernel keeps to what all GPUs can bind', () => {
  expect(kernels.map(overLimits).filter((problem) => problem !== null)).toEqual([]);
});
