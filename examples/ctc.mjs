// CTC in 40 lines: Morse code from a shaky hand, and a small network that learns to read it without being told which beep belongs to which letter.
// In a clone: npm install && node examples/ctc.mjs. Elsewhere: npm install tapegrad && node node_modules/tapegrad/examples/ctc.mjs
import { alphabet, ctcLoss, errorRate, greedyDecodeSync, nn, optim, padSequences, random } from 'tapegrad';
import { relu, tensor, valueAndGrad } from 'tapegrad';

const MORSE = { a: '.-', d: '-..', e: '.', i: '..', n: '-.', o: '---', r: '.-.', s: '...', t: '-' };
const letters = alphabet(Object.keys(MORSE).join(''));
const rng = random(1);

/** A word, and its signal, [T, 1]: beeps and pauses of uncertain length, and noise. */
function transmission() {
  const word = Array.from({ length: rng.integer(2, 5) }, () => letters.symbols[rng.integer(0, 9)]).join('');
  const hold = (level, least) => Array.from({ length: least + rng.integer(0, 2) }, () => level + 0.2 * rng.gaussian());
  const beep = (length) => [...hold(1, length === '.' ? 1 : 4), ...hold(0, 1)];
  const signal = [...word].flatMap((letter) => [...[...MORSE[letter]].flatMap(beep), ...hold(0, 4)]);
  return { word, signal: tensor(signal, { shape: [signal.length, 1] }) };
}

/** Several as a batch: x [N, T, 1], the longest T; how long each is, and what each says. */
function batch(size) {
  const all = Array.from({ length: size }, transmission);
  const { padded, lengths } = padSequences(all.map(({ signal }) => signal));
  return { x: padded, inputLengths: lengths, words: all.map(({ word }) => word) };
}

const model = nn.sequential(
  nn.sequential(nn.conv1d(1, 32, 5, { padding: 'same' }), relu),
  nn.sequential(nn.conv1d(32, 64, 25, { padding: 'same' }), nn.layerNorm(64), relu),
  nn.linear(64, letters.size), // scores of every letter, and of the blank, for each frame
);
const lossOf = (params, { x, inputLengths, words }) => {
  const labels = words.map((word) => letters.encode(word));
  return ctcLoss(model.apply(params, x), labels, { inputLengths, layout: 'NTC', from: 'logits' }).mean();
};

const optimizer = optim.adam({ learningRate: optim.warmup(10, optim.cosine(0.01, 290)) });
let params = model.init(rng);
let state = optimizer.init(params);
for (let step = 1; step <= 300; step++) {
  const [loss, gradients] = valueAndGrad(lossOf)(params, batch(16));
  ({ params, state } = optimizer.update(params, optim.clipByGlobalNorm(gradients, 5).gradients, state));
  if (step % 30 === 0) console.log(`step ${step}: loss ${loss.itemSync().toFixed(2)}`);
}

const { x, inputLengths, words } = batch(100);
const paths = greedyDecodeSync(model.apply(params, x), { inputLengths, layout: 'NTC' });
const read = paths.map(({ labels }) => letters.decode(labels));
for (let n = 0; n < 5; n++) console.log(`sent ${words[n]}, read ${read[n]}`);
console.log(`${(100 * errorRate(words, read).rate).toFixed(1)} % of the letters of 100 new words are wrong`);
