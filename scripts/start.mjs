// npm start, npm run demo, npm run speech: builds, then runs the example that is named first. Processes that mpirun or srun started take what
// `npm install` or `npm run build` has built: they would all build into one folder, while others already read from it.
import { spawnSync } from 'node:child_process';

const [example] = process.argv.splice(2, 1); // what follows is the example's own

const isLaunched = ['OMPI_COMM_WORLD_SIZE', 'PMI_SIZE', 'PMIX_RANK', 'SLURM_STEP_NUM_TASKS'].some(
  (name) => process.env[name],
);
const built = isLaunched
  ? { status: 0 }
  : spawnSync('npm', ['run', '--silent', 'build'], { stdio: 'inherit', shell: true });
if (built.status === 0) await import(`../examples/${example}`);
else process.exitCode = built.status ?? 1;
