/**
 * A training run in a worker, as the page sees it.
 *
 * @typedef {object} Events
 * @property {(run: { steps: number, losses: number[], evaluations: object[] }) => void} began
 * @property {(step: { step: number, phase: string, loss: number, rate: number, batch: number, evaluation: object | null }) => void} step
 * @property {(file: Uint8Array) => void} weights a checkpoint, now and then
 * @property {(file: Uint8Array) => void} ended the last one, at the end or when stopped
 * @property {(message: string) => void} failure
 */
export class Trainer {
  /**
   * @param {{ device: 'cpu' | 'webgpu', file: Uint8Array | null, options: { seed: number, steps: number, batch: number } }} order
   *   `file`: a checkpoint to go on from.
   * @param {Events} events
   */
  constructor(order, events) {
    this.worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
    this.worker.addEventListener('message', ({ data }) => {
      const [[name, value]] = Object.entries(data);
      if (name === 'ended' || name === 'failure') this.worker.terminate();
      events[name](value);
    });
    this.worker.addEventListener('error', (event) => {
      event.preventDefault();
      this.worker.terminate();
      events.failure(event.message ?? 'the worker did not start');
    });
    this.worker.postMessage({ train: { digits: new URL('./digits.bin', import.meta.url).href, ...order } });
  }

  stop() {
    this.worker.postMessage({ stop: true });
  }
}
