type Suite = (name: string, body: () => void) => void;

/** Suites that cannot run here. The reporter of test/not-run.mjs reads the reason from the title, and says it when the run ends. */
export const notRun =
  (what: string, reason: string): Suite =>
  (name, body) => {
    describe.skip(`not run: ${what} (${reason})`, () => {
      describe(name, body);
    });
  };

/**
 * A `describe` for suites that want something which not every machine has. Where it is missing they do not run and are not counted as
 * passed; where the variable says that it is required (`METAL_REQUIRED=1`) they fail.
 * @param missing why it is not there; undefined if it is.
 */
export function requirement(what: string, variable: string, missing: string | undefined): Suite {
  if (missing === undefined) return describe;
  if (process.env[variable] !== '1') return notRun(what, `${missing}; with ${variable}=1 this is a failure`);
  return (name) => {
    describe(name, () => {
      test(`${what} is required here`, () => {
        throw new Error(missing);
      });
    });
  };
}
