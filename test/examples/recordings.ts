import { existsSync } from 'node:fs';
import { requirement } from '../requirements.js';

const NEEDED = [
  '/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz',
  '/usr/share/asterisk/sounds/en_US_f_Allison/activated.wav',
];
const missing = NEEDED.find((file) => !existsSync(file));

/** A `describe` for what wants Debian's recordings of speech. */
export const withRecordings = requirement(
  "the speech example on Debian's recordings",
  'SPEECH_REQUIRED',
  missing && `there is no ${missing}: apt-get install asterisk-core-sounds-en asterisk-core-sounds-en-wav`,
);
