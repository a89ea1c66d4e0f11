/** A reporter for jest: the last lines of a run say which tests did not run, and why. */
export default class NotRun {
  reasons = new Map();

  constructor({ testNamePattern }) {
    this.isFiltered = Boolean(testNamePattern);
  }

  onTestResult(_test, { testResults }) {
    for (const { status, ancestorTitles } of testResults) {
      if (status !== 'pending' && status !== 'todo') continue;
      const reason =
        /^not run: (.*)$/.exec(ancestorTitles[0] ?? '')?.[1] ?? (this.isFiltered ? null : 'skipped in their files');
      if (reason === null) continue; // left out by `jest -t`
      this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + 1);
    }
  }

  onRunComplete() {
    if (this.reasons.size === 0) return;
    const lines = Array.from(
      this.reasons,
      ([reason, count]) => `Not run: ${count} test${count === 1 ? '' : 's'}: ${reason}\n`,
    );
    process.once('exit', () => process.stderr.write(lines.join(''))); // behind jest's own summary
  }
}
