import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a rank has to say, for the test that started it. */
export const report = (rank, facts) =>
  writeFileSync(join(process.env.REPORTS, String(rank)), JSON.stringify({ rank, ...facts }));
