import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a rank has to say, for the test that started it. */
export const report = (rank, facts) =>
  writeFileSync(join(process.env.REPORTS, String(rank)), JSON.stringify({ rank, ...facts }));

/** A world that leaves word of each call before it makes it, for the test's message if the job hangs. */
export function followed(world) {
  let calls = 0;
  const note = join(process.env.REPORTS, `doing${world.rank}`);
  const leaveWord = (name) => {
    writeFileSync(`${note}.part`, JSON.stringify({ pid: process.pid, what: `call ${++calls}, ${name}` }));
    renameSync(`${note}.part`, note);
  };
  return new Proxy(world, {
    get(target, name) {
      const value = target[name];
      if (typeof value !== 'function') return value;
      return (...args) => {
        leaveWord(name);
        return value.apply(target, args);
      };
    },
  });
}
