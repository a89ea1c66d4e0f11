import Sequencer from '@jest/test-sequencer';

/** Suites that take half a minute and more. Begun last, one of them would run alone, with nothing left for the other workers to do. */
const LONG = ['metal/', 'distributed/', 'page/', 'ops', 'webgpu/', 'examples/', 'package/', 'models/'];

/** The order that jest gives suites, with the long ones first: jest knows how long they take only where it has run them before. */
export default class LongFirst extends Sequencer {
  async sort(tests) {
    const sorted = await super.sort(tests);
    const isLong = ({ path }) => LONG.some((name) => path.includes(`/test/${name}`));
    return [...sorted.filter(isLong), ...sorted.filter((test) => !isLong(test))];
  }
}
