import { remoteDevice } from './devices.js';
import { opSuite } from './ops.suite.js';

opSuite('a device that cannot be read synchronously', () => remoteDevice());
