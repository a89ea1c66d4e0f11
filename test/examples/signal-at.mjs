/**
 * Preloaded into an example (`--import`): sends its process the signal SIGNAL when it writes the file SIGNAL_AT, whatever the speed of the machine: as soon as the file
 * has first been written, or with SIGNAL_WITHIN in the middle of writing it for the second time.
 */
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

const { SIGNAL, SIGNAL_AT, SIGNAL_WITHIN } = process.env;
const { rename, writeFile } = fs;
let written = 0;

fs.writeFile = async (file, bytes) => {
  if (SIGNAL_WITHIN && written === 1 && file.startsWith(SIGNAL_AT)) {
    await writeFile(file, bytes.subarray(0, bytes.length / 2));
    process.kill(process.pid, SIGNAL);
  }
  await writeFile(file, bytes);
};
fs.rename = async (from, to) => {
  await rename(from, to);
  if (to === SIGNAL_AT && ++written === 1 && !SIGNAL_WITHIN) process.kill(process.pid, SIGNAL);
};
syncBuiltinESMExports();
