import { ctcLoss, logSoftmax, random, valueAndGrad } from 'tapegrad';
import { readmeExample } from '../built.js';
import { bundle } from './bundle.js';
import { browserTests, visit } from './page.js';

/**
 * tapegrad in a real page: the same loss and gradient as in Node, with threads where the page can have them and with one where it is not
 * isolated across origins or its content security policy refuses workers.
 */

const TRAINING = `
  import { send, violations } from 'reporting';
  import { ctcLoss, logSoftmax, random, setThreads, threads, valueAndGrad } from 'tapegrad';
  setThreads(2);
  const atFirst = threads();
  const rng = random(5);
  const logits = rng.normal([120, 16, 40]);
  const targets = rng.integers([16, 20], 1, 40);
  const loss = valueAndGrad((x) => ctcLoss(logSoftmax(x), targets, new Array(16).fill(120), new Array(16).fill(20)).sum());
  let value, gradient;
  // Until a thread has started, or been refused, where there can be any.
  for (let i = 0; i < 40 || (crossOriginIsolated && threads() === 1 && violations.length === 0); i++) {
    [value, gradient] = loss(logits);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const data = gradient.dataSync();
  await send({
    isolated: crossOriginIsolated,
    threads: threads(),
    atFirst,
    violations,
    loss: value.itemSync(),
    gradient: Array.from(data.slice(0, 50)),
    sum: data.reduce((a, b) => a + Math.abs(b), 0),
  });
`;

interface Report {
  isolated: boolean;
  threads: number;
  atFirst: number;
  violations: string[];
  loss: number;
  gradient: number[];
  sum: number;
}

function expected(): { loss: number; gradient: number[] } {
  const rng = random(5);
  const logits = rng.normal([120, 16, 40]);
  const targets = rng.integers([16, 20], 1, 40);
  const [value, gradient] = valueAndGrad((x: typeof logits) =>
    ctcLoss(logSoftmax(x), targets, new Array<number>(16).fill(120), new Array<number>(16).fill(20)).sum(),
  )(logits);
  return { loss: value.itemSync(), gradient: Array.from(gradient.dataSync().slice(0, 50)) };
}

/** What a careful page allows: WebAssembly, but no code from text, and no workers but from its own files. */
const STRICT = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'";

browserTests('in a page', () => {
  test.each([
    ['isolated across origins', true, undefined, 2],
    ['not isolated', false, undefined, 1],
    ['with a strict policy', false, STRICT, 1],
    ['isolated, with a strict policy', true, STRICT, 1],
    ['isolated, with a strict policy that allows workers', true, `${STRICT}; worker-src blob:`, 2],
  ])('%s', async (_name, isolated, policy, threads) => {
    const report = await visit<Report>({
      isolated,
      ...(policy && { policy }),
      files: await bundle(TRAINING),
    });
    const { loss, gradient } = expected();
    expect(report).toMatchObject({ isolated, threads, atFirst: 1, loss, gradient });
    expect(report.error).toBeUndefined();
    expect(report.sum).toBeGreaterThan(1);
    // Workers that are refused are tried once: one for each thread.
    expect(report.violations).toEqual(isolated && threads === 1 ? ['worker-src blob'] : []);
  });

  test("the README's example runs and prints what it prints in Node, where no code may come from text", async () => {
    const { code, output } = readmeExample();
    const program = `
      import { send, violations } from 'reporting';
      const printed = [];
      const console = { log: (...values) => printed.push(values.map((value) => Array.isArray(value) ? JSON.stringify(value) : String(value)).join(' ')) };
      ${code.replace(/^import /m, "import { tensor } from 'tapegrad';\nimport ")}
      const ndarray = { data: Float32Array.of(1, 2, 3, 4), shape: [2, 2], stride: [1, 2], offset: 0 };
      let refusal = '';
      try { tensor([1]).ndarray(); } catch ({ message }) { refusal = message; }
      await send({ printed, violations, read: tensor(ndarray).arraySync(), refusal });
    `;
    const report = await visit({ isolated: false, policy: STRICT, files: await bundle(program) });
    expect(report).toEqual({
      printed: [output],
      violations: [],
      read: [
        [1, 3],
        [2, 4],
      ],
      refusal: expect.stringMatching(/^\[ndarray\] there are no ndarrays in the browser's build/) as string,
    });
  });
});
