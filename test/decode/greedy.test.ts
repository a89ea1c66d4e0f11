import { greedyDecode, greedyDecodeSync, log, tensor, ValueError } from 'tapegrad';

const MINUS_INFINITY = -Infinity;
const [P9, P1, P6, P4] = [0.9, 0.1, 0.6, 0.4].map(Math.log) as [number, number, number, number];

describe('greedyDecode', () => {
  test("TensorFlow's case: repeats merged, blank in the last class, frames beyond the length ignored", async () => {
    // Of tensorflow/python/kernel_tests/nn_ops/ctc_decoder_ops_test.py, testCTCGreedyDecoder: [6 frames, 2 sequences, 4 classes].
    const i = MINUS_INFINITY;
    const scores = tensor([
      [
        [0, i, i, i],
        [P1, P9, i, i],
      ],
      [
        [i, i, P4, P6],
        [i, P9, P1, i],
      ],
      [
        [i, i, P4, P6],
        [i, i, P1, P9],
      ],
      [
        [i, P9, P1, i],
        [i, P9, P1, P1],
      ],
      [
        [i, i, i, i],
        [P9, P1, i, i],
      ],
      [
        [i, i, i, i],
        [i, i, i, i],
      ],
    ]);
    const [first, second] = await greedyDecode(scores, [4, 5], { blank: 3 });
    expect(first).toMatchObject({ labels: [0, 1], frames: [0, 3] });
    expect(second).toMatchObject({ labels: [1, 1, 0], frames: [0, 3, 4] });
    expect(-first!.logProb).toBeCloseTo(1.12701176, 6);
    expect(-second!.logProb).toBeCloseTo(0.526802578, 6);
    expect(greedyDecodeSync(scores, tensor([4, 5], { dtype: 'int32' }), { blank: 3 })).toEqual([first, second]);
  });

  test("ctcdecode's case: probabilities of two sentences", async () => {
    // Of parlance/ctcdecode, tests/test_decode.py: [2 sequences, 6 frames, 7 classes], blank in the last class.
    const vocabulary = ["'", ' ', 'a', 'b', 'c', 'd', '_'];
    const probabilities = tensor([
      [
        [0.06390443, 0.21124858, 0.27323887, 0.06870235, 0.0361254, 0.18184413, 0.16493624],
        [0.03309247, 0.22866108, 0.24390638, 0.09699597, 0.31895462, 0.0094893, 0.06890021],
        [0.218104, 0.19992557, 0.18245131, 0.08503348, 0.14903535, 0.08424043, 0.08120984],
        [0.12094152, 0.19162472, 0.01473646, 0.28045061, 0.24246305, 0.05206269, 0.09772094],
        [0.1333387, 0.00550838, 0.00301669, 0.21745861, 0.20803985, 0.41317442, 0.01946335],
        [0.16468227, 0.1980699, 0.1906545, 0.18963251, 0.19860937, 0.04377724, 0.01457421],
      ],
      [
        [0.08034842, 0.22671944, 0.05799633, 0.36814645, 0.11307441, 0.04468023, 0.10903471],
        [0.09742457, 0.12959763, 0.09435383, 0.21889204, 0.15113123, 0.10219457, 0.20640612],
        [0.45033529, 0.09091417, 0.15333208, 0.07939558, 0.08649316, 0.12298585, 0.01654384],
        [0.02512238, 0.22079203, 0.19664364, 0.11906379, 0.07816055, 0.22538587, 0.13483174],
        [0.17928453, 0.06065261, 0.41153005, 0.1172041, 0.11880313, 0.07113197, 0.04139363],
        [0.15882358, 0.1235788, 0.23376776, 0.20510435, 0.00279306, 0.05294827, 0.22298418],
      ],
    ]);
    const paths = await greedyDecode(log(probabilities).permute([1, 0, 2]), undefined, { blank: 6 });
    expect(paths.map(({ labels }) => labels.map((label) => vocabulary[label]).join(''))).toEqual(["ac'bdc", "b'da"]);
  });

  test('the best path need not be the best labelling: two blanks win although "a" is likelier', () => {
    const paths = greedyDecodeSync(
      tensor([
        [0.4, 0, 0.6],
        [0.4, 0, 0.6],
      ]).log(),
      undefined,
      { blank: 2 },
    );
    expect(paths).toHaveLength(1);
    expect(paths[0]).toMatchObject({ labels: [], frames: [] });
    expect(paths[0]!.logProb).toBeCloseTo(2 * P6, 6);
  });

  test('a blank separates equal labels, a change of label does not need one', () => {
    const classes = [1, 1, 0, 1, 2, 2, 1];
    const scores = tensor(classes.map((c) => [0, 1, 2].map((k) => (k === c ? 0 : -5))));
    expect(greedyDecodeSync(scores)[0]).toEqual({ labels: [1, 1, 2, 1], frames: [0, 3, 4, 6], logProb: 0 });
  });

  test('of equal classes the lowest wins, also when all are impossible', () => {
    expect(
      greedyDecodeSync(
        tensor([
          [-1, -1, -2],
          [-3, -1, -1],
        ]),
      )[0]!.labels,
    ).toEqual([1]);
    expect(greedyDecodeSync(tensor([[MINUS_INFINITY, MINUS_INFINITY]]), undefined, { blank: 1 })[0]).toEqual({
      labels: [0],
      frames: [0],
      logProb: MINUS_INFINITY,
    });
  });

  test('empty batches, no frames, length 0', () => {
    expect(greedyDecodeSync(tensor(new Float32Array(0), { shape: [3, 0, 4] }))).toEqual([]);
    expect(greedyDecodeSync(tensor(new Float32Array(0), { shape: [0, 1, 4] }))).toEqual([
      { labels: [], frames: [], logProb: 0 },
    ]);
    expect(greedyDecodeSync(tensor([[[NaN, 0]]]), 0)).toEqual([{ labels: [], frames: [], logProb: 0 }]);
  });

  test('float64 and float16', () => {
    for (const dtype of ['float64', 'float16', 'bfloat16'] as const) {
      expect(
        greedyDecodeSync(
          tensor(
            [
              [-1, -0.5],
              [-2, -4],
            ],
            { dtype },
          ),
        )[0],
      ).toEqual({ labels: [1], frames: [0], logProb: -2.5 });
    }
  });

  test('bad input, named before the device is asked', async () => {
    const scores = tensor([
      [
        [0, 1],
        [0, 1],
      ],
    ]);
    await expect(greedyDecode(scores, [1])).rejects.toThrow(
      "[greedyDecode] 1 input lengths for 2 sequences: the scores [1, 2, 2] read as T = 1, N = 2, C = 2 (layout 'TNC')",
    );
    expect(() => greedyDecodeSync(scores, [1, 2])).toThrow(
      '[greedyDecodeSync] sequence 1: input length is 2; the scores have 1 frames: the scores [1, 2, 2] read as T = 1',
    );
    expect(() => greedyDecodeSync(scores, [1, 0.5])).toThrow(
      'sequence 1: input length is 0.5; it must be a whole number that fits int32',
    );
    expect(() => greedyDecodeSync(scores, tensor([1, 1]))).toThrow('inputLengths is float32');
    expect(() => greedyDecodeSync(scores, undefined, { blank: 2 })).toThrow(
      '[greedyDecodeSync] blank is 2; it must be a class in [0, 2)',
    );
    expect(() => greedyDecodeSync(tensor([1, 2]))).toThrow('logProbs is [2]; it must be [T, N, C] or [T, C]');
    expect(() => greedyDecodeSync(tensor([[1, 2]], { dtype: 'int32' }))).toThrow('logProbs is int32');
    expect(() => greedyDecodeSync(tensor(new Float32Array(0), { shape: [2, 0] }))).toThrow('has no classes');
    expect(() =>
      greedyDecodeSync(
        tensor([
          [
            [0, 1],
            [0, NaN],
          ],
        ]),
      ),
    ).toThrow(ValueError);
    expect(() =>
      greedyDecodeSync(
        tensor([
          [
            [0, 1],
            [0, NaN],
          ],
        ]),
      ),
    ).toThrow('sequence 1, frame 0: class 1 is NaN');
  });
});
