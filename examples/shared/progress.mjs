import cliProgress from 'cli-progress';

const PHASES = { start: 'starting', plateau: 'blank plateau', learning: 'learning' };

const percent = (share) => `${(100 * share).toFixed(1)} %`;

/** A progress bar on a terminal, a line now and then elsewhere. */
export class Progress {
  /**
   * @param {import('./run.mjs').Run} run
   * @param {{ unit: string, rateOf: (run: import('./run.mjs').Run) => number }} options `unit`: what the speed counts, `rateOf`: the learning rate of the next step.
   */
  constructor(run, { unit, rateOf }) {
    this.rateOf = rateOf;
    this.bar = new cliProgress.SingleBar(
      {
        format: `{bar} step {value}/{total}  {phase}  loss {loss}  lr {rate}  CER {error}  {speed} ${unit}/s  {left} left`,
        barsize: 10,
        hideCursor: true,
        stream: process.stdout,
        noTTYOutput: true,
        notTTYSchedule: 5000,
      },
      cliProgress.Presets.shades_classic,
    );
    this.began = performance.now();
    this.firstStep = run.step;
    this.done = 0;
    this.meanLoss = run.losses.slice(-20).reduce((sum, loss, _, { length }) => sum + loss / length, 0) || null;
    this.bar.start(run.steps, run.step, this.payload(run));
  }

  /**
   * @param {import('./run.mjs').Run} run
   * @param {number} count items of the step.
   */
  update(run, count) {
    const loss = run.losses.at(-1);
    this.done += count;
    this.meanLoss = this.meanLoss === null ? loss : 0.9 * this.meanLoss + 0.1 * loss;
    this.bar.update(run.step, this.payload(run));
  }

  stop() {
    this.bar.stop();
  }

  payload(run) {
    const made = run.step - this.firstStep;
    const seconds = (performance.now() - this.began) / 1000;
    const latest = run.evaluations.at(-1);
    return {
      loss: this.meanLoss?.toFixed(3) ?? '-',
      rate: this.rateOf(run).toExponential(1),
      speed: made > 0 ? Math.round(this.done / seconds) : '-',
      left: made > 0 ? duration(((run.steps - run.step) * seconds) / made) : '-',
      error: latest ? percent(latest.characterErrorRate) : '-',
      phase: PHASES[run.phase],
    };
  }
}

function duration(seconds) {
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
}
