import type { CType, Message } from '../../src/backends/metal/messages.js';

/** How the Objective-C runtime writes the types of messages down (`@encode`). */
const ENCODING: Readonly<Record<CType, string>> = {
  void: 'v',
  id: '@',
  uint64: 'Q',
  int64: 'q',
  bool: 'B',
  double: 'd',
  cstring: 'r*',
  pointer: '^v',
  bytes: 'r^v',
  errorSlot: '^@',
  MTLSize: '{?=QQQ}',
};

/** The method's type encoding as the runtime spells it, without stack offsets: result, receiver, selector, parameters. */
export const encodingOf = (message: Message): string =>
  `${ENCODING[message.result]}@:${message.parameters.map((type) => ENCODING[type]).join('')}`;
