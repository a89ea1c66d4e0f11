import type { TypedArray } from '../backends/backend.js';
import { formatShape, type Shape, contiguousStrides } from './shape.js';
import type { Tensor } from './tensor.js';

const EDGE = 3; // elements shown at each end of a long axis
const LIMIT = 1000; // elements above which axes are shortened

/** A tensor as text. Values are shown only where reading them needs no waiting, so printing never stalls a device. */
export function formatTensor(t: Tensor): string {
  const head = `Tensor(${t.dtype}${formatShape(t.shape)}${t.device.name === 'cpu' ? '' : ` on ${t.device.name}`}${t.trace ? ', traced' : ''})`;
  if (!t.buffer.alive) return `${head} recycled`;
  if (t.device.name !== 'cpu') return head;
  return `${head} ${formatValues(t.glance(), t.shape, t.dtype === 'bool')}`;
}

function formatValues(data: TypedArray, shape: Shape, asBoolean: boolean): string {
  const format = (value: number): string => {
    if (asBoolean) return value ? 'true' : 'false';
    if (Number.isInteger(value) || !Number.isFinite(value)) return Object.is(value, -0) ? '-0' : String(value);
    return String(Number(value.toPrecision(5)));
  };
  const shorten = data.length > LIMIT;
  const strides = contiguousStrides(shape);
  const build = (axis: number, offset: number, indent: string): string => {
    if (axis === shape.length) return format(data[offset]!);
    const dim = shape[axis]!;
    const last = axis === shape.length - 1;
    const parts: string[] = [];
    for (let i = 0; i < dim; i++) {
      if (shorten && dim > 2 * EDGE + 1 && i === EDGE) {
        parts.push('...');
        i = dim - EDGE;
      }
      parts.push(build(axis + 1, offset + i * strides[axis]!, `${indent} `));
    }
    return `[${parts.join(last ? ', ' : `,\n${indent} `)}]`;
  };
  return `${shape.length > 1 ? '\n' : ''}${build(0, 0, '')}`;
}
