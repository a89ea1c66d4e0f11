// node examples/recognise/sets/spoken-words.mjs FOLDER [COUNT] [SEED]: words spoken by espeak-ng, as WAVs with x.txt beside them.
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { random } from 'tapegrad';
import { linesOf } from './words.mjs';

const VOICES = ['en-us', 'en-gb', 'en-us+f3', 'en-gb+m3'];
const [folder, count = '700', seed = '1'] = process.argv.slice(2);
if (folder === undefined) {
  console.error('Where to? node examples/recognise/sets/spoken-words.mjs FOLDER [COUNT] [SEED]');
  process.exit(2);
}
const source = random(Number(seed));
mkdirSync(folder, { recursive: true });
for (const [i, text] of linesOf({ count: Number(count), seed: Number(seed), least: 2, most: 4 }).entries()) {
  const stem = join(folder, String(i).padStart(5, '0'));
  const speed = String(source.integer(140, 181));
  const pitch = String(source.integer(35, 66));
  const voice = VOICES[source.integer(0, VOICES.length)];
  const { status, error, stderr } = spawnSync(
    'espeak-ng',
    ['-v', voice, '-s', speed, '-p', pitch, '-w', `${stem}.wav`, text],
    {
      encoding: 'utf8',
    },
  );
  if (status !== 0) {
    console.error(error?.code === 'ENOENT' ? 'There is no espeak-ng here (Debian: apt-get install espeak-ng)' : stderr);
    process.exit(1);
  }
  writeFileSync(`${stem}.txt`, `${text}\n`);
}
console.log(`${count} recordings of ${VOICES.length} voices: ${folder}`);
