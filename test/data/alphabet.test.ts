import { alphabet, type Alphabet, ctcLoss, loadSafetensors, saveSafetensors, tensor, ValueError } from 'tapegrad';

/** One letter as one code point, and as two. */
const [COMPOSED, DECOMPOSED] = ['\u00e9', 'e\u0301'];
const FAMILY = '\u{1F469}\u200d\u{1F469}\u200d\u{1F467}';

describe('classes', () => {
  test('of a text: its characters in the order in which they appear, the blank before them', () => {
    const letters = alphabet('banana bread');
    expect(letters.symbols).toEqual(['b', 'a', 'n', ' ', 'r', 'e', 'd']);
    expect([letters.size, letters.blank]).toEqual([8, 0]);
    expect(letters.tokens).toEqual(['', 'b', 'a', 'n', ' ', 'r', 'e', 'd']);
    expect(letters.encode('bad')).toEqual([1, 2, 7]);
    expect(letters.decode([1, 2, 7])).toBe('bad');
  });

  test('of a corpus: as many characters as there are, and none is taken apart wherever it stands', () => {
    const corpus = 'abc '.repeat(20_000);
    const letters = alphabet(corpus);
    expect(letters.symbols).toEqual(['a', 'b', 'c', ' ']);
    expect(letters.encode(corpus)).toHaveLength(80_000);
    const clusters = [
      FAMILY,
      '\u{1F1E9}\u{1F1EA}',
      'e' + '\u0301'.repeat(700),
      '\r\n',
      '\u{1F44D}\u{1F3FD}',
      'e\u{E0100}',
    ];
    for (let before = 240; before < 260; before++) {
      const text = `${'a'.repeat(before)}${clusters.join('')}${clusters.join('').repeat(2)}b`;
      expect(alphabet(text, { normalization: 'none' }).symbols).toEqual(['a', ...clusters, 'b']);
    }
  });

  test.each([
    [0, [1, 2, 3], ['', 'a', 'b', 'c']],
    [1, [0, 2, 3], ['a', '', 'b', 'c']],
    [3, [0, 1, 2], ['a', 'b', 'c', '']],
  ])('with the blank at %d', (blank, labels, tokens) => {
    const letters = alphabet('abc', { blank });
    expect(letters.encode('abc')).toEqual(labels);
    expect(letters.tokens).toEqual(tokens);
    expect(letters.decode([...labels, blank, labels[0]!])).toBe('abca');
  });

  test('fit ctcLoss as they are', () => {
    const letters = alphabet('ab');
    const logProbs = tensor(Array.from({ length: 4 }, () => new Array<number>(letters.size).fill(Math.log(1 / 3))));
    expect(Number.isFinite(ctcLoss(logProbs, letters.encode('ab'), { blank: letters.blank }).itemSync())).toBe(true);
  });

  test('of a list: symbols of any length, of which the longest fits first', () => {
    const sounds = alphabet(['s', 'sch', 'c', 'h', 'ch', 'a']);
    expect(sounds.encode('schach')).toEqual([2, 6, 5]);
    expect(sounds.encode('scha')).toEqual([2, 6]);
    expect(sounds.encode('sca')).toEqual([1, 3, 6]);
    expect(sounds.decode([2, 6, 5])).toBe('schach');
    expect(alphabet(['aab', 'a']).encode('aaab')).toEqual([2, 1]);
    expect(alphabet(['aaab', 'a', 'b']).encode('aab')).toEqual([2, 2, 3]);
  });
});

describe('characters are what readers see as one', () => {
  test('an emoji of several code points, a flag, a syllable of conjoining letters, a line end', () => {
    const text = `${FAMILY}\u{1F1E9}\u{1F1EA}\u1112\u1161\u11ab\r\n`;
    const own = alphabet(text, { normalization: 'none' });
    expect(own.symbols).toEqual([FAMILY, '\u{1F1E9}\u{1F1EA}', '\u1112\u1161\u11ab', '\r\n']);
    expect(own.decode(own.encode(text))).toBe(text);
  });

  test('composed and decomposed letters are the same symbol, in alphabet and text', () => {
    for (const source of [`caf${COMPOSED}`, `caf${DECOMPOSED}`]) {
      const letters = alphabet(source);
      expect(letters.size).toBe(5);
      for (const text of [COMPOSED, DECOMPOSED]) expect(letters.encode(text)).toEqual([4]);
      expect(letters.decode([4])).toBe(COMPOSED);
      expect([letters.has(COMPOSED), letters.has(DECOMPOSED), letters.has('e')]).toEqual([true, true, false]);
    }
  });

  test('without normalisation they are two', () => {
    const letters = alphabet(COMPOSED + DECOMPOSED, { normalization: 'none' });
    expect(letters.symbols).toEqual([COMPOSED, DECOMPOSED]);
    expect(letters.encode(DECOMPOSED)).toEqual([2]);
  });

  test('NFKC takes ligatures apart', () => {
    const letters = alphabet('fi', { normalization: 'NFKC' });
    expect(letters.encode('\ufb01')).toEqual([1, 2]);
    expect(() => alphabet('fi').encode('\ufb01')).toThrow(ValueError);
  });

  test('an e is never found in an accented one', () => {
    expect(() => alphabet('e\u0323').encode('e')).toThrow(ValueError);
    // e with a dot below and a tilde: composed by no single code point, so that its e could be taken for one.
    expect(() => alphabet('e').encode('e\u0303\u0323')).toThrow(/lacks.*\(U\+1EB9 U\+0303\) at character 0/);
  });

  test('what is encoded comes back, for any text of its own characters', () => {
    const corpus = `Grüße, ${FAMILY}! नमस्ते สวัสดี 안녕 ${DECOMPOSED}\u{1F1E9}\u{1F1EA} \u0301`;
    const letters = alphabet(corpus);
    expect(letters.decode(letters.encode(corpus))).toBe(corpus.normalize('NFC'));
  });
});

describe('what the alphabet lacks', () => {
  const letters = alphabet('abc ');

  test('is an error that names it, each once, with its place', () => {
    expect(() => letters.encode('a dxd')).toThrow(ValueError);
    expect(() => letters.encode('a dxd')).toThrow(
      "[Alphabet.encode] there are symbols in 'a dxd' that the alphabet lacks: 'd' (U+0064) at character 2, 'x' (U+0078) at character 3",
    );
    expect(() => letters.encode('a\u00a0b')).toThrow('(U+00A0) at character 1');
    expect(() => letters.encode('\ud800')).toThrow('(U+D800)');
  });

  test('however much it is, the message stays short', () => {
    const long = Array.from({ length: 500 }, (_, i) => String.fromCodePoint(0x4e00 + i) + '\u0301'.repeat(50)).join('');
    try {
      letters.encode(long);
      throw new Error('encoded');
    } catch (error) {
      expect(error).toBeInstanceOf(ValueError);
      expect((error as Error).message.length).toBeLessThan(400);
      expect((error as Error).message).toContain('and 496 more');
    }
  });

  test('is replaced or left out on demand', () => {
    expect(letters.encode('axbyc', { replace: '' })).toEqual([1, 2, 3]);
    expect(letters.encode('axbyc', { replace: ' ' })).toEqual([1, 4, 2, 4, 3]);
    expect(() => letters.encode('a', { replace: '?' })).toThrow("replace is '?'; it must be a symbol of the alphabet");
  });

  test('numbers that are no class are refused, the blank is nothing', () => {
    expect(letters.decode([0, 1, 0, 0, 2])).toBe('ab');
    expect(letters.decode(Int32Array.of(1, 2))).toBe('ab');
    for (const bad of [5, -1, 0.5, NaN]) expect(() => letters.decode([1, bad])).toThrow('[Alphabet.decode] label 1 is');
    expect(() => letters.decode(1 as never)).toThrow(ValueError);
    expect(() => letters.decode('ab' as never)).toThrow(ValueError);
  });
});

describe('saved', () => {
  const same = (a: Alphabet, b: Alphabet): void => {
    expect([a.symbols, a.tokens, a.blank, a.normalization]).toEqual([b.symbols, b.tokens, b.blank, b.normalization]);
  };

  test('as JSON and read again, also out of a checkpoint', async () => {
    const letters = alphabet(`ab ${DECOMPOSED}${FAMILY}`, { blank: 2, normalization: 'NFD' });
    same(alphabet(JSON.parse(JSON.stringify(letters)) as Alphabet), letters);
    same(alphabet(letters), letters);
    const file = await saveSafetensors({ x: tensor([1]) }, { metadata: { alphabet: JSON.stringify(letters) } });
    const { metadata } = loadSafetensors(file);
    same(alphabet(JSON.parse(metadata.alphabet!) as Alphabet), letters);
  });

  test('what is no alphabet is refused', () => {
    const saved = alphabet('abc').toJSON();
    const read = (change: object): Alphabet => alphabet({ ...saved, ...change });
    expect(() => read({ symbols: ['a', 'a'] })).toThrow(
      "[alphabet] symbol 1, 'a' (U+0061), is there already, in place 0",
    );
    expect(() => read({ symbols: [1] })).toThrow('symbol 0 is 1');
    expect(() => read({ symbols: null })).toThrow(ValueError);
    expect(() => read({ blank: 4 })).toThrow('blank is 4');
    expect(() => read({ normalization: 'nfc' })).toThrow('normalization is');
  });
});

test.each<[unknown, object, string]>([
  ['', {}, 'there are no symbols'],
  [[], {}, 'there are no symbols'],
  [['a', ''], {}, 'symbol 1 is'],
  [[COMPOSED, DECOMPOSED], {}, 'is there already'],
  [['a', undefined], {}, 'symbol 1 is undefined'],
  [new Set('ab'), {}, 'they must be a text or a list of strings'],
  ['abc', { blank: 5 }, 'blank is 5'],
  ['abc', { blank: -1 }, 'blank is -1'],
  ['abc', { form: 'NFC' }, "there is no option 'form'"],
])('alphabet(%p, %p) is refused', (source, options, message) => {
  expect(() => alphabet(source as string, options)).toThrow(ValueError);
  expect(() => alphabet(source as string, options)).toThrow(message);
});
